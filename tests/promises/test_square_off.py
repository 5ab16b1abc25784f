"""POST /tasks/square-off, on the wire: the gateway's positions are closed one by one, once, and no other ever is."""

import json
import time
from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from app.simulator import Fault, FaultKind, Simulator
from tests.gateway import Gateway
from tests.instances import at_once, house, instances, simulated_account, sold


@pytest.fixture
def account() -> Iterator[Simulator]:
    with simulated_account() as account:
        yield account


@pytest.fixture
def gate(tmp_path: Path, account: Simulator) -> Iterator[Gateway]:
    with house(tmp_path, account, WEBHOOK_MAX_QTY="5") as gate:
        yield gate


def square_off(gate: Gateway) -> dict[str, Any]:
    response = gate.operate("POST", "/tasks/square-off")
    assert response.status_code == 200, response.json
    return dict(response.json)


def open_units(account: Simulator) -> dict[str, int]:
    return {position.id: position.net for position in account.exchange.positions() if position.net}


def exits(account: Simulator) -> list[Any]:
    """The body of each exit that reached the broker."""
    return [entry.body for entry in account.log if entry.endpoint == "exit"]


def by_hand(account: Simulator, symbol: str, side: int, quantity: int, product: str = "INTRADAY") -> None:
    """The owner trades in the broker's own app."""
    price = account.exchange.quote(symbol).ltp
    account.exchange.place(
        {
            "symbol": symbol,
            "qty": quantity,
            "type": 1,
            "side": side,
            "productType": product,
            "limitPrice": price * (Decimal("1.1") if side > 0 else Decimal("0.9")) // Decimal("0.05") * Decimal("0.05"),
            "stopPrice": 0,
            "disclosedQty": 0,
            "validity": "DAY",
            "offlineOrder": False,
        }
    )


def places(*said: Any) -> list[str]:
    return [f"{one['symbol']}-INTRADAY" for one in said]


def test_every_position_of_the_gateways_is_closed_with_its_legs_and_by_name(gate: Gateway, account: Simulator) -> None:
    call, put = sold(gate, lots=2), sold(gate, optionType="PE")
    report = square_off(gate)
    assert sorted(report["closed"]) == sorted(places(call, put))
    assert (report["left"], report["legs_cancelled"]) == ({}, 4)
    assert open_units(account) == {}
    assert not [row for row in account.exchange.orders() if row.is_open]
    assert sorted(body["id"] for body in exits(account)) == sorted(places(call, put))


def test_no_exit_ever_asks_the_broker_for_more_than_one_named_position(gate: Gateway, account: Simulator) -> None:
    """The SDK turns an empty request into "exit everything"; so what leaves is looked at on the wire."""
    for kind in ("CE", "PE"):
        sold(gate, optionType=kind)
    for fault in (Fault(FaultKind.REFUSE), Fault(FaultKind.DROP), Fault(FaultKind.HTML, status=502)):
        account.fault("exit", fault)
        square_off(gate)
    square_off(gate)
    assert exits(account)
    for body in exits(account):
        assert set(body) == {"id"}
        assert isinstance(body["id"], str)
        assert body["id"].startswith("NSE:NIFTY")


@pytest.mark.parametrize("position_id", ["", " ", "\t"])
def test_an_exit_without_a_position_never_leaves(gate: Gateway, account: Simulator, position_id: str) -> None:
    with pytest.raises(ValueError, match="position id"):
        gate.desk.broker.exit_position(position_id, gate.deadline())
    assert exits(account) == []


def test_a_second_run_closes_nothing_and_says_nothing(gate: Gateway, account: Simulator) -> None:
    sold(gate)
    square_off(gate)
    told = len(gate.desk.ledger.outbox(gate.deadline()))
    assert square_off(gate) == {"closed": [], "left": {}, "entries_cancelled": 0, "legs_cancelled": 0}
    assert len(exits(account)) == 1
    assert len(gate.desk.ledger.outbox(gate.deadline())) == told


