"""Deadlines: whatever hangs, drips or is locked, the answer is with the sender within 2.5 seconds.

Each cell is one alert at a gateway in a process of its own, measured where the sender stands. Before the gate (the
commit that submits the order) an answer is 503, so that the alert comes again; after it 202; never 504 or 429.
"""

import socket
import sqlite3
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

from app.simulator import Fault, FaultKind, Simulator
from proof.history import seen_at
from proof.patience import TIMED, Played, find
from proof.processes.lab import Lab, LedgerKind, a_lab, an_account
from proof.processes.nursery import Nursery
from proof.processes.sender import an_alert, post
from proof.result import Result, floors
from tests.contract.faulty_firestore import Relay
from tests.waiting import finish

ANSWER_BY = 2.5
AT_ONCE = 4
FLOORS = {"faults": 0.6, "orders": 0.3}  # of a cell; a cover's short is one of them
_HANG_UP = 10.0  # seconds; a sender with more patience than TradingView, to see how late an answer would be
_HELD = 5.0  # seconds for which a ledger is held: longer than any request
_COMES_TO_THE_GATE = 0.3  # seconds that a slowed quote gives the ledger's holder to be first

BEFORE_THE_GATE, AFTER_THE_GATE = frozenset({503}), frozenset({202})
IN_TIME = frozenset({200, 202, 503})  # it may come through or not, but in time


@dataclass(frozen=True, slots=True, eq=False)
class Cell:
    """`cover`: the alert is a BUY that covers a short. `at_the_money`: the strike needs a quote of its own first.

    `ledger_from` says when the ledger falls silent: at the "start", or once the broker has been asked for something.
    `lookup_hangs`, `unreachable`: the broker's name is never found, its address swallows what is sent to it.
    """

    name: str
    answers: frozenset[int]
    faults: tuple[tuple[str, Fault], ...] = ()
    cover: bool = False
    at_the_money: bool = False
    ledger_from: str | None = None
    lookup_hangs: bool = False
    unreachable: bool = False


@dataclass(frozen=True, slots=True)
class Answered:
    cell: Cell
    status: int | None
    seconds: float
    reason: str | None

    def wrong(self, by: float) -> str | None:
        said = f"{self.cell.name}: {self.status} {self.reason or ''} after {self.seconds:.2f} s"
        return None if self.status in self.cell.answers and self.seconds <= by else said


def _always(kind: FaultKind, after: int = 0, **more: float) -> Fault:
    return Fault(kind, None, after, **more)  # type: ignore[arg-type]


SLOW = {
    "hangs": _always(FaultKind.HANG),
    "drips": _always(FaultKind.DRIP, interval=0.05),
    "drips slowly": _always(FaultKind.DRIP, interval=0.5),
    "answers after five seconds": _always(FaultKind.LATENCY, seconds=5.0),
    "answers after five seconds, having done it": Fault(FaultKind.LATENCY, None, processed=True, seconds=5.0),
    "stops in the middle": _always(FaultKind.TRUNCATED),
    "never stops": _always(FaultKind.OVERSIZED, size=3_000_000),
}
_LATE_BUT_WITHIN = tuple(
    (endpoint, _always(FaultKind.LATENCY, seconds=seconds))
    for endpoint, seconds in (("quotes", 0.6), ("positions", 0.6), ("orders", 0.6), ("place", 1.1))
)
_AT_THE_GATE = ("quotes", _always(FaultKind.LATENCY, seconds=_COMES_TO_THE_GATE))
_AT_THE_REPLY = ("place", _always(FaultKind.LATENCY, seconds=_COMES_TO_THE_GATE))


def _cells() -> Iterator[Cell]:
    for how, fault in SLOW.items():
        read = IN_TIME if "stops" in how or "never" in how else BEFORE_THE_GATE
        yield Cell(f"quotes: {how}", read, (("quotes", fault),))
        yield Cell(f"positions: {how}", read, (("positions", fault),))
        yield Cell(f"order book: {how}", read, (("orders", fault),), cover=True)
        yield Cell(f"placing: {how}", AFTER_THE_GATE, (("place", fault),))
        yield Cell(f"placing a cover: {how}", AFTER_THE_GATE, (("place", fault),), cover=True)
    second = _always(FaultKind.HANG, after=1)
    yield Cell("the second quote hangs", BEFORE_THE_GATE, (("quotes", second),), at_the_money=True)
    yield Cell("positions hang after a cover", IN_TIME, (("positions", second),), cover=True)
    yield Cell("the order book hangs after a cover", IN_TIME, (("orders", second),), cover=True)
    yield Cell("cancelling a leg hangs", IN_TIME, (("cancel", _always(FaultKind.HANG)),), cover=True)
    yield Cell("everything is late, within its time", IN_TIME, _LATE_BUT_WITHIN)
    yield Cell("everything is late, for a cover", IN_TIME, _LATE_BUT_WITHIN, cover=True)
    yield Cell("everything is late, at the money", IN_TIME, _LATE_BUT_WITHIN, at_the_money=True)
    yield Cell("everything hangs", BEFORE_THE_GATE, (("*", _always(FaultKind.HANG)),))
    yield Cell("429, wait a minute", BEFORE_THE_GATE, (("quotes", _always(FaultKind.RATE_LIMITED, seconds=60.0)),))
    yield Cell(
        "placing: 429, wait a minute", BEFORE_THE_GATE, (("place", _always(FaultKind.RATE_LIMITED, seconds=60.0)),)
    )
    yield Cell("the broker's name is never found", BEFORE_THE_GATE, lookup_hangs=True)
    yield Cell("the broker's address swallows everything", BEFORE_THE_GATE, unreachable=True)
    yield Cell("the ledger is silent", BEFORE_THE_GATE, ledger_from="start")
    yield Cell("the ledger is silent from the gate on", BEFORE_THE_GATE, (_AT_THE_GATE,), ledger_from="quotes")
    yield Cell("the ledger is silent once the order is sent", AFTER_THE_GATE, (_AT_THE_REPLY,), ledger_from="place")
    yield Cell(
        "ledger and broker are silent once the order is sent",
        AFTER_THE_GATE,
        (("place", _always(FaultKind.HANG)),),
        ledger_from="place",
    )
    yield Cell(
        "the ledger is silent once the order is refused",
        AFTER_THE_GATE,
        (_AT_THE_REPLY, ("place", _always(FaultKind.REJECT))),
        ledger_from="place",
    )


