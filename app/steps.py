"""Where the time of one request goes: a stopwatch that each step of the flow writes to, and a count of broker calls.

It is found by its context, so that nothing has to be handed down; where there is none, nothing is measured.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar


class Steps:
    """`monotonic` gives seconds. A step that is taken twice has the sum of both."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._seconds: dict[str, float] = {}
        self._calls: list[None] = []  # appending is safe among the threads that read side by side

    @property
    def milliseconds(self) -> dict[str, float]:
        return {name: round(seconds * 1000, 2) for name, seconds in self._seconds.items()}

    @property
    def broker_calls(self) -> int:
        return len(self._calls)

    def count_call(self) -> None:
        self._calls.append(None)

    @contextmanager
    def measured(self, name: str) -> Iterator[None]:
        began = self._monotonic()
        try:
            yield
        finally:
            self._seconds[name] = self._seconds.get(name, 0.0) + self._monotonic() - began


_steps: ContextVar[Steps | None] = ContextVar("steps", default=None)


def begin(monotonic: Callable[[], float]) -> Steps:
    """A new stopwatch for the request that this context is of."""
    steps = Steps(monotonic)
    _steps.set(steps)
    return steps


@contextmanager
def step(name: str) -> Iterator[None]:
    """Measures what runs inside, or the function it decorates, as the step of that name."""
    steps = _steps.get()
    if steps is None:
        yield
        return
    with steps.measured(name):
        yield


def count_broker_call() -> None:
    if (steps := _steps.get()) is not None:
        steps.count_call()
