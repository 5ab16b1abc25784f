"""What SEBI and the exchanges require of an account holder who trades by program, where the code relies on it."""

from datetime import date

from app.facts import Confidence, Fact, Source

_SEEN, _REVIEW = date(2026, 11, 30), date(2027, 3, 15)
_RETAIL_ALGO = Source("NSE/INVG/73992 of 30-Apr-2026", _SEEN, Confidence.HIGH, _REVIEW)
_STATIC_IP = Source(
    "SEBI's circular of 4-Feb-2025 on retail algo trading, in force since 1-Apr-2026", _SEEN, Confidence.HIGH, _REVIEW
)
_SL_M = Source("Fyers' knowledge base", date(2026, 11, 20), Confidence.MEDIUM, _REVIEW)
_INDIA = Source("the IANA time zone database, Asia/Kolkata", date(2026, 11, 20), Confidence.HIGH, date(2028, 11, 30))
_MASTER = Source("rows of the symbol master; third parties' notes", _SEEN, Confidence.MEDIUM, date(2027, 1, 31))

FACTS = (
    Fact(
        "Rule: static address",
        "orders from a registered one only; changed once a week at the most",
        "app/cli/doctor.py egress",
        _STATIC_IP,
    ),
    Fact("Rule: login", "each trading day, by the account's holder", "app/login/login.py", _STATIC_IP),
    Fact(
        "Rule: orders a second without a registered algo",
        "10 in a calendar second at the broker",
        "app/facts/fyers.py ORDERS_PER_SECOND",
        _RETAIL_ALGO,
    ),
    Fact(
        "Rule: market orders by program",
        "not permitted; Fyers converts them",
        "app/runtime/config/__init__.py LIMIT",
        _RETAIL_ALGO,
    ),
    Fact("Rule: SL-M on options", "banned; SL-L stands in", "app/domain/protection.py", _SL_M),
    Fact("India's time", "UTC+5:30 without daylight saving", "app/domain/calendar.py IST", _INDIA),
    Fact(
        "Weekly expiries",
        "NIFTY and SENSEX alone have them; the day comes from the master",
        "app/adapters/symbols/refresh.py _CURRENT_DAYS",
        _MASTER,
    ),
)
