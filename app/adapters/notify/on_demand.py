"""A sink that is made when there is something to tell for the first time."""

from collections.abc import Callable
from threading import Lock
from time import monotonic
from typing import Protocol

from app.adapters.notify.sink import NotTaken, Sink
from app.notice import Notice


class ClosedAtTheEnd(Sink, Protocol):
    def close(self) -> None:
        """Lets go of connections."""


class OnDemand:
    """Implements `Sink` around another one. To load a client takes a while; a start with nothing to tell needs none."""

    def __init__(self, name: str, make: Callable[[], ClosedAtTheEnd]) -> None:
        self.name = name
        self._make = make
        self._made: ClosedAtTheEnd | None = None
        self._lock = Lock()

    def push(self, notice: Notice, seconds: float) -> None:
        began = monotonic()
        with self._lock:
            if self._made is None:
                self._made = self._make()
        left = seconds - (monotonic() - began)
        if left <= 0:
            raise NotTaken("its client was loaded too late")
        self._made.push(notice, left)

    def close(self) -> None:
        with self._lock:
            if self._made is not None:
                self._made.close()
