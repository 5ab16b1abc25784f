"""Protective legs at the broker: each entry has them or a notice, and none of them outlives its position."""

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from app.domain.calendar import IST
from app.simulator import Exchange, Fault, FaultKind, Rules, Simulator, Status
from app.simulator.orders import Order as AtTheBroker
from tests.gateway import Gateway, Standing, alert, gateway
from tests.instances import house, simulated_account
from tests.stopwatch import Stopwatch
from tests.waiting import wait_until

SETTLED = timedelta(seconds=6)  # a request that still lives looks after its own order


@pytest.fixture
def gate(tmp_path: Path) -> Iterator[Gateway]:
    with simulated_account() as account, house(tmp_path, account, WEBHOOK_MAX_QTY="3") as gate:
        yield gate


def legs(gate: Gateway, parent: str | None = None) -> list[AtTheBroker]:
    """The legs that still work at the broker."""
    rows = gate.account.exchange.orders()
    return [row for row in rows if row.is_leg and row.is_open and parent in (None, row.parent_id)]


def net(gate: Gateway) -> int:
    return sum(position.net for position in gate.account.exchange.positions())


def reconcile(gate: Gateway) -> dict[str, Any]:
    return dict(gate.operate("POST", "/tasks/reconcile").json)


def told(gate: Gateway, kind: str) -> list[str]:
    with gate.desk.ledger.reading(gate.deadline()) as db:  # type: ignore[attr-defined]
        rows = db.execute("SELECT document FROM outbox ORDER BY number")
        documents = [row[0] for row in rows]
    return [one["severity"] for one in map(json.loads, documents) if one["kind"] == kind]


def later(gate: Gateway, passed: timedelta = SETTLED) -> None:
    now = gate.desk.clock.now
    gate.desk.clock.now = lambda: now() + passed  # type: ignore[method-assign]


def cancel_by_hand(gate: Gateway, *rows: AtTheBroker) -> None:
    for row in rows:
        gate.account.exchange.cancel(row.id)


def move(gate: Gateway, symbol: str, price: Decimal) -> None:
    gate.account.exchange.set_quote(symbol, price, price, price)


# -- they are there


def test_an_entry_stands_with_its_stop_loss_and_take_profit_at_the_broker(gate: Gateway) -> None:
    said = gate.send().json
    stop, target = legs(gate, said["broker_order_id"])
    assert (stop.side, stop.quantity, target.side, target.quantity) == (1, 65, 1, 65)
    fill = gate.account.exchange.order(said["broker_order_id"]).average
    ltp = Decimal(said["ltp"])
    assert stop.stop_price - fill == Decimal(said["stop_loss"]) - ltp
    assert fill - target.limit_price == ltp - Decimal(said["take_profit"])


def test_a_cover_brings_no_legs(gate: Gateway) -> None:
    gate.send()
    before = len(gate.account.exchange.orders())
    gate.send(action="BUY")
    assert [row.is_leg for row in gate.account.exchange.orders()[before:]] == [False]


# -- they are shown


def test_an_order_shows_its_legs_as_they_stand(gate: Gateway) -> None:
    said = gate.send().json
    stop, target = legs(gate)
    shown = gate.operate("GET", f"/orders/{said['key']}").json["legs"]
    assert shown == [
        {
            "broker_order_id": stop.id,
            "kind": "stop_loss",
            "status": "ACCEPTED",
            "quantity": 65,
            "filled_quantity": 0,
            "price": f"{stop.stop_price:.2f}",
        },
        {
            "broker_order_id": target.id,
            "kind": "take_profit",
            "status": "ACCEPTED",
            "quantity": 65,
            "filled_quantity": 0,
            "price": f"{target.limit_price:.2f}",
        },
    ]
    move(gate, said["symbol"], stop.stop_price)
    shown = gate.operate("GET", f"/orders/{said['key']}").json["legs"]
    assert [(leg["kind"], leg["status"], leg["filled_quantity"]) for leg in shown] == [
        ("stop_loss", "FILLED", 65),
        ("take_profit", "CANCELLED", 0),
    ]
    assert gate.operate("GET", "/orders").json["orders"][0]["legs"] == shown


