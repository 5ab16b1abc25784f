"""The parts of a desk that stand in a virtual world: store, phone, token, and what they remember."""

from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Any

from app.adapters.fyers.shared import Shared, Waits
from app.domain.deadline import Deadline
from app.domain.errors import NotNow
from app.domain.notice import Notice
from app.domain.risk.controls import TradingState
from app.flow.single_flight import SingleFlight
from app.login.token import Token
from proof.faulty_ledger import Fate, Faults
from proof.history import Delivery, Halt, Notification, Pause
from proof.simulation.world import Host, World

_BLINK = 0.005  # seconds between two looks at a reading that another request makes

if TYPE_CHECKING:
    from proof.simulation.play import Play


class Awaited(Future[Any]):
    """An answer that others may wait for while its reader has its turns."""

    def __init__(self, world: World) -> None:
        super().__init__()
        self._world = world

    def result(self, timeout: float | None = None) -> Any:
        until = self._world.seconds + (timeout or 0.0)
        while not self.done() and self._world.seconds + _BLINK < until:
            self._world.sleep(_BLINK)
        return super().result(0.0)


class SharedByProcess(Shared[Any]):
    """The adapter's own way to share a read, among the tasks of one process."""

    def __init__(self, world: World) -> None:
        super().__init__()
        self._world = world
        self._of: dict[Host | None, Shared[Any]] = {}

    def read(self, read: Callable[[], Any], deadline: Deadline) -> Any:
        if (shared := self._of.get(self._world.host)) is None:
            flight: SingleFlight[Any] = SingleFlight(self._world.monotonic, future=partial(Awaited, self._world))
            shared = self._of[self._world.host] = Shared(flight)
        return shared.read(read, deadline)


def waits_in(world: World) -> Waits:
    """What the adapter waits for takes the world's time."""
    return Waits(world.sleep, world.random.uniform, partial(SharedByProcess, world))


@dataclass(slots=True)
class Record:
    """What a history is made of while it happens."""

    deliveries: list[Delivery] = field(default_factory=list)
    notifications: list[Notification] = field(default_factory=list)
    halts: list[Halt] = field(default_factory=list)
    committed: dict[tuple[str, int], datetime] = field(default_factory=dict)
    pauses: list[Pause] = field(default_factory=list)


class StoreFaults(Faults):
    """The store's trouble, drawn from the seed; and the deaths of processes around each of its calls."""

    def __init__(self, play: "Play") -> None:
        self._play = play
        self._world = play.world

    def fate(self, name: str) -> Fate:
        return self._play.store_fate(name)

    def times(self, patience: float) -> tuple[float, float]:
        dice = self._world.random
        before, after = 0.002 + 0.05 * dice.random() ** 3, 0.002 + 0.05 * dice.random() ** 3
        if dice.random() < 0.03:
            before *= 6
        return min(before, patience * 0.6), min(after, patience * 0.4)

    def sleep(self, seconds: float) -> None:
        self._world.sleep(seconds)

    def step(self) -> None:
        self._play.step()

    def applied(self, name: str, result: object) -> None:
        self._play.stored(name, result)


class Sink:
    """The owner's phone. Implements `ports.Notifier`."""

    def __init__(self, play: "Play") -> None:
        self._play = play

    def send(self, notice: Notice, deadline: Deadline) -> bool:
        play = self._play
        play.step()
        failing = play.sink_trouble and play.world.random.random() < play.sink_trouble
        play.world.sleep(min(0.02, max(0.0, deadline.left())))
        if failing:
            return False
        play.record.notifications.append(Notification(play.world.now(), notice.id, notice.kind, notice.text))
        return True


class Tokens:
    """One token that is always good, whatever Fyers says of it. Implements `ports.TokenSource`."""

    def __init__(self, play: "Play") -> None:
        self._play = play
        self._token = Token("a.b.c")

    def token(self, deadline: Deadline) -> Token:  # noqa: ARG002
        return self._token

    def refused(self, token: Token, message: str, deadline: Deadline) -> bool:  # noqa: ARG002
        return False

    def forbidden(self, message: str, deadline: Deadline) -> None:
        try:
            self._play.switch(TradingState.HALTED, message, deadline)
        except NotNow:
            pass  # the real one tells the owner directly
