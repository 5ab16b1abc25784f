"""How often the Firestore ledger calls the store for an alert; a version that it remembers never replaces the check."""

import time
from collections.abc import Callable, Iterator

import pytest
from grpc import StatusCode

from app.adapters.firestore.ledger import FirestoreLedger
from app.domain.errors import NotNow, Reason
from app.domain.order import Accepted, Order
from app.domain.order.status import OrderStatus
from app.domain.risk.check import NeedsBook, NeedsRoom
from app.domain.risk.controls import Controls, Decision, TradingState
from app.flow.ports import Overtaken, Window
from tests.builders import NOW
from tests.contract.faulty_firestore import Fault, FaultyFirestore, refused, reply_lost, slow
from tests.contract.ledgers import check, instance, order_named, patient
from tests.emulators import firestore_emulator, firestore_project  # noqa: F401
from tests.present import present
from tests.stopwatch import Stopwatch

ORDER = order_named("the order")
UNCLEAR = (StatusCode.UNAVAILABLE, StatusCode.ALREADY_EXISTS, StatusCode.DEADLINE_EXCEEDED, StatusCode.ABORTED)
each_fault = pytest.mark.parametrize("fault", [reply_lost, refused])
each_code = pytest.mark.parametrize("code", UNCLEAR, ids=lambda code: code.name)


@pytest.fixture(scope="module")
def server() -> Iterator[FaultyFirestore]:
    firestore = FaultyFirestore(firestore_emulator())
    yield firestore
    firestore.close()


@pytest.fixture
def faulty(server: FaultyFirestore) -> Iterator[FaultyFirestore]:
    yield server
    server.calm()


@pytest.fixture
def direct(firestore_project: str) -> Iterator[FirestoreLedger]:  # noqa: F811
    """Another instance, whose account document is there already."""
    with instance(f"firestore://{firestore_emulator()}/{firestore_project}") as ledger:
        ledger.change_controls(lambda account: account.switched(TradingState.ACTIVE, "", "me", NOW), patient())
        yield ledger


@pytest.fixture
def ledger(direct: FirestoreLedger, faulty: FaultyFirestore, firestore_project: str) -> Iterator[FirestoreLedger]:  # noqa: F811
    with instance(f"firestore://{faulty.address}/{firestore_project}") as ledger:
        faulty.calm()
        yield ledger


def claimed(ledger: FirestoreLedger, order: Order = ORDER, window: Window | None = None) -> Order:
    """The order, once the ledger knows account and order."""
    claimed = ledger.claim(order, window, patient())
    ends = time.monotonic() + 5
    while ledger._known._controls is None and time.monotonic() < ends:
        time.sleep(0.001)
    return claimed


def submitted(ledger: FirestoreLedger, order: Order = ORDER) -> Order:
    return ledger.submit(claimed(ledger, order), check(order), patient())


def accepted(order: Order) -> Order:
    return order.after(Accepted("1"), NOW)


def test_claim_submit_and_record_are_one_round_trip_each_and_the_account_is_read_beside_the_claim(
    ledger: FirestoreLedger, faulty: FaultyFirestore
) -> None:
    trips = []
    order = claimed(ledger)
    trips.append(dict(faulty.calls))
    order = ledger.submit(order, check(order), patient())
    trips.append(dict(faulty.calls))
    ledger.record(accepted(order), patient())
    trips.append(dict(faulty.calls))
    looked = {"BatchGetDocuments": 1}
    assert trips == [looked | {"Commit": commits} for commits in (1, 2, 3)]


def test_the_look_at_the_account_makes_no_claim_wait(ledger: FirestoreLedger, faulty: FaultyFirestore) -> None:
    faulty.faults["BatchGetDocuments"] = [slow(0.4)]
    watch = Stopwatch()
    ledger.claim(ORDER, None, patient())
    assert watch.seconds < 0.35


def test_a_burst_needs_no_reading_for_its_submits_either(ledger: FirestoreLedger, faulty: FaultyFirestore) -> None:
    orders = [claimed(ledger, order_named(f"order {number}")) for number in range(5)]
    while (before := faulty.calls["BatchGetDocuments"]) < 5:
        time.sleep(0.001)
    for order in orders:
        assert ledger.submit(order, check(order), patient()).status is OrderStatus.SUBMITTED
    assert faulty.calls["BatchGetDocuments"] == before
    assert ledger.controls(patient()).orders == 5


