"""Fyers' API v3: addresses, limits, codes. Fyers has no sandbox, so all of it was read and none of it tried."""

from dataclasses import replace
from datetime import date, time

from app.facts import Confidence, Fact, Source

API_HOST = "api-t1.fyers.in"
API_URL = f"https://{API_HOST}/api/v3"
DATA_URL = f"https://{API_HOST}/data"

MASTERS_HOST = "public.fyers.in"
MASTERS = (
    f"https://{MASTERS_HOST}/sym_details/NSE_FO.csv",
    f"https://{MASTERS_HOST}/sym_details/BSE_FO.csv",
)

# For one user, all apps together. The day is blocked after the minute's limit was exceeded more than three times.
CALLS_PER_SECOND = 10
CALLS_PER_MINUTE = 200
CALLS_PER_DAY = 100_000
ORDERS_PER_SECOND = 10  # placed, changed and cancelled; the exchange's own limit for orders by program as well

QUOTES_AT_ONCE = 50  # symbols

# IST. Fyers' documents say that all tokens end daily at 06:30; the `exp` of its JWTs is 06:00 of the next morning.
TOKEN_EXPIRES = time(6, 0)
ALL_TOKENS_END = time(6, 30)

ALGO_APP_ENDING = "-200"  # of the app's id; an app with another ending may read and not trade

EXCHANGES = {10: "NSE", 12: "BSE"}
CASH, DERIVATIVES = 10, 11  # segments
SHARE = 0  # instrument types
INDEX_FUTURE, STOCK_FUTURE = FUTURES = 11, 13
INDEX_OPTION, STOCK_OPTION = OPTIONS = 14, 15

# GET /data/marketStatus. A segment that is not open shows CLOSED, CLOSE or the end of its last session
# (POSTCLOSE_CLOSED in the documents' sample). The others, PREOPEN and those of the closing auction, are neither.
MARKET_OPEN = frozenset({"OPEN"})
MARKET_CLOSED = frozenset({"CLOSE", "CLOSED", "POSTCLOSE_START", "POSTCLOSE_CLOSED"})

_REVIEW = date(2027, 2, 28)
_SDK = Source("the package fyers-apiv3 3.2.0", date(2026, 11, 20), Confidence.HIGH, _REVIEW)
_DOCS = Source("Fyers API v3 documentation of 29-Sep-2026", date(2026, 11, 20), Confidence.HIGH, _REVIEW)
_DOCS_AGAIN = replace(_DOCS, seen=date(2026, 11, 30))
_OLD_CODES = Source("Fyers' list of 2023, API Error Codes and Messages", date(2026, 11, 20), Confidence.MEDIUM, _REVIEW)
_RULES = Source(
    "myapi.fyers.in/mandatory-regulatory-changes of 31-Aug-2026", date(2026, 11, 30), Confidence.HIGH, date(2027, 3, 15)
)
_SEEN = Source("tokens and rows that third parties published", date(2026, 11, 30), Confidence.MEDIUM, _REVIEW)

_ADAPTER = "app/adapters/fyers"
_CLASSIFY = f"{_ADAPTER}/classify.py"


def _own(name: str, value: str, constant: str, source: Source) -> Fact:
    """A fact whose value is a constant of this module."""
    return Fact(f"Fyers: {name}", value, f"app/facts/fyers.py {constant}", source)


