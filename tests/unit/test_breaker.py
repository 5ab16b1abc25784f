"""The breaker: after several failures of the line entries wait; covers go on; a read that works closes it."""

from dataclasses import replace
from datetime import timedelta

import pytest

from app.adapters import controls_document
from app.domain.errors import NotNow, Reason
from app.domain.notice import Severity, state_notice
from app.domain.order import Accepted, NotSent, Order, OrderStatus, Outcome, Rejected, Unresolved
from app.domain.risk import (
    BREAKER_FAILURES,
    BREAKER_OPEN,
    Controls,
    TradingState,
    check,
    decide,
    learned,
    teaches,
)
from tests.builders import NOW, a_position, a_ticket, an_account, an_order, holdings, no_limits, stored

SHORT = holdings(positions=(a_position(-650),))


def after(outcome: Outcome) -> Order:
    return an_order(a_ticket()).submitted(NOW).after(outcome, NOW)


def failing(times: int, apart: float = 1.0) -> Controls:
    controls = an_account()
    for number in range(times):
        controls = controls.failed(NOW + timedelta(seconds=number * apart))
    return controls


OPENED = failing(BREAKER_FAILURES)
OPENED_AT = NOW + timedelta(seconds=BREAKER_FAILURES - 1)


@pytest.mark.parametrize(
    ("outcome", "fails"),
    [
        (Unresolved("time-out"), True),
        (Unresolved("HTTP 502"), True),
        (NotSent("the connection was refused"), True),
        (NotSent("Fyers' request limit is reached", again=False, busy=True), False),
        (Accepted("1"), False),
        (Rejected(-99, "no margin", "1"), False),
        (Rejected(-50, "bad tick"), False),
    ],
)
def test_only_a_failure_of_the_line_counts(outcome: Outcome, fails: bool) -> None:
    assert len(learned(an_account(orders=1), after(outcome)).failures) == fails


def test_a_step_that_changes_nothing_shared_leaves_the_account_alone() -> None:
    accepted = after(Accepted("1"))
    assert not teaches(accepted)
    assert learned(an_account(), accepted) == an_account()
    assert teaches(after(Unresolved("time-out")))
    assert teaches(after(Rejected(-99, "no margin", "1")))


def test_an_order_that_is_not_found_again_is_no_new_failure() -> None:
    doubted = after(Unresolved("time-out"))
    assert not teaches(doubted.absent(NOW, "not found"))


def test_it_opens_with_the_last_failure_it_takes_and_not_before() -> None:
    assert failing(BREAKER_FAILURES - 1).open_until is None
    assert OPENED.open_until == OPENED_AT + BREAKER_OPEN


def test_failures_further_apart_than_a_minute_do_not_open_it() -> None:
    assert failing(20, apart=60 / (BREAKER_FAILURES - 1)).open_until is None


def test_an_entry_waits_with_the_time_and_a_cover_goes_on() -> None:
    with pytest.raises(NotNow) as caught:
        check(an_order(a_ticket()), OPENED, no_limits(), holdings(), OPENED_AT)
    assert caught.value.reason is Reason.BROKER_DOWN
    assert "10:00:32 IST" in caught.value.message
    order, controls = decide(an_order(a_ticket(covers=True)), OPENED, no_limits(), SHORT, OPENED_AT)
    assert order.status is OrderStatus.SUBMITTED
    assert controls.open_until == OPENED.open_until


def test_after_its_time_the_alerts_own_reads_close_it() -> None:
    """The reads began and ended well within the alert: it takes 2.4 seconds, and reads the market before it decides."""
    assert OPENED.open_until is not None
    with pytest.raises(NotNow):
        decide(an_order(a_ticket()), OPENED, no_limits(), holdings(), OPENED.open_until - timedelta(milliseconds=1))
    order, controls = decide(an_order(a_ticket()), OPENED, no_limits(), holdings(), OPENED.open_until)
    assert order.status is OrderStatus.SUBMITTED
    assert (controls.open_until, controls.failures) == (None, ())


def test_a_read_closes_it_at_once() -> None:
    closed = OPENED.reached()
    assert (closed.open_until, closed.failures) == (None, ())
    check(an_order(a_ticket()), closed, no_limits(), holdings(), OPENED_AT)


def test_a_halt_is_said_before_the_breaker() -> None:
    halted = OPENED.switched(TradingState.HALTED, "lunch", "me", NOW)
    order, _ = decide(an_order(a_ticket()), halted, no_limits(), holdings(), OPENED_AT)
    assert order.reason is Reason.TRADING_HALTED


def test_its_opening_is_told_once_and_its_closing_is_not() -> None:
    before = failing(BREAKER_FAILURES - 1)
    notice = state_notice(before, OPENED)
    assert notice is not None
    assert (notice.kind, notice.severity) == ("breaker", Severity.CRITICAL)
    assert "10:00:32 IST" in notice.text
    assert state_notice(OPENED, OPENED.failed(OPENED_AT)) is None
    assert state_notice(OPENED, OPENED.reached()) is None
    again = replace(OPENED, open_until=OPENED_AT + timedelta(minutes=5))
    assert state_notice(OPENED, again) is not None


def test_it_survives_the_ledger_and_a_new_day() -> None:
    for controls in (OPENED, failing(1), an_account()):
        assert controls_document.from_document(stored(controls)) == controls
    assert OPENED.on("2026-11-21").open_until == OPENED.open_until


def test_a_document_from_before_the_breaker_is_a_sound_one() -> None:
    document = stored(an_account(orders=7))
    del document["failures"], document["open_until"]
    assert controls_document.from_document(document) == an_account(orders=7)


@pytest.mark.parametrize(
    "damage",
    [
        *({"failures": wrong} for wrong in ("x", ["x"], None, 3, ["2026-11-20T10:00:00"])),
        *({"open_until": wrong} for wrong in ("x", 3, "2026-11-20T10:00:00")),
    ],
)
def test_a_damaged_breaker_halts(damage: dict[str, object]) -> None:
    document = stored(OPENED) | damage
    assert controls_document.from_document(document).state is TradingState.HALTED
