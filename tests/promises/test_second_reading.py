"""Promises that a second reading of the code found broken, in a gateway that passed its tests."""

import json
import sqlite3
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from app.domain.deadline import Deadline
from app.domain.errors import NotNow, Reason
from app.domain.notice import Notice
from app.domain.risk.controls import Controls, TradingState
from app.flow.reconcile import SETTLE, reconcile
from app.simulator import Fault, FaultKind, FixtureExchange, Simulator
from tests.gateway import Gateway, alert, gateway


@pytest.fixture
def gate(tmp_path: Path) -> Iterator[Gateway]:
    with gateway(tmp_path) as gate:
        yield gate


def later(gate: Gateway, by: timedelta) -> None:
    now = gate.desk.clock.now
    gate.desk.clock.now = lambda: now() + by  # type: ignore[method-assign]


def test_a_basket_of_four_at_once_never_ends_in_doubt_for_want_of_time(tmp_path: Path) -> None:
    with (
        Simulator(FixtureExchange(capital=Decimal(100_000_000)), accept_any_token=True) as account,
        gateway(tmp_path, account, PACE_CALLS="yes", MAX_ORDERS_PER_SECOND="5", MAX_ORDERS_PER_MINUTE="40") as gate,
    ):
        account.fault("place", Fault(FaultKind.LATENCY, times=None, seconds=0.25))
        time.sleep(1.2)  # the refresh of the symbols is not paced, but it counts at the account
        with ThreadPoolExecutor(4) as senders:
            bodies = [alert(strikeprice=strike) for strike in (25900, 25950, 26000, 26050)]
            answers = [answer.json for answer in senders.map(gate.send, bodies)]
        assert {answer["status"] for answer in answers} <= {"ACCEPTED", "RECEIVED"}
        assert sum(answer["status"] == "ACCEPTED" for answer in answers) >= 2


def test_an_order_left_by_a_crash_is_told_even_while_the_order_book_cannot_be_read(gate: Gateway) -> None:
    gate.account.fault("place", Fault(FaultKind.DROP))
    key = gate.send().json["key"]
    crashed = gate.desk.ledger.get(key, gate.deadline())
    assert crashed is not None
    _overwrite(gate, key, lambda document: document | {"reason": None, "message": None})
    later(gate, SETTLE)
    gate.account.fault("orders", Fault(FaultKind.HTML, times=None, status=503))
    before = len(_notices(gate))
    assert reconcile(gate.desk, gate.deadline()).book is not None
    assert len(_notices(gate)) == before + 1


def test_an_exit_whose_entry_still_rests_is_put_off_and_not_denied_for_good(gate: Gateway) -> None:
    gate.account.exchange.set_liquidity(0)
    gate.send()
    body = alert(action="BUY")
    assert gate.send(body).json["reason"] == "POSITION_UNKNOWN"
    gate.account.exchange.set_liquidity(None)
    gate.account.exchange.tick()
    assert gate.send(body).json["status"] == "ACCEPTED"


def test_where_buy_opens_longs_a_sell_closes_one_and_leaves_no_legs(tmp_path: Path) -> None:
    with gateway(tmp_path, BUY_MODE="open") as gate:
        assert gate.send(action="BUY").json["stop_loss"] is not None
        said = gate.send(action="SELL", lots=2).json
        assert (said["status"], said["quantity"], said["stop_loss"]) == ("ACCEPTED", 65, None)
        assert [position.net_quantity for position in gate.desk.broker.positions(gate.deadline())] == [0]
        assert [row for row in gate.desk.broker.order_book(gate.deadline()) if row.working] == []


def test_a_damaged_account_document_halts_and_is_not_written_over(gate: Gateway) -> None:
    gate.send()
    path = gate.settings["LEDGER_URL"].removeprefix("sqlite:///")
    with sqlite3.connect(path) as db:
        db.execute('UPDATE account SET document = \'{"state": "ACTIVE"}\'')
    db.close()
    assert gate.send().json["reason"] == "TRADING_HALTED"
    db = sqlite3.connect(path)
    assert db.execute("SELECT document FROM account").fetchone() == ('{"state": "ACTIVE"}',)
    db.close()
    gate.operate("POST", "/trading-state", {"state": "ACTIVE", "reason": "looked at it"})
    assert gate.send().json["status"] == "ACCEPTED"


def test_one_order_that_cannot_be_read_stops_no_other_and_is_never_sent_again(gate: Gateway) -> None:
    body = alert()
    key = gate.send(body).json["key"]
    _overwrite(gate, key, lambda document: document | {"reason": "A_REASON_OF_TOMORROW"})
    assert gate.operate("POST", "/tasks/reconcile").status_code == 200
    assert gate.operate("GET", "/orders").status_code == 200
    assert gate.send(body).json["reason"] == "LEDGER_DOWN"
    assert gate.send().json["status"] == "ACCEPTED"
    assert len(gate.live_orders()) == 2


def test_an_alert_that_no_ledger_took_is_told_directly(gate: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []

    def down(*_: object) -> None:
        raise NotNow(Reason.LEDGER_DOWN)

    monkeypatch.setattr(gate.desk.ledger, "claim", down)

    def heard(notice: Notice, deadline: Deadline) -> bool:
        told.append(notice.kind)
        return True

    monkeypatch.setattr(gate.desk.notifier, "send", heard)
    assert gate.send().json["reason"] == "LEDGER_DOWN"
    assert told == ["unclaimed"]


def test_an_alert_from_another_address_is_refused_and_its_owner_is_told(tmp_path: Path) -> None:
    with gateway(tmp_path, IP_ALLOWLIST="enforce") as gate:
        assert gate.send().status_code == 403
        assert gate.send(token="somebody-elses-guess").status_code == 403
        assert _notices(gate) == ["address"]


def test_a_clock_that_lags_a_day_resets_no_counter() -> None:
    today = Controls(day="2026-11-20", orders=5)
    assert today.on("2026-11-19") is today
    assert today.on("2026-11-21").orders == 0


def test_only_an_operator_ends_a_halt_by_damage() -> None:
    damaged = Controls(state=TradingState.HALTED, damaged=True)
    assert damaged.reached() is damaged
    assert not damaged.switched(TradingState.ACTIVE, "looked", "me", datetime.now(UTC)).damaged


def test_a_converted_position_of_another_contract_is_no_reason_to_stop(gate: Gateway) -> None:
    gate.send()
    gate.send(action="BUY")
    report = gate.operate("POST", "/tasks/reconcile").json
    assert report["positions"] is None
    assert report["clean"] is True


def _notices(gate: Gateway) -> list[str]:
    db = sqlite3.connect(gate.settings["LEDGER_URL"].removeprefix("sqlite:///"))
    kinds = [json.loads(row[0])["kind"] for row in db.execute("SELECT document FROM outbox ORDER BY number")]
    db.close()
    return kinds


def _overwrite(gate: Gateway, key: str, change) -> None:  # type: ignore[no-untyped-def]
    db = sqlite3.connect(gate.settings["LEDGER_URL"].removeprefix("sqlite:///"))
    [text] = db.execute("SELECT document FROM orders WHERE key = ?", (key,)).fetchone()
    db.execute("UPDATE orders SET document = ? WHERE key = ?", (json.dumps(change(json.loads(text))), key))
    db.commit()
    db.close()
