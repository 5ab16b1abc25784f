"""Orders at the account itself: what is refused, what is rejected, how the rest trades, and what it costs."""

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

from app.simulator import Exchange, Rules, Status
from app.simulator.instruments import IST
from app.simulator.orders import Position, round_to
from app.simulator.rules import Refused, rupees
from tests.simulator.fixed_account import CALL, Clock, Fields

FUTURE = "NSE:NIFTY26NOVFUT"
SHARE, STOCK_FUTURE = "NSE:RELIANCE-EQ", "NSE:ITC26NOVFUT"


def refusal(exchange: Exchange, fields: dict[str, Any]) -> tuple[int, str]:
    before = len(exchange.orders())
    with pytest.raises(Refused) as refused:
        exchange.place(fields)
    assert len(exchange.orders()) == before, "a refused order must not be in the book"
    return refused.value.code, refused.value.message


# -- refused: no id, nothing in the book


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"symbol": "NSE:NIFTY26NOV26001CE"}, "The input symbol is invalid."),
        ({"symbol": "NSE:NIFTY50-INDEX"}, "The input symbol is invalid."),
        ({"symbol": 7}, "The input symbol is invalid."),
        ({"qty": 66}, "Quantity should be multiple of min lot size."),
        ({"qty": 0}, "Quantity should be multiple of min lot size."),
        ({"qty": -65}, "Quantity should be multiple of min lot size."),
        ({"qty": 3575}, "Quantity exceeds the allowable freeze limit."),
        ({"qty": 65.0}, "qty should be an integer"),
        ({"qty": True}, "qty should be an integer"),
        ({"limitPrice": 165.03}, "LimitPrice not a multiple of tick size 0.0500"),
        ({"limitPrice": 0}, "LimitPrice is mandatory for limit orders"),
        ({"limitPrice": "165"}, "limitPrice should be a number"),
        ({"limitPrice": -5}, "limitPrice should not be negative"),
        ({"limitPrice": float("nan")}, "limitPrice should not be negative"),
        ({"type": 4, "stopPrice": 0}, "StopPrice is mandatory for stop orders"),
        ({"type": 4, "stopPrice": 164.97}, "StopPrice not a multiple of tick size 0.0500"),
        ({"type": 4, "side": -1, "stopPrice": 164, "limitPrice": 165}, "StopPrice should be greater than LimitPrice"),
        ({"type": 4, "side": 1, "stopPrice": 170, "limitPrice": 169}, "StopPrice should be less than LimitPrice"),
        ({"stopLoss": 20.01}, "StopLoss not a multiple of tick size 0.0500"),
        ({"takeProfit": 20.01}, "TakeProfit not a multiple of tick size 0.0500"),
        ({"stopLoss": 20, "legType": 3}, "legType should be 1 or 2"),
        ({"type": 5}, "type should be one of 1, 2, 3, 4"),
        ({"side": 0}, "side should be 1 or -1"),
        ({"validity": "GTC"}, "validity should be DAY or IOC"),
        ({"offlineOrder": "no"}, "offlineOrder should be true or false"),
        ({"productType": "CNC"}, "Product CNC not enabled on exchange NFO"),
        ({"productType": "MTF"}, "Product MTF not enabled on exchange NFO"),
        (
            {"productType": "CNC", "symbol": "BSE:SENSEX26NOV85000CE", "qty": 20},
            "Product CNC not enabled on exchange BFO",
        ),
        ({"productType": "CNC", "symbol": FUTURE}, "Product CNC not enabled on exchange NFO"),
        ({"productType": "MARGIN", "symbol": SHARE, "qty": 1}, "Product MARGIN not enabled on exchange NSE"),
        ({"symbol": STOCK_FUTURE, "qty": 800}, "Quantity should be multiple of min lot size."),
        ({"symbol": SHARE, "qty": 0}, "Quantity should be multiple of min lot size."),
        ({"productType": "BO"}, "Product BO is discontinued, use takeProfit and stopLoss"),
        ({"productType": "CO"}, "Product CO is discontinued, use takeProfit and stopLoss"),
        ({"productType": "NRML"}, "productType is invalid"),
        ({"orderTag": "with-hyphen"}, "orderTag should be alphanumeric and between 1 and 30 characters"),
        ({"orderTag": "a" * 31}, "orderTag should be alphanumeric and between 1 and 30 characters"),
        ({"orderTag": "F12345"}, "orderTag is invalid"),
        ({"orderTag": "Untagged"}, "orderTag is invalid"),
    ],
)
def test_what_makes_no_sense_is_refused_without_an_id(
    exchange: Exchange, order: Fields, changes: dict[str, Any], message: str
) -> None:
    assert refusal(exchange, order(**changes)) == (-50, message)


