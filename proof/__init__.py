"""The proof that one alert is at most one order and never lost: histories, their checker, simulations, planted bugs."""
