"""`replay`: an alert of the past by the settings of today; what differs is shown and nothing happens."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from app.cli import main
from app.simulator import Fault, FaultKind
from tests.gateway import Gateway, closed_hours, gateway
from tests.sinks import phone


@pytest.fixture
def gate(tmp_path: Path) -> Iterator[Gateway]:
    with gateway(tmp_path) as gate:
        yield gate


@pytest.fixture
def replayed(gate: Gateway, capsys: pytest.CaptureFixture[str]):  # type: ignore[no-untyped-def]
    """replayed(*argv, **settings) -> for each order, what differs: {what: (then, now)}."""

    def replayed(*argv: str, **settings: str) -> list[dict[str, tuple[str, str]]]:
        with pytest.MonkeyPatch.context() as patched:
            for name, value in (gate.settings | settings).items():
                patched.setenv(name, value)
            assert main(["replay", *argv, "--json"]) == 0
        said: list[Any] = json.loads(capsys.readouterr().out)["orders"]
        return [{one["what"]: (one["then"], one["now"]) for one in order["differences"]} for order in said]

    return replayed


@pytest.mark.parametrize(
    "asked",
    [
        {},
        {"strikeprice": "ATM", "symbol": "BANKNIFTY", "expiry": "MONTHLY"},
        {"strikeprice": "OTM3", "optionType": "PE"},
        {"strikeprice": "ITM2", "symbol": "SENSEX", "expiry": "NEXT_WEEKLY"},
        {"sl": "20pt", "tp": "10%", "productType": "MARGIN"},
        {"symbol": "NOSUCH"},
        {"action": "BUY"},
        {"qty": 66},
    ],
)
def test_by_the_same_settings_nothing_differs(gate: Gateway, replayed: Any, asked: dict[str, Any]) -> None:
    key = gate.send(**asked).json["key"]
    assert replayed(key) == [{}]


def test_a_cover_is_replayed_with_a_short_to_cover(gate: Gateway, replayed: Any) -> None:
    gate.send()
    key = gate.send(action="BUY").json["key"]
    assert replayed(key) == [{}]
    [differs] = replayed(key, SLIPPAGE_BPS="500")
    assert set(differs) == {"limit_price"}


def test_other_percentages_move_the_legs_and_another_slippage_the_limit(gate: Gateway, replayed: Any) -> None:
    order = gate.send().json
    [differs] = replayed(order["key"], STOP_LOSS_PERCENT="20", SLIPPAGE_BPS="500")
    assert set(differs) == {"stop_loss", "limit_price"}
    then, now = differs["stop_loss"]
    assert then == order["stop_loss"]
    assert float(now) == pytest.approx(float(order["ltp"]) * 1.20, abs=0.05)


def test_a_price_that_has_moved_since_is_no_difference(gate: Gateway, replayed: Any) -> None:
    order = gate.send(strikeprice="ATM").json
    from decimal import Decimal

    gate.account.exchange.set_quote("NSE:NIFTY50-INDEX", Decimal(26500))
    assert replayed(order["key"]) == [{}]


def test_what_would_be_denied_today_says_why(gate: Gateway, replayed: Any) -> None:
    key = gate.send(productType="MARGIN").json["key"]
    [differs] = replayed(key, MARKET_HOURS=closed_hours())
    assert differs["outcome"][0] == "sent"
    assert differs["outcome"][1].startswith("denied MARKET_CLOSED: ")


def test_what_was_denied_then_shows_its_way_through_today(gate: Gateway, replayed: Any) -> None:
    key = gate.send(action="BUY").json["key"]
    [differs] = replayed(key, BUY_MODE="open")
    assert differs["outcome"][0].startswith("denied NO_SHORT_TO_COVER: ")
    assert differs["outcome"][1] == "sent"


def test_an_alert_too_old_then_is_judged_by_todays_limit(tmp_path: Path, gate: Gateway, replayed: Any) -> None:
    key = gate.send(timenow="2026-11-20T04:00:00Z").json["key"]
    assert replayed(key) == [{}]
    [differs] = replayed(key, ALERT_MAX_AGE_SECONDS="99999999")
    assert differs["outcome"][1] == "sent"


def test_an_order_in_doubt_counts_as_sent(gate: Gateway, replayed: Any) -> None:
    gate.account.fault("place", Fault(FaultKind.DROP))
    assert replayed(gate.send().json["key"]) == [{}]


def test_a_whole_day_comes_in_its_order_and_a_short_key_is_enough(gate: Gateway, replayed: Any) -> None:
    keys = [gate.send().json["key"], gate.send(action="BUY").json["key"], gate.send(qty=1).json["key"]]
    day = gate.operate("GET", f"/orders/{keys[0]}").json["received_at"]
    assert len(replayed(keys[1][:12])) == 1
    from datetime import datetime

    from app.domain.calendar import ist_day

    assert replayed("--day", str(ist_day(datetime.fromisoformat(day)))) == [{}, {}, {}]


def came_to(gate: Gateway) -> tuple[int, list[str]]:
    """Orders at the broker, and the calls that can have made them."""
    return len(gate.account.exchange.orders()), [entry.path for entry in gate.account.log if entry.method != "GET"]


def test_a_replay_has_no_effect_outside(gate: Gateway, replayed: Any, tmp_path: Path) -> None:
    key = gate.send().json["key"]
    before_it = came_to(gate)
    before = gate.operate("GET", f"/orders/{key}").json
    with phone() as ours:
        replayed(key, MARKET_HOURS=closed_hours(), NOTIFICATION_URL=ours.url)
    assert ours.arrived == []
    assert came_to(gate) == before_it
    assert gate.operate("GET", f"/orders/{key}").json == before
    assert len(gate.operate("GET", "/orders").json["orders"]) == 1


def test_an_unknown_key_and_a_bad_call_are_told_apart(
    gate: Gateway, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, value in gate.settings.items():
        monkeypatch.setenv(name, value)
    assert main(["replay", "0" * 64]) == 1
    assert main(["replay", "--day", "2020-01-01"]) == 1
    for argv in (["replay"], ["replay", "0" * 64, "--day", "2026-11-20"]):
        with pytest.raises(SystemExit) as stopped:
            main(argv)
        assert stopped.value.code == 2
    assert "usage" in capsys.readouterr().err


def test_without_json_a_person_reads_it(
    gate: Gateway, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    key = gate.send().json["key"]
    for name, value in (gate.settings | {"STOP_LOSS_PERCENT": "20"}).items():
        monkeypatch.setenv(name, value)
    assert main(["replay", key]) == 0
    assert "stop_loss" in capsys.readouterr().out
    monkeypatch.delenv("STOP_LOSS_PERCENT")
    assert main(["replay", key]) == 0
    assert "nothing would differ: sent" in capsys.readouterr().out
