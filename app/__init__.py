"""A TradingView alert becomes one order at Fyers: at most once, never silently lost."""
