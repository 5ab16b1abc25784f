"""Keeps the calls below Fyers' limits: a call waits for its turn instead of being refused.

Fyers allows a user 10 calls a second and 200 a minute, and blocks the rest of the day after more than three breaches of
the minute (app/facts/fyers.py). The margin is for calls made by hand or by another instance. Fyers counts a call when
it arrives, and each call takes another time to get there. So a second here is a tenth of a second longer.
"""

import time
from bisect import bisect_right, insort
from collections.abc import Callable, Sequence
from threading import Lock
from typing import Any

from app.adapters.http.transport import CallFailed, Reply, Transport
from app.domain.deadline import Deadline
from app.facts.fyers import CALLS_PER_MINUTE, CALLS_PER_SECOND

PER_SECOND = CALLS_PER_SECOND - 1
PER_MINUTE = CALLS_PER_MINUTE - 10
FOR_ORDERS = 3  # of the turns in a second
REPLY_NEEDS = 0.7  # seconds
LATE = 0.1  # seconds by which one call may take longer to Fyers than another
SECOND = 1.0 + LATE
_NEARLY = SECOND - 1e-6  # sums of seconds are not exact


class NoTurn(CallFailed):
    """No turn came in time; nothing was sent."""

    def __init__(self) -> None:
        super().__init__("Fyers' limit of calls a second or a minute is used up", wrote=False)


class Pace:
    """Hands out turns in the order in which they are asked for. Safe for many threads.

    Orders come before reads: `for_orders` turns of a second are for orders alone, so the reads of a basket of alerts
    leave its orders their turns. Nor do orders take turns away from the reads of the next alert.
    """

    def __init__(
        self,
        per_second: int = PER_SECOND,
        per_minute: int = PER_MINUTE,
        for_orders: int = 0,
        monotonic: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._per_second = per_second
        self._for_orders = for_orders
        self._per_minute = per_minute
        self._turns: list[float] = []  # ascending, as are those of reads alone
        self._reads: list[float] = []
        self._monotonic = monotonic
        self._sleep = sleep
        self._lock = Lock()

    def wait(self, seconds: float, order: bool = False) -> bool:
        """Waits for a turn; False, at once and without taking one, where none comes within so many seconds."""
        with self._lock:
            now = self._monotonic()
            turn = self._next(now, order)
            if turn - now > seconds:
                return False
            for turns in (self._turns,) if order else (self._turns, self._reads):
                insort(turns, turn)
                del turns[: -self._per_minute]
        if turn > now:
            self._sleep(turn - now)
        return True

    def _next(self, now: float, order: bool) -> float:
        """The first moment from now on that keeps every second around it, and its minute, within the limits."""
        for_reads = self._per_second - self._for_orders
        used_up = len(self._turns) == self._per_minute
        earliest = max(now, self._turns[0] + 60.0 + LATE) if used_up else now
        near = self._turns[bisect_right(self._turns, earliest - SECOND) :]
        moments = (earliest, *(turn + SECOND for turn in near if turn + SECOND > earliest))
        fitting = (moment for moment in moments if _fits(moment, near, self._per_second))
        return next(moment for moment in fitting if order or _fits(moment, self._reads, for_reads))


def _fits(moment: float, turns: Sequence[float], per_second: int) -> bool:
    """Whether no stretch of a second has more turns than allowed once this moment is one of them."""
    around = [turn for turn in turns if abs(turn - moment) < _NEARLY]
    insort(around, moment)
    return all(last - first >= _NEARLY for first, last in zip(around, around[per_second:], strict=False))


class PacedTransport(Transport):
    """A transport whose calls wait for their turn, within their own time. A call whose turn comes too late is not made.

    An order leaves enough time for its reply: an order sent late may end in doubt.
    """

    def __init__(self, pace: Pace) -> None:
        super().__init__()
        self._pace = pace

    def call(self, method: str, url: str, *, total: float, window: Deadline | None = None, **options: Any) -> Reply:
        asked = time.monotonic()
        patience = total if window is None else total - REPLY_NEEDS
        if not self._pace.wait(patience, order=method != "GET"):
            raise NoTurn
        left = total - (time.monotonic() - asked)
        return super().call(method, url, total=left, window=window, **options)

    def _may_go(self) -> bool:
        return self._pace.wait(0.0)
