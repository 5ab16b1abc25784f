"""Load: several gunicorns with several workers on one ledger, under duplicated alerts, faults, SIGKILL and SIGSTOP.

Meanwhile the scheduler reconciles, by a clock that is seconds ahead of the gateways', and an operator resolves what is
certainly not at the broker, and lets entries through again. In the end the machines rest, the minutes pass, and sender,
broker and ledger are held against one another.
"""

import json
import logging
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import timedelta

from app.domain.errors import NotNow
from app.domain.order.status import OrderStatus
from app.domain.risk.controls import TradingState
from app.flow.ports import Overtaken
from app.flow.reconcile import Report, reconcile
from app.simulator import Fault, FaultKind, Simulator
from proof.history import History, seen_at
from proof.processes.evidence import history_of, stays_in_doubt, wrong_in
from proof.processes.lab import ROOT, LedgerKind, Office, a_lab, an_account, an_office
from proof.processes.sender import Sender, Text, an_alert
from proof.processes.server import Server, a_server
from proof.result import Result, floors
from tests.waiting import finish

log = logging.getLogger("proof.load")

DELIVERIES = 4  # of each alert, at once
SERVERS, WORKERS = 2, 2
_AT_ONCE = 4  # alerts under way
_STRIKES = (0.05, 0.2)  # seconds between two of them
_PAUSES = (0.05, 0.4)
_KILLED = 0.4  # the share of strikes that are SIGKILL; the others are SIGSTOP, and SIGCONT after a pause
_HEAD_START = 10  # strikes before the first answer
_AHEAD = timedelta(seconds=4)
_CERTAIN = timedelta(seconds=2.5)  # after it no byte of an order leaves any more: send window, a pause, and a margin
_SLACK = 0.6  # seconds that a pause may add to any time
_COMMAND_TAKES = 60.0  # seconds at the most
FLOORS = {"kills": 0.1, "pauses": 0.2, "orders": 0.3, "fills": 0.3}  # of an alert

FAULTS: tuple[tuple[str, Fault], ...] = (
    *(
        (endpoint, Fault(FaultKind.LATENCY, None, probability=share, seconds=seconds))
        for endpoint in ("quotes", "positions", "orders", "place")
        for share, seconds in ((0.3, 0.03), (0.1, 0.15), (0.03, 0.5))
    ),
    ("place", Fault(FaultKind.DROP, None, probability=0.03)),
    ("place", Fault(FaultKind.RESET, None, probability=0.01)),
    ("place", Fault(FaultKind.NO_ACK, None, probability=0.03)),
    ("place", Fault(FaultKind.HTML, None, probability=0.01, status=502)),
    ("place", Fault(FaultKind.HANG, None, probability=0.01)),
    ("place", Fault(FaultKind.REJECT, None, probability=0.03)),
    ("place", Fault(FaultKind.RATE_LIMITED, None, probability=0.03)),
    ("quotes", Fault(FaultKind.DROP, None, probability=0.03)),
    ("orders", Fault(FaultKind.LATE_BOOK, None, probability=0.3, seconds=1.5)),
)


@dataclass(slots=True)
class Chaos:
    """Strikes the workers of some servers at random until it is stopped.

    About once an answer and no oftener: on a slow machine nothing would ever come through.
    """

    servers: Sequence[Server]
    senders: Sequence[Sender]
    dice: random.Random
    kills: int = 0
    pauses: int = 0
    _paused: set[int] = field(default_factory=set)
    _stop: threading.Event = field(default_factory=threading.Event)

    @contextmanager
    def raging(self) -> Iterator[None]:
        striking = threading.Thread(target=self._rage, name="the strikes", daemon=True)
        striking.start()
        try:
            yield
        finally:
            self._stop.set()
            finish(striking)

    def _rage(self) -> None:
        while not self._stop.wait(self.dice.uniform(*_STRIKES)):
            workers = [pid for server in self.servers for pid in server.workers() if pid not in self._paused]
            answered = sum(each.status is not None for sender in self.senders for each in sender.deliveries)
            if not workers or self.kills + self.pauses > _HEAD_START + answered:
                continue
            if self.dice.random() < _KILLED:
                self.kills += _sent(self.dice.choice(workers), signal.SIGKILL)
            else:
                self._pause(self.dice.choice(workers), self.dice.uniform(*_PAUSES))
        for timer in threading.enumerate():
            if isinstance(timer, _Wakes):
                timer.join()

    def _pause(self, pid: int, seconds: float) -> None:
        if _sent(pid, signal.SIGSTOP):
            self.pauses += 1
            self._paused.add(pid)
            _Wakes(pid, seconds, self._paused).start()


