"""What the Firestore ledger does when the store loses replies, refuses, stalls or is not there.

Each write is held against a twin that met no fault: the same answer, and the same contents afterwards.
"""

import functools
import json
import random
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar
from uuid import uuid4

import pytest
from grpc import ServicerContext, StatusCode

from app.adapters.firestore.ledger import FirestoreLedger
from app.domain.deadline import CLAIM, RECORD, SUBMIT, SWITCH, Deadline
from app.domain.errors import NotNow, Reason
from app.domain.notice import Notice, Severity
from app.domain.order import NotSent, Order, OrderStatus
from app.domain.risk import Decision, TradingState
from app.domain.risk.controls import Controls
from app.flow.ports import Overtaken, Window
from app.runtime.processes import free_port
from tests.builders import NOW
from tests.contract.faulty_firestore import (
    Fault,
    FaultyFirestore,
    Forward,
    HeldUp,
    Relay,
    lands_late,
    mute_port,
    refused,
    reply_lost,
    silent,
    slow,
)
from tests.contract.ledgers import check, instance, order_named, patient, soon
from tests.emulators import firestore_emulator, firestore_project  # noqa: F401
from tests.present import present
from tests.stopwatch import Stopwatch

S = OrderStatus
SLACK = 0.3  # seconds
READ = 1.0
OTHERS_UNCLEAR = (
    StatusCode.DEADLINE_EXCEEDED,
    StatusCode.UNKNOWN,
    StatusCode.INTERNAL,
    StatusCode.CANCELLED,
    StatusCode.RESOURCE_EXHAUSTED,
    StatusCode.ABORTED,
    StatusCode.FAILED_PRECONDITION,
)

ORDER = order_named("the order")
NOTICE = Notice("the notice", "test", Severity.INFO, "a text")


def claim_it(ledger: FirestoreLedger, deadline: Deadline | None = None) -> Order:
    return ledger.claim(ORDER, None, deadline or patient())


def submit_it(ledger: FirestoreLedger, deadline: Deadline | None = None) -> Order:
    return ledger.submit(ORDER, check(ORDER), deadline or patient())


def submitted_already(ledger: FirestoreLedger) -> Order:
    claim_it(ledger)
    return submit_it(ledger)


def claim_earlier(ledger: FirestoreLedger) -> None:
    earlier = order_named("earlier", received_at=NOW.replace(hour=3))
    ledger.claim(earlier, Window("digest", 30), patient())


def seven_orders(ledger: FirestoreLedger) -> None:
    claim_it(ledger)
    ledger.change_controls(lambda account: replace(account, orders=7), patient())


def halt(account: Controls) -> Controls:
    return replace(account.switched(TradingState.HALTED, "", "", NOW), orders=account.orders + 1)


def nothing(ledger: FirestoreLedger) -> None:
    pass


