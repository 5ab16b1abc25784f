"""Whether the exchange trades on a day that no list of holidays reaches: the broker's word, asked for by an entry.

A yes holds for its day: an exchange that was open once today is no holiday's, and its hours are the calendar's. A no
holds for seconds: the status may lag behind the opening, and a session of its own may begin later in the day. Each
process asks for itself.
"""

from datetime import date

from app.calendar import ist_day
from app.deadline import Deadline
from app.errors import Denied, NotNow, Reason
from app.ports import Broker, Clock

NO_HOLDS = 10.0  # seconds; alerts that come together cost one call, and six a minute are few of Fyers' 200


class MarketStatus:
    """One for the process. Safe for many threads."""

    def __init__(self, broker: Broker, clock: Clock) -> None:
        self._broker = broker
        self._clock = clock
        self._open_on: dict[str, date] = {}
        self._closed_until: dict[str, float] = {}

    def require_open(self, exchange: str, deadline: Deadline) -> None:
        """Raises Denied(MARKET_CLOSED) on a no, and NotNow(MARKET_STATUS_UNKNOWN) where there is neither yes nor no."""
        today = ist_day(self._clock.now())
        if self._open_on.get(exchange) == today:
            return
        now = self._clock.monotonic()
        if now < self._closed_until.get(exchange, now):
            raise _closed(exchange)
        is_open = self._read(today, deadline).get(exchange)
        if is_open is None:
            raise _unknown(f"Fyers says neither that {exchange} is open nor that it is closed")
        if not is_open:
            raise _closed(exchange)

    def _read(self, today: date, deadline: Deadline) -> dict[str, bool]:
        try:
            said = self._broker.market_status(deadline)
        except NotNow as problem:
            if problem.reason is Reason.NEEDS_LOGIN:
                raise
            raise _unknown(problem.message) from problem
        until = self._clock.monotonic() + NO_HOLDS
        for exchange, is_open in said.items():
            if is_open:
                self._open_on[exchange] = today
            else:
                self._closed_until[exchange] = until
        return said


def _closed(exchange: str) -> Denied:
    return Denied(Reason.MARKET_CLOSED, f"no list of holidays reaches today, and Fyers says that {exchange} is closed")


def _unknown(why: str) -> NotNow:
    text = f"{why}; no list of holidays reaches today, so an entry needs Fyers' word. Nothing was sent"
    return NotNow(Reason.MARKET_STATUS_UNKNOWN, text)
