"""Every fault of the simulated broker, on every call the gateway makes: does each land in the class it belongs to?

Real web application, real adapter, real HTTP, a ledger on disk. After each cell the line is sound again, the same alert
comes once more, reconcile runs, and the whole history is held against the promises.
"""

import time
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from app.domain.errors import Reason
from app.domain.order.status import OrderStatus
from app.simulator import Fault, FaultKind
from app.web.answers import HTTP_OF_STATUS
from proof.gateway import SECRET, Gateway, a_gateway, a_workshop, captured_log
from proof.history import Delivery, History, check
from proof.patience import TIMED, Played, find, judged_by_time
from proof.result import Result, floors
from tests.waiting import wait_until

ANSWER_BY = 2.5  # seconds
AT_ONCE = 12  # cells; most of their time is waiting
FLOORS = {"faults": 0.8, "orders": 0.3, "fills": 0.3}  # of a cell
_K = FaultKind
_S = OrderStatus

# The classes of an order call: what is answered, and what the ledger says at that moment.
ACCEPTED, REJECTED = (200, _S.ACCEPTED), (422, _S.REJECTED)
NOT_SENT, UNRESOLVED = (503, _S.RECEIVED), (202, _S.SUBMITTED)
Outcome = tuple[int, OrderStatus]


@dataclass(frozen=True, slots=True)
class Cell:
    """One fault on one call. `outcomes`: any of these is right; None for what `check` alone judges."""

    endpoint: str
    fault: Fault
    outcomes: tuple[Outcome, ...]
    covers: bool = False

    @property
    def name(self) -> str:
        fault = self.fault
        said = [f"{self.endpoint}: {fault.kind}"]
        said += [f"status {fault.status}"] if fault.status is not None else []
        said += [f"code {fault.code}"] if fault.code is not None else []
        said += [f"body {fault.body!r}"] if fault.body is not None else []
        said += [f"{fault.seconds} s"] if fault.seconds else []
        said += [f"every {fault.interval} s"] if fault.kind is _K.DRIP else []
        said += ["processed" if fault.processed else "not processed"] if fault.processed is not None else []
        said += ["once"] if fault.times == 1 else ["each time"]
        return ", ".join(said)


def _both(kind: FaultKind, status: int | None = None, body: object = None) -> list[Fault]:
    """With the request taken, and without it: the reply is the same, so the class must be."""
    return [Fault(kind, status=status, body=body, processed=processed) for processed in (True, False)]


def _error(code: int, message: str, **more: object) -> dict[str, object]:
    return {"s": "error", "code": code, "message": message, **more}


_PLACE: dict[Outcome, list[Fault]] = {
    ACCEPTED: [
        Fault(_K.LATENCY, seconds=0.3),
        Fault(_K.LATENCY, seconds=0.6, processed=True),
        Fault(_K.DRIP, interval=0.001),
        Fault(_K.REJECT_LATER),
        Fault(_K.LATE_BOOK, seconds=5),
        Fault(_K.PARTIAL_BOOK),
    ],
    REJECTED: [
        Fault(_K.REJECT),
        Fault(_K.REFUSE),
        Fault(_K.REFUSE, code=-392, message="Please provide a valid tick size"),
        Fault(_K.REFUSE, status=200),
        Fault(_K.APP_REFUSED),
        *[Fault(_K.TOKEN_DEAD, code=code) for code in (-8, -15, -16, -17)],
        Fault(_K.ANSWER, processed=False, body=_error(-99, "RED:Margin Shortfall"), status=400),
    ],
    NOT_SENT: [Fault(_K.RATE_LIMITED), Fault(_K.RATE_LIMITED, seconds=30)],
    UNRESOLVED: [
        Fault(_K.LATENCY, seconds=1.5),
        Fault(_K.LATENCY, seconds=1.5, processed=True),
        *_both(_K.HANG),
        *_both(_K.DROP),
        *_both(_K.RESET),
        *_both(_K.TRUNCATED),
        *_both(_K.DRIP),
        *_both(_K.EMPTY),
        *[fault for status in (200, 403, 502, 503, 504) for fault in _both(_K.HTML, status)],
        *[fault for status in (500, 502, 503) for fault in _both(_K.ANSWER, status, _error(-50, "Invalid input"))],
        *[fault for code in (-96, -201, -157, -1) for fault in _both(_K.ANSWER, None, _error(code, "An error"))],
        *_both(_K.ANSWER, None, _error(-99, "Bad request")),
        *_both(_K.ANSWER, None, {"s": "ok", "code": 200, "id": "26112000000001"}),
        *_both(_K.ANSWER, None, {"s": "ok", "code": 1101, "id": ""}),
        *_both(_K.ANSWER, None, {}),
        Fault(_K.NO_ACK),
        Fault(_K.NO_ACK, status=201),
        Fault(_K.OK_WITHOUT_ID),
        Fault(_K.NUMBER_ID),
        Fault(_K.ARRAY),
        Fault(_K.OVERSIZED),
        Fault(_K.RATE_LIMITED_HTML),
        Fault(_K.REDIRECT),
    ],
}

