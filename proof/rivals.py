"""A rival inside every step: while one delivery stands before or after a port call, another request runs to the end.

A race is not hoped for with threads; each one is made. Real flow, real adapter, real HTTP, SQLite.
"""

import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from app.domain.risk.controls import TradingState
from app.flow.ports import Broker, Notifier
from app.simulator import Fault, FaultKind
from proof.faulty_ledger import Faults, FaultyLedger
from proof.gateway import Gateway, a_gateway, a_workshop
from proof.history import Halt, check
from proof.patience import TIMED, Played, find
from proof.result import Result, floors

AT_ONCE = 10
FLOORS = {"rivals": 0.9, "orders": 0.5, "fills": 0.5}  # of a play

Step = tuple[str, int]  # "before claim", "after place", …, and which time


@dataclass(slots=True)
class Steps(Faults):
    """Counts the steps of one delivery; at the chosen one the rival runs, once."""

    chosen: Step | None = None
    rival: Callable[[], object] = lambda: None
    seen: list[Step] = field(default_factory=list)
    ran: bool = False
    watching: bool = False
    _counts: Counter[str] = field(default_factory=Counter)

    def at(self, place: str) -> None:
        if not self.watching:
            return
        self._counts[place] += 1
        step = (place, self._counts[place])
        self.seen.append(step)
        if step == self.chosen:
            self.watching = False  # what the rival itself does is no step of the one delivery
            self.ran = True
            self.rival()
            self.watching = True


class SteppingLedger(FaultyLedger):
    def __init__(self, inner: Any, steps: Steps) -> None:
        super().__init__(inner, steps)
        self._steps = steps

    def _applied(self, name: str, act: Callable[[], Any]) -> Any:
        self._steps.at(f"before {name}")
        result = act()
        self._steps.at(f"after {name}")
        return result


class SteppingPort:
    """Any other port, with a step before and after each of its calls."""

    def __init__(self, inner: Broker | Notifier, steps: Steps) -> None:
        self._inner = inner
        self._steps = steps

    def __getattr__(self, name: str) -> Any:
        call = getattr(self._inner, name)

        def stepping(*args: Any, **kwargs: Any) -> Any:
            self._steps.at(f"before {name}")
            result = call(*args, **kwargs)
            self._steps.at(f"after {name}")
            return result

        return stepping


@dataclass(frozen=True, slots=True)
class Rivalry:
    """What the rival does, and what must be true afterwards of the two answers and of the broker's orders."""

    name: str
    rival: Callable[["Scene"], object]
    judge: Callable[["Scene"], Iterable[str]]
    action: str = "SELL"
    settings: dict[str, str] = field(default_factory=dict)
    before: Callable[["Scene"], object] = lambda _: None


@dataclass(slots=True)
class Scene:
    gateway: Gateway
    steps: Steps
    halts: list[Halt] = field(default_factory=list)
    first: int | None = None
    second: int | None = None
    seen: Counter[str] = field(default_factory=Counter)

    def send(self, name: str, **changes: Any) -> int | None:
        return self.gateway.deliver(name, **changes).status

    def live(self, side: str = "SELL") -> int:
        return sum(row.side == side for row in self.gateway.live())

    def halt(self) -> None:
        now = self.gateway.clock.now()
        self.gateway.desk.ledger.change_controls(
            lambda account: account.switched(TradingState.HALTED, "by hand", "owner", now), self.gateway.deadline()
        )
        self.halts.append(Halt(self.gateway.clock.now()))


def _same_alert(scene: Scene) -> None:
    scene.second = scene.send("alert")


def _one_order(scene: Scene) -> Iterable[str]:
    yield from _live(scene, 1)
    yield from _answers(scene, {200, 202})


def _live(scene: Scene, right: int, side: str = "SELL") -> Iterable[str]:
    live = scene.live(side)
    if live != right:
        yield f"{TIMED if live < right else ''}{live} orders live, {right} is right"


def _answers(scene: Scene, allowed: set[int]) -> Iterable[str]:
    """Both are answered, and a 503 only where the other one has the order."""
    answered = {scene.first, scene.second} - {None}
    if not answered <= allowed | {503} or not answered & allowed:
        yield f"{TIMED}answered {scene.first} and {scene.second}"


def _later(scene: Scene, seconds: float) -> None:
    """As if this process had stood still so long, and reconcile had come by."""
    scene.gateway.reconcile(ahead=seconds)


def _one_order_or_none(scene: Scene) -> Iterable[str]:
    if scene.live() > 1:
        yield f"{scene.live()} orders live"
    # 202 is right where the time ran out before it could be written down that nothing was sent: then it is in doubt.
    doubted = any(order.status == "SUBMITTED" for order in scene.gateway.desk.ledger.orders(scene.gateway.deadline()))
    if scene.live() == 0 and scene.first not in (422, 503) and not (scene.first == 202 and doubted):
        yield f"{TIMED}answered {scene.first} without an order"


def _last_lot(scene: Scene) -> None:
    scene.second = scene.send("another alert")