def test_an_order_without_legs_has_none_and_an_answer_that_cannot_know_says_so(gate: Gateway) -> None:
    entry = gate.send().json["key"]
    cover = gate.send(action="BUY").json["key"]
    denied = gate.send(action="BUY").json["key"]
    assert gate.operate("GET", f"/orders/{cover}").json["legs"] == []
    assert gate.operate("GET", f"/orders/{denied}").json["legs"] == []
    gate.account.fault("orders", Fault(FaultKind.HTML, status=502, times=None))
    assert gate.operate("GET", f"/orders/{entry}").json["legs"] is None
    assert [order["legs"] for order in gate.operate("GET", "/orders").json["orders"]] == [[], [], None]
    gate.account.clear_faults()
    later(gate, timedelta(days=1))
    assert gate.operate("GET", f"/orders/{entry}").json["legs"] is None


def test_a_broker_that_hangs_does_not_hold_up_what_the_ledger_says(gate: Gateway) -> None:
    key = gate.send().json["key"]
    gate.account.fault("orders", Fault(FaultKind.HANG, times=None))
    watch = Stopwatch()
    assert gate.operate("GET", f"/orders/{key}").json["legs"] is None
    assert watch.seconds < 2.5


# -- without them the operator is told


def test_a_naked_entry_is_told_once_for_its_state_and_not_each_minute(gate: Gateway) -> None:
    key = gate.send().json["key"]
    cancel_by_hand(gate, *legs(gate))
    assert reconcile(gate)["naked"] == []  # its request may still be at it
    later(gate)
    for _ in range(3):
        report = reconcile(gate)
        assert (report["naked"], report["clean"]) == ([key], False)
    assert told(gate, "naked") == ["CRITICAL"]


def test_a_missing_stop_loss_is_naked_and_a_missing_take_profit_is_not(gate: Gateway) -> None:
    key = gate.send().json["key"]
    later(gate)
    stop, target = legs(gate)
    cancel_by_hand(gate, target)
    assert reconcile(gate)["naked"] == []
    cancel_by_hand(gate, stop)
    assert reconcile(gate)["naked"] == [key]


def test_who_protects_a_position_by_hand_is_left_in_peace_until_that_is_gone_too(gate: Gateway) -> None:
    said = gate.send().json
    later(gate)
    cancel_by_hand(gate, *legs(gate))
    reconcile(gate)
    place = f"{said['symbol']}-INTRADAY"
    gate.account.exchange.attach({"positionId": place, "stopLoss": 20, "takeProfit": 0, "legType": 1})
    assert reconcile(gate)["naked"] == []
    cancel_by_hand(gate, *legs(gate))
    assert reconcile(gate)["naked"] == [said["key"]]
    reconcile(gate)
    assert told(gate, "naked") == ["CRITICAL", "CRITICAL"]


def test_legs_follow_an_entry_that_fills_in_parts(gate: Gateway) -> None:
    gate.account.exchange.set_liquidity(65)
    said = gate.send(lots=3).json
    later(gate)
    for filled in (65, 130, 195):
        report = reconcile(gate)
        order = gate.operate("GET", f"/orders/{said['key']}").json
        assert (order["filled_quantity"], report["naked"]) == (filled, [])
        assert [leg["quantity"] for leg in order["legs"]] == [filled, filled]
        gate.account.exchange.tick()


def test_units_that_were_filled_without_a_leg_of_their_own_are_named(gate: Gateway) -> None:
    gate.account.exchange.set_liquidity(65)
    key = gate.send(lots=2).json["key"]
    later(gate)
    for leg in legs(gate):
        leg.parent_id = "99999999999999"  # what a broker that lost track of them would show
    cancel_by_hand(gate, *legs(gate))
    gate.account.exchange.set_liquidity(0)
    assert reconcile(gate)["naked"] == [key]