@pytest.mark.parametrize(
    "field",
    [
        "symbol",
        "qty",
        "type",
        "side",
        "productType",
        "limitPrice",
        "stopPrice",
        "validity",
        "disclosedQty",
        "offlineOrder",
    ],
)
def test_every_mandatory_field_is_missed(exchange: Exchange, order: Fields, field: str) -> None:
    fields = order()
    del fields[field]
    assert refusal(exchange, fields) == (-50, f"{field} is mandatory")


def test_a_futures_tick_is_its_own(exchange: Exchange, order: Fields) -> None:
    fields = order(symbol=FUTURE, type=4, stopPrice=26000.05, limitPrice=25990)
    assert refusal(exchange, fields) == (-50, "StopPrice not a multiple of tick size 0.1000")


def test_the_tag_limit_of_20_can_be_chosen(clock: Clock, order: Fields) -> None:
    exchange = Exchange(now=clock, rules=Rules(max_tag_length=20))
    assert "1 and 20 characters" in refusal(exchange, order(orderTag="a" * 21))[1]


# -- rejected: an id, and a row with status 5


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"type": 3, "stopPrice": 150, "limitPrice": 0}, "16052 Function not available"),
        ({"offlineOrder": True}, "ORA:AMO is stopped"),
        ({"type": 4, "side": -1, "stopPrice": 170, "limitPrice": 169}, "Trigger price should be beyond the last"),
        ({"type": 4, "side": 1, "stopPrice": 160, "limitPrice": 161}, "Trigger price should be beyond the last"),
        ({"limitPrice": 300}, "RED:RULE:{Check circuit limit including square off order}Current:300 LowerCircuit:99.1"),
    ],
)
def test_what_the_risk_system_or_the_exchange_turns_down_has_an_id_and_a_row(
    exchange: Exchange, order: Fields, changes: dict[str, Any], message: str
) -> None:
    rejected = exchange.place(order(**changes))
    assert rejected.message.startswith(message)
    row = exchange.order(rejected.id)
    assert (row.status, row.remaining, row.filled, row.exchange_id) == (Status.REJECTED, 0, 0, "")


def test_a_short_without_the_margin_is_rejected_in_the_brokers_words(clock: Clock, order: Fields) -> None:
    exchange = Exchange(seed=7, now=clock, volatile=False, capital=Decimal("1774.51"))
    rejected = exchange.place(order(limitPrice=180))
    assert rejected.status is Status.REJECTED
    assert rejected.message.startswith("RED:Margin Shortfall:INR 1,8")
    assert rejected.message.endswith("Available:INR 1,774.51 for C-F12345 [FYERS_RISK_CUG]")


def test_rupees_are_grouped_the_indian_way() -> None:
    assert [rupees(Decimal(text)) for text in ("278806.74", "1774.51", "12345678", "999", "-100000")] == [
        "2,78,806.74", "1,774.51", "1,23,45,678.00", "999.00", "-1,00,000.00",
    ]  # fmt: skip