T = TypeVar("T")
Before = Callable[[FirestoreLedger], object]
Call = Callable[[FirestoreLedger, Deadline], Any]
ACCEPTED = ORDER.submitted(NOW).moved(S.ACCEPTED, NOW, broker_order_id="1")
REJECTED = ORDER.submitted(NOW).moved(S.REJECTED, NOW, message="no margin")
# name: what stands before, the call, and the slice of the deadline that it has
CALLS: dict[str, tuple[Before, Call, float]] = {
    "claim": (nothing, claim_it, CLAIM),
    "claim in a window": (nothing, lambda ledger, by: ledger.claim(ORDER, Window("digest", 30), by), CLAIM),
    "claim in the next window": (
        claim_earlier,
        lambda ledger, by: ledger.claim(ORDER, Window("digest", 30), by),
        CLAIM,
    ),
    "submit": (claim_it, submit_it, SUBMIT),
    "submit on an account": (seven_orders, submit_it, SUBMIT),
    "record": (submitted_already, lambda ledger, by: ledger.record(ACCEPTED, by), RECORD),
    "record and give back": (submitted_already, lambda ledger, by: ledger.record(REJECTED, by), RECORD),
    "notify": (nothing, lambda ledger, by: ledger.notify(NOTICE, by), RECORD),
    "once": (nothing, lambda ledger, by: ledger.once("a name", by), RECORD),
    "try out": (nothing, lambda ledger, by: ledger.try_out(by), RECORD),
    "change the account": (nothing, lambda ledger, by: ledger.change_controls(halt, by), SWITCH),
    "taken": (
        lambda ledger: ledger.notify(NOTICE, patient()),
        lambda ledger, by: ledger.taken(NOTICE.id, ["a sink"], by),
        RECORD,
    ),
    "delivered": (
        lambda ledger: ledger.notify(NOTICE, patient()),
        lambda ledger, by: ledger.delivered(NOTICE.id, by),
        RECORD,
    ),
}
READS: dict[str, Call] = {
    "get": lambda ledger, by: ledger.get(ORDER.key, by),
    "orders": lambda ledger, by: ledger.orders(by),
    "orders of a day": lambda ledger, by: ledger.orders(by, day="2026-11-20"),
    "orders in flight": lambda ledger, by: ledger.orders(by, in_flight=True),
    "unresolved": lambda ledger, by: ledger.unresolved(NOW.replace(hour=23), by),
    "controls": lambda ledger, by: ledger.controls(by),
    "outbox": lambda ledger, by: ledger.outbox(by),
}
every_call = pytest.mark.parametrize("name", CALLS)
each_way = pytest.mark.parametrize(  # of writing: create, create two, change two, change and give back, create for once
    "name", ["claim", "claim in the next window", "submit on an account", "record and give back", "once"]
)
every_read = pytest.mark.parametrize("name", READS)


def contents(ledger: FirestoreLedger) -> tuple[list[Order], Controls, list[Notice]]:
    return ledger.orders(patient()), ledger.controls(patient()), ledger.outbox(patient())


@pytest.fixture(scope="module")
def server() -> Iterator[FaultyFirestore]:
    firestore = FaultyFirestore(firestore_emulator())
    yield firestore
    firestore.close()


@pytest.fixture
def faulty(server: FaultyFirestore) -> Iterator[FaultyFirestore]:
    """No fault yet, and no call counted."""
    yield server
    server.calm()


@pytest.fixture
def direct(firestore_project: str) -> Iterator[FirestoreLedger]:  # noqa: F811
    """The store as it really is."""
    with instance(f"firestore://{firestore_emulator()}/{firestore_project}") as ledger:
        yield ledger


@pytest.fixture
def ledger(direct: FirestoreLedger, faulty: FaultyFirestore, firestore_project: str) -> Iterator[FirestoreLedger]:  # noqa: F811
    """The ledger under test, with the faults between it and the store."""
    with instance(f"firestore://{faulty.address}/{firestore_project}") as ledger:
        faulty.calm()
        yield ledger


@functools.cache
def twin(name: str) -> tuple[Any, tuple[list[Order], Controls, list[Notice]]]:
    """What the call answers, and what the store has afterwards, where nothing goes wrong."""
    before, call, _ = CALLS[name]
    with instance(f"firestore://{firestore_emulator()}/twin-{uuid4().hex[:12]}") as ledger:
        before(ledger)
        return call(ledger, patient()), contents(ledger)


def gives_up(call: Callable[[], object], reason: Reason, within: float) -> None:
    """The call ends in NotNow for that reason, and in time."""
    watch = Stopwatch()
    with pytest.raises(NotNow) as problem:
        call()
    assert problem.value.reason is reason
    assert watch.seconds < within + SLACK


# One fault: the answer is as if there had been none


@pytest.mark.parametrize("fault", [reply_lost, refused])
@pytest.mark.parametrize(
    ("name", "code"),
    [
        *((name, code) for name in CALLS for code in (StatusCode.UNAVAILABLE, StatusCode.ALREADY_EXISTS)),
        *((name, code) for name in ("claim", "submit on an account") for code in OTHERS_UNCLEAR),
    ],
    ids=lambda value: getattr(value, "name", value),
)
def test_a_commit_that_ends_in_an_error_once_comes_to_what_it_should(
    ledger: FirestoreLedger,
    faulty: FaultyFirestore,
    direct: FirestoreLedger,
    name: str,
    code: StatusCode,
    fault: Callable[[StatusCode], Fault],
) -> None:
    before, call, _ = CALLS[name]
    before(direct)
    faulty.faults["Commit"] = [fault(code)]
    assert (call(ledger, patient()), contents(direct)) == twin(name)
    assert faulty.faults["Commit"] == []


