"""Everything that can go wrong with the store, at each call of each story: right answers, no double, nothing lost.

Real web application, real adapter, real HTTP, SQLite with a fault put around one call of it. Afterwards the store is
sound again, the sender comes again by TradingView's rule, and reconcile runs.
"""

import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

from app.simulator import Fault, FaultKind
from proof.faulty_ledger import Fate, Faults, FaultyLedger
from proof.gateway import Gateway, a_gateway, a_workshop
from proof.history import Delivery, check
from proof.patience import TIMED, Played, find
from proof.result import Result, floors

AT_ONCE = 12
FLOORS = {"faults": 0.9, "orders": 0.6, "fills": 0.6}  # of a cell
RESENDS = 3

Call = tuple[str, int]  # a method of the ledger, and which call of it


class OneFault(Faults):
    """Counts the calls, and lets one of them (or that one and all after it, of that method) go wrong."""

    def __init__(self, call: Call | None, fate: Fate, for_good: bool) -> None:
        self.seen: list[Call] = []
        self.struck = False
        self.watching = False
        self._call = call
        self._fate = fate
        self._for_good = for_good
        self._counts: Counter[str] = Counter()

    def fate(self, name: str) -> Fate:
        if not self.watching:
            return Fate.FINE
        self._counts[name] += 1
        self.seen.append((name, self._counts[name]))
        if self._call is None or name != self._call[0]:
            return Fate.FINE
        hits = self._counts[name] >= self._call[1] if self._for_good else self._counts[name] == self._call[1]
        self.struck = self.struck or hits
        return self._fate if hits else Fate.FINE

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)


@dataclass(frozen=True, slots=True)
class Story:
    """What the sender does while the store has its trouble. `orders`: so many live ones must come of it in the end."""

    name: str
    tell: Callable[[Gateway], object]
    orders: int
    before: Callable[[Gateway], object] = lambda _: None
    settings: dict[str, str] = field(default_factory=dict)


def _send(gateway: Gateway, name: str = "alert", **changes: Any) -> Delivery:
    """With TradingView's resends, but for its five seconds."""
    for _ in range(1 + RESENDS):
        delivery = gateway.deliver(name, **changes)
        if delivery.status is None or delivery.status < 500 or delivery.status == 504:
            break
    return delivery


def _broker_answers(kind: FaultKind) -> Callable[[Gateway], object]:
    return lambda gateway: gateway.account.fault("place", Fault(kind))


def _stale(gateway: Gateway) -> Delivery:
    fired = datetime.now(UTC) - timedelta(seconds=90)
    return _send(gateway, timenow=fired.strftime("%Y-%m-%dT%H:%M:%SZ"))


TURNED_AWAY = Story("an order turned away", _send, 1, before=_broker_answers(FaultKind.RATE_LIMITED))
STORIES: tuple[Story, ...] = (
    TURNED_AWAY,
    Story("an entry", _send, 1),
    Story(
        "a cover", lambda gateway: _send(gateway, action="BUY"), 2, before=lambda gateway: _send(gateway, "the short")
    ),
    Story("an alert without identity", lambda gateway: _send(gateway, alert_id=None), 1),
    Story("a second firing", _send, 1, before=_send),
    Story("another order with the same id", lambda gateway: _send(gateway, strikeprice=26100), 1, before=_send),
    Story("a stale alert", _stale, 0),
    Story("an order denied by a limit", _send, 1, lambda gateway: _send(gateway, "first"), {"MAX_ORDERS_PER_DAY": "1"}),
    Story("an order refused by Fyers", _send, 0, before=_broker_answers(FaultKind.REFUSE)),
    Story("an order in doubt", _send, 1, before=_broker_answers(FaultKind.EMPTY)),
    Story("reconcile", lambda gateway: gateway.reconcile(ahead=10.0), 1, before=lambda gateway: _doubt(gateway)),
)


def _doubt(gateway: Gateway) -> None:
    gateway.account.fault("place", Fault(FaultKind.EMPTY))
    _send(gateway)