FACTS = (
    _own("address of orders and account", API_URL, "API_URL", _SDK),
    _own("address of market data", DATA_URL, "DATA_URL", _SDK),
    _own("addresses of the symbol masters", ", ".join(MASTERS), "MASTERS", _DOCS),
    _own("calls a second", f"{CALLS_PER_SECOND} a user", "CALLS_PER_SECOND", _DOCS_AGAIN),
    _own("calls a minute", f"{CALLS_PER_MINUTE} a user", "CALLS_PER_MINUTE", _DOCS_AGAIN),
    _own("calls a day", f"{CALLS_PER_DAY:,} a user", "CALLS_PER_DAY", _DOCS_AGAIN),
    Fact(
        "Fyers: block for the day",
        "after the minute's limit was exceeded more than 3 times in a day",
        f"{_ADAPTER}/pace.py PER_MINUTE",
        _DOCS_AGAIN,
    ),
    _own("orders a second", f"{ORDERS_PER_SECOND}, placed, changed and cancelled together", "ORDERS_PER_SECOND", _DOCS),
    _own("symbols of one quote request", str(QUOTES_AT_ONCE), "QUOTES_AT_ONCE", _DOCS),
    _own("end of all tokens", f"{ALL_TOKENS_END:%H:%M} IST, daily", "ALL_TOKENS_END", _DOCS_AGAIN),
    _own("expiry in a token", f"{TOKEN_EXPIRES:%H:%M} IST of the next day", "TOKEN_EXPIRES", _SEEN),
    Fact("Fyers: refresh tokens", "ended on 1-Apr-2026: a login a day", "app/login/login.py", _RULES),
    _own("apps that may trade", f"id ends in {ALGO_APP_ENDING}", "ALGO_APP_ENDING", _RULES),
    Fact("Fyers: codes of a dead token", "-8, -15, -16, -17", f"{_CLASSIFY} TOKEN_CODES", _DOCS),
    Fact("Fyers: code of the request limit", "-429; -353 in 2023", f"{_CLASSIFY} REQUEST_LIMIT", _DOCS),
    Fact("Fyers: codes that refuse an order", "pinned list", f"{_CLASSIFY} PLACE_REFUSALS", _OLD_CODES),
    Fact("Fyers: codes that refuse a cancellation", "pinned list", f"{_CLASSIFY} CANCEL_REFUSALS", _OLD_CODES),
    Fact("Fyers: codes that refuse a change", "pinned list", f"{_CLASSIFY} MODIFY_REFUSALS", _OLD_CODES),
    Fact("Fyers: codes that refuse an exit", "pinned list", f"{_CLASSIFY} EXIT_REFUSALS", _OLD_CODES),
    Fact(
        "Fyers: words for an app that may not trade",
        "not allowed from this app",
        f"{_CLASSIFY} _NOT_FOR_THIS_APP",
        _SEEN,
    ),
    Fact("Fyers: codes of an order's status", "1, 2, 4, 5, 6, 7", f"{_ADAPTER}/rows.py _STATUS", _DOCS),
    _own("exchange and segment codes", "NSE 10, BSE 12, cash 10, F&O 11", "EXCHANGES", _DOCS),
    _own(
        "instrument types",
        "future on an index 11, on a stock 13, option on an index 14, on a stock 15",
        "OPTIONS",
        _DOCS,
    ),
    _own("instrument type of a share", "0", "SHARE", _SEEN),
    _own("market status", "OPEN; CLOSE, CLOSED, POSTCLOSE_…", "MARKET_OPEN", _DOCS_AGAIN),
    Fact(
        "Fyers: an order's tag",
        "1-30 letters and digits (20 by one report), back as 1:TAG",
        "app/domain/alert/identity.py TAG",
        _DOCS,
    ),
    Fact(
        "Fyers: stop-loss and take-profit of an order",
        "points from the fill (legType 1), since 2-Aug-2026",
        f"{_ADAPTER}/payload.py _IN_POINTS",
        _SDK,
    ),
    Fact("Fyers: products BO and CO", "refused since 2-Aug-2026", "app/domain/alert/values.py", _DOCS),
    Fact(
        "Fyers: columns of the CSV master", "21, without a header", "app/adapters/symbols/csv_master.py COLUMNS", _DOCS
    ),
    Fact(
        "Fyers: static address for orders", "registered at Fyers; reads need none", "app/cli/doctor.py egress", _RULES
    ),
)