def test_a_rejection_can_be_asked_for(exchange: Exchange, order: Fields) -> None:
    assert exchange.place(order(), reject="RED:RULE:{x}").message == "RED:RULE:{x}"


def test_a_freeze_breach_with_an_id_and_no_bands_can_be_chosen(clock: Clock, order: Fields) -> None:
    exchange = Exchange(seed=7, now=clock, rules=Rules(freeze_has_id=True, price_bands=False), volatile=False)
    assert exchange.place(order(qty=3575)).message == "RED:RULE:{Check Freeze qty}Current:3575 Set:3511"
    assert exchange.place(order(limitPrice=900)).status is Status.PENDING


def test_a_share_has_hours_of_its_own(clock: Clock, order: Fields) -> None:
    clock.now = clock.now.replace(hour=15, minute=20)
    exchange = Exchange(seed=7, now=clock, rules=Rules(always_open=False, price_bands=False), volatile=False)
    share = exchange.place(order(symbol="NSE:RELIANCE-EQ", qty=1, type=2, limitPrice=0))
    assert (share.status, share.message) == (Status.REJECTED, "Trading in this symbol has stopped")


@pytest.mark.parametrize(("hour", "minute", "taken"), [(9, 14, False), (9, 15, True), (15, 39, True), (15, 40, False)])
def test_market_hours_can_be_enforced(clock: Clock, order: Fields, hour: int, minute: int, taken: bool) -> None:
    clock.now = clock.now.replace(hour=hour, minute=minute)
    exchange = Exchange(seed=7, now=clock, rules=Rules(always_open=False), volatile=False)
    assert (exchange.place(order(limitPrice=180)).status is not Status.REJECTED) is taken
    assert exchange.market_is_open() is taken


# -- trading


def test_a_marketable_limit_fills_at_the_touch(exchange: Exchange, order: Fields) -> None:
    sold, bought = exchange.place(order(limitPrice=160)), exchange.place(order(side=1, limitPrice=170))
    assert (sold.status, sold.average) == (Status.FILLED, Decimal("165.00"))
    assert (bought.status, bought.average) == (Status.FILLED, Decimal("165.30"))


def test_a_resting_limit_fills_when_the_quote_crosses_it(exchange: Exchange, order: Fields) -> None:
    resting = exchange.place(order(limitPrice=170))
    assert (resting.status, resting.exchange_id != "") == (Status.PENDING, True)
    exchange.set_quote(CALL, Decimal(170), Decimal("169.95"), Decimal("170.05"))
    assert exchange.order(resting.id).status is Status.PENDING
    exchange.set_quote(CALL, Decimal(171), Decimal("170.50"), Decimal("171.50"))
    assert (exchange.order(resting.id).status, resting.average) == (Status.FILLED, Decimal("170.50"))


def test_a_resting_limit_fills_as_the_market_drifts(clock: Clock, order: Fields) -> None:
    exchange = Exchange(seed=5, now=clock)
    bid = exchange.quote(CALL).bid
    resting = [exchange.place(order(limitPrice=float(bid + offset))) for offset in (1, 2, 3)]
    resting += [exchange.place(order(side=1, limitPrice=float(bid - offset))) for offset in (1, 2, 3)]
    for _ in range(600):
        clock.move(seconds=10)
        exchange.refresh()
    assert Status.FILLED in {each.status for each in resting}


@pytest.mark.parametrize(
    ("ltp", "side", "limit"),
    [
        ("165.15", -1, "148.65"), ("165.15", 1, "181.65"), ("20.00", 1, "23.00"), ("20.05", 1, "22.05"),
        ("10.00", -1, "8.50"), ("10.05", -1, "8.55"), ("0.50", -1, "0.05"),
    ],
)  # fmt: skip
def test_a_market_order_becomes_a_limit_at_the_protection_price(
    exchange: Exchange, order: Fields, ltp: str, side: int, limit: str
) -> None:
    exchange.set_quote(CALL, Decimal(ltp))
    placed = exchange.place(order(type=2, side=side, limitPrice=0))
    assert (int(placed.order_type), placed.limit_price) == (2, Decimal(limit))
    assert placed.status is Status.FILLED