@dataclass(frozen=True, slots=True)
class Cell:
    story: Story
    call: Call
    fate: Fate
    for_good: bool

    @property
    def name(self) -> str:
        method, number = self.call
        return f"{self.story.name}: {method} ({number}) {self.fate}{', from then on' if self.for_good else ''}"


def run_cell(cell: Cell, folder: Path) -> Played:
    """What is wrong in one cell, each sentence beginning with its name, and what happened in it."""
    faults = OneFault(cell.call, cell.fate, cell.for_good)
    with a_gateway(folder, around=lambda ledger: FaultyLedger(ledger, faults), **cell.story.settings) as gateway:
        cell.story.before(gateway)
        faults.watching = True
        cell.story.tell(gateway)
        faults.watching = False
        found = list(_aftermath(cell, gateway))
        seen = gateway.seen()
        seen["faults"] = int(faults.struck)  # of the store; what some stories begin with is the broker's
    return [f"{cell.name}: {problem}" for problem in found], seen


def _aftermath(cell: Cell, gateway: Gateway) -> Iterable[str]:
    for delivery in gateway.deliveries:
        if delivery.answered_at and (took := (delivery.answered_at - delivery.sent_at).total_seconds()) > 2.5:
            yield f"{TIMED}answered after {took:.2f} s"
    gateway.reconcile(ahead=10.0)
    gateway.reconcile(ahead=60.0)
    gateway.reconcile(ahead=70.0)
    for violation in check(gateway.history()):
        if "answered after" not in violation.text:
            yield str(violation)
    live = len(gateway.live())
    right = cell.story.orders
    if live != right and not (live == right - 1 and _may_stay_unsent(cell)):
        timed = TIMED if live < right else ""
        yield f"{timed}{live} orders live, {right} are right; answered {[each.status for each in gateway.deliveries]}"


def _may_stay_unsent(cell: Cell) -> bool:
    """The order is never sent, rather than sent twice, and has a notice: `check` sees to that.

    A submit whose answer is lost is in the store, and may not be sent any more. So is one whose proof of not having
    been sent could not be written down. And no order goes out while the store stays down.
    """
    method, fate = cell.call[0], cell.fate
    unheard = (method, fate) == ("submit", Fate.LOST)
    unproven = method == "record" and cell.story is TURNED_AWAY
    return unheard or unproven or (cell.for_good and method in ("claim", "submit", "unresolved"))


def cells(folder: Path, stories: Sequence[Story], slice_only: bool) -> list[Cell]:
    """Each call that a story makes, with each fate; and each method broken from its first call on.

    The slice has the two that differ most: not done and said so, done and nothing heard.
    """
    found = []
    for story in stories:
        faults = OneFault(None, Fate.FINE, for_good=False)
        with a_gateway(folder, around=partial(FaultyLedger, faults=faults), **story.settings) as one:
            story.before(one)
            faults.watching = True
            story.tell(one)
        for call in faults.seen:
            found += [Cell(story, call, fate, for_good=False) for fate in _fates(call, slice_only)]
            if call[1] == 1 and not slice_only:
                found += [Cell(story, call, fate, for_good=True) for fate in (Fate.REFUSED, Fate.LOST)]
    return found


def _fates(call: Call, slice_only: bool) -> tuple[Fate, ...]:
    if slice_only:
        return Fate.REFUSED, Fate.LOST
    return Fate.SLOW, Fate.REFUSED, Fate.DOWN, Fate.LOST, *((Fate.CONTENDED,) if call[0] == "submit" else ())


def run(stories: Sequence[Story] = STORIES, slice_only: bool = False) -> Result:
    """All cells, many at once, each with an account and a ledger of its own."""
    started = time.monotonic()
    with a_workshop(AT_ONCE) as (folder, pool):
        tried = cells(folder, stories, slice_only)
        found, seen = find(tried, partial(run_cell, folder=folder), pool)
    size, took = f"{len(tried)} faults of the store", time.monotonic() - started
    return Result("store faults", size, "", found, took, floors(seen, FLOORS, len(tried)))
