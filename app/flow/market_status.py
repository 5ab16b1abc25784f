"""Whether the exchange trades on a day beyond the known holiday list. An entry asks the broker.

A yes holds for the day: today is no holiday, and the calendar says its hours. A no holds for seconds, since a special
session may begin later in the day. In the first minute after the opening a no counts as no answer, since the status
may lag. Each process asks for itself.
"""

from datetime import date, datetime, timedelta

from app.domain.calendar import IST, Calendar, ist_day
from app.domain.deadline import Deadline
from app.domain.errors import Denied, NotNow, Reason
from app.flow.ports import Broker, Clock

NO_HOLDS = 10.0  # seconds; alerts that come together cost one call
LAGS = timedelta(minutes=1)  # after the opening; how long a broker's status lags is not documented


class MarketStatus:
    """One for the process. Safe for many threads."""

    def __init__(self, broker: Broker, clock: Clock, calendar: Calendar) -> None:
        self._broker = broker
        self._clock = clock
        self._calendar = calendar
        self._open_on: dict[str, date] = {}
        self._closed_until: dict[str, float] = {}

    def require_open(self, exchange: str, deadline: Deadline) -> None:
        """Raises Denied(MARKET_CLOSED) on a no, and NotNow(MARKET_STATUS_UNKNOWN) where there is neither yes nor no."""
        today = ist_day(self._clock.now())
        if self._open_on.get(exchange) == today:
            return
        now = self._clock.monotonic()
        if now < self._closed_until.get(exchange, now):
            raise self._closed(exchange)
        is_open = self._read(today, deadline).get(exchange)
        if is_open is None:
            raise _unknown(f"the broker says neither that {exchange} is open nor that it is closed")
        if not is_open:
            raise self._closed(exchange)

    def _read(self, today: date, deadline: Deadline) -> dict[str, bool]:
        try:
            said = self._broker.market_status(deadline)
        except NotNow as problem:
            if problem.reason is Reason.NEEDS_LOGIN:
                raise
            raise _unknown(problem.message) from problem
        until = self._clock.monotonic() + min(NO_HOLDS, self._lag_left() or NO_HOLDS)
        for exchange, is_open in said.items():
            if is_open:
                self._open_on[exchange] = today
            else:
                self._closed_until[exchange] = until
        return said

    def _closed(self, exchange: str) -> Denied | NotNow:
        if self._lag_left() > 0:
            return _unknown(f"the broker says that {exchange} is closed, which may lag behind the opening")
        text = f"today is beyond the known holiday list, and the broker says that {exchange} is closed"
        return Denied(Reason.MARKET_CLOSED, text)

    def _lag_left(self) -> float:
        """Seconds until the broker's status counts as caught up with the opening; 0 before the opening and later."""
        now = self._clock.now().astimezone(IST)
        hours = self._calendar.session_on(now.date())
        since = now - datetime.combine(now.date(), hours.opens, IST) if hours else LAGS
        return (LAGS - since).total_seconds() if timedelta(0) <= since < LAGS else 0.0


def _unknown(why: str) -> NotNow:
    rest = "today is beyond the known holiday list, so an entry needs the broker to say that the market is open"
    return NotNow(Reason.MARKET_STATUS_UNKNOWN, f"{why}; {rest}. Nothing was sent")