def test_shares_for_delivery_trade_in_single_units_and_are_paid_in_full(exchange: Exchange, order: Fields) -> None:
    exchange.set_quote(SHARE, Decimal(1500))
    bought = exchange.place(order(symbol=SHARE, qty=7, side=1, productType="CNC", limitPrice=1501))
    assert (bought.status, bought.average) == (Status.FILLED, Decimal("1500.05"))
    assert exchange.available() == exchange.rms.capital - 7 * Decimal("1500.05")
    exchange.set_quote(SHARE, Decimal(1510))
    assert exchange.place(order(symbol=SHARE, qty=4, productType="CNC", limitPrice=1509)).status is Status.FILLED
    assert [(position.id, position.net) for position in exchange.positions()] == [(f"{SHARE}-CNC", 3)]
    assert exchange.rms.realized() == 4 * (Decimal("1509.95") - Decimal("1500.05"))


@pytest.mark.parametrize(
    ("product", "held", "taken"), [("CNC", 0, False), ("CNC", 4, False), ("MTF", 0, False), ("INTRADAY", 0, True)]
)
def test_only_intraday_sells_shares_that_the_account_does_not_hold(
    exchange: Exchange, order: Fields, product: str, held: int, taken: bool
) -> None:
    if held:
        exchange.place(order(symbol=SHARE, qty=held, side=1, productType=product, type=2, limitPrice=0))
    sold = exchange.place(order(symbol=SHARE, qty=5, productType=product, type=2, limitPrice=0))
    assert (sold.status is Status.FILLED) is taken
    assert taken or sold.message == "RED:RULE:{Check holdings} Sell quantity exceeds the holdings"


def test_a_future_on_a_stock_trades_in_its_lots_against_margin(exchange: Exchange, order: Fields) -> None:
    exchange.set_quote(STOCK_FUTURE, Decimal(406))
    sold = exchange.place(order(symbol=STOCK_FUTURE, qty=1600, productType="MARGIN", limitPrice=405))
    assert (sold.status, sold.average) == (Status.FILLED, Decimal("405.95"))
    spot = exchange.market.open_spot(sold.instrument.underlying)
    assert exchange.available() == exchange.rms.capital - 1600 * spot * Decimal("0.2")
    assert [position.net for position in exchange.positions()] == [-1600]


def test_a_futures_market_order_has_its_own_protection(exchange: Exchange, order: Fields) -> None:
    ltp = exchange.quote(FUTURE).ltp
    placed = exchange.place(order(symbol=FUTURE, side=1, type=2, limitPrice=0))
    assert placed.limit_price == round_to(Decimal("0.1"), ltp * Decimal("1.005"))


def test_what_a_market_order_cannot_get_stays_pending_as_a_limit(exchange: Exchange, order: Fields) -> None:
    exchange.set_liquidity(65)
    placed = exchange.place(order(type=2, qty=130, limitPrice=0))
    assert (placed.status, placed.filled, placed.remaining) == (Status.PENDING, 65, 65)
    exchange.set_quote(CALL, Decimal(100), Decimal(99), Decimal(101))
    assert exchange.order(placed.id).status is Status.PENDING
    exchange.set_quote(CALL, Decimal(165), Decimal(164), Decimal(166))
    assert exchange.order(placed.id).status is Status.FILLED


def test_a_partial_fill_is_pending_with_a_filled_quantity_and_an_average(exchange: Exchange, order: Fields) -> None:
    exchange.set_liquidity(65)
    placed = exchange.place(order(qty=195, limitPrice=160))
    exchange.set_quote(CALL, Decimal("164.15"), Decimal("164.00"), Decimal("164.30"))
    assert (placed.status, placed.filled, placed.average) == (Status.PENDING, 130, Decimal("164.5"))
    exchange.tick()
    assert (placed.status, placed.filled) == (Status.FILLED, 195)
    assert [trade.number for trade in exchange.trades()] == [f"{placed.id}-{count}" for count in (1, 2, 3)]