class _Wakes(threading.Thread):
    """Lets a process go on after a pause."""

    def __init__(self, pid: int, seconds: float, paused: set[int]) -> None:
        super().__init__()
        self._pid, self._seconds, self._paused = pid, seconds, paused

    def run(self) -> None:
        time.sleep(self._seconds)
        _sent(self._pid, signal.SIGCONT)
        self._paused.discard(self._pid)


def _sent(pid: int, number: signal.Signals) -> bool:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return False
    return True


class Watch:
    """The scheduler and the operator of the night."""

    def __init__(self, office: Office, account: Simulator) -> None:
        self._office = office
        self._account = account
        self._stop = threading.Event()
        self.problems: list[str] = []
        self.resolved = 0

    @contextmanager
    def on_duty(self) -> Iterator[None]:
        self._office.clock.ahead = _AHEAD
        watching = threading.Thread(target=self._watch, name="the scheduler", daemon=True)
        watching.start()
        try:
            yield
        finally:
            self._stop.set()
            finish(watching, within=120.0)

    def _watch(self) -> None:
        while not self._stop.wait(0.4):
            try:
                reconcile(self._office.desk, self._office.deadline())
                self._resolve()
                self._resume()
            except NotNow:
                pass  # the ledger is busy; the next round comes
            except Exception as problem:  # noqa: BLE001 - a thread does not report its own failure
                self.problems.append(f"the scheduler's run failed: {problem!r}")

    def _resolve(self) -> None:
        """The operator's word after a look at the broker: the order is not there, and it can no longer be sent."""
        ledger = self._office.desk.ledger
        tags = {order.tag.partition(":")[2].lower() for order in self._account.exchange.orders()}
        for order in ledger.orders(self._office.deadline(), in_flight=True):
            real_now = self._office.clock.now() - self._office.clock.ahead
            if order.status is not OrderStatus.SUBMITTED or order.submitted_at is None or order.tag in tags:
                continue
            if real_now - order.submitted_at > _CERTAIN:
                try:
                    said = order.moved(OrderStatus.NOT_PLACED, self._office.clock.now(), message="not in the book")
                    ledger.record(said, self._office.deadline())
                    self.resolved += 1
                except Overtaken:
                    pass  # evidence came first

    def _resume(self) -> None:
        ledger, now = self._office.desk.ledger, self._office.clock.now()
        if ledger.controls(self._office.deadline()).state is TradingState.REDUCING:
            ledger.change_controls(
                lambda account: account.switched(TradingState.ACTIVE, "looked after", "operator", now),
                self._office.deadline(),
            )