def test_a_position_that_stayed_overnight_has_lost_its_legs_and_is_told_once_a_day(tmp_path: Path) -> None:
    clock = Standing(datetime(2026, 11, 18, 10, tzinfo=IST))
    exchange = Exchange(now=clock.now, volatile=False, capital=Decimal(10_000_000))
    with (
        Simulator(exchange, accept_any_token=True, rate_limits=False) as account,
        gateway(tmp_path, account, clock) as gate,
    ):
        asked: dict[str, Any] = {"productType": "MARGIN", "expiry": "MONTHLY", "timenow": None}
        said, other = gate.send(**asked).json, gate.send(**asked, optionType="PE").json
        hand = gate.desk.symbols.lookup_symbol(said["symbol"].replace("26000CE", "26100CE"))
        assert hand is not None
        gate.account.exchange.fill(by_hand(gate, hand.symbol))
        for symbol in (said["symbol"], other["symbol"], hand.symbol):  # or the next morning's prices may reach a leg
            quote = gate.account.exchange.quote(symbol)
            gate.account.exchange.set_quote(symbol, quote.ltp, quote.bid, quote.ask)
        place = f"{other['symbol']}-MARGIN"
        for days in (1, 2):
            clock.moment += timedelta(days=1)
            assert net(gate) == -65
            gate.account.exchange.attach({"positionId": place, "stopLoss": 20, "takeProfit": 0, "legType": 1})
            for _ in range(2):
                report = reconcile(gate)
                assert (report["overnight"], report["clean"]) == ([f"{said['symbol']}-MARGIN"], False)
            assert told(gate, "overnight") == ["CRITICAL"] * days


# -- and they do not outlive it


def test_a_cover_frees_the_legs_of_what_it_closed_before_it_answers(gate: Gateway) -> None:
    gate.send()
    gate.send(action="BUY")
    assert (net(gate), legs(gate)) == (0, [])


def test_a_cover_that_takes_a_moment_to_be_filled_frees_them_too(tmp_path: Path) -> None:
    rules = replace(Rules(), transit_seconds=0.3)
    with simulated_account(rules=rules) as account, house(tmp_path, account) as gate:
        gate.send()
        later(gate, timedelta())
        wait_until("the legs are there", lambda: legs(gate))
        assert gate.send(action="BUY").json["status"] == "ACCEPTED"
        assert (net(gate), legs(gate)) == (-65, [])
        wait_until("the cover is filled", lambda: not net(gate))
        assert legs(gate) == []


@pytest.mark.parametrize("covered", [1, 2, 3])
def test_a_partial_cover_of_three_entries_leaves_exactly_enough_legs(gate: Gateway, covered: int) -> None:
    entries = [gate.send().json["broker_order_id"] for _ in range(3)]
    gate.send(action="BUY", lots=covered)
    assert net(gate) == -65 * (3 - covered)
    for entry in entries[:covered]:
        assert legs(gate, entry) == []
    for entry in entries[covered:]:
        assert [leg.remaining for leg in legs(gate, entry)] == [65, 65]
    later(gate)
    assert reconcile(gate)["clean"] is True


def test_two_entries_of_unlike_size_keep_the_legs_that_fit(gate: Gateway) -> None:
    two, one = (gate.send(lots=lots).json["broker_order_id"] for lots in (2, 1))
    gate.send(action="BUY", lots=1)
    assert [leg.remaining for leg in legs(gate, two)] == [130, 130]
    assert legs(gate, one) == []


