"""One read of Fyers for alerts that come together, and how the adapter waits."""

import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from app.domain.deadline import Deadline, Sleep
from app.domain.errors import NotNow
from app.flow.single_flight import SingleFlight

_Answer = TypeVar("_Answer")


class Shared(Generic[_Answer]):
    """A caller that comes while a read is on its way takes its answer. A caller that comes after it begins another."""

    def __init__(self, flight: SingleFlight[_Answer] | None = None) -> None:
        self._flight = flight or SingleFlight(time.monotonic)

    def read(self, read: Callable[[], _Answer], deadline: Deadline) -> _Answer:
        """Raises what `read` raises. Where another caller's read fails, or takes half of the time, this one reads."""
        leads = False

        def lead() -> _Answer:
            nonlocal leads
            leads = True
            return read()

        run = self._flight.run(lead)
        try:
            return run.result(deadline.cap(deadline.left() / 2))
        except (NotNow, TimeoutError):
            if leads:
                raise
        return read()


@dataclass(frozen=True, slots=True)
class Waits:
    """How the adapter waits: in real time, or in that of a simulation."""

    sleep: Sleep = time.sleep
    uniform: Callable[[float, float], float] = random.uniform
    share: Callable[[], Shared[Any]] = Shared