@every_call
def test_two_lost_replies_in_a_row_change_nothing_either(
    ledger: FirestoreLedger, faulty: FaultyFirestore, direct: FirestoreLedger, name: str
) -> None:
    before, call, _ = CALLS[name]
    before(direct)
    faulty.faults["Commit"] = [refused(StatusCode.UNAVAILABLE), reply_lost(StatusCode.UNAVAILABLE)]
    faulty.faults["BatchGetDocuments"] = [None, refused(StatusCode.UNAVAILABLE)]
    assert (call(ledger, patient()), contents(direct)) == twin(name)


@every_call
@pytest.mark.parametrize("late", [0.005, 0.05])
def test_a_commit_that_lands_after_its_error_is_made_once(
    ledger: FirestoreLedger, faulty: FaultyFirestore, direct: FirestoreLedger, name: str, late: float
) -> None:
    before, call, _ = CALLS[name]
    before(direct)
    faulty.faults["Commit"] = [lands_late(late)]
    answer = call(ledger, patient())
    time.sleep(2 * late)
    assert (answer, contents(direct)) == twin(name)


@every_read
@pytest.mark.parametrize("code", [StatusCode.UNAVAILABLE, StatusCode.INTERNAL, StatusCode.ABORTED])
def test_a_read_is_tried_again(
    ledger: FirestoreLedger, faulty: FaultyFirestore, direct: FirestoreLedger, name: str, code: StatusCode
) -> None:
    submitted_already(direct)
    for method in ("BatchGetDocuments", "RunQuery"):
        faulty.faults[method] = [refused(code)]
    assert READS[name](ledger, patient()) == READS[name](direct, patient())


# Faults that stay: it gives up in time, says which kind it was, and has written nothing


@each_way
@pytest.mark.parametrize(
    ("code", "reason"),
    [
        (StatusCode.ABORTED, Reason.LEDGER_CONTENDED),
        (StatusCode.UNAVAILABLE, Reason.LEDGER_DOWN),
    ],
)
def test_a_storm_of_errors_ends_within_the_slice(
    ledger: FirestoreLedger,
    faulty: FaultyFirestore,
    direct: FirestoreLedger,
    name: str,
    code: StatusCode,
    reason: Reason,
) -> None:
    before, call, part = CALLS[name]
    before(direct)
    stands = contents(direct)
    faulty.always["Commit"] = refused(code)
    gives_up(lambda: call(ledger, soon()), reason, part)
    assert 1 < faulty.calls["Commit"] < 60
    assert contents(direct) == stands


@each_way
@pytest.mark.parametrize("code", [StatusCode.PERMISSION_DENIED, StatusCode.UNAUTHENTICATED])
def test_a_refusal_is_not_tried_again(
    ledger: FirestoreLedger, faulty: FaultyFirestore, direct: FirestoreLedger, name: str, code: StatusCode
) -> None:
    before, call, _ = CALLS[name]
    before(direct)
    stands = contents(direct)
    faulty.always["Commit"] = refused(code)
    gives_up(lambda: call(ledger, soon()), Reason.LEDGER_DOWN, 0)
    assert faulty.calls["Commit"] == 1
    assert contents(direct) == stands


@every_read
def test_a_refused_read_is_not_tried_again(ledger: FirestoreLedger, faulty: FaultyFirestore, name: str) -> None:
    for method in ("BatchGetDocuments", "RunQuery"):
        faulty.always[method] = refused(StatusCode.PERMISSION_DENIED)
    gives_up(lambda: READS[name](ledger, soon()), Reason.LEDGER_DOWN, 0)