def test_an_order_claimed_in_a_window_is_known_as_well(ledger: FirestoreLedger, faulty: FaultyFirestore) -> None:
    order = claimed(ledger, window=Window("digest", 30))
    before = faulty.calls["BatchGetDocuments"]
    assert ledger.submit(order, check(order), patient()).status is OrderStatus.SUBMITTED
    assert faulty.calls["BatchGetDocuments"] == before


@each_fault
@each_code
def test_a_submit_on_what_is_known_survives_one_error(
    ledger: FirestoreLedger,
    faulty: FaultyFirestore,
    direct: FirestoreLedger,
    code: StatusCode,
    fault: Callable[[StatusCode], Fault],
) -> None:
    order = claimed(ledger)
    faulty.faults["Commit"] = [fault(code)]
    done = ledger.submit(order, check(order), patient())
    assert done == direct.get(ORDER.key, patient())
    assert (done.status, done.attempt) == (OrderStatus.SUBMITTED, 1)
    assert direct.controls(patient()).orders == 1


@each_fault
@each_code
def test_a_record_on_what_is_known_survives_one_error(
    ledger: FirestoreLedger,
    faulty: FaultyFirestore,
    direct: FirestoreLedger,
    code: StatusCode,
    fault: Callable[[StatusCode], Fault],
) -> None:
    order = submitted(ledger)
    faulty.faults["Commit"] = [fault(code)]
    assert ledger.record(accepted(order), patient()) == direct.get(ORDER.key, patient())
    assert present(direct.get(ORDER.key, patient())).status is OrderStatus.ACCEPTED


def test_a_kill_switch_thrown_elsewhere_holds_for_a_submit_on_an_account_known_before(
    ledger: FirestoreLedger, direct: FirestoreLedger
) -> None:
    order = claimed(ledger)
    direct.change_controls(lambda account: account.switched(TradingState.HALTED, "now", "me", NOW), patient())
    assert ledger.submit(order, check(order), patient()).reason is Reason.TRADING_HALTED


def test_legs_are_not_asked_to_make_room_for_a_cover_that_was_halted_elsewhere(
    ledger: FirestoreLedger, direct: FirestoreLedger
) -> None:
    order = claimed(ledger)
    direct.change_controls(lambda account: account.switched(TradingState.HALTED, "now", "me", NOW), patient())

    def decide(account: Controls) -> Decision:
        if account.state is TradingState.ACTIVE:
            raise NeedsRoom(0)
        return check(order)(account)

    assert ledger.submit(order, decide, patient()).reason is Reason.TRADING_HALTED


def test_an_order_submitted_elsewhere_is_not_submitted_as_well_on_the_version_known_before(
    ledger: FirestoreLedger, direct: FirestoreLedger
) -> None:
    order = claimed(ledger)
    won = direct.submit(order, check(order), patient())
    with pytest.raises(Overtaken) as overtaken:
        ledger.submit(order, check(order), patient())
    assert overtaken.value.current == won
    assert direct.controls(patient()).orders == 1


def test_a_step_recorded_elsewhere_is_not_written_over_on_the_version_known_before(
    ledger: FirestoreLedger, direct: FirestoreLedger
) -> None:
    order = submitted(ledger)
    better = direct.record(order.unresolved(NOW, "reconcile saw it"), patient())
    with pytest.raises(Overtaken) as overtaken:
        ledger.record(accepted(order), patient())
    assert overtaken.value.current == better


def test_an_order_put_off_is_put_off_by_what_is_read_and_not_by_what_was_known(
    ledger: FirestoreLedger, direct: FirestoreLedger
) -> None:
    order = claimed(ledger)
    direct.change_controls(lambda account: account.switched(TradingState.REDUCING, "new", "me", NOW), patient())
    seen = []

    def decide(account: Controls) -> Decision:
        seen.append(account.reason)
        raise NotNow(Reason.POSITION_UNKNOWN)

    with pytest.raises(NotNow):
        ledger.submit(order, decide, patient())
    assert seen == ["", "new"]
    assert present(direct.get(ORDER.key, patient())).status is OrderStatus.RECEIVED


def test_an_order_that_needs_the_order_book_is_submitted_without_reading_the_ledger_afterwards(
    ledger: FirestoreLedger, faulty: FaultyFirestore
) -> None:
    order = claimed(ledger)

    def decide(account: Controls) -> Decision:
        raise NeedsBook

    before = faulty.calls["BatchGetDocuments"]
    with pytest.raises(NeedsBook):
        ledger.submit(order, decide, patient())
    assert ledger.submit(order, check(order), patient()).status is OrderStatus.SUBMITTED
    assert faulty.calls["BatchGetDocuments"] == before
