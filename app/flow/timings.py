"""Where the time of one request goes: a stopwatch that each step of the flow writes to, and a count of broker calls.

The stopwatch belongs to the request's context. Outside a request nothing is measured.
"""

from collections import defaultdict
from collections.abc import Callable
from contextvars import ContextVar
from functools import wraps
from typing import ParamSpec, TypeVar

_Asked = ParamSpec("_Asked")
_Given = TypeVar("_Given")


class Steps:
    """A request's stopwatch. `monotonic` gives seconds. A step that is taken twice has the sum of both."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self.monotonic = monotonic
        self.seconds: defaultdict[str, float] = defaultdict(float)
        self.calls: list[None] = []  # to the broker; appending is safe among the threads that read side by side

    @property
    def milliseconds(self) -> dict[str, float]:
        return {name: round(seconds * 1000, 2) for name, seconds in self.seconds.items()}

    @property
    def broker_calls(self) -> int:
        return len(self.calls)


_steps: ContextVar[Steps | None] = ContextVar("steps", default=None)


def begin(monotonic: Callable[[], float]) -> Steps:
    """A new stopwatch for the request of this context."""
    steps = Steps(monotonic)
    _steps.set(steps)
    return steps


class step:  # noqa: N801 - it is written as a verb, like contextlib's own
    """Measures what runs inside, or the function that it decorates, as the step of that name."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __call__(self, work: Callable[_Asked, _Given]) -> Callable[_Asked, _Given]:
        @wraps(work)
        def measured(*args: _Asked.args, **options: _Asked.kwargs) -> _Given:
            with step(self._name):
                return work(*args, **options)

        return measured

    def __enter__(self) -> None:
        self._steps = _steps.get()
        self._began = self._steps.monotonic() if self._steps else 0.0

    def __exit__(self, *_: object) -> None:
        if self._steps:
            self._steps.seconds[self._name] += self._steps.monotonic() - self._began


def count_broker_call() -> None:
    if (steps := _steps.get()) is not None:
        steps.calls.append(None)
