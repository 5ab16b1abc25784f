"""Stop-loss and take-profit that ride on an order or a position, and how they end."""

from decimal import Decimal
from typing import Any

import pytest

from app.simulator import Exchange, Rules, Status
from app.simulator.orders import Order, OrderType
from app.simulator.rules import Refused
from tests.simulator.fixed_account import CALL, Clock, Fields


def quote(exchange: Exchange, ltp: int) -> None:
    exchange.set_quote(CALL, Decimal(ltp), Decimal(ltp) - Decimal("0.15"), Decimal(ltp) + Decimal("0.15"))


def legs_of(exchange: Exchange, parent: Order) -> list[Order]:
    return [each for each in exchange.orders() if each.parent_id == parent.id]


@pytest.fixture
def short(exchange: Exchange, order: Fields) -> tuple[Order, Order, Order]:
    """One lot sold at 165.00 with a stop 24.80 above and a target 41.30 below; returns (entry, stop, target)."""
    entry = exchange.place(order(stopLoss=24.8, takeProfit=41.3, orderTag="tvshort"))
    stop, target = legs_of(exchange, entry)
    return entry, stop, target


def test_legs_appear_after_the_fill_opposite_and_for_the_filled_quantity(short: tuple[Order, Order, Order]) -> None:
    entry, stop, target = short
    assert entry.status is Status.FILLED
    assert (stop.side, stop.quantity, stop.order_type, stop.status) == (1, 65, OrderType.SL_L, Status.PENDING)
    assert (stop.stop_price, stop.limit_price) == (Decimal("189.80"), Decimal("208.80"))
    assert (target.side, target.quantity, target.order_type) == (1, 65, OrderType.LIMIT)
    assert target.limit_price == Decimal("123.70")
    assert {stop.product, target.product} == {"INTRADAY"}


def test_a_long_has_its_stop_below_and_its_target_above(exchange: Exchange, order: Fields) -> None:
    stop, target = legs_of(exchange, exchange.place(order(side=1, limitPrice=166, stopLoss=20, takeProfit=30)))
    assert (stop.side, stop.stop_price, stop.limit_price) == (-1, Decimal("145.30"), Decimal("130.75"))
    assert (target.side, target.limit_price) == (-1, Decimal("195.30"))


def test_offsets_can_be_percent_of_the_entry(exchange: Exchange, order: Fields) -> None:
    stop, target = legs_of(exchange, exchange.place(order(stopLoss=10, takeProfit=25, legType=2)))
    assert (stop.stop_price, target.limit_price) == (Decimal("181.50"), Decimal("123.75"))


def test_a_pending_entry_has_no_legs_yet(exchange: Exchange, order: Fields) -> None:
    entry = exchange.place(order(limitPrice=170, stopLoss=10, takeProfit=10))
    assert legs_of(exchange, entry) == []
    quote(exchange, 171)
    assert len(legs_of(exchange, entry)) == 2


@pytest.mark.parametrize(
    ("offsets", "kind"), [({"stopLoss": 20}, OrderType.SL_L), ({"takeProfit": 20}, OrderType.LIMIT)]
)
def test_one_leg_can_come_alone(exchange: Exchange, order: Fields, offsets: dict[str, int], kind: OrderType) -> None:
    (leg,) = legs_of(exchange, exchange.place(order(**offsets)))
    assert leg.order_type is kind


def test_the_target_trades_and_cancels_the_stop(exchange: Exchange, short: tuple[Order, Order, Order]) -> None:
    _, stop, target = short
    quote(exchange, 123)
    exchange.refresh()
    assert (target.status, stop.status) == (Status.FILLED, Status.CANCELLED)
    assert [each.net for each in exchange.positions()] == [0]


def test_the_stop_triggers_trades_and_cancels_the_target(exchange: Exchange, short: tuple[Order, Order, Order]) -> None:
    _, stop, target = short
    quote(exchange, 189)
    assert stop.status is Status.PENDING
    quote(exchange, 190)
    assert (stop.status, stop.average, target.status) == (Status.FILLED, Decimal("190.15"), Status.CANCELLED)


def test_a_stop_that_the_market_jumps_over_is_triggered_but_stays_pending(
    exchange: Exchange, short: tuple[Order, Order, Order]
) -> None:
    _, stop, target = short
    quote(exchange, 240)
    assert (stop.triggered, stop.status, target.status) == (True, Status.PENDING, Status.PENDING)
    assert [each.net for each in exchange.positions()] == [-65]


def test_legs_outlive_a_cover_by_hand_and_would_then_open_a_position(
    exchange: Exchange, order: Fields, short: tuple[Order, Order, Order]
) -> None:
    _, stop, target = short
    exchange.place(order(side=1, limitPrice=166))
    assert (stop.status, target.status) == (Status.PENDING, Status.PENDING)
    quote(exchange, 123)
    assert [each.net for each in exchange.positions()] == [65]


def test_a_leg_can_be_cancelled_by_itself(exchange: Exchange, short: tuple[Order, Order, Order]) -> None:
    _, stop, target = short
    exchange.cancel(target.id)
    assert (target.status, stop.status) == (Status.CANCELLED, Status.PENDING)


def test_legs_grow_with_the_fills_of_their_entry(exchange: Exchange, order: Fields) -> None:
    exchange.set_liquidity(65)
    entry = exchange.place(order(qty=195, limitPrice=160, stopLoss=20, takeProfit=20))
    assert [leg.quantity for leg in legs_of(exchange, entry)] == [65, 65]
    exchange.tick()
    exchange.tick()
    assert (entry.filled, [leg.quantity for leg in legs_of(exchange, entry)]) == (195, [195, 195])


