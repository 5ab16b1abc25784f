"""The crash matrix: a gateway is killed (SIGKILL) at every step of a delivery, whatever the broker does meanwhile.

One cell is one alert: a doomed process takes its first delivery, others take the rest, side by side or one after the
other; then the scheduler's reconcile runs as the minutes pass, and once more over the final book. Which steps there are
is not written down here: a delivery that is not killed traces them.
"""

import itertools
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from app.simulator import Fault, FaultKind, Simulator
from proof.history import seen_at
from proof.processes.doom import Step, steps_of
from proof.processes.evidence import history_of, wrong_in
from proof.processes.lab import (
    Lab,
    LedgerKind,
    a_lab,
    an_account,
    an_office,
)
from proof.processes.nursery import Gateway, Nursery
from proof.processes.sender import NextPort, Sender, Text, an_alert
from proof.result import Result, floors
from tests.waiting import finish

SLACK = 0.5  # seconds; many cells share two cores
FLOORS = {"kills": 0.5, "orders": 0.4, "fills": 0.4}  # of a cell
AT_ONCE = 6
_DEATH_SHOWS = 0.2  # seconds, in the place of the five that TradingView waits
_REPLY_TAKES = 0.25  # seconds between the broker's book and its reply, where a process is to die in between


@dataclass(frozen=True, slots=True, eq=False)
class Scenario:
    """What the broker does with the first order. `twice`: the doomed process takes two deliveries, one by one."""

    name: str
    faults: tuple[tuple[str, Fault], ...] = ()
    cover: bool = False
    twice: bool = False


@dataclass(frozen=True, slots=True)
class Pattern:
    """How often the alert is delivered, at once or in turn, and whether a proxy answers 502 for a dead process."""

    deliveries: int
    together: bool
    proxied: bool

    def __str__(self) -> str:
        how = "together" if self.together else "in turn"
        return f"{self.deliveries} {how}, {'502 and resent' if self.proxied else 'connection lost'}"


@dataclass(frozen=True, slots=True)
class Cell:
    scenario: Scenario
    step: Step
    pattern: Pattern
    tier: int = 1

    def __str__(self) -> str:
        return f"{self.scenario.name}, killed {self.step}, {self.pattern}, tier {self.tier}"


@dataclass(frozen=True, slots=True)
class Outcome:
    """`seen`: a kill where the step was reached, and what happened at the broker."""

    seen: Counter[str]
    violations: tuple[str, ...]


def _place(kind: FaultKind, **more: object) -> tuple[tuple[str, Fault], ...]:
    return (("place", Fault(kind, **more)),)  # type: ignore[arg-type]


_LATE_BOOK = ("orders", Fault(FaultKind.LATE_BOOK, None, seconds=60))
SCENARIOS = (
    Scenario("accepts"),
    Scenario("accepts, delivered twice", twice=True),
    Scenario("accepts a cover", cover=True),
    Scenario("rejects with an id", _place(FaultKind.REJECT)),
    Scenario("refuses without an id", _place(FaultKind.REFUSE)),
    Scenario("rejects after accepting", _place(FaultKind.REJECT_LATER)),
    Scenario("201, live", _place(FaultKind.NO_ACK)),
    Scenario("201, live, late book", (*_place(FaultKind.NO_ACK), _LATE_BOOK)),
    Scenario("takes it and hangs", _place(FaultKind.HANG)),
    Scenario("takes it and hangs up", _place(FaultKind.DROP)),
    Scenario("hangs up before", _place(FaultKind.DROP, processed=False)),
    Scenario("takes it and answers 502", _place(FaultKind.HTML, status=502)),
    Scenario("answers 429", _place(FaultKind.RATE_LIMITED)),
)

PATTERNS = tuple(
    Pattern(deliveries, together, proxied)
    for deliveries in (1, 2, 4)
    for together in (False, True)
    for proxied in (False, True)
    if deliveries > 1 or not together
)


def every_cell(steps: Callable[[Scenario], Sequence[Step]]) -> Iterator[Cell]:
    """The whole matrix; the tiers of identity take turns."""
    tiers = itertools.cycle((1, 2, 4))
    for scenario in SCENARIOS:
        for step in steps(scenario):
            for pattern in PATTERNS:
                yield Cell(scenario, step, pattern, next(tiers))