@pytest.mark.parametrize("name", [name for name in CALLS if "submit" in name or "record" in name])
def test_a_write_that_may_not_read_first_is_refused(
    ledger: FirestoreLedger, faulty: FaultyFirestore, direct: FirestoreLedger, name: str
) -> None:
    before, call, _ = CALLS[name]
    before(direct)
    faulty.always["BatchGetDocuments"] = refused(StatusCode.PERMISSION_DENIED)
    gives_up(lambda: call(ledger, soon()), Reason.LEDGER_DOWN, 0)
    assert faulty.calls["Commit"] == 0


@each_way
def test_a_silent_store_ends_within_the_slice(
    ledger: FirestoreLedger, faulty: FaultyFirestore, direct: FirestoreLedger, name: str
) -> None:
    before, call, part = CALLS[name]
    before(direct)
    for method in ("BatchGetDocuments", "RunQuery", "Commit"):
        faulty.always[method] = silent
    gives_up(lambda: call(ledger, soon()), Reason.LEDGER_DOWN, part)


@pytest.mark.parametrize("name", ["get", "orders"])
def test_a_silent_read_ends_within_a_second(ledger: FirestoreLedger, faulty: FaultyFirestore, name: str) -> None:
    for method in ("BatchGetDocuments", "RunQuery"):
        faulty.always[method] = silent
    gives_up(lambda: READS[name](ledger, soon()), Reason.LEDGER_DOWN, READ)


@each_way
def test_a_commit_without_an_answer_is_looked_for_and_found(
    ledger: FirestoreLedger, faulty: FaultyFirestore, direct: FirestoreLedger, name: str
) -> None:
    """Only the commit is silent; the look afterwards fits into the same slice."""
    before, call, part = CALLS[name]
    before(direct)
    faulty.faults["Commit"] = [silent]
    watch = Stopwatch()
    answer = call(ledger, patient())
    assert watch.seconds < part + SLACK
    assert (answer, contents(direct)) == twin(name)


@each_way
def test_a_slow_store_is_waited_for_within_the_slice(
    ledger: FirestoreLedger, faulty: FaultyFirestore, direct: FirestoreLedger, name: str
) -> None:
    before, call, _ = CALLS[name]
    before(direct)
    for method in ("BatchGetDocuments", "Commit"):
        faulty.always[method] = slow(0.08)
    assert call(ledger, patient()) == twin(name)[0]


def test_a_store_in_storms_keeps_no_caller_longer_than_the_deadline_left(
    ledger: FirestoreLedger, faulty: FaultyFirestore
) -> None:
    faulty.always["Commit"] = refused(StatusCode.UNAVAILABLE)
    gives_up(lambda: ledger.claim(ORDER, None, soon(0.1)), Reason.LEDGER_DOWN, 0.1)
    gives_up(lambda: ledger.claim(ORDER, None, soon(0)), Reason.LEDGER_DOWN, 0)
    assert faulty.calls["Commit"] > 0


# What can no longer be told is never sent


def test_a_submit_that_lands_after_the_ledger_gave_up_is_never_sent(
    ledger: FirestoreLedger, faulty: FaultyFirestore, direct: FirestoreLedger
) -> None:
    claim_it(direct)
    faulty.faults["Commit"] = [held_up := HeldUp()]
    faulty.always["Commit"] = refused(StatusCode.UNAVAILABLE)
    gives_up(lambda: submit_it(ledger, soon()), Reason.LEDGER_DOWN, SUBMIT)
    assert present(direct.get(ORDER.key, patient())).status is S.RECEIVED
    faulty.always.clear()
    assert held_up.land()
    assert claim_it(ledger).status is S.SUBMITTED
    with pytest.raises(Overtaken):
        submit_it(ledger)
    assert direct.controls(patient()).orders == 1


