"""Whatever is done to the account, in whatever order, its books agree with one another."""

import random
from collections.abc import Callable
from decimal import Decimal

import pytest

from app.simulator import Exchange, Rules, Status
from app.simulator.rules import Refused
from tests.simulator.fixed_account import CALL, Clock, Fields

SYMBOLS = (CALL, "NSE:NIFTY26NOV26000PE")


def act(exchange: Exchange, clock: Clock, dice: random.Random, order: Fields) -> None:
    """One random thing that a user, the market or the clock may do."""
    orders = exchange.orders()
    known = dice.choice(orders).id if orders else "26112000000001"
    price = round(dice.uniform(100, 220) / 0.05) * 5 / 100
    offsets = {"stopLoss": dice.choice([0, 0, 5, 20]), "takeProfit": dice.choice([0, 0, 5, 20])}
    fields = order(
        symbol=dice.choice(SYMBOLS), qty=65 * dice.randint(1, 4), side=dice.choice([1, -1]), limitPrice=price,
        validity=dice.choice(["DAY", "DAY", "IOC"]), productType=dice.choice(["INTRADAY", "MARGIN"]), **offsets,
    )  # fmt: skip
    position = f"{dice.choice(SYMBOLS)}-{dice.choice(['INTRADAY', 'MARGIN'])}"
    ltp = Decimal(dice.randint(2400, 4000)) / 20
    actions: list[Callable[[], object]] = [
        lambda: exchange.place(fields),
        lambda: exchange.place({**fields, "type": 2}),
        lambda: exchange.place({**fields, "type": 4, "stopPrice": round(price - fields["side"], 2)}),
        lambda: exchange.cancel(known),
        lambda: exchange.modify({"id": known, "limitPrice": price, "qty": 65 * dice.randint(1, 5)}),
        lambda: exchange.modify({"id": known, **offsets}),
        lambda: exchange.attach({"positionId": position, "stopLoss": 10, "takeProfit": 10}),
        lambda: exchange.exit({"id": position, "pending_orders_cancel": dice.randint(0, 1)}),
        lambda: exchange.set_quote(dice.choice(SYMBOLS), ltp, ltp - Decimal("0.25"), ltp + Decimal("0.25")),
        lambda: exchange.set_liquidity(dice.choice([None, 65, 0])),
        lambda: exchange.reject(known, "turned down"),
        exchange.tick,
        lambda: clock.move(seconds=1),
    ]
    try:
        dice.choices(actions, weights=[6, 2, 2, 2, 2, 1, 1, 1, 4, 1, 1, 2, 2])[0]()
    except Refused:
        pass  # an answer like any other


def check(exchange: Exchange) -> None:
    book = exchange.desk.book
    assert {order.id for order in book.orders.values() if order.is_open} == set(book.open)
    for order in book.orders.values():
        assert 0 <= order.filled <= order.quantity
        assert (order.status is Status.FILLED) == (order.filled == order.quantity)
        traded = [trade for trade in book.trades if trade.order is order]
        assert sum(trade.quantity for trade in traded) == order.filled
    for (symbol, product), position in exchange.desk.positions.items():
        fills = [t for t in book.trades if (t.order.instrument.symbol, t.order.product) == (symbol, product)]
        assert position.net == sum(trade.order.side * trade.quantity for trade in fills)
        cash = -sum(trade.order.side * trade.quantity * trade.price for trade in fills)
        assert abs(position.realized - (cash + position.net * position.net_average)) < Decimal("0.000001")
    blocked = sum(order.margin_per_unit * order.remaining for order in book.open.values())
    assert abs(exchange.desk.blocked - blocked) < Decimal("0.000001")


@pytest.mark.parametrize("seed", range(12))
def test_orders_trades_positions_and_margin_agree_after_every_step(clock: Clock, order: Fields, seed: int) -> None:
    dice = random.Random(seed)  # noqa: S311 - repeatable on purpose
    rules = Rules(transit_seconds=dice.choice([0, 0, 1]), cancel_takes_legs=seed % 2 == 0)
    exchange = Exchange(seed=seed, now=clock, capital=Decimal(3_000_000), rules=rules)
    for _ in range(120):
        act(exchange, clock, dice, order)
        check(exchange)
    exchange.close_session()
    check(exchange)
    assert exchange.desk.book.open == {}