def test_a_later_fill_gets_new_legs_when_the_first_are_done(exchange: Exchange, order: Fields) -> None:
    exchange.set_liquidity(0)
    entry = exchange.place(order(qty=130, limitPrice=165, stopLoss=20, takeProfit=20))
    exchange.fill(entry.id, 65)
    first_stop, first_target = legs_of(exchange, entry)
    exchange.fill(first_target.id)
    assert first_stop.status is Status.CANCELLED
    exchange.fill(entry.id, 65)
    assert [(leg.quantity, leg.status) for leg in legs_of(exchange, entry)[2:]] == [(65, Status.PENDING)] * 2


def test_a_partial_fill_of_one_leg_takes_as_much_off_the_other(exchange: Exchange, order: Fields) -> None:
    entry = exchange.place(order(qty=195, stopLoss=20, takeProfit=20))
    stop, target = legs_of(exchange, entry)
    exchange.fill(target.id, 65)
    assert (target.remaining, stop.remaining, stop.status) == (130, 130, Status.PENDING)
    exchange.fill(target.id)
    assert stop.status is Status.CANCELLED
    assert [each.net for each in exchange.positions()] == [0]


def test_cancelling_a_pending_parent_cancels_its_legs(exchange: Exchange, order: Fields) -> None:
    exchange.set_liquidity(65)
    entry = exchange.place(order(qty=130, limitPrice=160, stopLoss=20, takeProfit=20))
    exchange.cancel(entry.id)
    assert {leg.status for leg in legs_of(exchange, entry)} == {Status.CANCELLED}


def test_legs_of_what_was_filled_can_be_made_to_survive_the_cancellation(clock: Clock, order: Fields) -> None:
    exchange = Exchange(seed=7, now=clock, volatile=False, rules=Rules(cancel_takes_legs=False))
    quote(exchange, 165)
    exchange.set_liquidity(65)
    entry = exchange.place(order(qty=130, limitPrice=160, stopLoss=20, takeProfit=20))
    exchange.cancel(entry.id)
    assert {leg.status for leg in legs_of(exchange, entry)} == {Status.PENDING}


@pytest.mark.parametrize(("carried", "tag"), [(False, "2:Untagged"), (True, "1:tvshort")])
def test_whether_legs_repeat_the_tag_of_their_parent_is_a_choice(
    clock: Clock, order: Fields, carried: bool, tag: str
) -> None:
    exchange = Exchange(seed=7, now=clock, volatile=False, rules=Rules(legs_carry_tag=carried))
    quote(exchange, 165)
    entry = exchange.place(order(limitPrice=160, stopLoss=20, takeProfit=20, orderTag="tvshort"))
    assert {leg.tag for leg in legs_of(exchange, entry)} == {tag}


def test_a_modification_moves_removes_and_keeps_legs(exchange: Exchange, order: Fields) -> None:
    entry = exchange.place(order(limitPrice=170, stopLoss=20, takeProfit=20))
    exchange.modify({"id": entry.id, "stopLoss": 30, "takeProfit": None})
    assert (entry.stop_loss, entry.take_profit) == (Decimal(30), Decimal(0))
    exchange.modify({"id": entry.id, "limitPrice": 171})
    assert entry.stop_loss == 30
    quote(exchange, 172)
    (stop,) = legs_of(exchange, entry)
    assert stop.stop_price == entry.average + 30


def test_a_modification_of_a_partly_filled_entry_places_its_legs_anew(exchange: Exchange, order: Fields) -> None:
    exchange.set_liquidity(0)
    entry = exchange.place(order(qty=130, stopLoss=20, takeProfit=20))
    exchange.fill(entry.id, 65)
    exchange.modify({"id": entry.id, "stopLoss": 40})
    live = [leg for leg in legs_of(exchange, entry) if leg.is_open]
    assert [(leg.quantity, leg.stop_price or leg.limit_price) for leg in live] == [
        (65, Decimal(205)),
        (65, Decimal(145)),
    ]


def test_a_position_can_be_given_legs_changed_ones_and_none(exchange: Exchange, order: Fields) -> None:
    exchange.place(order(qty=130))
    place = {"positionId": f"{CALL}-INTRADAY"}
    exchange.attach({**place, "stopLoss": 20, "takeProfit": 30})
    exchange.attach({**place, "stopLoss": 25, "takeProfit": 30, "qty": 65})
    live = [each for each in exchange.orders() if each.is_open]
    assert [(leg.quantity, leg.stop_price or leg.limit_price) for leg in live] == [
        (65, Decimal(190)),
        (65, Decimal(135)),
    ]
    exchange.fill(live[0].id)
    assert live[1].status is Status.CANCELLED
    exchange.attach({**place, "stopLoss": None, "takeProfit": 0})
    assert [each for each in exchange.orders() if each.is_open] == []


@pytest.mark.parametrize(
    ("changes", "code"),
    [({"qty": 130}, -50), ({"qty": 0}, -50), ({"stopLoss": 0.01}, -50), ({"positionId": "NSE:NOPE-INTRADAY"}, -53)],
)
def test_legs_that_do_not_fit_a_position_are_refused(
    exchange: Exchange, order: Fields, changes: dict[str, Any], code: int
) -> None:
    exchange.place(order())
    with pytest.raises(Refused) as refused:
        exchange.attach({"positionId": f"{CALL}-INTRADAY", "stopLoss": 20, **changes})
    assert refused.value.code == code


def test_legs_expire_with_the_day(exchange: Exchange, short: tuple[Order, Order, Order]) -> None:
    _, stop, target = short
    exchange.close_session()
    assert (stop.status, target.status) == (Status.EXPIRED, Status.EXPIRED)
