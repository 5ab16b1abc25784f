"""Every step that the operator must know of is told once, in one sentence, and never with a secret in it."""

from dataclasses import replace
from datetime import timedelta

import pytest

from app.domain.errors import Reason
from app.domain.notice import Severity, duplicate_notice, notice_of, state_notice, what
from app.domain.order.status import OrderStatus
from app.domain.risk.controls import TradingState
from tests.builders import NOW, SYMBOL, an_account, an_order, order_in

S = OrderStatus
ALERTING = {
    S.DENIED: Severity.WARNING,
    S.LAPSED: Severity.WARNING,
    S.REJECTED: Severity.CRITICAL,
    S.CANCELLED: Severity.WARNING,
    S.EXPIRED: Severity.WARNING,
    S.NOT_PLACED: Severity.CRITICAL,
}


@pytest.mark.parametrize("status", S)
def test_what_ends_without_the_order_that_was_asked_for_is_told(status: OrderStatus) -> None:
    notice = notice_of(order_in(status))
    if status in ALERTING:
        assert notice is not None
        assert notice.severity is ALERTING[status]
        assert notice.kind == status.lower()
        assert SYMBOL in notice.text
    else:
        assert notice is None


def test_an_order_in_doubt_is_told_loudly_and_says_not_to_enter_again() -> None:
    notice = notice_of(order_in(S.SUBMITTED).unresolved(NOW, "read time-out"))
    assert notice is not None
    assert (notice.severity, notice.kind) == (Severity.CRITICAL, "unresolved")
    assert "read time-out" in notice.text
    assert "do not re-enter" in notice.text


def test_doubt_is_told_at_first_and_once_more_when_the_book_has_nothing_left_to_say() -> None:
    order = order_in(S.SUBMITTED).unresolved(NOW, "read time-out")
    told = []
    for reads in range(1, 7):
        order = order.absent(NOW, "three readings over a minute")
        if (notice := notice_of(order)) is not None:
            told.append((reads, notice.text))
    assert [reads for reads, _ in told] == [3]
    assert told[0][1].startswith("Not in the order book, ")
    assert "do not re-enter" in told[0][1]


def test_the_id_is_the_steps_so_a_second_delivery_is_not_a_second_event() -> None:
    order = order_in(S.REJECTED)
    assert notice_of(order) == notice_of(order)
    first = notice_of(order_in(S.SUBMITTED).unresolved(NOW, "x"))
    later = notice_of(order_in(S.SUBMITTED).unresolved(NOW, "x").moved(S.NOT_PLACED, NOW))
    assert first is not None
    assert later is not None
    assert (first.id, later.id) == (f"{order.key}:2", f"{order.key}:3")


def test_the_facts_are_texts_and_the_document_is_plain() -> None:
    order = replace(order_in(S.REJECTED), broker_order_id="26112000000001", reason=Reason.BROKER_REJECTED)
    notice = notice_of(order)
    assert notice is not None
    assert notice.document() == {
        "id": f"{order.key}:2",
        "kind": "rejected",
        "severity": "CRITICAL",
        "text": f"Rejected, SELL 65 {SYMBOL}: REJECTED",
        "facts": {
            "key": order.key,
            "tag": order.tag,
            "status": "REJECTED",
            "reason": "BROKER_REJECTED",
            "broker_order_id": "26112000000001",
            "symbol": SYMBOL,
        },
    }
    assert all(type(value) is str for value in notice.document()["facts"].values())


def test_an_order_without_a_contract_is_named_by_what_was_asked_for() -> None:
    denied = an_order().denied(NOW, Reason.MARKET_CLOSED, "the exchange is closed")
    assert what(denied) == "SELL NIFTY 26000 CE WEEKLY"
    notice = notice_of(denied)
    assert notice is not None
    assert notice.text == "Denied, SELL NIFTY 26000 CE WEEKLY: the exchange is closed"


def test_a_second_firing_is_told_once_an_hour_with_what_became_of_the_first() -> None:
    notice = duplicate_notice(order_in(S.FILLED), NOW)
    assert notice == duplicate_notice(order_in(S.FILLED), NOW + timedelta(minutes=20))
    assert notice.id != duplicate_notice(order_in(S.FILLED), NOW + timedelta(hours=1)).id
    assert "FILLED" in notice.text
    assert "Nothing was sent again" in notice.text


@pytest.mark.parametrize("before", TradingState)
@pytest.mark.parametrize("after", TradingState)
def test_a_new_trading_state_is_told_and_the_same_one_is_not(before: TradingState, after: TradingState) -> None:
    account = an_account(state=before)
    notice = state_notice(account, account.switched(after, "two orders in doubt", "gateway", NOW))
    if before is after:
        assert notice is None
    else:
        assert notice is not None
        assert notice.severity is (Severity.INFO if after is TradingState.ACTIVE else Severity.CRITICAL)
        assert all(word in notice.text for word in (before, after, "two orders in doubt", "gateway"))


def test_the_same_state_set_at_another_moment_is_another_notice() -> None:
    account = an_account()
    halted = account.switched(TradingState.HALTED, "a", "me", NOW)
    again = account.switched(TradingState.HALTED, "a", "me", NOW.replace(second=1))
    first, second = state_notice(account, halted), state_notice(account, again)
    assert first is not None
    assert second is not None
    assert first.id != second.id
