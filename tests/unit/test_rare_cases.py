"""Cases that hardly ever come, and what is promised in each of them."""

from contextvars import Context
from datetime import UTC, datetime, time
from typing import Any

import pytest
from google.cloud.firestore import DocumentReference

from app.adapters.controls_document import ControlsText
from app.adapters.firestore.known import Known, Version
from app.adapters.fyers.classify import classify
from app.adapters.fyers.pace import NoTurn
from app.domain.alert.strict_json import token_in
from app.domain.calendar import Calendar
from app.domain.errors import Reason
from app.domain.notice import Notice
from app.domain.order import NotSent
from app.domain.order.status import OrderStatus
from app.domain.risk.controls import TradingState, learned
from app.flow.hours import closed, stopped_by
from app.flow.timings import begin, count_broker_call, step
from tests.builders import NOW, a_contract, an_order, order_in
from tests.present import present

SUNDAY = datetime(2026, 11, 22, 6, 0, tzinfo=UTC)


def test_an_order_that_got_no_turn_below_the_brokers_limit_was_not_sent_and_is_not_tried_again() -> None:
    outcome = classify(NoTurn())
    assert isinstance(outcome, NotSent)
    assert (outcome.again, outcome.busy) == (False, True)


@pytest.mark.parametrize(("nested", "judged"), [(10, "at the top"), (600, "inside")])
def test_among_very_many_tokens_the_first_one_is_judged(nested: int, judged: str) -> None:
    inside = '"x": {"token": "inside"}, ' * nested
    assert token_in(f'{{{inside}"token": "at the top"}}'.encode()) == judged


@pytest.mark.parametrize("name", ["id", "kind", "severity", "text"])
def test_a_stored_notice_whose_words_are_no_text_is_refused(name: str) -> None:
    document = {"id": "n1", "kind": "rejected", "severity": "CRITICAL", "text": "a text"}
    assert Notice.from_document(document).id == "n1"
    with pytest.raises(TypeError, match="are texts"):
        Notice.from_document(document | {name: 1})


@pytest.mark.parametrize("status", [OrderStatus.REJECTED, OrderStatus.NOT_PLACED])
def test_an_order_that_ends_leaves_controls_that_cannot_be_read_as_they_are(status: OrderStatus) -> None:
    damaged = ControlsText().read('{"state": "ACT')
    assert (damaged.damaged, damaged.state) == (True, TradingState.HALTED)
    assert learned(damaged, order_in(status)) is damaged


def test_a_step_is_measured_in_a_request_and_does_no_harm_outside_of_one() -> None:
    def outside() -> None:
        with step("place"):
            count_broker_call()

    def inside() -> tuple[dict[str, float], int]:
        steps = begin(lambda: 1.0)
        outside()
        return steps.milliseconds, steps.broker_calls

    Context().run(outside)
    assert Context().run(inside) == ({"place": 0.0}, 1)


def test_on_a_day_without_a_session_nothing_trades_and_nothing_stops_early() -> None:
    calendar = Calendar()
    denied = present(closed(a_contract(), calendar, SUNDAY, entering=True))
    assert denied.reason is Reason.MARKET_CLOSED
    nothing_is_asked: Any = None
    assert stopped_by(time(15, 0), nothing_is_asked, calendar, SUNDAY.date()) == []


def test_of_very_many_orders_the_oldest_version_is_forgotten_and_has_to_be_read_again() -> None:
    version = Version(DocumentReference("orders", "one"), NOW)
    known = Known()
    orders = [an_order(key=f"{number:064x}") for number in range(300)]
    for order in orders:
        known.keep_order(order, version)
    assert known.take_before(orders[0].submitted(NOW)) is None
    assert known.take_before(orders[-1].submitted(NOW)) is version
