"""Whether a new master is good enough to trade by. Each rule raises Refused, saying what is wrong."""

from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta
from itertools import pairwise

from app.adapters.symbols.row import Refused, Row
from app.domain.calendar import Calendar

LARGE = 1000  # option rows; a master of this size claims to be an exchange's whole list

_SENTINELS = {"NSE": ("NIFTY", "BANKNIFTY"), "BSE": ("SENSEX",)}
_CURRENT_DAYS = 45  # a monthly-only index has an expiry at most five weeks away
_LADDER = 10  # strikes in each direction of a sentinel's nearest expiry; the exchanges list over forty
_ROWS_MAY_CHANGE = 0.2
_COMPARABLE = timedelta(days=7)


def check_unique(rows: Sequence[Row]) -> None:
    """Raises Refused for a ticker listed twice, or one series under two tickers. `rows` are sorted."""
    seen: set[str] = set()
    for row in rows:
        if row.symbol in seen:
            raise Refused(f"{row.symbol} is listed twice")
        seen.add(row.symbol)
    for before, row in pairwise(rows):
        if before[:5] == row[:5]:
            raise Refused(f"{before.symbol} and {row.symbol} are the same series")


def check_dated(dated: date, today: date, calendar: Calendar) -> None:
    """Raises Refused unless the oldest file is of today or of the trading day before."""
    oldest = calendar.oldest_master(today)
    if not oldest <= dated <= today:
        raise Refused(f"the master is dated {dated}; on {today} it has to be of {oldest} to {today}")


def check_sentinels(rows: Sequence[Row], today: date) -> None:
    """Raises Refused unless each exchange lists a current expiry of its main indices, with a ladder of strikes."""
    for exchange in sorted({row.exchange for row in rows}):
        for underlying in _SENTINELS[exchange]:
            series = [row for row in rows if row.exchange == exchange and row.underlying == underlying]
            _check_ladder(f"{exchange}:{underlying}", series, today)


def _check_ladder(name: str, series: Sequence[Row], today: date) -> None:
    first, last = today.toordinal(), today.toordinal() + _CURRENT_DAYS
    nearest = min((row.expiry for row in series if first <= row.expiry <= last), default=None)
    if nearest is None:
        raise Refused(f"{name} has no current expiry")
    for option_type in ("CE", "PE"):
        strikes = sum(row.expiry == nearest and row.option_type == option_type for row in series)
        if strikes < _LADDER:
            day = date.fromordinal(nearest)
            raise Refused(f"{name} lists {strikes} {option_type} strikes for {day}; {_LADDER} are the least")


def check_row_counts(
    counts: Mapping[str, int], last_counts: Mapping[str, int], last_accepted: datetime, now: datetime
) -> None:
    """Raises Refused where a file has far more or fewer rows than in a recent good master of the same sources."""
    if counts.keys() != last_counts.keys() or now - last_accepted > _COMPARABLE:
        return
    for source, count in counts.items():
        last = last_counts[source]
        if abs(count - last) > last * _ROWS_MAY_CHANGE:
            name = source.rpartition("/")[2]
            raise Refused(
                f"{name} has {count} option rows; the last good one had {last}, and 20 % is the most it may change"
            )
