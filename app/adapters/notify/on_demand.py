"""A sink that is made when there is something to tell for the first time."""

from collections.abc import Callable
from concurrent.futures import Future
from threading import Lock, Thread
from time import monotonic
from typing import Protocol

from app.adapters.notify.sink import NotTaken, Sink
from app.domain.notice import Notice


class ClosedAtTheEnd(Sink, Protocol):
    def close(self) -> None:
        """Lets go of connections."""


class OnDemand:
    """Implements `Sink` around another one. To load a client takes a while; a start with nothing to tell needs none.

    It is made in a thread of its own: to find its credentials Google's client may ask its surroundings, in a time of
    its own choosing, and a notice waits no longer than it may. One that came too early is told again (`outbox`).
    """

    def __init__(self, name: str, make: Callable[[], ClosedAtTheEnd]) -> None:
        self.name = name
        self._make = make
        self._making: Future[ClosedAtTheEnd] | None = None
        self._lock = Lock()

    def push(self, notice: Notice, seconds: float) -> None:
        ends = monotonic() + seconds
        try:
            made = self._begun().result(max(0.0, seconds))
        except TimeoutError:
            raise NotTaken("its client is not loaded yet") from None
        if (left := ends - monotonic()) <= 0:
            raise NotTaken("its client was loaded too late")
        made.push(notice, left)

    def close(self) -> None:
        with self._lock:
            making = self._making
        if making is not None and making.done() and making.exception() is None:
            making.result().close()

    def _begun(self) -> "Future[ClosedAtTheEnd]":
        """The making that is under way or done; another one where the last one failed."""
        with self._lock:
            if self._making is None or (self._making.done() and self._making.exception() is not None):
                self._making = Future()
                Thread(target=self._finish, args=(self._making,), name="load", daemon=True).start()
            return self._making

    def _finish(self, making: "Future[ClosedAtTheEnd]") -> None:
        try:
            making.set_result(self._make())
        except BaseException as problem:  # noqa: BLE001 - whatever it was belongs to whoever waits
            making.set_exception(problem)
