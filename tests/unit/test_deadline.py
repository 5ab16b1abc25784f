"""Time is handed down: no part of a request may take more than is left of the whole."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.deadline import ANSWER_AT, PLACE_TAIL, RECORD, SEND_WINDOW, SUBMIT_NEEDS_LEFT, Deadline
from app.domain.errors import NotNow, Reason


class Clock:
    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


SECONDS = st.integers(0, 10_000).map(lambda thousandths: thousandths / 1000)


@given(whole=SECONDS, spent=SECONDS, cap=SECONDS, tail=SECONDS)
def test_a_part_takes_no_more_than_its_cap_and_what_is_left_before_the_tail(
    whole: float, spent: float, cap: float, tail: float
) -> None:
    clock = Clock()
    deadline = Deadline(clock, whole)
    clock.now += spent
    allowed = deadline.cap(cap, tail)
    assert 0 <= allowed <= cap
    assert allowed == 0 or allowed <= whole - spent - tail + 1e-9
    assert deadline.within(cap, tail).left() == pytest.approx(allowed)


def test_what_is_over_has_nothing_left_and_stays_over() -> None:
    clock = Clock()
    deadline = Deadline(clock, 1.0)
    clock.now += 1.5
    assert deadline.left() == pytest.approx(-0.5)
    assert deadline.within(0.3).left() == 0


def test_too_little_time_before_sending_is_a_reason_to_ask_again() -> None:
    clock = Clock()
    deadline = Deadline(clock, 2.0)
    deadline.require(2.0)
    clock.now += 0.001
    with pytest.raises(NotNow) as caught:
        deadline.require(2.0)
    assert caught.value.reason is Reason.OUT_OF_TIME


def test_the_budget_leaves_time_to_send_and_to_record_and_answers_before_tradingview_hangs_up() -> None:
    assert SUBMIT_NEEDS_LEFT >= SEND_WINDOW + PLACE_TAIL
    assert PLACE_TAIL >= RECORD
    assert ANSWER_AT < 2.5