class CrashMatrix:
    """Runs cells on ledgers of one kind."""

    def __init__(self, lab: Lab, nursery: Nursery) -> None:
        self._lab = lab
        self._nursery = nursery

    def steps(self, scenario: Scenario) -> list[Step]:
        """Every step at which a process with the first delivery of that scenario can die, on whatever ledger."""
        trace = self._lab.new_file("trace")
        with ExitStack() as stack:
            account = stack.enter_context(an_account())
            settings = self._lab.settings(account, f"sqlite:///{self._lab.new_file('traced')}.db")
            sender, output = Sender(proxied=False), self._lab.new_file("output")
            _prepare(account, scenario, sender, _Later(lambda: self._gateway(stack, settings, output)))
            gateway = stack.enter_context(self._nursery.gateway(settings, output=output, trace=trace))
            for _ in range(1 + scenario.twice):
                sender.deliver(_text(scenario, 1), lambda: gateway.port)
        return steps_of(trace)

    def run(self, cell: Cell) -> Outcome:
        with ExitStack() as stack:
            account = stack.enter_context(an_account())
            settings = self._lab.settings(account, self._lab.new_ledger())
            sender, outputs = Sender(cell.pattern.proxied), [self._lab.new_file("output") for _ in range(2)]
            died = self._deliver(cell, account, settings, sender, outputs)
            office = stack.enter_context(an_office(settings))
            office.minutes_pass(account)
            history = history_of(account, office, sender.deliveries, outputs, reconciled=True, slack=SLACK)
            found = tuple(f"{cell}: {text}" for text in wrong_in(history, account))
            return Outcome(seen_at(account) + Counter(kills=died), found)

    def _deliver(
        self, cell: Cell, account: Simulator, settings: dict[str, str], sender: Sender, outputs: list[Path]
    ) -> bool:
        """All deliveries of the cell; says whether the doomed process died of it."""
        text, pattern = _text(cell.scenario, cell.tier), cell.pattern
        with ExitStack() as stack:
            later = _Later(lambda: self._gateway(stack, settings, outputs[1]))
            _prepare(account, cell.scenario, sender, later, cell.step)
            doomed = self._gateway(stack, settings, outputs[0], cell.step)
            if _is_inside_place(cell.step):
                stack.enter_context(_kills_when_sent(doomed, account))
            if pattern.together:
                later()
                ports = [later if number % 2 else _first(doomed, later) for number in range(pattern.deliveries)]
                sender.together(text, ports)
            else:
                for number in range(pattern.deliveries):
                    theirs = number <= cell.scenario.twice and not doomed.died(0)
                    sender.deliver(text, _first(doomed, later) if theirs else later)
            return doomed.died(0.05)

    def _gateway(self, stack: ExitStack, settings: dict[str, str], output: Path, step: Step | None = None) -> Gateway:
        return stack.enter_context(self._nursery.gateway(settings, output=output, step=step))


class _Later:
    """A process that is started when it is first needed: after the crash, where deliveries come in turn."""

    def __init__(self, start: Callable[[], Gateway]) -> None:
        self._start = start
        self._lock = threading.Lock()
        self._gateway: Gateway | None = None

    def __call__(self) -> int:
        with self._lock:
            self._gateway = self._gateway or self._start()
            return self._gateway.port


def _first(doomed: Gateway, later: NextPort) -> NextPort:
    """The doomed process while it lives; resends after its death arrive elsewhere.

    A connection is lost some milliseconds before the process can be seen to be dead; five seconds later it can.
    """
    deliveries = itertools.count()
    return lambda: later() if doomed.died(_DEATH_SHOWS if next(deliveries) else 0) else doomed.port


class _kills_when_sent:  # noqa: N801 - used as a statement
    """Kills a gateway once the broker has an order of any sender, and before the reply is out."""

    def __init__(self, gateway: Gateway, account: Simulator) -> None:
        self._gateway, self._account = gateway, account
        self._before = self._sent()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="the one that kills", daemon=True)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        finish(self._thread)

    def _watch(self) -> None:
        while not self._stop.wait(0.005):
            if self._sent() > self._before:
                time.sleep(0.03)  # until it has had its effect
                self._gateway.kill()
                return

    def _sent(self) -> int:
        return sum(entry.endpoint == "place" for entry in self._account.log)


def _prepare(
    account: Simulator, scenario: Scenario, sender: Sender, healthy: NextPort, step: Step | None = None
) -> None:
    if scenario.cover:
        sender.deliver(an_alert("entry"), healthy)
    if step is not None and _is_inside_place(step):  # before the others: a latency leaves room for one of them
        account.fault("place", Fault(FaultKind.LATENCY, None, processed=True, seconds=_REPLY_TAKES))
    for endpoint, fault in scenario.faults:
        account.fault(endpoint, fault)


def _is_inside_place(step: Step) -> bool:
    return (step.call, step.side) == ("place", "inside")


def _text(scenario: Scenario, tier: int) -> Text:
    return an_alert("alert", tier, action="BUY" if scenario.cover else "SELL")


def prove(kind: LedgerKind, most: int | None = None, seed: int = 1, firestore: str | None = None) -> Result:
    """The whole matrix, or `most` cells of it."""
    started = time.monotonic()
    with a_lab(kind, firestore) as lab, Nursery() as nursery:
        matrix = CrashMatrix(lab, nursery)
        with ThreadPoolExecutor(AT_ONCE) as cells:
            steps = dict(zip(SCENARIOS, cells.map(matrix.steps, SCENARIOS), strict=True))
            chosen = list(every_cell(steps.__getitem__))
            if most is not None:
                chosen = sample(chosen, most, seed)
            outcomes = list(cells.map(matrix.run, chosen))
    found = tuple(text for outcome in outcomes for text in outcome.violations)
    seen = floors(sum((outcome.seen for outcome in outcomes), Counter[str]()), FLOORS, len(outcomes))
    size, took = f"{len(outcomes)} cells", time.monotonic() - started
    return Result(f"crash matrix, {kind}", size, f"seed {seed}", found, took, seen)


def sample(cells: Sequence[Cell], most: int, seed: int) -> list[Cell]:
    """So many cells as chance has it, but no step of a scenario twice before all have come once."""
    dice = random.Random(seed)  # noqa: S311 - repeatable on purpose
    shuffled = sorted(cells, key=lambda _: dice.random())
    seen: dict[tuple[Scenario, Step], int] = {}
    ranked = []
    for cell in shuffled:
        rank = seen[cell.scenario, cell.step] = seen.get((cell.scenario, cell.step), 0) + 1
        ranked.append((rank, cell))
    return [cell for _, cell in sorted(ranked, key=lambda pair: pair[0])[:most]]