def test_ioc_takes_what_there_is_and_cancels_the_rest(exchange: Exchange, order: Fields) -> None:
    exchange.set_liquidity(65)
    partial = exchange.place(order(qty=130, validity="IOC", limitPrice=160))
    nothing = exchange.place(order(validity="IOC", limitPrice=170))
    assert (partial.status, partial.filled) == (Status.CANCELLED, 65)
    assert (nothing.status, nothing.filled) == (Status.CANCELLED, 0)


def test_a_stop_limit_waits_for_its_trigger_and_then_is_a_limit(exchange: Exchange, order: Fields) -> None:
    stop = exchange.place(order(type=4, side=1, stopPrice=170, limitPrice=172))
    exchange.set_quote(CALL, Decimal("169.95"), Decimal("169.80"), Decimal("170.10"))
    assert (exchange.order(stop.id).status, stop.triggered) == (Status.PENDING, False)
    exchange.set_quote(CALL, Decimal(175), Decimal(174), Decimal(176))
    assert (exchange.order(stop.id).status, stop.triggered) == (Status.PENDING, True)
    exchange.set_quote(CALL, Decimal(171), Decimal(170), Decimal(172))
    assert (exchange.order(stop.id).status, stop.average) == (Status.FILLED, Decimal(172))


def test_a_stop_market_order_works_on_futures(exchange: Exchange, order: Fields) -> None:
    exchange.set_quote(FUTURE, Decimal(26000))
    stop = exchange.place(order(symbol=FUTURE, type=3, side=1, stopPrice=26050, limitPrice=0))
    exchange.set_quote(FUTURE, Decimal(26060))
    assert exchange.order(stop.id).status is Status.FILLED


def test_an_order_can_spend_time_in_transit(clock: Clock, order: Fields) -> None:
    exchange = Exchange(seed=7, now=clock, volatile=False, rules=Rules(transit_seconds=2))
    placed = exchange.place(order(limitPrice=150))
    assert (placed.status, placed.exchange_id) == (Status.TRANSIT, "")
    clock.move(seconds=1)
    assert exchange.order(placed.id).status is Status.TRANSIT
    clock.move(seconds=1)
    assert exchange.order(placed.id).status is Status.FILLED


def test_nothing_trades_without_liquidity_except_by_hand(exchange: Exchange, order: Fields) -> None:
    exchange.set_liquidity(0)
    placed = exchange.place(order(qty=130, limitPrice=160))
    assert (placed.status, placed.filled) == (Status.PENDING, 0)
    exchange.fill(placed.id, 65)
    assert (placed.status, placed.filled, placed.average) == (Status.PENDING, 65, Decimal(160))
    exchange.fill(placed.id, price=Decimal(170))
    assert (placed.status, placed.average) == (Status.FILLED, Decimal(165))


def test_the_exchange_may_reject_after_the_broker_accepted(exchange: Exchange, order: Fields) -> None:
    placed = exchange.place(order(limitPrice=170))
    exchange.reject(placed.id, "17182")
    assert (exchange.order(placed.id).status, placed.message) == (Status.REJECTED, "17182")
    assert exchange.available() == exchange.rms.capital


def test_ids_are_the_day_and_eight_digits_and_never_repeat(exchange: Exchange, order: Fields) -> None:
    ids = [exchange.place(order(limitPrice=price)).id for price in (160, 170, 900)]
    assert ids == ["26112000000001", "26112000000002", "26112000000003"]


# -- cancelling and modifying