def prove(kind: LedgerKind, alerts: int = 200, seed: int = 1, firestore: str | None = None) -> Result:
    started = time.monotonic()
    dice = random.Random(seed)  # noqa: S311 - repeatable on purpose
    with a_lab(kind, firestore) as lab, ExitStack() as stack:
        account = stack.enter_context(an_account())
        settings = lab.settings(account, lab.new_ledger())
        office = stack.enter_context(an_office(settings))
        outputs = [lab.new_file("output") for _ in range(SERVERS + 1)]
        senders = [Sender(proxied, again_after=0.5) for proxied in (False, True)]
        watch = Watch(office, account)
        with ExitStack() as night:
            servers = [night.enter_context(a_server(settings, output, WORKERS)) for output in outputs[:SERVERS]]
            for endpoint, fault in FAULTS:
                account.fault(endpoint, fault)
            chaos = Chaos(servers, senders, dice)
            with watch.on_duty(), chaos.raging():
                _send(alerts, senders, servers, dice)
        account.clear_faults()
        with a_server(settings, outputs[-1], workers=1) as restarted:
            _send_again(alerts, senders[1], restarted)
        office.minutes_pass(account)
        deliveries = [delivery for sender in senders for delivery in sender.deliveries]
        history = history_of(account, office, deliveries, outputs, reconciled=True, slack=_SLACK)
        found = wrong_in(history, account, but="I9")  # no limits are on here, nor any pace
        found += watch.problems + _bought_beyond(account) + _not_clean(settings, history)
        seen = seen_at(account) + Counter(kills=chaos.kills, pauses=chaos.pauses)
        statuses = Counter(
            f"{delivery.status} {delivery.answer.get('reason') or ''}".strip() for delivery in deliveries
        )
        ends = Counter(str(order.status) for order in history.orders)
    log.info("%s: answers %s; ends %s; %s resolved by hand", kind, dict(statuses), dict(ends), watch.resolved)
    size, took = f"{alerts} x {DELIVERIES} alerts", time.monotonic() - started
    return Result(f"load, {kind}", size, f"seed {seed}", tuple(found), took, floors(seen, FLOORS, alerts))


def _send(alerts: int, senders: Sequence[Sender], servers: Sequence[Server], dice: random.Random) -> None:
    def one(number: int, sender: Sender) -> None:
        ports = [server.port for server in servers]
        rounds = iter(range(1_000_000))
        sender.together(_text(number), [lambda: ports[next(rounds) % len(ports)]] * DELIVERIES, paused=True)

    chosen = [dice.choice(senders) for _ in range(alerts)]
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        list(pool.map(one, range(alerts), chosen))


def _text(number: int) -> Text:
    """Every fourth is a cover, of a short that one of the others opened."""
    return an_alert(f"alert-{number}", action="BUY" if number % 4 == 3 else "SELL")


def _send_again(alerts: int, sender: Sender, server: Server) -> None:
    """Some of the night's alerts fire once more on the morning after: a second firing, suppressed."""
    for number in range(0, alerts, 5):
        sender.deliver(_text(number), lambda: server.port)


def _not_clean(settings: dict[str, str], history: History) -> list[str]:
    """The command's own opinion, by the real time: the ledger and the book agree and nothing is left to do.

    An entry may stand without its stop where the cover that took it away was killed, if the operator was notified; and
    what was in doubt at midnight stays so.
    """
    command = [sys.executable, "-m", "app", "reconcile", "--json"]
    try:
        ended = subprocess.run(  # noqa: S603 -- the proof's own command
            command, cwd=ROOT, env=settings, capture_output=True, text=True, check=False, timeout=_COMMAND_TAKES
        )
    except subprocess.TimeoutExpired:
        return [f"the reconcile command did not end within {_COMMAND_TAKES:.0f} s"]
    if ended.returncode not in (0, 1):
        return [f"the reconcile command ended with {ended.returncode}: {ended.stderr}"]
    told = {notice.id.split(":")[1] for notice in history.notifications if notice.kind == "naked"}
    said = json.loads(ended.stdout)
    said["naked"] = [key for key in said["naked"] if key not in told]
    said["in_doubt"] -= sum(stays_in_doubt(order, history) for order in history.orders)
    clean = Report(**{name: value for name, value in said.items() if name != "clean"}).clean
    return [] if clean else [f"the reconcile command says {ended.stdout}"]


def _bought_beyond(account: Simulator) -> list[str]:
    """A cover never buys more than is short: the position is never above zero."""
    net, found = 0, []
    for trade in account.exchange.trades():
        net += trade.quantity * trade.order.side
        if net > 0:
            found.append(f"{trade.order.id} bought {net} units beyond the short")
    return found
