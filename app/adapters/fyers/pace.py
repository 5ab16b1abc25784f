"""Stays below Fyers' limits of its own accord: a call waits for its turn instead of being turned away.

Fyers allows a user 10 calls a second and 200 a minute, and blocks the day after more than three breaches of the second
(API documentation of September 2026). The margin is for calls that were made by hand or by another instance. What
counts is when Fyers sees a call, and that is a little later than its turn, each time by another little: so a window is
a tenth of a second longer here than there.
"""

import time
from collections import deque
from collections.abc import Callable
from threading import Lock
from typing import Any

from app.adapters.fyers.transport import CallFailed, Reply, Transport

PER_SECOND = 9
PER_MINUTE = 190
LATE = 0.1  # seconds that a call may take from its turn to Fyers more than another one


class Pace:
    """Hands out turns in the order in which they are asked for. Safe for many threads."""

    def __init__(
        self,
        per_second: int = PER_SECOND,
        per_minute: int = PER_MINUTE,
        monotonic: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._per_second = per_second
        self._turns: deque[float] = deque(maxlen=per_minute)
        self._monotonic = monotonic
        self._sleep = sleep
        self._lock = Lock()

    def wait(self, seconds: float) -> bool:
        """Waits for a turn; False, at once and without taking one, where none comes within so many seconds."""
        with self._lock:
            now = self._monotonic()
            turn = max(now, self._next())
            if turn - now > seconds:
                return False
            self._turns.append(turn)
        if turn > now:
            self._sleep(turn - now)
        return True

    def _next(self) -> float:
        """When the next turn may begin: a second after the ninth last, a minute after the oldest kept, and `LATE`."""
        turns = self._turns
        by_second = turns[-self._per_second] + 1.0 + LATE if len(turns) >= self._per_second else float("-inf")
        by_minute = turns[0] + 60.0 + LATE if len(turns) == turns.maxlen else float("-inf")
        return max(by_second, by_minute)


class PacedTransport(Transport):
    """A transport whose calls wait for their turn, within their own time; one whose turn comes too late is not made."""

    def __init__(self, pace: Pace) -> None:
        super().__init__()
        self._pace = pace

    def call(self, method: str, url: str, *, total: float, **options: Any) -> Reply:
        asked = time.monotonic()
        if not self._pace.wait(total):
            raise CallFailed("Fyers' limit of calls a second or a minute is used up", wrote=False)
        return super().call(method, url, total=total - (time.monotonic() - asked), **options)