# What a read makes of each kind: unharmed, or of no use. One that is slow may be either; nothing is sent without it.
_UNHARMED = {_K.REJECT, _K.REJECT_LATER, _K.LATE_BOOK, _K.PARTIAL_BOOK, _K.OK_WITHOUT_ID, _K.NUMBER_ID}
_READS = ("quotes", "positions", "orders")


def _read_fault(kind: FaultKind) -> Fault:
    """The kind at its worst: each time, and slow enough to hurt."""
    if kind is _K.OVERSIZED:
        return Fault(kind, times=None, size=5_000_000)
    seconds = {_K.LATENCY: 1.5, _K.LATE_BOOK: 5.0, _K.RATE_LIMITED: 1.0}.get(kind, 0.0)
    return Fault(kind, times=None, seconds=seconds)


def _cells() -> Iterable[Cell]:
    for outcome, faults in _PLACE.items():
        for fault in faults:
            yield Cell("place", fault, (outcome,))
    for endpoint in _READS:
        for kind in FaultKind:
            worst = _read_fault(kind)
            blind = endpoint == "orders" and kind in (_K.LATE_BOOK, _K.PARTIAL_BOOK)  # a cover's legs do not show
            useless = ACCEPTED if kind in _UNHARMED and not blind else NOT_SENT
            yield Cell(endpoint, worst, (useless,), covers=endpoint == "orders")
            yield Cell(endpoint, replace(worst, times=1), (ACCEPTED, useless), covers=endpoint == "orders")
    for kind in FaultKind:  # the protective legs, without whose end no cover goes out
        yield Cell("cancel", _read_fault(kind), (ACCEPTED, NOT_SENT), covers=True)


CELLS: tuple[Cell, ...] = tuple(_cells())


def run_cell(cell: Cell, folder: Path) -> Played:
    """What is wrong in one cell, each sentence beginning with its name, and what happened in it."""
    happened: Counter[str] = Counter()
    with a_gateway(folder) as gateway:
        if cell.covers:
            _until_sent(gateway, "the short to cover")
        gateway.account.fault(cell.endpoint, cell.fault)
        found = list(_deliver_twice(cell, gateway, happened))
        found += [judged_by_time(str(violation)) for violation in check(gateway.history())]
        if gateway.account.errors:
            found.append(f"the simulator itself failed: {gateway.account.errors}")
        happened += gateway.seen()
    return [f"{cell.name}: {problem}" for problem in found], happened


def _deliver_twice(cell: Cell, gateway: Gateway, happened: Counter[str]) -> Iterable[str]:
    first = _until_sent(gateway, "alert", action="BUY" if cell.covers else "SELL")
    took = (first.answered_at - first.sent_at).total_seconds() if first.answered_at else 0.0
    order = gateway.order("alert")
    seen = (first.status, order.status if order else None)
    if took > ANSWER_BY:
        yield f"{TIMED}answered after {took:.2f} s"
    if seen not in cell.outcomes:
        yield f"{TIMED}came to {seen}, which is none of {cell.outcomes}: {first.answer.get('message')}"
    sent = sum(post.tag == first.answer.get("tag") for post in gateway.history().posts)
    gateway.reconcile(seconds=1.0)  # with the fault still there
    if cell.fault.kind is _K.LATENCY:
        wait_until("what is on its way has reached the broker", lambda: _all_answered(gateway))
    happened["faults"] += gateway.seen()["faults"]
    gateway.account.clear_faults()
    again = gateway.deliver("alert", action="BUY" if cell.covers else "SELL")
    resent = sum(post.tag == first.answer.get("tag") for post in gateway.history().posts) - sent
    if resent > (first.status == 503):
        yield f"was sent {resent} more times after {first.status}"
    if first.status != 503 and again.status != (first.status if order is None else _status_of(gateway)):
        yield f"{TIMED}the second delivery was answered {again.status}"
    gateway.reconcile(ahead=70.0)
    gateway.reconcile(ahead=70.0)


def _all_answered(gateway: Gateway) -> bool:
    return all(entry.answered_at is not None for entry in gateway.account.log)


def _until_sent(gateway: Gateway, name: str, **changes: Any) -> Delivery:
    """Delivers, and again where this machine, busy with other cells, had no time left to begin."""
    for _ in range(4):
        delivery = gateway.deliver(name, **changes)
        used = any(armed["used"] for armed in gateway.account.faults.listed())
        if used or delivery.answer.get("reason") != Reason.OUT_OF_TIME:
            break
    return delivery


def _status_of(gateway: Gateway) -> int | None:
    order = gateway.order("alert")
    return HTTP_OF_STATUS[order.status] if order else None


def run(cells: Sequence[Cell] = CELLS) -> Result:
    """All cells, many at once, each with an account and a ledger of its own."""
    started = time.monotonic()
    with a_workshop(AT_ONCE) as (folder, pool), captured_log() as output:
        found, seen = find(cells, partial(run_cell, folder=folder), pool)
        whole = History(ended_at=datetime.now(UTC), secrets=(SECRET,), output=output.getvalue())
        found += tuple(str(violation) for violation in check(whole))
        if "alert answered" not in whole.output:
            found += ("the log was not captured, so nothing is known of secrets in it",)
    size, took = f"{len(cells)} faults on calls", time.monotonic() - started
    return Result("broker faults", size, "", found, took, floors(seen, FLOORS, len(cells)))