def test_a_pending_order_can_be_cancelled_once(exchange: Exchange, order: Fields) -> None:
    placed = exchange.place(order(limitPrice=170))
    assert exchange.cancel(placed.id).status is Status.CANCELLED
    with pytest.raises(Refused) as again:
        exchange.cancel(placed.id)
    assert again.value.code == -161


@pytest.mark.parametrize(("changes", "code"), [({"limitPrice": 160}, -162), ({"limitPrice": 900}, -164)])
def test_a_closed_order_can_be_neither_cancelled_nor_modified(
    exchange: Exchange, order: Fields, changes: dict[str, int], code: int
) -> None:
    closed = exchange.place(order(**changes))
    attempts: list[Callable[[], object]] = [
        lambda: exchange.cancel(closed.id),
        lambda: exchange.modify({"id": closed.id, "limitPrice": 170}),
    ]
    for attempt in attempts:
        with pytest.raises(Refused) as refused:
            attempt()
        assert refused.value.code == code


@pytest.mark.parametrize("order_id", ["26112000009999", None, 7, ["x"]])
def test_an_unknown_id_is_refused(exchange: Exchange, order_id: object) -> None:
    with pytest.raises(Refused) as refused:
        exchange.cancel(order_id)
    assert (refused.value.code, refused.value.message) == (-51, f"invalid order id: {order_id}")


def test_cancelled_after_a_partial_fill_keeps_what_was_filled(exchange: Exchange, order: Fields) -> None:
    exchange.set_liquidity(65)
    placed = exchange.place(order(qty=130, limitPrice=160))
    exchange.cancel(placed.id)
    assert (placed.status, placed.filled) == (Status.CANCELLED, 65)


def test_a_modified_price_meets_the_market_at_once(exchange: Exchange, order: Fields) -> None:
    placed = exchange.place(order(limitPrice=170))
    exchange.modify({"id": placed.id, "type": 1, "limitPrice": 164, "stopPrice": 0, "qty": 130})
    assert (placed.status, placed.filled, placed.average) == (Status.FILLED, 130, Decimal("165.00"))


def test_a_limit_can_be_turned_into_a_market_order(exchange: Exchange, order: Fields) -> None:
    placed = exchange.place(order(limitPrice=170))
    exchange.modify({"id": placed.id, "type": 2})
    assert (int(placed.order_type), placed.status) == (2, Status.FILLED)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"qty": 66}, "Quantity should be multiple of min lot size."),
        ({"limitPrice": 170.01}, "LimitPrice not a multiple of tick size 0.0500"),
        ({"qty": 65}, "Quantity should be greater than the traded quantity."),
    ],
)
def test_a_modification_obeys_the_rules_of_an_order(
    exchange: Exchange, order: Fields, changes: dict[str, Any], message: str
) -> None:
    exchange.set_liquidity(65)
    placed = exchange.place(order(qty=195, limitPrice=165))
    with pytest.raises(Refused) as refused:
        exchange.modify({"id": placed.id, **changes})
    assert refused.value.message == message
    assert (placed.quantity, placed.limit_price) == (195, Decimal(165))


def test_a_modification_without_limit_price_can_be_made_to_fail(clock: Clock, order: Fields) -> None:
    exchange = Exchange(seed=7, now=clock, volatile=False, rules=Rules(modify_needs_all=True))
    placed = exchange.place(order(limitPrice=200))
    with pytest.raises(Refused, match="limitPrice does not match: 0"):
        exchange.modify({"id": placed.id, "qty": 130})


# -- positions and money


def position(exchange: Exchange, product: str = "INTRADAY") -> Position:
    return next(each for each in exchange.positions() if each.product == product)


def test_fills_become_one_position_for_each_symbol_and_product(exchange: Exchange, order: Fields) -> None:
    exchange.place(order())
    exchange.place(order(qty=130))
    exchange.place(order(productType="MARGIN"))
    assert {each.id: each.net for each in exchange.positions()} == {f"{CALL}-INTRADAY": -195, f"{CALL}-MARGIN": -65}