def test_a_submit_on_its_way_loses_to_the_one_that_came_first(
    ledger: FirestoreLedger, faulty: FaultyFirestore, direct: FirestoreLedger
) -> None:
    """The sender's next delivery wins at another instance, and only then the first commit reaches the store."""
    claim_it(direct)
    faulty.faults["Commit"] = [held_up := HeldUp()]
    faulty.always["Commit"] = refused(StatusCode.UNAVAILABLE)
    gives_up(lambda: submit_it(ledger, soon()), Reason.LEDGER_DOWN, SUBMIT)
    won = submit_it(direct)
    assert not held_up.land()
    assert direct.get(ORDER.key, patient()) == won
    assert direct.controls(patient()).orders == 1


def test_a_lost_reply_and_a_rival_after_it_leave_one_owner(
    ledger: FirestoreLedger, faulty: FaultyFirestore, direct: FirestoreLedger
) -> None:
    """The submit was applied and its reply lost; a rival recorded on top of it before this ledger could look."""
    claim_it(direct)

    def lost_and_overtaken(context: ServicerContext, forward: Forward) -> None:
        forward()
        direct.record(present(direct.get(ORDER.key, patient())).unresolved(NOW, "found by reconcile"), patient())
        context.abort(StatusCode.UNAVAILABLE, "reply lost")

    faulty.faults["Commit"] = [lost_and_overtaken]
    with pytest.raises(Overtaken) as overtaken:
        ledger.submit(ORDER, check(ORDER), patient())
    assert overtaken.value.current.sequence == 2
    assert direct.controls(patient()).orders == 1


def test_the_check_runs_again_on_what_the_rival_left(
    ledger: FirestoreLedger, faulty: FaultyFirestore, direct: FirestoreLedger
) -> None:
    claim_it(direct)
    seen = []

    def rival_first(context: ServicerContext, forward: Forward) -> Any:
        direct.change_controls(lambda account: account.switched(TradingState.HALTED, "now", "me", NOW), patient())
        return forward()

    def decide(account: Controls) -> Decision:
        seen.append(account.state)
        return check(ORDER)(account)

    faulty.faults["Commit"] = [rival_first]
    assert ledger.submit(ORDER, decide, patient()).reason is Reason.TRADING_HALTED
    assert seen == [TradingState.ACTIVE, TradingState.HALTED]


def test_an_attempt_taken_back_is_not_mistaken_for_the_next_one(
    ledger: FirestoreLedger, faulty: FaultyFirestore, direct: FirestoreLedger
) -> None:
    """The same request submits twice after proof that nothing was sent; each submit is a call of its own."""
    submitted = submitted_already(ledger)
    again = ledger.record(submitted.after(NotSent("refused"), NOW), patient())
    faulty.faults["Commit"] = [reply_lost(StatusCode.ALREADY_EXISTS)]
    second = ledger.submit(again, check(again), patient())
    assert (second.attempt, second.sequence) == (2, 3)
    assert direct.controls(patient()).orders == 1


# All of it at once


@pytest.mark.parametrize("seed", range(3))
def test_under_random_faults_every_order_has_at_most_one_sender(
    ledger: FirestoreLedger,
    faulty: FaultyFirestore,
    direct: FirestoreLedger,
    firestore_project: str,  # noqa: F811
    seed: int,
) -> None:
    faulty.always["Commit"] = faulty.always["BatchGetDocuments"] = anything(random.Random(seed))  # noqa: S311 (dice)
    orders = [order_named(f"order {number}") for number in range(10)]
    with instance(f"firestore://{faulty.address}/{firestore_project}") as other, ThreadPoolExecutor(8) as threads:
        deliveries = [(order, each) for order in orders for each in (ledger, other, ledger)]
        outcomes = list(threads.map(lambda delivery: deliver(*delivery), deliveries))
    faulty.always.clear()
    time.sleep(0.1)  # what is still on its way lands
    stored = {order.key: order.status for order in direct.orders(patient())}
    senders = [key for key, sends in outcomes if sends]
    assert len(senders) == len(set(senders)) > 0
    assert {stored[key] for key in senders} == {S.SUBMITTED}
    assert direct.controls(patient()).orders == list(stored.values()).count(S.SUBMITTED)
    assert set(stored) <= {order.key for order in orders}


