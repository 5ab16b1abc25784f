"""An order that could not be sent waits for the sender's next delivery. The operator is told if none comes."""

from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from app.domain.calendar import Calendar
from app.domain.deadline import Deadline
from app.domain.notice import Notice
from app.domain.order import NotSent
from app.domain.order.status import OrderStatus
from app.flow.desk import AgeRules
from app.flow.reconcile import SETTLE, Report, reconcile
from proof.simulation.memory import MemoryLedger
from tests.builders import NOW, a_ticket, an_order, no_limits


class Phone:
    def __init__(self) -> None:
        self.received: list[str] = []

    def send(self, notice: Notice, deadline: Deadline) -> bool:
        self.received.append(notice.id)
        return True


def deadline() -> Deadline:
    return Deadline(lambda: 0.0, 10.0)


@pytest.fixture
def ledger() -> MemoryLedger:
    """One order that an attempt came back from, at NOW + 1 s."""
    ledger = MemoryLedger()
    received = an_order(a_ticket())
    ledger.claim(received, None, deadline())
    submitted = ledger.submit(received, lambda account: (received.submitted(NOW), account), deadline())
    ledger.record(submitted.after(NotSent("Fyers' request limit is reached"), NOW + timedelta(seconds=1)), deadline())
    return ledger


def run(ledger: MemoryLedger, phone: Phone, seconds: float) -> Report:
    empty = SimpleNamespace(order_book=lambda deadline: (), positions=lambda deadline: ())
    clock = SimpleNamespace(now=lambda: NOW + timedelta(seconds=seconds), monotonic=lambda: 0.0)
    ages = AgeRules(timedelta(seconds=60), timedelta(seconds=300), timedelta(seconds=60))
    desk: Any = SimpleNamespace(
        broker=empty, ledger=ledger, notifier=phone, clock=clock, calendar=Calendar(), ages=ages, limits=no_limits(),
        symbols=SimpleNamespace(session=None),
    )  # fmt: skip
    return reconcile(desk, deadline())


def test_an_order_that_came_back_unsent_is_told_once_if_it_is_not_taken_up(ledger: MemoryLedger) -> None:
    phone = Phone()
    run(ledger, phone, 1 + SETTLE.total_seconds())
    run(ledger, phone, 60)
    (order,) = ledger.orders(deadline())
    assert order.status is OrderStatus.RECEIVED
    assert phone.received == [f"unsent:{order.key}:2"]


def test_an_order_that_came_back_a_moment_ago_is_left_to_the_request_that_has_it(ledger: MemoryLedger) -> None:
    phone = Phone()
    run(ledger, phone, 1 + SETTLE.total_seconds() - 0.1)
    assert phone.received == []


def test_an_alert_that_was_never_taken_up_is_told_when_it_lapses_and_not_before() -> None:
    ledger, phone = MemoryLedger(), Phone()
    ledger.claim(an_order(), None, deadline())
    run(ledger, phone, 30)
    assert phone.received == []
    run(ledger, phone, 66)
    assert phone.received == [f"{an_order().key}:1"]
