"""Freeze quantities: the most units of an index's contracts that the exchange takes in one order.

The rows of one underlying ascend by `since`. Where the JSON master is configured, its `qtyFreeze` of the day comes
before them. Each stock has its own and the exchange changes them often, so stocks are not listed here.
"""

from dataclasses import dataclass
from datetime import date

from app.facts import Confidence, Source, in_force


@dataclass(frozen=True, slots=True)
class Freeze:
    """`units` of one order, from `since` on and until the underlying's next row."""

    underlying: str
    since: date | None
    units: int
    source: Source


_SEEN = date(2026, 11, 30)
_REVIEW = date(2027, 1, 4)  # the exchanges review the quantities every month
_EARLIER = Source(
    "NSE's notices of early 2026, as brokers' pages quote them", _SEEN, Confidence.MEDIUM, date(2027, 11, 30)
)
_NSE = Source("NSE/FAOP/76693 of 1-Oct-2026", _SEEN, Confidence.HIGH, _REVIEW)
_BSE = Source("brokers' pages on BSE's contracts", _SEEN, Confidence.MEDIUM, _REVIEW)

_OCTOBER = date(2026, 10, 5)

INDICES: tuple[Freeze, ...] = (
    Freeze("NIFTY", None, 1800, _EARLIER),
    Freeze("NIFTY", _OCTOBER, 3510, _NSE),
    Freeze("BANKNIFTY", None, 600, _EARLIER),
    Freeze("BANKNIFTY", _OCTOBER, 1440, _NSE),
    Freeze("FINNIFTY", None, 1800, _EARLIER),
    Freeze("FINNIFTY", _OCTOBER, 3240, _NSE),
    Freeze("MIDCPNIFTY", None, 2800, _EARLIER),
    Freeze("MIDCPNIFTY", _OCTOBER, 5760, _NSE),
    Freeze("NIFTYNXT50", None, 600, _EARLIER),
    Freeze("NIFTYNXT50", _OCTOBER, 1125, _NSE),
    Freeze("SENSEX", None, 1000, _BSE),
    Freeze("BANKEX", None, 900, _BSE),
)


def freeze_on(underlying: str, day: date) -> int | None:
    """The units on that day; None for an underlying that the table does not have."""
    rows = [row for row in INDICES if row.underlying == underlying]
    return in_force(rows, day).units if rows else None