def deliver(order: Order, ledger: FirestoreLedger) -> tuple[str, bool]:
    """One delivery of an alert: whether it may send the order afterwards. No call takes longer than its slice."""
    try:
        known = timed(lambda: ledger.claim(order, None, soon()), CLAIM)
        if known.status is not S.RECEIVED:
            return order.key, False
        return order.key, timed(lambda: ledger.submit(order, check(order), soon()), SUBMIT).status is S.SUBMITTED
    except (NotNow, Overtaken):
        return order.key, False


def timed(call: Callable[[], T], part: float) -> T:
    watch = Stopwatch()
    try:
        return call()
    finally:
        assert watch.seconds < part + 2 * SLACK  # eight threads on a busy machine


def anything(rng: random.Random) -> Fault:
    lock = threading.Lock()
    faults = (
        (0.12, reply_lost(StatusCode.UNAVAILABLE)),
        (0.06, reply_lost(StatusCode.ALREADY_EXISTS)),
        (0.08, refused(StatusCode.ABORTED)),
        (0.08, refused(StatusCode.UNAVAILABLE)),
        (0.08, lands_late(0.03)),
        (0.06, slow(0.05)),
        (0.02, silent),
    )

    def fault(context: ServicerContext, forward: Forward) -> Any:
        with lock:
            roll = rng.random()
        for chance, one in faults:
            roll -= chance
            if roll < 0:
                return one(context, forward)
        return forward()

    return fault


# The network below


@pytest.fixture
def relay(firestore_project: str) -> Iterator[Relay]:  # noqa: F811
    relay = Relay(firestore_emulator())
    yield relay
    relay.down()


def at(address: str, monkeypatch: pytest.MonkeyPatch, project: str = "anywhere") -> FirestoreLedger:
    monkeypatch.setenv("FIRESTORE_EMULATOR_HOST", address)
    return FirestoreLedger(project)


