"""Tells the delays of a busy machine from the product's own.

While cases are played, a thread does nothing but wake up every few milliseconds. The time by which it wakes late was
taken by the machine: from this process, and so from the gateways beside it. A problem that may be one of time counts at
once where the machine took next to nothing; else the case is played again by itself, once all others are over. Any
other problem counts the first time.
"""

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor
from contextlib import contextmanager
from typing import TypeVar

TIMED = "(by time) "  # begins a problem that a machine with too much to do can cause by itself
AGAIN = 3  # times at most; what is wrong then counts, however busy the machine is
_TAKEN = 0.05  # seconds of a case; half of what lies between the product's own deadline and the promised one
_BEAT = 0.01
_LATE = 0.005  # seconds; less is the usual

Played = tuple[list[str], Counter[str]]  # the problems of a case, and what happened in it
_Case = TypeVar("_Case")


class Pulse:
    """How late a thread wakes that has nothing else to do."""

    def __init__(self) -> None:
        self._late: list[tuple[float, float]] = []
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._beat, daemon=True, name="pulse")

    @contextmanager
    def felt(self) -> Iterator["Pulse"]:
        self._thread.start()
        try:
            yield self
        finally:
            self._over.set()
            self._thread.join(10)

    def taken_since(self, began: float) -> float:
        """Seconds by which it came late, all in all, since that moment of the monotonic clock."""
        return sum(late for at, late in self._late if at >= began)

    def _beat(self) -> None:
        while not self._over.is_set():
            slept = time.monotonic()
            time.sleep(_BEAT)
            now = time.monotonic()
            if (late := now - slept - _BEAT) > _LATE:
                self._late.append((now, late))


def find(
    cases: Sequence[_Case], play: Callable[[_Case], Played], pool: Executor
) -> tuple[tuple[str, ...], Counter[str]]:
    """The problems of all cases, played side by side, and what happened in all of them."""
    found: list[str] = []
    seen: Counter[str] = Counter()
    with Pulse().felt() as pulse:

        def timed(case: _Case) -> tuple[Played, bool]:
            began = time.monotonic()
            played = play(case)
            return played, pulse.taken_since(began) < _TAKEN

        for case, (played, calm) in zip(cases, list(pool.map(timed, cases)), strict=True):
            for _ in range(AGAIN):
                if calm or not _may_be_of_time(played[0]):
                    break
                played, calm = timed(case)
            found += played[0]
            seen += played[1]
    return tuple(found), seen


def _may_be_of_time(problems: Sequence[str]) -> bool:
    return bool(problems) and all(TIMED in problem for problem in problems)


def judged_by_time(text: str) -> str:
    """A violation's text, marked where only the time of an answer is wrong."""
    return TIMED + text if "answered after" in text else text