def test_what_was_opened_by_hand_is_left_alone(gate: Gateway, account: Simulator) -> None:
    ours = sold(gate)
    other = gate.desk.symbols.lookup_symbol(ours["symbol"].replace("CE", "PE"))
    assert other is not None
    by_hand(account, other.symbol, -1, 65)
    by_hand(account, ours["symbol"], -1, 65, "MARGIN")
    report = square_off(gate)
    assert (report["closed"], report["left"]) == (places(ours), {})
    assert open_units(account) == {f"{other.symbol}-INTRADAY": -65, f"{ours['symbol']}-MARGIN": -65}


def test_a_position_mixed_with_units_opened_by_hand_is_left_and_told_once(gate: Gateway, account: Simulator) -> None:
    ours = sold(gate)
    by_hand(account, ours["symbol"], -1, 130)
    for _ in range(2):
        [(place, why)] = square_off(gate)["left"].items()
        assert place == places(ours)[0]
        assert "-195 units are open and the gateway opened 65" in why
    assert open_units(account) == {place: -195}
    assert exits(account) == []
    assert _told(gate) == ["CRITICAL"]


def _told(gate: Gateway) -> list[str]:
    with gate.desk.ledger.reading(gate.deadline()) as db:  # type: ignore[attr-defined]
        notices = [json.loads(row[0]) for row in db.execute("SELECT document FROM outbox")]
    return [notice["severity"] for notice in notices if notice["kind"] == "square-off"]


@pytest.mark.parametrize(
    ("fault", "closed"),
    [
        (Fault(FaultKind.DROP), True),
        (Fault(FaultKind.DROP, processed=False), False),
        (Fault(FaultKind.HTML, status=502), True),
        (Fault(FaultKind.HTML, status=502, processed=False), False),
    ],
    ids=["reply lost", "request lost", "502 and closed", "502"],
)
def test_an_exit_in_doubt_is_settled_by_the_positions_and_not_repeated(
    gate: Gateway, account: Simulator, fault: Fault, closed: bool
) -> None:
    ours = sold(gate)
    account.fault("exit", fault)
    report = square_off(gate)
    assert report["closed"] == (places(ours) if closed else [])
    assert list(report["left"]) == ([] if closed else places(ours))
    square_off(gate)
    assert len(exits(account)) == 1
    assert open_units(account) == ({} if closed else {places(ours)[0]: -65})


def test_an_exit_that_rests_in_the_book_is_not_sent_again(gate: Gateway, account: Simulator) -> None:
    ours = sold(gate)
    account.exchange.set_liquidity(0)
    for _ in range(3):
        assert list(square_off(gate)["left"]) == places(ours)
    assert len(exits(account)) == 1
    account.exchange.set_liquidity(None)
    account.exchange.tick()
    assert open_units(account) == {}
    assert square_off(gate)["left"] == {}


def test_no_leg_stands_beside_the_rest_of_an_exit_that_fills_in_part(gate: Gateway, account: Simulator) -> None:
    """The rest has no tag and waits in the book; a leg that was filled beside it would turn the account long."""
    sold(gate, lots=3)
    account.exchange.set_liquidity(65)
    square_off(gate)
    assert list(open_units(account).values()) == [-130]
    resting = [row for row in account.exchange.orders() if row.is_open]
    assert [(row.is_leg, row.remaining) for row in resting] == [(False, 130)]
    for row in resting:
        account.exchange.fill(row.id)
    assert open_units(account) == {}


def test_an_entry_waits_where_its_contract_is_being_squared_off(gate: Gateway, account: Simulator) -> None:
    sold(gate)
    time.sleep(0.1)
    assert square_off(gate)["closed"]
    response = gate.send()
    assert (response.status_code, response.json["reason"]) == (503, "POSITION_UNKNOWN")
    assert gate.send(optionType="PE").status_code == 200