def _one_of_two(scene: Scene) -> Iterable[str]:
    yield from _live(scene, 1)
    if sorted(status or 0 for status in (scene.first, scene.second)) not in ([200, 422], [200, 503]):
        yield f"{TIMED}answered {scene.first} and {scene.second}"


def _other_cover(scene: Scene) -> None:
    scene.second = scene.send("another alert", action="BUY")


def _one_cover(scene: Scene) -> Iterable[str]:
    yield from _live(scene, 1, "BUY")


def _other_order_of_that_id(scene: Scene) -> None:
    scene.second = scene.send("alert", strikeprice=26100)


def _one_order_one_conflict(scene: Scene) -> Iterable[str]:
    yield from _live(scene, 1)
    if sorted(status or 0 for status in (scene.first, scene.second)) != [200, 409]:
        yield f"{TIMED}answered {scene.first} and {scene.second}"


def _turn_away(scene: Scene) -> None:
    """The first POST of the two is turned away unread, and its order is free to be taken up again."""
    scene.gateway.account.fault("place", Fault(FaultKind.RATE_LIMITED))


def _enter(scene: Scene) -> None:
    scene.send("the short")


RIVALRIES: tuple[Rivalry, ...] = (
    Rivalry("the same alert", _same_alert, _one_order),
    Rivalry("the same alert, turned away", _same_alert, _one_order_or_none, before=_turn_away),
    Rivalry("the same alert, a cover", lambda s: _same_cover(s), lambda s: _one_cover(s), "BUY", before=_enter),
    Rivalry("reconcile", lambda scene: scene.gateway.reconcile(), _one_order_or_none),
    Rivalry("reconcile, ten seconds later", lambda scene: _later(scene, 10.0), _one_order_or_none),
    Rivalry("reconcile, seventy seconds later", lambda scene: _later(scene, 70.0), _one_order_or_none),
    Rivalry("the kill switch", Scene.halt, _one_order_or_none),
    Rivalry("an alert for the last lot", _last_lot, _one_of_two, settings={"MAX_LOTS_OPEN": "1"}),
    Rivalry("an alert for the day's last order", _last_lot, _one_of_two, settings={"MAX_ORDERS_PER_DAY": "1"}),
    Rivalry("a cover of the same short", _other_cover, _one_cover, "BUY", before=_enter),
    Rivalry("another order with the same id", _other_order_of_that_id, _one_order_one_conflict),
)


def _same_cover(scene: Scene) -> None:
    scene.second = scene.send("alert", action="BUY")


def play(rivalry: Rivalry, chosen: Step | None, folder: Path) -> tuple[list[str], Scene]:
    """One delivery with the rival at one step; without a step it only counts them."""
    steps = Steps(chosen=chosen)
    with a_gateway(folder, around=lambda ledger: SteppingLedger(ledger, steps), **rivalry.settings) as gateway:
        broker, phone = SteppingPort(gateway.desk.broker, steps), SteppingPort(gateway.phone, steps)
        gateway.desk = replace(gateway.desk, broker=broker, notifier=phone)
        scene = Scene(gateway, steps)
        rivalry.before(scene)
        steps.rival = partial(rivalry.rival, scene)
        steps.watching = True
        scene.first = scene.send("alert", action=rivalry.action)
        steps.watching = False
        found = list(_judged(rivalry, scene, chosen))
        scene.seen = gateway.seen() + Counter(rivals=steps.ran)
    where = f"{rivalry.name}, {chosen[0]} ({chosen[1]})" if chosen else f"{rivalry.name}, nowhere"
    return [f"{where}: {problem}" for problem in found], scene


def _judged(rivalry: Rivalry, scene: Scene, chosen: Step | None) -> Iterable[str]:
    gateway = scene.gateway
    if chosen is None:
        return
    if not scene.steps.ran:
        yield f"{TIMED}the step was never reached"
        return
    yield from rivalry.judge(scene)
    gateway.reconcile(ahead=10.0)
    gateway.reconcile(ahead=70.0)
    history = gateway.history(halts=scene.halts)
    for violation in check(history):
        # The rival's seconds, and those that the clock was moved by, are not the answer's.
        if "answered after" not in violation.text:
            yield str(violation)


def run(rivalries: Sequence[Rivalry] = RIVALRIES) -> Result:
    """Each rivalry at each step that the delivery has."""
    started = time.monotonic()
    with a_workshop(AT_ONCE) as (folder, pool):
        plays = [(rivalry, step) for rivalry in rivalries for step in steps_of(rivalry, folder)]

        def played(each: tuple[Rivalry, Step]) -> Played:
            found, scene = play(*each, folder)
            return found, scene.seen

        found, seen = find(plays, played, pool)
    size, took = f"{len(plays)} rivals inside steps", time.monotonic() - started
    return Result("rivals", size, "", found, took, floors(seen, FLOORS, len(plays)))


def steps_of(rivalry: Rivalry, folder: Path) -> list[Step]:
    """Every step that the delivery has without a rival."""
    _, scene = play(rivalry, None, folder)
    return scene.steps.seen
