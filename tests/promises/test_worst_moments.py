"""What goes wrong inside one request, at the moment where it does the most harm: its answer is right all the same."""

import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from app.adapters.fyers.venue import FYERS
from app.domain.alert.parse import parse
from app.domain.alert.strict_json import decode
from app.domain.book import BookRow
from app.domain.calendar import Calendar
from app.domain.deadline import Deadline
from app.domain.errors import NotNow, Reason
from app.domain.notice import ABSENT_READS, Notice, Severity
from app.domain.order import Accepted, NotSent, Order, Outcome
from app.domain.risk.controls import TradingState
from app.flow.desk import AgeRules
from app.flow.execution import execute
from app.flow.outbox import TOGETHER, drain
from app.flow.ports import Overtaken
from app.flow.reconcile import SETTLE, Report, reconcile
from app.runtime.config import Config
from app.web import create_app
from proof.processes.lab import MovableClock, Recorder
from proof.simulation.memory import MemoryLedger
from tests.builders import NOW, a_ticket, an_order, no_limits
from tests.gateway import Gateway, alert, gateway

SUNDAY = datetime(2026, 11, 22, 6, 0, tzinfo=UTC)


@pytest.fixture
def gate(tmp_path: Path) -> Iterator[Gateway]:
    with gateway(tmp_path) as gate:
        yield gate


class Instead:
    """A port of the gateway with some of its calls replaced."""

    def __init__(self, real: object, **calls: Callable[..., Any]) -> None:
        self._real = real
        self.__dict__ |= calls

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)


def answer(gate: Gateway, body: bytes, **ports: object) -> tuple[int, str, str | None]:
    """Status, state and reason that a gateway with these ports, on the same ledger and account, answers."""
    changed: Any = replace(gate.desk, **ports)  # type: ignore[arg-type]
    app = create_app(replace(gate.office, desk=changed), Config.from_env(gate.settings))
    told = app.test_client().post("/webhook", data=body)
    said = told.get_json()
    return told.status_code, said["status"], said.get("reason")


def the_order(gate: Gateway) -> Order:
    [order] = gate.desk.ledger.orders(gate.deadline())
    return order


def broken(*_: object) -> Any:
    raise RuntimeError("a fault of the gateway's own")


def not_sent(*_: object) -> Outcome:
    return NotSent("it seemed so", again=False)


# -- while the order is sent


def test_an_order_whose_sending_breaks_in_the_gateway_is_in_doubt_and_never_sent_again(gate: Gateway) -> None:
    body = alert()
    assert answer(gate, body, broker=Instead(gate.desk.broker, place=broken)) == (202, "SUBMITTED", "OUTCOME_UNKNOWN")
    assert gate.send(body).json["reason"] == "OUTCOME_UNKNOWN"
    assert gate.live_orders() == []


def test_the_brokers_reply_counts_although_reconcile_has_just_given_the_order_up(gate: Gateway) -> None:
    def placed_slowly(order: Order, *deadlines: Deadline) -> Outcome:
        outcome = gate.desk.broker.place(order, *deadlines)
        gate.desk.ledger.record(order.unresolved(gate.desk.clock.now(), "no answer came"), gate.deadline())
        return outcome

    assert answer(gate, alert(), broker=Instead(gate.desk.broker, place=placed_slowly)) == (200, "ACCEPTED", None)
    assert [step.status for step in the_order(gate).transitions] == ["RECEIVED", "SUBMITTED", "SUBMITTED", "ACCEPTED"]


def test_a_notice_that_breaks_changes_no_answer_and_waits(gate: Gateway) -> None:
    ports = {"broker": Instead(gate.desk.broker, place=broken), "notifier": Instead(gate.desk.notifier, send=broken)}
    assert answer(gate, alert(), **ports) == (202, "SUBMITTED", "OUTCOME_UNKNOWN")
    assert [notice.kind for notice in gate.desk.ledger.outbox(gate.deadline())] == ["unresolved"]


@pytest.mark.parametrize(("refused", "said"), [(1, (200, "ACCEPTED", None)), (2, (503, "RECEIVED", "NOT_SENT"))])
def test_an_order_that_was_certainly_not_sent_is_sent_once_more_at_once(
    gate: Gateway, refused: int, said: tuple[int, str, str | None]
) -> None:
    calls: list[Order] = []

    def place(order: Order, *deadlines: Deadline) -> Outcome:
        calls.append(order)
        if len(calls) <= refused:
            return NotSent("the connection was refused")
        return gate.desk.broker.place(order, *deadlines)

    assert answer(gate, alert(), broker=Instead(gate.desk.broker, place=place)) == said
    assert [order.attempt for order in calls] == [1, 2]