@pytest.mark.parametrize("name", ["claim", "submit", "record", "notify", "get", "orders"])
def test_a_port_without_a_listener_ends_within_the_slice(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    ledger = at(f"127.0.0.1:{free_port()}", monkeypatch)
    call, part = (CALLS[name][1], CALLS[name][2]) if name in CALLS else (READS[name], READ)
    gives_up(lambda: call(ledger, soon()), Reason.LEDGER_DOWN, part)
    ledger.close()


@pytest.mark.parametrize("name", ["claim", "submit", "record", "orders"])
def test_a_listener_that_never_answers_ends_within_the_slice(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    with mute_port() as address:
        ledger = at(address, monkeypatch)
        call, part = (CALLS[name][1], CALLS[name][2]) if name in CALLS else (READS[name], READ)
        gives_up(lambda: call(ledger, soon()), Reason.LEDGER_DOWN, part)
        ledger.close()


def test_a_connection_that_can_never_be_made_does_not_outlast_the_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    """A full backlog: the kernel answers no further connection attempt at all."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as full:
        waiting = []
        for _ in range(3):
            one = socket.socket()
            one.setblocking(False)
            one.connect_ex(full.getsockname())
            waiting.append(one)
        ledger = at(f"127.0.0.1:{full.getsockname()[1]}", monkeypatch)
        gives_up(lambda: ledger.claim(ORDER, None, soon()), Reason.LEDGER_DOWN, CLAIM)
        ledger.close()
        for one in waiting:
            one.close()


def test_a_name_that_cannot_be_resolved_does_not_outlast_the_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    ledger = at("no-such-host.invalid:443", monkeypatch)
    gives_up(lambda: ledger.claim(ORDER, None, soon()), Reason.LEDGER_DOWN, CLAIM)
    ledger.close()


@pytest.mark.parametrize("name", ["claim", "notify", "once"])
def test_a_connection_cut_before_the_reply_loses_nothing(
    relay: Relay,
    direct: FirestoreLedger,
    firestore_project: str,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
    name: str,
) -> None:
    _, call, _ = CALLS[name]
    with instance(f"firestore://{relay.address}/{firestore_project}") as ledger:
        relay.cut_next = True
        assert (call(ledger, patient()), contents(ledger)) == twin(name)


def test_a_submit_whose_connection_is_cut_before_the_reply_has_its_one_owner(
    relay: Relay,
    direct: FirestoreLedger,
    firestore_project: str,  # noqa: F811
) -> None:
    claim_it(direct)
    with instance(f"firestore://{relay.address}/{firestore_project}") as ledger:

        def decide(account: Controls) -> Decision:
            relay.cut_next = account.orders == 0  # between the read and the commit
            return check(ORDER)(account)

        assert ledger.submit(ORDER, decide, patient()) == direct.get(ORDER.key, patient())
    assert direct.controls(patient()).orders == 1


def test_after_an_outage_the_ledger_is_back_within_two_seconds(
    relay: Relay,
    direct: FirestoreLedger,
    firestore_project: str,  # noqa: F811
) -> None:
    """gRPC left alone would wait longer with each attempt, up to two minutes."""
    with instance(f"firestore://{relay.address}/{firestore_project}") as ledger:
        relay.down()
        ends = time.monotonic() + 6
        while time.monotonic() < ends:
            gives_up(lambda: ledger.claim(ORDER, None, soon()), Reason.LEDGER_DOWN, CLAIM)
            time.sleep(0.1)
        relay.up()
        watch = Stopwatch()
        while not answers(ledger):
            assert watch.seconds < 2
            time.sleep(0.05)


def answers(ledger: FirestoreLedger) -> bool:
    try:
        return ledger.claim(ORDER, None, soon()) == ORDER
    except NotNow:
        return False


# What stands in the store


def test_every_document_expires_but_the_account_and_every_field_is_queried_or_exempt(direct: FirestoreLedger) -> None:
    submitted_already(direct)
    direct.record(REJECTED, patient())
    direct.once("a secret-looking name", patient())
    direct.claim(order_named("in a window"), Window("a digest", 30), patient())
    indexes = json.loads((Path(__file__).parents[2] / "deploy/firestore.indexes.json").read_text())
    exempt = {(one["collectionGroup"], one["fieldPath"]) for one in indexes["fieldOverrides"] if one["indexes"] == []}
    expiring = {one["collectionGroup"] for one in indexes["fieldOverrides"] if one.get("ttl")}
    assert {one["fieldPath"] for one in indexes["fieldOverrides"] if one.get("ttl")} == {"expire_at"}
    indexed, lasting = set(), set()
    collections = {collection.id: list(collection.stream()) for collection in direct._store.client.collections()}
    for collection, documents in collections.items():
        for document in documents:
            fields = document.to_dict()
            indexed |= {(collection, field) for field in fields} - exempt
            if "expire_at" not in fields:
                lasting.add(collection)
            assert len(document.id) == 64 or collection == "account"
    assert set(collections) == expiring | {"account"}
    assert lasting == {"account"}
    assert indexed == {
        ("orders", "status"),
        ("orders", "day"),
        ("orders", "received_at"),
        ("outbox", "waiting_since"),
    }


def test_a_name_asked_for_is_kept_a_week_and_all_else_longer(direct: FirestoreLedger) -> None:
    submitted_already(direct)
    direct.once("a name", patient())
    [name] = direct._store.client.collection("names").stream()
    [order] = direct._store.client.collection("orders").stream()
    now = time.time()
    assert name.get("expire_at").timestamp() - now > 7 * 86_400
    assert order.get("expire_at").timestamp() - now > 13 * 86_400


def test_what_has_expired_but_stands_still_counts(direct: FirestoreLedger) -> None:
    """The TTL policy deletes up to a day late; nothing may judge by it."""
    claim_it(direct)
    assert direct.once("a name", patient())
    for collection in ("names", "orders"):
        for document in direct._store.client.collection(collection).stream():
            document.reference.update({"expire_at": NOW.replace(year=2020)})
    assert not direct.once("a name", patient())
    assert direct.claim(replace(ORDER, request_id="another"), None, patient()).request_id == ORDER.request_id
