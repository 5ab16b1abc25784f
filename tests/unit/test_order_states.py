"""Every pair of states: the table's moves are made, all others raise and change nothing."""

from dataclasses import replace
from datetime import timedelta
from itertools import pairwise, product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.errors import Reason
from app.domain.order import Accepted, NotSent, Outcome, Rejected, Unresolved
from app.domain.order.status import FINAL, MOVES, IllegalMove, OrderStatus
from tests.builders import NOW, a_ticket, an_order, order_in

S = OrderStatus
LATER = NOW + timedelta(minutes=1)

# Written out by hand, beside the table, so that a slip in either is seen.
LEGAL = {
    (S.RECEIVED, S.DENIED), (S.RECEIVED, S.SUBMITTED), (S.RECEIVED, S.LAPSED),
    (S.SUBMITTED, S.RECEIVED), (S.SUBMITTED, S.ACCEPTED), (S.SUBMITTED, S.REJECTED), (S.SUBMITTED, S.PARTIALLY_FILLED),
    (S.SUBMITTED, S.FILLED), (S.SUBMITTED, S.CANCELLED), (S.SUBMITTED, S.EXPIRED), (S.SUBMITTED, S.NOT_PLACED),
    (S.ACCEPTED, S.REJECTED), (S.ACCEPTED, S.PARTIALLY_FILLED), (S.ACCEPTED, S.FILLED), (S.ACCEPTED, S.CANCELLED),
    (S.ACCEPTED, S.EXPIRED),
    (S.PARTIALLY_FILLED, S.PARTIALLY_FILLED), (S.PARTIALLY_FILLED, S.FILLED), (S.PARTIALLY_FILLED, S.CANCELLED),
    (S.PARTIALLY_FILLED, S.EXPIRED),
    (S.CANCELLED, S.FILLED),
}  # fmt: skip
PAIRS = sorted(product(S, S))


@pytest.mark.parametrize(("old", "new"), [pair for pair in PAIRS if pair in LEGAL])
def test_a_legal_move_is_one_step_and_is_written_down(old: OrderStatus, new: OrderStatus) -> None:
    order = order_in(old)
    moved = order.moved(new, LATER, reason=Reason.BROKER_REJECTED, message="why")
    assert moved.status is new
    assert moved.sequence == order.sequence + 1
    assert moved.transitions[:-1] == order.transitions
    step = moved.transitions[-1]
    assert (step.sequence, step.at, step.status) == (moved.sequence, LATER, new)
    assert (step.reason, step.message) == (moved.reason, moved.message) == (Reason.BROKER_REJECTED, "why")
    assert order == order_in(old)  # the old order is as it was


@pytest.mark.parametrize(("old", "new"), [pair for pair in PAIRS if pair not in LEGAL])
def test_any_other_move_raises_and_changes_nothing(old: OrderStatus, new: OrderStatus) -> None:
    order = order_in(old)
    with pytest.raises(IllegalMove, match=f"from {old} to {new}$"):
        order.moved(new, LATER)
    assert order == order_in(old)


def test_the_table_is_the_one_written_by_hand() -> None:
    assert {(old, new) for old, states in MOVES.items() for new in states} == LEGAL
    assert set(MOVES) == set(S)


def test_final_is_what_only_a_late_fill_can_move() -> None:
    assert {status for status in S if not MOVES[status] - {S.FILLED}} == FINAL


def test_an_order_begins_received_with_that_as_its_first_step() -> None:
    order = an_order()
    assert (order.status, order.sequence, order.attempt) == (S.RECEIVED, 0, 0)
    assert [(step.sequence, step.at, step.status) for step in order.transitions] == [(0, NOW, S.RECEIVED)]


@pytest.mark.parametrize("status", S)
def test_in_flight_is_what_the_broker_may_still_change(status: OrderStatus) -> None:
    assert order_in(status).in_flight is (status in (S.SUBMITTED, S.ACCEPTED, S.PARTIALLY_FILLED))


def test_submitting_counts_the_attempt_and_notes_the_moment() -> None:
    first = an_order(a_ticket()).submitted(NOW)
    assert (first.attempt, first.submitted_at) == (1, NOW)
    second = first.after(NotSent("connection refused"), NOW).submitted(LATER)
    assert (second.attempt, second.submitted_at, second.sequence) == (2, LATER, 3)
    assert (second.reason, second.message) == (None, None)