def test_a_read_that_is_under_way_when_the_time_is_over_sends_nothing(gate: Gateway) -> None:
    over = threading.Event()
    broker: Any = Instead(gate.desk.broker, order_book=lambda deadline: over.wait(60))
    try:
        receipt = execute(
            parse(decode(alert(action="BUY"))), replace(gate.desk, broker=broker), gate.deadline(1.0), "a request"
        )
    finally:
        over.set()
    assert (receipt.order.status, receipt.problem and receipt.problem.reason) == ("RECEIVED", Reason.OUT_OF_TIME)


# -- an order that is at the broker after all


@pytest.fixture
def called_unsent(gate: Gateway) -> bytes:
    """The alert of an order that stands at the broker, while the ledger has it as not sent."""
    body = alert()

    def placed(*call: Any) -> Outcome:
        gate.desk.broker.place(*call)
        return not_sent()

    assert answer(gate, body, broker=Instead(gate.desk.broker, place=placed)) == (503, "RECEIVED", "NOT_SENT")
    return body


def test_an_order_that_was_called_unsent_is_not_sent_again_while_the_book_shows_it(
    gate: Gateway, called_unsent: bytes
) -> None:
    said = gate.send(called_unsent)
    assert (said.status_code, said.json["reason"]) == (503, "OUTCOME_UNKNOWN")
    assert len(gate.live_orders()) == 1


@pytest.mark.usefixtures("called_unsent")
def test_an_order_that_was_called_unsent_is_found_by_reconcile(gate: Gateway) -> None:
    report = reconcile(gate.desk, gate.deadline())
    assert report.moved == {"RECEIVED to SUBMITTED": 1, "SUBMITTED to FILLED": 1}
    assert the_order(gate).reason is Reason.FOUND_IN_BOOK


# -- two requests with one alert


def test_a_request_that_was_overtaken_by_one_that_could_not_send_suppresses_nothing(gate: Gateway) -> None:
    body = alert()

    def overtaken(*call: Any) -> Order:
        answer(gate, body, broker=Instead(gate.desk.broker, place=not_sent))
        return gate.desk.ledger.submit(*call)

    said = answer(gate, body, ledger=Instead(gate.desk.ledger, submit=overtaken))
    assert said == (503, "RECEIVED", "NOT_SENT")
    assert gate.send(body).json["status"] == "ACCEPTED"


def test_of_two_alerts_that_nothing_tells_apart_the_later_is_suppressed_for_a_minute(gate: Gateway) -> None:
    body = alert(alert_id=None, timenow=None)
    first, second = gate.send(body).json, gate.send(body).json
    assert (first["status"], first["duplicate"], second["duplicate"]) == ("ACCEPTED", False, True)
    assert second["key"] == first["key"]
    assert len(gate.live_orders()) == 1


def test_an_alert_from_the_future_is_not_sent_since_its_age_cannot_be_told(gate: Gateway) -> None:
    said = gate.send(timenow=(datetime.now(UTC) + timedelta(minutes=2)).isoformat()).json
    assert (said["status"], said["reason"]) == ("LAPSED", "TOO_OLD")
    assert "lies in the future" in said["message"]


# -- reconcile


def reconciled_with(gate: Gateway, read: Callable[[Deadline], Sequence[BookRow]]) -> tuple[Report, Recorder]:
    recorder = Recorder(MovableClock())
    broker: Any = Instead(gate.desk.broker, order_book=read)
    return reconcile(replace(gate.desk, broker=broker, notifier=recorder), gate.deadline()), recorder


def test_an_order_that_is_sent_while_reconcile_reads_is_no_stranger(gate: Gateway) -> None:
    def order_book(deadline: Deadline) -> Sequence[BookRow]:
        if not gate.live_orders():
            assert gate.send().json["status"] == "ACCEPTED"
        return gate.desk.broker.order_book(deadline)

    report, _ = reconciled_with(gate, order_book)
    assert (report.looked_at, report.strangers) == (0, [])


def test_two_orders_at_the_broker_with_one_tag_are_notified(gate: Gateway) -> None:
    tag = gate.send().json["tag"]

    def order_book(deadline: Deadline) -> Sequence[BookRow]:
        book = gate.desk.broker.order_book(deadline)
        return (*book, *(replace(row, broker_order_id="a second") for row in book if row.tag == tag))

    report, recorder = reconciled_with(gate, order_book)
    assert (report.doubled, report.clean) == ([tag], False)
    assert f"doubled:{tag}" in [notice.id for notice in recorder.notifications]


def ample() -> Deadline:
    return Deadline(lambda: 0.0, 10.0)


def run(ledger: MemoryLedger, now: datetime, broker: object = None, after_close: bool = False) -> Report:
    """A run of reconcile on a ledger in memory, by default with a broker that must not be asked."""
    clock = SimpleNamespace(now=lambda: now, monotonic=lambda: 0.0)
    ages = AgeRules(timedelta(seconds=60), timedelta(seconds=300), timedelta(seconds=60))
    desk: Any = SimpleNamespace(
        broker=broker, ledger=ledger, notifier=Recorder(MovableClock()), clock=clock, calendar=Calendar(), ages=ages,
        limits=no_limits(), symbols=SimpleNamespace(session=None),
    )  # fmt: skip
    return reconcile(desk, ample(), after_close)


