"""What goes wrong inside one request, at the moment where it does the most harm: its answer is right all the same."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from app.domain.book import BookRow
from app.domain.calendar import Calendar
from app.domain.deadline import Deadline
from app.domain.errors import NotNow, Reason
from app.domain.notice import Notice, Severity
from app.domain.order import NotSent, Order, Outcome
from app.flow.outbox import TOGETHER, drain
from app.flow.reconcile import SETTLE, reconcile
from app.runtime.config import Config
from app.web import create_app
from proof.processes.lab import MovableClock, Recorder
from proof.simulation.memory import MemoryLedger
from tests.gateway import Gateway, alert, gateway

SUNDAY = datetime(2026, 11, 22, 6, 0, tzinfo=UTC)


@pytest.fixture
def gate(tmp_path: Path) -> Iterator[Gateway]:
    with gateway(tmp_path) as gate:
        yield gate


class Instead:
    """A port of the gateway, some of whose calls are others'."""

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


def reconciled_with(gate: Gateway, read: Callable[[Deadline], Sequence[BookRow]]) -> Any:
    clock = MovableClock(SETTLE.total_seconds())
    recorder = Recorder(clock)
    broker: Any = Instead(gate.desk.broker, order_book=read)
    desk: Any = replace(gate.desk, broker=broker, clock=clock, notifier=recorder)
    return reconcile(desk, gate.deadline()), recorder


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


def test_on_a_day_without_session_and_orders_the_broker_is_not_asked() -> None:
    desk: Any = SimpleNamespace(
        ledger=MemoryLedger(),
        clock=SimpleNamespace(now=lambda: SUNDAY),
        calendar=Calendar(),
        broker=None,
        notifier=None,
    )
    report = reconcile(desk, Deadline(lambda: 0.0, 10.0))
    assert (report.clean, report.looked_at, report.notices_sent) == (True, 0, 0)


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