def test_covering_realises_the_difference_and_keeps_a_closed_row(exchange: Exchange, order: Fields) -> None:
    exchange.place(order(qty=130))
    exchange.set_quote(CALL, Decimal(150), Decimal("149.95"), Decimal("150.05"))
    exchange.place(order(side=1, limitPrice=151))
    held = position(exchange)
    assert (held.net, held.net_average, held.realized) == (-65, Decimal("165.00"), Decimal("14.95") * 65)
    exchange.place(order(side=1, limitPrice=151))
    assert (held.net, held.net_average, held.realized) == (0, Decimal(0), Decimal("14.95") * 130)
    assert exchange.available() == Decimal(1_000_000) + Decimal("14.95") * 130


def test_buying_more_than_was_short_turns_the_position(exchange: Exchange, order: Fields) -> None:
    exchange.place(order())
    exchange.place(order(side=1, qty=195, limitPrice=166))
    held = position(exchange)
    assert (held.net, held.net_average, held.realized) == (130, Decimal("165.30"), Decimal("-0.30") * 65)


def test_a_short_blocks_margin_and_a_cover_needs_none(exchange: Exchange, order: Fields) -> None:
    exchange.place(order())
    blocked = exchange.rms.utilized()
    assert 150_000 < blocked < 250_000
    exchange.place(order(side=1, limitPrice=150))
    assert exchange.rms.utilized() == blocked


def test_a_second_cover_of_the_same_short_is_an_opening_order(exchange: Exchange, order: Fields) -> None:
    exchange.place(order())
    blocked = exchange.rms.utilized()
    for _ in range(2):
        exchange.place(order(side=1, limitPrice=150))
    assert exchange.rms.utilized() == blocked + 150 * 65


def test_a_long_option_costs_its_premium(exchange: Exchange, order: Fields) -> None:
    exchange.place(order(side=1, limitPrice=166))
    assert exchange.rms.utilized() == Decimal("165.30") * 65


@pytest.mark.parametrize("ending", ["cancel", "close_session", "partly"])
def test_margin_held_for_an_order_is_given_back(exchange: Exchange, order: Fields, ending: str) -> None:
    placed = exchange.place(order(limitPrice=170, qty=130))
    assert exchange.desk.blocked > 0
    if ending == "partly":
        exchange.fill(placed.id, 65)
        assert exchange.desk.blocked == exchange.rms._margin_of(position(exchange))
    exchange.close_session() if ending == "close_session" else exchange.cancel(placed.id)
    assert exchange.desk.blocked == 0


def test_margin_of_several_orders_is_told_apart_from_the_account_total(exchange: Exchange, order: Fields) -> None:
    exchange.place(order())
    total, together = exchange.margin({"data": [order(limitPrice=170)]})
    assert (together - total, total) == (exchange.rms.utilized(), exchange.rms.utilized())


# -- squaring off


def test_exit_all_closes_every_position_by_market_orders(exchange: Exchange, order: Fields) -> None:
    exchange.place(order())
    exchange.place(order(side=1, productType="MARGIN", limitPrice=166))
    assert exchange.exit({"exit_all": 1}) is True
    assert {each.net for each in exchange.positions()} == {0}
    assert {each.tag for each in exchange.orders()} == {"2:Untagged"}


def test_one_position_can_be_closed_by_id_or_by_filter(exchange: Exchange, order: Fields) -> None:
    exchange.place(order())
    exchange.place(order(productType="MARGIN"))
    exchange.exit({"id": f"{CALL}-MARGIN"})
    assert (position(exchange, "MARGIN").net, position(exchange).net) == (0, -65)
    with pytest.raises(Refused):
        exchange.exit({"segment": [11], "side": [1], "productType": ["INTRADAY"]})
    exchange.exit({"segment": [11], "side": [-1], "productType": ["INTRADAY"]})
    assert position(exchange).net == 0