def test_a_partial_cover_of_a_single_entry_leaves_a_stop_loss_for_what_is_left(gate: Gateway) -> None:
    """The take-profit goes: Fyers takes a fill of one off the other, and a change on its way could put it back."""
    said = gate.send(lots=3).json
    before = legs(gate)[0].stop_price
    gate.send(action="BUY", lots=1)
    [stop] = legs(gate)
    assert (net(gate), stop.remaining, stop.stop_price) == (-130, 130, before)
    later(gate)
    assert reconcile(gate)["clean"] is True
    gate.send(action="BUY", lots=1)
    assert [leg.remaining for leg in legs(gate)] == [65]
    move(gate, said["symbol"], before)
    assert (net(gate), legs(gate)) == (0, [])


def test_a_stop_loss_that_fyers_does_not_make_smaller_goes_and_is_told(gate: Gateway) -> None:
    key = gate.send(lots=2).json["key"]
    gate.account.fault("modify", Fault(FaultKind.REFUSE, times=None))
    assert gate.send(action="BUY", lots=1).json["status"] == "ACCEPTED"
    assert (net(gate), legs(gate)) == (-65, [])
    later(gate)
    assert reconcile(gate)["naked"] == [key]
    assert told(gate, "naked") == ["CRITICAL"]


def test_a_stop_loss_whose_take_profit_was_filled_meanwhile_is_not_made_larger_again(gate: Gateway) -> None:
    gate.send(lots=3)
    [_, target] = legs(gate)
    cancel = gate.desk.broker.cancel

    def while_it_is_filled(broker_order_id: str, deadline: Any) -> Any:
        if gate.account.exchange.order(target.id).filled == 0:
            gate.account.exchange.fill(target.id, 130)
        return cancel(broker_order_id, deadline)

    gate.desk.broker.cancel = while_it_is_filled  # type: ignore[method-assign]
    response = gate.send(action="BUY", lots=1)
    assert (response.status_code, response.json["status"]) == (200, "ACCEPTED")
    assert (net(gate), legs(gate)) == (0, [])


# -- and they give way before the cover is sent


def test_a_cover_goes_out_only_after_its_legs_are_gone(gate: Gateway) -> None:
    gate.send()
    before = len(gate.account.log)
    gate.send(action="BUY")
    calls = [entry.endpoint for entry in gate.account.log[before:]]
    assert calls[calls.index("cancel") :] == ["cancel", "cancel", "orders", "place"]


def test_while_legs_cannot_be_cancelled_the_cover_waits_and_the_next_try_goes_on(gate: Gateway) -> None:
    gate.send()
    gate.account.fault("cancel", Fault(FaultKind.HTML, status=502, processed=False, times=None))
    body = alert(action="BUY")
    response = gate.send(body)
    assert (response.status_code, response.json["reason"]) in [(503, "POSITION_UNKNOWN"), (503, "OUT_OF_TIME")]
    assert (net(gate), len(legs(gate))) == (-65, 2)
    gate.account.clear_faults()
    assert gate.send(body).json["status"] == "ACCEPTED"
    assert (net(gate), legs(gate)) == (0, [])


def test_a_cover_whose_leg_was_filled_meanwhile_is_not_sent(gate: Gateway) -> None:
    gate.send()
    [stop, _] = legs(gate)
    gate.account.fault("cancel", Fault(FaultKind.LATENCY, seconds=0.1, times=None))
    cancel = gate.desk.broker.cancel

    def too_late(broker_order_id: str, deadline: Any) -> Any:
        if stop.is_open:
            gate.account.exchange.fill(stop.id)
        return cancel(broker_order_id, deadline)

    gate.desk.broker.cancel = too_late  # type: ignore[method-assign]
    body = alert(action="BUY")
    assert gate.send(body).status_code == 503
    assert gate.send(body).json["reason"] == "NO_SHORT_TO_COVER"
    assert net(gate) == 0


@pytest.mark.parametrize("state", ["HALTED", "ACTIVE"])
def test_a_cover_that_is_not_let_through_costs_no_position_its_stop_loss(gate: Gateway, state: str) -> None:
    gate.send()
    gate.operate("POST", "/trading-state", {"state": state, "reason": "lunch"})
    gate.send(action="BUY", lots=1, strikeprice=26000 if state == "HALTED" else 26100)
    assert len(legs(gate)) == 2


