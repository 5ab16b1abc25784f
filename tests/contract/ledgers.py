"""The ledgers a contract is held against, and rivals: threads, in processes that really are other instances."""

import hashlib
import multiprocessing
import os
import sqlite3
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from app.adapters.firestore.ledger import FirestoreLedger
from app.adapters.sqlite.ledger import SqliteLedger
from app.domain.deadline import Deadline
from app.domain.errors import NotNow
from app.domain.order import NotSent, Order, OrderStatus
from app.domain.risk import Decide, Limits, decide
from app.flow.ports import Ledger, Overtaken, Window
from tests.builders import NOW, a_position, a_ticket, an_order, holdings, no_limits

T = TypeVar("T")
PROCESSES = 4
THREADS = 4  # in each of them


def soon(seconds: float = 2.4) -> Deadline:
    return Deadline(time.monotonic, seconds)


def patient() -> Deadline:
    """The same slices on a clock ten times as slow: a busy machine must not decide a race."""
    return Deadline(lambda: time.monotonic() / 10, 2.4)


class InSqlite:
    def __init__(self, path: Path) -> None:
        self.url = f"sqlite://{path}"
        self._path = path

    def another(self, number: int) -> "InSqlite":
        return InSqlite(self._path.with_name(f"another {number}.db"))

    def spoil_account(self) -> None:
        with sqlite3.connect(self._path) as db:
            db.execute('INSERT OR REPLACE INTO account VALUES (1, \'{"state": "ACT\')')
        db.close()


class InFirestore:
    def __init__(self, project: str) -> None:
        self.url = f"firestore://{os.environ['FIRESTORE_EMULATOR_HOST']}/{project}"

    def another(self, number: int) -> "InFirestore":
        return InFirestore(f"{self.url.rpartition('/')[2]}-{number}")

    def spoil_account(self) -> None:
        ledger = open_ledger(self.url)
        ledger._controls.set({"account": '{"state": "ACT'})
        ledger.close()


def open_ledger(url: str) -> Any:
    """One more instance's ledger on the same store."""
    scheme, _, where = url.partition("://")
    if scheme == "sqlite":
        return SqliteLedger(Path(where))
    os.environ["FIRESTORE_EMULATOR_HOST"], _, project = where.partition("/")
    ledger = FirestoreLedger(project)
    ledger.warm(soon(10))
    return ledger


@contextmanager
def instance(url: str) -> Iterator[Any]:
    ledger = open_ledger(url)
    try:
        yield ledger
    finally:
        ledger.close()


def order_named(name: str, **changes: Any) -> Order:
    """A priced order of its own for each name."""
    key = hashlib.sha256(name.encode()).hexdigest()
    return an_order(a_ticket(), key=key, tag=f"tv{key[:18]}", request_id=name, **changes)


def check(order: Order, limits: Limits | None = None) -> Decide:
    """The product's own decision, at NOW."""
    return partial(decide, order, limits=limits or no_limits(), holdings=holdings(), now=NOW)


def insist(call: Callable[[], T]) -> T:
    """Asks again after NotNow, as a sender does; a race is lost or won, never ended by a lack of time."""
    for _ in range(50):
        try:
            return call()
        except NotNow:
            continue
    raise AssertionError("the ledger never answered")


# What each rival does. It gets its ledger and a name of its own, and returns something that can travel.


def claim_one(key: str, ledger: Ledger, me: str) -> str:
    return insist(lambda: ledger.claim(an_order(key=key, request_id=me), None, patient())).request_id


def claim_window(digest: str, second: int, ledger: Ledger, me: str) -> str:
    order = order_named(me, received_at=NOW.replace(second=second))
    return insist(lambda: ledger.claim(order, Window(digest, 30), patient())).key


def submit_one(order: Order, ledger: Ledger, me: str) -> str:
    """What this rival knows afterwards: "won", or as what it met the order."""
    try:
        ledger.submit(order, check(order), patient())
    except Overtaken as overtaken:
        return str(overtaken.current.status)
    except NotNow:
        return "gave up"
    return "won"


def submit_own(limits: Limits, ledger: Ledger, me: str) -> str:
    order = order_named(me)
    insist(lambda: ledger.claim(order, None, patient()))
    try:
        return str(insist(lambda: ledger.submit(order, check(order, limits), patient())).status)
    except Overtaken as overtaken:  # by its own first try, whose reply came too late
        return str(overtaken.current.status)


def submit_and_fail(ledger: Ledger, me: str) -> str:
    """An order that the broker refuses: counted, then given back."""
    order = order_named(me)
    insist(lambda: ledger.claim(order, None, patient()))
    submitted = insist(lambda: ledger.submit(order, check(order), patient()))
    rejected = submitted.moved(OrderStatus.REJECTED, NOW, message="no margin")
    return str(insist(lambda: ledger.record(rejected, patient())).status)


def submit_in_vain(ledger: Ledger, me: str) -> str:
    """An order that never leaves."""
    order = order_named(me)
    insist(lambda: ledger.claim(order, None, patient()))
    covers = replace(order, ticket=a_ticket(covers=True))  # an open breaker must not keep it back
    short = holdings([a_position(-65 * 16)])
    submit = partial(decide, covers, limits=no_limits(), holdings=short, now=NOW)
    submitted = insist(lambda: ledger.submit(covers, submit, patient()))
    return str(insist(lambda: ledger.record(submitted.after(NotSent("refused"), NOW), patient())).status)


def record_one(submitted: Order, ledger: Ledger, me: str) -> str:
    mine = submitted.moved(OrderStatus.ACCEPTED, NOW, broker_order_id=me)
    try:
        return str(insist(lambda: ledger.record(mine, patient())).broker_order_id)
    except Overtaken as overtaken:
        return str(overtaken.current.broker_order_id)


def ask_once(name: str, ledger: Ledger, me: str) -> bool:
    return bool(insist(lambda: ledger.once(name, patient())))


def submit_until_killed(url: str) -> None:
    """Every third order is refused by the broker."""
    with instance(url) as ledger:
        for number in range(1_000_000):
            me = f"{os.getpid()}-{number}"
            if number % 3 == 0:
                submit_and_fail(ledger, me)
            else:
                submit_own(no_limits(), ledger, me)


_barrier: Any = None


def _join(barrier: Any) -> None:
    global _barrier  # noqa: PLW0603 -- it is handed to each process once, as it starts
    _barrier = barrier


def _rivals_here(url: str, work: Callable[[Ledger, str], Any]) -> list[Any]:
    try:
        _barrier.wait(30)
        with instance(url) as ledger, ThreadPoolExecutor(THREADS) as threads:
            _barrier.wait(30)
            names = [f"{os.getpid()}-{number}" for number in range(THREADS)]
            return list(threads.map(lambda me: work(ledger, me), names))
    except BaseException:
        _barrier.reset()  # the others need not wait for this one
        raise


class Rivals:
    """Four processes with four threads each; `race` starts all at once and returns what each came to."""

    def __init__(self) -> None:
        context = multiprocessing.get_context("spawn")
        barrier = context.Barrier(PROCESSES)
        self._pool = ProcessPoolExecutor(PROCESSES, mp_context=context, initializer=_join, initargs=(barrier,))

    def race(self, url: str, work: Callable[..., Any], *arguments: Any) -> list[Any]:
        started = [self._pool.submit(_rivals_here, url, partial(work, *arguments)) for _ in range(PROCESSES)]
        wait(started, 60)
        return [result for each in started for result in each.result(0)]

    def close(self) -> None:
        self._pool.shutdown()
