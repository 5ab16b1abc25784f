"""How TradingView delivers an alert. Its help pages are tradingview.com/support/solutions/NUMBER."""

from datetime import date

from app.facts import Confidence, Fact, Source

SENDERS = ("52.89.214.238", "34.212.75.30", "54.218.53.128", "52.32.178.7")  # unchanged since 2020, but not promised
HANGS_UP_AFTER = 3.0  # seconds
RESENDS = 3  # on 500-599 except 504, and on nothing else
RESEND_AFTER = 5.0  # seconds

_REVIEW = date(2027, 2, 28)
_WEBHOOKS = Source("TradingView's support page 43000529348", date(2026, 11, 20), Confidence.HIGH, _REVIEW)
_RESENDS = Source("TradingView's support page 43000735201", date(2026, 11, 20), Confidence.HIGH, _REVIEW)
_NOT_504 = Source("copies of TradingView's support page 43000735201", date(2026, 11, 20), Confidence.MEDIUM, _REVIEW)
_SIZES = Source("third parties' notes of support page 43000773947", date(2026, 11, 20), Confidence.MEDIUM, _REVIEW)
_STRIKES = Source("TradingView's support pages 43000597494, 43000690939", date(2026, 11, 20), Confidence.HIGH, _REVIEW)
_PLACEHOLDERS = Source("TradingView's support page 43000531021", date(2026, 11, 20), Confidence.HIGH, _REVIEW)

_HERE, _VALUES = "app/facts/tradingview.py", "app/domain/alert/values.py"

FACTS = (
    Fact("TradingView: addresses it sends from", ", ".join(SENDERS), f"{_HERE} SENDERS", _WEBHOOKS),
    Fact("TradingView: time for an answer", f"{HANGS_UP_AFTER:g} s", f"{_HERE} HANGS_UP_AFTER", _WEBHOOKS),
    Fact(
        "TradingView: resends",
        f"up to {RESENDS} on 500-599, {RESEND_AFTER:g} s apart; none after a time-out or a 4xx",
        f"{_HERE} RESENDS",
        _RESENDS,
    ),
    Fact("TradingView: 504 is not resent", "since an unknown day", "app/web/answers.py", _NOT_504),
    Fact("TradingView: ports and addresses", "80 and 443, IPv4 only", "deploy/README.md", _WEBHOOKS),
    Fact("TradingView: longest body", "40,960 characters", "app/domain/alert/__init__.py MAX_BODY_BYTES", _SIZES),
    Fact("TradingView: alert stopped by itself", "more than 15 firings in 3 minutes", "README.md", _STRIKES),
    Fact("TradingView: form of a time", "yyyy-MM-ddTHH:mm:ssZ, UTC", f"{_VALUES} _MOMENT", _PLACEHOLDERS),
    Fact("TradingView: sign of delayed data", "_DL, _DLY behind the exchange", f"{_VALUES} _SYMBOL", _PLACEHOLDERS),
)