def test_a_position_that_was_closed_by_hand_leaves_no_leg_of_the_gateways(gate: Gateway) -> None:
    said = gate.send().json
    gate.account.exchange.exit({"id": f"{said['symbol']}-INTRADAY"})
    assert len(legs(gate)) == 2
    assert reconcile(gate)["legs_cancelled"] == 2
    assert legs(gate) == []


def test_legs_that_the_gateway_did_not_place_are_not_touched(gate: Gateway) -> None:
    said = gate.send().json
    place = f"{said['symbol']}-INTRADAY"
    cancel_by_hand(gate, *legs(gate))
    gate.account.exchange.attach({"positionId": place, "stopLoss": 20, "takeProfit": 30, "legType": 1})
    gate.account.exchange.exit({"id": place})
    assert reconcile(gate)["legs_cancelled"] == 0
    assert len(legs(gate)) == 2


def test_a_fill_that_the_positions_do_not_show_yet_costs_no_entry_its_legs(gate: Gateway) -> None:
    gate.send()
    flat = {"s": "ok", "code": 200, "netPositions": []}
    gate.account.fault("positions", Fault(FaultKind.ANSWER, body=flat, times=None))
    report = reconcile(gate)
    assert "do not show" in report["positions"]
    assert len(legs(gate)) == 2


def test_a_cover_that_rests_stands_there_alone_and_is_told_where_it_stays(gate: Gateway) -> None:
    """With its stop-loss beside it, both could be filled, and the account would be long."""
    key = gate.send().json["key"]
    later(gate)
    gate.account.exchange.set_liquidity(0)
    gate.send(action="BUY", timenow=None)
    assert (net(gate), legs(gate)) == (-65, [])
    assert reconcile(gate)["naked"] == []  # it was sent a moment ago
    later(gate)
    assert reconcile(gate)["naked"] == [key]
    assert told(gate, "naked") == ["CRITICAL"]
    gate.account.exchange.set_liquidity(None)
    gate.account.exchange.tick()
    assert net(gate) == 0


def test_a_cover_that_rests_is_cancelled_once_the_short_was_closed_by_hand(gate: Gateway) -> None:
    said = gate.send().json
    gate.account.exchange.set_liquidity(0)
    cover = gate.send(action="BUY").json
    assert reconcile(gate)["covers_cancelled"] == 0
    gate.account.exchange.fill(by_hand(gate, said["symbol"]))
    assert reconcile(gate)["covers_cancelled"] == 1
    assert gate.account.exchange.order(cover["broker_order_id"]).status is Status.CANCELLED
    assert net(gate) == 0
    reconcile(gate)
    assert gate.operate("GET", f"/orders/{cover['key']}").json["status"] == "CANCELLED"


def test_a_leg_that_fyers_fills_after_it_called_it_cancelled_is_told(gate: Gateway) -> None:
    """A race that only the broker could close; its outcome is at least never silent."""
    said = gate.send().json
    [stop, _] = legs(gate)
    gate.send(action="BUY")
    gate.account.exchange.desk.fill(stop, 65, stop.limit_price)
    report = reconcile(gate)
    assert (net(gate), report["overbought"], report["clean"]) == (65, [f"{said['symbol']}-INTRADAY"], False)
    reconcile(gate)
    assert told(gate, "overbought") == ["CRITICAL"]


def by_hand(gate: Gateway, symbol: str) -> str:
    """The id of an order for one lot placed by hand, which rests."""
    price = gate.account.exchange.quote(symbol).ltp
    order = {"symbol": symbol, "qty": 65, "type": 1, "side": 1, "productType": "INTRADAY", "limitPrice": price}
    rest = {"stopPrice": 0, "disclosedQty": 0, "validity": "DAY", "offlineOrder": False}
    return gate.account.exchange.place(order | rest).id