EMPTY = SimpleNamespace(order_book=lambda deadline: (), positions=lambda deadline: ())


def submitted(ledger: MemoryLedger, number: int) -> Order:
    """An order of the ledger whose request ended right after the submit, at NOW."""
    order = an_order(a_ticket(), key=f"{number:064x}", tag=f"tv{number:018}")
    ledger.claim(order, None, ample())
    return ledger.submit(order, lambda controls: (order.submitted(NOW), controls), ample())


def test_on_a_day_without_session_and_orders_the_broker_is_not_asked() -> None:
    report = run(MemoryLedger(), SUNDAY)
    assert (report.clean, report.looked_at, report.notices_sent) == (True, 0, 0)


def test_an_order_that_the_book_lost_is_notified_and_no_other_is_called_absent_by_that_book() -> None:
    ledger = MemoryLedger()
    placed = ledger.record(submitted(ledger, 1).after(Accepted("an id"), NOW), ample())
    doubted = ledger.record(submitted(ledger, 2).unresolved(NOW, "no answer"), ample())
    report = run(ledger, NOW + FYERS.book_lag, EMPTY, after_close=True)
    assert (report.missing, report.moved) == ([placed.key], {})
    assert ledger.get(doubted.key, ample()) == doubted


def test_an_order_that_is_younger_than_the_books_lag_is_not_missing_yet() -> None:
    ledger = MemoryLedger()
    ledger.record(submitted(ledger, 1).after(Accepted("an id"), NOW), ample())
    assert run(ledger, NOW + FYERS.book_lag - timedelta(seconds=1), EMPTY).missing == []


def test_an_order_that_the_final_book_lacks_was_not_placed() -> None:
    ledger = MemoryLedger()
    submitted(ledger, 1)
    assert run(ledger, NOW + SETTLE, EMPTY, after_close=True).moved == {"SUBMITTED to NOT_PLACED": 1}


def test_readings_in_quick_succession_do_not_prove_an_order_absent() -> None:
    ledger = MemoryLedger()
    order = ledger.record(submitted(ledger, 1).unresolved(NOW, "no answer"), ample())
    seconds = [SETTLE.total_seconds() + number for number in range(ABSENT_READS + 2)]
    for second in seconds:
        run(ledger, NOW + timedelta(seconds=second), EMPTY)
    assert [one.absent_reads for one in ledger.orders(ample())] == [ABSENT_READS - 1]
    run(ledger, NOW + timedelta(seconds=60), EMPTY)
    [current] = ledger.orders(ample())
    assert (current.absent_reads, current.status) == (ABSENT_READS, order.status)


def test_two_orders_in_doubt_stop_entries() -> None:
    ledger = MemoryLedger()
    for number in range(2):
        submitted(ledger, number)
    assert run(ledger, NOW + SETTLE, EMPTY).in_doubt == 2
    assert ledger.controls(ample()).state is TradingState.REDUCING


class Overtaking(MemoryLedger):
    """A ledger in which another run takes each step first."""

    def record(self, order: Order, deadline: Deadline) -> Order:
        raise Overtaken(replace(super().record(order, deadline)))


def test_a_step_that_another_run_took_first_is_not_counted_twice() -> None:
    ledger = Overtaking()
    order = submitted(ledger, 1)
    report = run(ledger, NOW + SETTLE, EMPTY, after_close=True)
    assert (report.moved, report.in_doubt) == ({}, 0)
    [current] = ledger.orders(ample())
    assert (current.status, current.sequence) == ("NOT_PLACED", order.sequence + 1)


class NoMoreNotices(MemoryLedger):
    """A ledger that takes no notice after the first ones."""

    full = False

    def notify(self, notice: Notice, deadline: Deadline) -> bool:
        if self.full:
            raise NotNow(Reason.LEDGER_DOWN)
        return super().notify(notice, deadline)


@pytest.mark.parametrize(("full", "sent"), [(False, 1), (True, TOGETHER)])
def test_notices_that_cannot_be_put_together_are_sent_one_by_one(full: bool, sent: int) -> None:
    clock = MovableClock()
    deadline, ledger, recorder = Deadline(lambda: 0.0, 10.0), NoMoreNotices(), Recorder(clock)
    for number in range(TOGETHER):
        ledger.notify(Notice(f"denied:{number}", "denied", Severity.WARNING, "Denied."), deadline)
    ledger.full = full
    assert drain(ledger, recorder, deadline) == (sent, 0)
    assert len(recorder.notifications) == sent
    assert ledger.outbox(deadline) == []