@pytest.mark.parametrize(
    ("outcome", "status", "reason", "broker_order_id"),
    [
        (Accepted("26112000000001"), S.ACCEPTED, None, "26112000000001"),
        (Rejected(-99, "RMS: margin", "26112000000001"), S.REJECTED, Reason.BROKER_REJECTED, "26112000000001"),
        (Rejected(-50, "bad input"), S.REJECTED, Reason.BROKER_REJECTED, None),
        (NotSent("connection refused"), S.RECEIVED, Reason.NOT_SENT, None),
        (Unresolved("read time-out"), S.SUBMITTED, Reason.OUTCOME_UNKNOWN, None),
    ],
)
def test_each_outcome_of_a_post_leads_where_it_must(
    outcome: Outcome, status: OrderStatus, reason: Reason | None, broker_order_id: str | None
) -> None:
    submitted = order_in(S.SUBMITTED)
    after = submitted.after(outcome, LATER)
    assert (after.status, after.reason, after.broker_order_id) == (status, reason, broker_order_id)
    assert after.sequence == submitted.sequence + 1
    assert after.transitions[-1].status is status


@pytest.mark.parametrize("outcome", [Accepted("1"), Rejected(-50, "x"), NotSent("x"), Unresolved("x")])
@pytest.mark.parametrize("status", [status for status in S if status is not S.SUBMITTED])
def test_an_outcome_belongs_to_a_submitted_order_alone(status: OrderStatus, outcome: Outcome) -> None:
    order = order_in(status)
    late_refusal = status is S.ACCEPTED and isinstance(outcome, Rejected)  # the exchange may still reject
    if late_refusal:
        assert order.after(outcome, LATER).status is S.REJECTED
    else:
        with pytest.raises(IllegalMove):
            order.after(outcome, LATER)


def test_a_lost_reply_is_never_called_a_refusal() -> None:
    after = order_in(S.SUBMITTED).after(Unresolved("reset after the first byte"), LATER)
    assert after.status is S.SUBMITTED
    assert after.in_flight
    assert after.message == "reset after the first byte"


def test_an_order_not_found_in_the_book_stays_submitted_however_often_it_is_looked_for() -> None:
    order = order_in(S.SUBMITTED).unresolved(NOW, "read time-out")
    for reads in range(1, 6):
        order = order.absent(LATER, f"not found {reads} times")
        assert (order.status, order.absent_reads, order.reason) == (S.SUBMITTED, reads, Reason.OUTCOME_UNKNOWN)
    assert order.moved(S.FILLED, LATER).status is S.FILLED  # a late row adopts it


@pytest.mark.parametrize("status", [status for status in S if status is not S.SUBMITTED])
def test_only_a_submitted_order_can_be_in_doubt(status: OrderStatus) -> None:
    for doubt in (order_in(status).unresolved, order_in(status).absent):
        with pytest.raises(IllegalMove):
            doubt(LATER, "why")


def test_time_alone_never_takes_a_submitted_order_away() -> None:
    for step in ("lapsed", "denied"):
        order = order_in(S.SUBMITTED)
        with pytest.raises(IllegalMove):
            order.lapsed(LATER, "old") if step == "lapsed" else order.denied(LATER, Reason.TOO_OLD, "old")


def test_a_denied_and_a_lapsed_order_say_why() -> None:
    assert an_order().denied(LATER, Reason.MARKET_CLOSED, "closed").reason is Reason.MARKET_CLOSED
    lapsed = an_order().lapsed(LATER, "61 s old")
    assert (lapsed.status, lapsed.reason, lapsed.message) == (S.LAPSED, Reason.TOO_OLD, "61 s old")


def test_pricing_is_no_step() -> None:
    order = an_order()
    assert replace(order.priced(a_ticket()), ticket=None) == order


@given(st.lists(st.sampled_from(S), max_size=8))
def test_whatever_is_tried_the_steps_count_up_by_one_and_follow_the_table(steps: list[OrderStatus]) -> None:
    order = an_order(a_ticket())
    for number, status in enumerate(steps):
        try:
            order = order.moved(status, NOW + timedelta(seconds=number))
        except IllegalMove:
            continue
    assert [step.sequence for step in order.transitions] == list(range(order.sequence + 1))
    taken = [step.status for step in order.transitions]
    assert all(pair in LEGAL for pair in pairwise(taken))
