"""What a busy machine did is not what the product did: a problem that may be one of time has to happen again, alone."""

from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from typing import TypeVar

TIMED = "(by time) "  # begins a problem that a machine with too much to do can cause by itself
ALONE = 3

_Case = TypeVar("_Case")


def find(cases: Sequence[_Case], play: Callable[[_Case], list[str]], pool: Executor) -> tuple[str, ...]:
    """The problems of all cases, played side by side; those of time alone only if they stay when played alone."""
    found: list[str] = []
    for case, problems in zip(cases, pool.map(play, cases), strict=True):
        for _ in range(ALONE):
            if not problems or not all(TIMED in problem for problem in problems):
                break
            problems = play(case)
        found += problems
    return tuple(found)


def judged_by_time(text: str) -> str:
    """A violation's text, marked where only the time of an answer is wrong."""
    return TIMED + text if "answered after" in text else text