CELLS: tuple[Cell, ...] = tuple(_cells())


class _Ledger:
    """A ledger that can fall silent, for longer than any request may live."""

    def __init__(self, lab: Lab, stack: ExitStack) -> None:
        self.url = lab.new_ledger()
        self.settings: dict[str, str] = {}
        self._stack = stack
        self._relay: Relay | None = None
        if lab.firestore is not None:
            self._relay = Relay(lab.firestore)
            stack.callback(self._relay.down)
            self.settings["FIRESTORE_EMULATOR_HOST"] = self._relay.address

    def hold(self) -> None:
        """The line to Firestore goes mute; the write lock of an SQLite file is another process's: this one."""
        if self._relay is not None:
            self._relay.delay = _HELD
            return
        db = sqlite3.connect(self.url.removeprefix("sqlite:///"), isolation_level=None, check_same_thread=False)
        self._stack.callback(db.close)
        db.execute("BEGIN IMMEDIATE")


class Deadlines:
    """Runs cells on ledgers of one kind."""

    def __init__(self, lab: Lab, nursery: Nursery) -> None:
        self._lab = lab
        self._nursery = nursery

    def run(self, cell: Cell) -> tuple[Answered, Counter[str]]:
        """The answer, and what happened at the broker for it."""
        with ExitStack() as stack:
            account = stack.enter_context(an_account())
            ledger = _Ledger(self._lab, stack)
            settings = self._lab.settings(account, ledger.url) | ledger.settings | _addresses(cell, account, stack)
            output = self._lab.new_file("output")
            gateway = stack.enter_context(
                self._nursery.gateway(settings, output=output, lookup_hangs=cell.lookup_hangs)
            )
            if cell.cover:
                post(gateway.port, an_alert("entry").body)
            for endpoint, fault in cell.faults:
                account.fault(endpoint, fault)
            account.clear_log()
            if cell.ledger_from is not None:
                stack.enter_context(_silence(ledger, account, cell.ledger_from))
            changes: dict[str, Any] = {"strikeprice": "ATM"} if cell.at_the_money else {}
            text = an_alert("alert", action="BUY" if cell.cover else "SELL", **changes)
            started = time.monotonic()
            status, answer = post(gateway.port, text.body, _HANG_UP)
            answered = Answered(cell, status, time.monotonic() - started, answer.get("reason"))
            return answered, seen_at(account)


def _addresses(cell: Cell, account: Simulator, stack: ExitStack) -> dict[str, str]:
    base = account.base_url
    if cell.lookup_hangs:
        base = base.replace("127.0.0.1", "localhost")
    if cell.unreachable:
        base = f"http://127.0.0.1:{stack.enter_context(_swallowing_port())}"
    return {"FYERS_API_URL": f"{base}/api/v3", "FYERS_DATA_URL": f"{base}/data"}


@contextmanager
def _swallowing_port() -> Iterator[int]:
    """A port whose queue of connections is full: a client that connects to it hears nothing at all."""
    with socket.socket() as listening, ExitStack() as callers:
        listening.bind(("127.0.0.1", 0))
        listening.listen(0)
        for _ in range(3):
            caller = callers.enter_context(socket.socket())
            caller.setblocking(False)
            caller.connect_ex(listening.getsockname())
        yield listening.getsockname()[1]


@contextmanager
def _silence(ledger: _Ledger, account: Simulator, since: str) -> Iterator[None]:
    """The ledger falls silent at the start, or once the broker has been asked for something."""
    stop = threading.Event()

    def watch() -> None:
        while not stop.wait(0.005):
            if any(entry.endpoint == since for entry in account.log):
                stop.wait(_COMES_TO_THE_GATE / 3)  # what goes beside it, or before it, is done
                ledger.hold()
                return

    if since == "start":
        ledger.hold()
    watching = threading.Thread(target=watch, name="the one that silences the ledger", daemon=True)
    watching.start()
    try:
        yield
    finally:
        stop.set()
        finish(watching)


def prove(
    kind: LedgerKind, cells: Sequence[Cell] = CELLS, firestore: str | None = None, answer_by: float = ANSWER_BY
) -> Result:
    started = time.monotonic()
    seconds: dict[Cell, float] = {}
    with a_lab(kind, firestore) as lab, Nursery() as nursery, ThreadPoolExecutor(AT_ONCE) as at_once:
        deadlines = Deadlines(lab, nursery)

        def play(cell: Cell) -> Played:
            answered, seen = deadlines.run(cell)
            seconds[cell] = answered.seconds
            wrong = answered.wrong(answer_by)
            return [TIMED + wrong] if wrong is not None else [], seen

        wrong, seen = find(cells, play, at_once)
    size = f"{len(cells)} cells, slowest {max(seconds.values()):.2f} s"
    took = time.monotonic() - started
    return Result(f"deadlines, {kind}", size, "", wrong, took, floors(seen, FLOORS, len(cells)))