def test_exit_without_a_counterparty_leaves_an_order_pending(exchange: Exchange, order: Fields) -> None:
    exchange.place(order())
    exchange.set_liquidity(0)
    assert exchange.exit({"id": [f"{CALL}-INTRADAY"]}) is False
    assert position(exchange).net == -65


@pytest.mark.parametrize(
    ("payload", "code"),
    [({"exit_all": 1}, -352), ({"id": "NSE:NOPE-INTRADAY"}, -53), ({}, -50), ({"exit_all": 0}, -50)],
)
def test_exit_of_nothing_is_refused(exchange: Exchange, payload: dict[str, Any], code: int) -> None:
    with pytest.raises(Refused) as refused:
        exchange.exit(payload)
    assert refused.value.code == code


def test_exit_cancels_pending_orders_only_when_asked(exchange: Exchange, order: Fields) -> None:
    exchange.place(order())
    resting, elsewhere = (
        exchange.place(order(limitPrice=170)),
        exchange.place(order(limitPrice=170, productType="MARGIN")),
    )
    exchange.exit({"id": f"{CALL}-INTRADAY"})
    assert resting.status is Status.PENDING
    exchange.place(order())
    exchange.exit({"id": f"{CALL}-INTRADAY", "pending_orders_cancel": 1})
    assert (resting.status, elsewhere.status) == (Status.CANCELLED, Status.PENDING)


def test_exit_of_more_than_the_freeze_quantity_is_sliced(clock: Clock, order: Fields) -> None:
    exchange = Exchange(seed=7, now=clock, volatile=False, capital=Decimal(10**9))
    for _ in range(2):
        exchange.place(order(qty=3510, type=2, limitPrice=0))
    exchange.exit({"exit_all": 1})
    assert [each.quantity for each in exchange.orders()[2:]] == [3510, 3510]


def test_a_large_order_can_be_placed_in_slices(clock: Clock, order: Fields) -> None:
    exchange = Exchange(seed=7, now=clock, volatile=False, capital=Decimal(10**9))
    placed = exchange.place_slices(order(qty=65 * 120, type=2, limitPrice=0))
    assert [each.quantity for each in placed] == [3510, 3510, 780]
    with pytest.raises(Refused, match="slice limit"):
        exchange.place_slices(order(qty=65 * 600))


# -- the end of the day


def test_pending_orders_expire_at_the_close(exchange: Exchange, order: Fields) -> None:
    resting, done = exchange.place(order(limitPrice=170)), exchange.place(order())
    exchange.close_session()
    assert (resting.status, done.status) == (Status.EXPIRED, Status.FILLED)


def test_a_new_day_has_an_empty_book_and_carries_what_is_open(exchange: Exchange, clock: Clock, order: Fields) -> None:
    exchange.place(order(productType="MARGIN"))
    exchange.place(order())
    exchange.place(order(side=1, limitPrice=170))
    resting = exchange.place(order(limitPrice=170))
    clock.move(days=3)
    assert exchange.orders() == []
    assert resting.status is Status.EXPIRED
    assert [(each.product, each.net, each.carried) for each in exchange.positions()] == [("MARGIN", -65, -65)]
    assert exchange.rms.capital == Decimal(1_000_000) - Decimal("0.30") * 65
    assert exchange.place(order(limitPrice=160)).id == f"{clock.now.astimezone(IST):%y%m%d}00000001"


def test_an_expired_contract_settles_at_its_intrinsic_value(exchange: Exchange, clock: Clock, order: Fields) -> None:
    exchange.place(order(productType="MARGIN"))
    clock.move(days=5)
    assert exchange.positions() == []
    index = exchange.instrument("NSE:NIFTY50-INDEX")
    assert index is not None
    spot = exchange.market.open_spot(index.underlying)
    assert exchange.rms.capital == 1_000_000 + (Decimal("165.00") - max(Decimal(0), spot - 26000)) * 65
    assert exchange.instrument(CALL) is None
