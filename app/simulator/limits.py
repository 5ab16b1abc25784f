"""The broker's request limits: per second, per minute, per day, orders per second, and the block after breaches."""

from __future__ import annotations

import math
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class RateLimits:
    """The documented limits of a standard account. More than `breaches_allowed` minutes over it block the day."""

    per_second: int = 10
    per_minute: int = 200
    per_day: int = 100_000
    orders_per_second: int = 10
    breaches_allowed: int = 3


class Window:
    """A sliding window. Refused calls do not count."""

    def __init__(self, limit: int, seconds: float) -> None:
        self._limit = limit
        self._seconds = seconds
        self._taken: deque[float] = deque()

    def wait(self, now: float) -> float:
        """Seconds until one more call fits; zero where it fits now."""
        while self._taken and now - self._taken[0] >= self._seconds:
            self._taken.popleft()
        return 0.0 if len(self._taken) < self._limit else self._seconds - (now - self._taken[0])

    def take(self, now: float) -> None:
        self._taken.append(now)


class RateLimiter:
    """Counts the calls of one user. The broker's exact windows are not published; these slide."""

    def __init__(self, limits: RateLimits, clock: Callable[[], float] = time.monotonic) -> None:
        self._limits = limits
        self._clock = clock
        self._lock = threading.Lock()
        self._second = Window(limits.per_second, 1)
        self._minute = Window(limits.per_minute, 60)
        self._day = Window(limits.per_day, 86400)
        self._orders = Window(limits.orders_per_second, 1)
        self._breaches: deque[float] = deque()

    def wait(self, *, is_order: bool) -> float:
        """Seconds until this call would be served. Zero: the call is counted and may go on."""
        with self._lock:
            now = self._clock()
            if self._blocked(now):
                return 86400 - (now - self._breaches[0])
            windows = [self._second, self._minute, self._day] + ([self._orders] if is_order else [])
            longest = max(window.wait(now) for window in windows)
            if longest > 0:
                self._note_breach(now)
                return longest
            for window in windows:
                window.take(now)
            return 0.0

    def _blocked(self, now: float) -> bool:
        while self._breaches and now - self._breaches[0] >= 86400:
            self._breaches.popleft()
        return len(self._breaches) > self._limits.breaches_allowed

    def _note_breach(self, now: float) -> None:
        """Counts one breach a minute, however many calls it refused (the documents count per-minute breaches)."""
        over = self._minute.wait(now) > 0
        if over and (not self._breaches or now - self._breaches[-1] >= 60):
            self._breaches.append(now)


def retry_headers(seconds: float) -> dict[str, str]:
    """`Retry-After` in whole seconds and the same in milliseconds."""
    return {"Retry-After": str(max(1, math.ceil(seconds))), "X-Retry-After-Ms": str(max(1, math.ceil(seconds * 1000)))}
