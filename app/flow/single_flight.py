"""One run of the same work for all callers that ask for it at the same time.

A run has no time-out. Each caller waits for its Future by its own deadline.
"""

import threading
from collections.abc import Callable
from concurrent.futures import Future
from functools import partial
from typing import Generic, TypeVar

_Result = TypeVar("_Result")
Start = Callable[[Callable[[], None]], None]


def here(work: Callable[[], None]) -> None:
    """Starts a run in the caller's thread, which gets its Future after the run."""
    work()


def apart(name: str) -> Start:
    """Starts each run in a daemon thread of that name: a run that hangs does not hold up the end of the process."""
    return lambda work: threading.Thread(target=work, name=name, daemon=True).start()


class SingleFlight(Generic[_Result]):
    """Safe for many threads. `monotonic` gives seconds."""

    def __init__(
        self,
        monotonic: Callable[[], float],
        start: Start = here,
        future: "Callable[[], Future[_Result]]" = Future,
    ) -> None:
        self._monotonic = monotonic
        self._start = start
        self._future = future
        self._lock = threading.Lock()
        self._began = 0.0
        self.last: Future[_Result] | None = None

    def run(
        self,
        work: Callable[[], _Result],
        again: "Callable[[Future[_Result], float], bool]" = lambda run, _age: run.done(),
    ) -> "Future[_Result]":
        """The last run, or a new one where there is none or `again` asks for one.

        `again` gets the last run and the seconds since it began, under the lock.
        """
        with self._lock:
            now = self._monotonic()
            if self.last is not None and not again(self.last, now - self._began):
                return self.last
            run, self._began = self._future(), now
            self.last = run
        self._start(partial(_finish, run, work))
        return run


def _finish(run: "Future[_Result]", work: Callable[[], _Result]) -> None:
    try:
        run.set_result(work())
    except BaseException as problem:  # noqa: BLE001 -- the callers that wait raise it
        run.set_exception(problem)