def test_an_exit_that_fyers_refused_is_tried_again_by_the_next_run(gate: Gateway, account: Simulator) -> None:
    ours = sold(gate)
    account.fault("exit", Fault(FaultKind.REFUSE, message="Invalid input"))
    assert "Invalid input" in square_off(gate)["left"][places(ours)[0]]
    assert square_off(gate)["closed"] == places(ours)


def test_an_entry_that_rests_cannot_open_again_what_was_closed(gate: Gateway, account: Simulator) -> None:
    account.exchange.set_liquidity(65)
    sold(gate, lots=3)
    report = square_off(gate)
    assert report["entries_cancelled"] == 1
    account.exchange.set_liquidity(None)
    account.exchange.tick()
    assert open_units(account) == {}
    assert not [row for row in account.exchange.orders() if row.is_open]


def test_a_cover_that_is_on_its_way_is_not_joined_by_an_exit(gate: Gateway, account: Simulator) -> None:
    ours = sold(gate)
    time.sleep(0.8)  # the book shows the entry by now
    account.fault("place", Fault(FaultKind.DROP))
    account.fault("orders", Fault(FaultKind.LATE_BOOK, seconds=0.8, times=None))
    account.exchange.set_liquidity(0)
    assert gate.send(action="BUY").status_code == 202
    [(place, why)] = square_off(gate)["left"].items()
    assert place == places(ours)[0]
    assert "moments ago" in why
    assert exits(account) == []


def test_a_halt_does_not_keep_positions_open(gate: Gateway, account: Simulator) -> None:
    sold(gate)
    gate.operate("POST", "/trading-state", {"state": "HALTED", "reason": "flatten"})
    square_off(gate)
    assert open_units(account) == {}


@pytest.mark.parametrize("endpoint", ["orders", "positions"])
def test_without_book_or_positions_nothing_is_closed(gate: Gateway, account: Simulator, endpoint: str) -> None:
    sold(gate)
    account.fault(endpoint, Fault(FaultKind.HTML, status=502, times=None))
    response = gate.operate("POST", "/tasks/square-off")
    assert (response.status_code, response.json["reason"]) == (503, "BROKER_DOWN")
    assert exits(account) == []


def test_two_instances_at_once_send_one_exit(tmp_path: Path, account: Simulator) -> None:
    with instances(tmp_path, account) as gates:
        sold(gates[0])
        account.fault("exit", Fault(FaultKind.LATENCY, seconds=0.3, times=None))
        reports = at_once([partial(square_off, gate) for gate in gates * 3])
        assert sum(len(report["closed"]) for report in reports) == 1
        assert len(exits(account)) == 1
        assert open_units(account) == {}


def test_covers_and_exits_at_once_never_buy_more_than_was_short(tmp_path: Path, account: Simulator) -> None:
    with instances(tmp_path, account, WEBHOOK_MAX_QTY="5") as gates:
        for _ in range(6):
            sold(gates[0], lots=2)
            jobs: list[Any] = [lambda gate=gate: square_off(gate) for gate in gates]
            jobs += [lambda gate=gate: gate.send(action="BUY", lots=2) for gate in gates * 2]
            at_once(jobs)
            assert all(units <= 0 for units in open_units(account).values())
            account.exchange.exit({"exit_all": 1}) if open_units(account) else None
            _forget(gates[0])


def _forget(gate: Gateway) -> None:
    """A minute and a half passes for the shared document."""
    gate.desk.ledger.change_controls(lambda account: replace(account, recent=()), gate.deadline())


def test_only_the_scheduler_and_the_operator_may_ask(gate: Gateway, account: Simulator) -> None:
    sold(gate)
    assert gate.operate("POST", "/tasks/square-off", token=None).status_code == 401
    assert gate.operate("GET", "/tasks/square-off").status_code == 405
    assert exits(account) == []
