"""A sink that is made for the first notice."""

from collections.abc import Callable
from concurrent.futures import Future
from time import monotonic
from typing import Protocol

from app.adapters.notify.sink import NotTaken, Sink
from app.domain.notice import Notice
from app.flow.single_flight import SingleFlight, apart


class ClosedAtTheEnd(Sink, Protocol):
    def close(self) -> None:
        """Closes its connections."""


class OnDemand:
    """Implements `Sink` around another sink. Loading a client takes time, which a start without notices does not need.

    The client is made in a thread of its own: to find its credentials, Google's client may ask its surroundings for as
    long as it likes, and a notice has less time. A notice that came too early is sent again (`outbox`).
    """

    def __init__(self, name: str, make: Callable[[], ClosedAtTheEnd]) -> None:
        self.name = name
        self._make = make
        self._making: SingleFlight[ClosedAtTheEnd] = SingleFlight(monotonic, apart("load"))

    def push(self, notice: Notice, seconds: float) -> None:
        ends = monotonic() + seconds
        try:
            made = self._making.run(self._make, _failed).result(max(0.0, seconds))
        except TimeoutError:
            raise NotTaken("its client is not loaded yet") from None
        if (left := ends - monotonic()) <= 0:
            raise NotTaken("its client was loaded too late")
        made.push(notice, left)

    def close(self) -> None:
        making = self._making.last
        if making is not None and making.done() and making.exception() is None:
            making.result().close()


def _failed(making: "Future[ClosedAtTheEnd]", age: float) -> bool:  # noqa: ARG001
    return making.done() and making.exception() is not None
