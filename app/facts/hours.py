"""The exchanges' hours, in IST: the same at NSE and BSE, a table for each segment, ascending by `since`.

The symbol master's hours of a contract are used beside these rows, never in their place (app/domain/calendar.py).
"""

from dataclasses import dataclass
from datetime import date, time

from app.facts import Confidence, Source


@dataclass(frozen=True, slots=True)
class Hours:
    """From `since` on, and until the next row: from `opens` to before `closes`.

    On its own expiry day a contract on an index stops at `index_expiry`, one on a stock at `stock_expiry`.
    """

    since: date | None
    opens: time
    closes: time
    index_expiry: time
    stock_expiry: time
    source: Source

    def until(self, *, on_index: bool, expires: bool) -> time:
        """When a contract stops on a day on which it expires, or does not."""
        if not expires:
            return self.closes
        return self.index_expiry if on_index else self.stock_expiry


def _hours(since: date | None, closes: time, source: Source, index_expiry: time | None = None) -> Hours:
    """From 09:15. What expires stops with its market, but for contracts on an index where `index_expiry` is given."""
    return Hours(since, time(9, 15), closes, index_expiry or closes, closes, source)


_SEEN = date(2026, 11, 30)
_AUGUST, _DECEMBER = date(2026, 8, 3), date(2026, 12, 7)
_MASTER = Source(
    "rows of Fyers' symbol master before August 2026: 0915-1530", _SEEN, Confidence.HIGH, date(2027, 11, 30)
)
_NSE = Source(
    "NSE circular of May 2026; rows of Fyers' symbol master: 0915-1540", _SEEN, Confidence.HIGH, date(2027, 11, 30)
)
# Hours with one secondary source alone are to be read again on the first day that they hold.
_SEBI = Source(
    "SEBI HO/47/11/11(3)2025-MRD-POD2/I/23843/2026 of 15-Oct-2026, paras 4.2.4 and 4.2.5 (NSE/CMTR/76963), "
    "as one calendar package quotes them",
    _SEEN,
    Confidence.MEDIUM,
    _DECEMBER,
)
_TIMINGS = Source("the exchanges' market timings before August 2026", _SEEN, Confidence.HIGH, date(2027, 11, 30))
_STATUSES = Source(
    "market statuses of Fyers' API v3 documentation; closing auction 15:15 to 15:35",
    _SEEN,
    Confidence.MEDIUM,
    _DECEMBER,
)
_SEBI_CASH = Source(
    "the same SEBI circular of 15-Oct-2026; closing auction 15:30 to 15:40", _SEEN, Confidence.MEDIUM, _DECEMBER
)

DERIVATIVES = (
    _hours(None, time(15, 30), _MASTER),
    _hours(_AUGUST, time(15, 40), _NSE),
    _hours(_DECEMBER, time(15, 45), _SEBI, index_expiry=time(15, 30)),
)

# Continuous trading of shares, without the closing auction after it. Nothing expires there.
CASH = (
    _hours(None, time(15, 30), _TIMINGS),
    _hours(_AUGUST, time(15, 15), _STATUSES),
    _hours(_DECEMBER, time(15, 30), _SEBI_CASH),
)
