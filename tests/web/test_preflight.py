"""`/tasks/preflight`: one message before the session, told again only where it says something else."""

import threading
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from app.operations.check import Check, Mark
from app.operations.checks import LOOKS
from app.simulator import Exchange, Fault, FaultKind, Simulator
from tests.gateway import Gateway, gateway
from tests.sinks import Phone, phone
from tests.tokens import ist


@pytest.fixture
def ours() -> Iterator[Phone]:
    with phone() as ours:
        yield ours


@pytest.fixture
def gate(tmp_path: Path, ours: Phone) -> Iterator[Gateway]:
    with gateway(tmp_path, NOTIFICATION_URL=ours.url) as gate:
        yield gate


def preflight(gate: Gateway) -> Any:
    response = gate.operate("POST", "/tasks/preflight")
    assert response.status_code == 200
    return response.json


def results(said: Any) -> dict[str, str]:
    return {check["check"]: check["result"] for check in said["checks"]}


def at(gate: Gateway, moment: datetime) -> None:
    gate.desk.clock.now = lambda: moment  # type: ignore[method-assign]


def test_ready_is_told_once_however_often_it_is_asked(gate: Gateway, ours: Phone) -> None:
    said = preflight(gate)
    assert said["verdict"] == "ready"
    assert set(results(said).values()) <= {"ok", "warn"}
    assert {preflight(gate)["verdict"] for _ in range(3)} == {"ready"}
    gate.operate("POST", "/tasks/reconcile")
    [told] = ours.told
    assert (told["kind"], told["severity"]) == ("preflight", "INFO")
    assert told["text"].startswith("Ready for trading: ")


def test_each_change_of_the_verdict_is_told_and_so_is_a_change_back(gate: Gateway, ours: Phone) -> None:
    preflight(gate)
    gate.operate("POST", "/trading-state", {"state": "HALTED", "reason": "lunch"})
    said = [preflight(gate) for _ in range(2)][-1]
    assert said["verdict"] == "not ready"
    assert results(said)["trading state"] == "fail"
    gate.operate("POST", "/trading-state", {"state": "ACTIVE", "reason": "back"})
    preflight(gate)
    gate.account.fault("positions", Fault(FaultKind.DROP, times=None))
    assert [preflight(gate)["verdict"] for _ in range(2)] == ["not ready"] * 2
    told = [one for one in ours.told if one["kind"] == "preflight"]
    assert [one["facts"]["verdict"] for one in told] == ["ready", "not ready", "ready", "not ready"]
    assert [one["severity"] for one in told] == ["INFO", "CRITICAL", "INFO", "CRITICAL"]
    assert "because: trading state: HALTED by operator (lunch)" in told[1]["text"]
    assert "because: broker: " in told[3]["text"]


def test_it_is_told_anew_when_something_else_fails_and_not_when_the_same_says_it_otherwise(
    gate: Gateway, ours: Phone
) -> None:
    for reason in ("lunch", "still lunch"):
        gate.operate("POST", "/trading-state", {"state": "HALTED", "reason": reason})
        preflight(gate)
    gate.account.fault("positions", Fault(FaultKind.DROP, times=None))
    preflight(gate)
    because = [one["text"].partition("because: ")[2] for one in ours.told if one["kind"] == "preflight"]
    assert [text[:13] for text in because] == ["trading state", "broker: Fyers"]


def test_changes_of_yesterday_make_no_second_message_today(tmp_path: Path, gate: Gateway, ours: Phone) -> None:
    with gateway(tmp_path, gate.account, NOTIFICATION_URL=ours.url) as other:
        preflight(gate)
        for state in ("HALTED", "ACTIVE"):
            gate.operate("POST", "/trading-state", {"state": state, "reason": "a test"})
            preflight(gate)
        today = gate.desk.clock.now()
        for seconds, one in enumerate((gate, other)):
            at(one, today + timedelta(days=1, seconds=seconds))
            preflight(one)
    told = [one["facts"]["verdict"] for one in ours.told if one["kind"] == "preflight"]
    assert told == ["ready", "not ready", "ready", "ready"]


def test_another_instance_does_not_tell_it_again(tmp_path: Path, gate: Gateway, ours: Phone) -> None:
    with gateway(tmp_path, gate.account, NOTIFICATION_URL=ours.url) as other:
        assert {preflight(one)["verdict"] for one in (gate, other, gate)} == {"ready"}
    assert len(ours.told) == 1


def test_the_next_day_is_told_anew(tmp_path: Path, ours: Phone) -> None:
    moment = ist(9, 0, day=19)
    with (
        Simulator(Exchange(now=lambda: moment), accept_any_token=True) as account,
        gateway(tmp_path, account, MARKET_HOURS="09:15-15:40", NOTIFICATION_URL=ours.url) as gate,
    ):
        at(gate, moment)
        gate.operate("POST", "/tasks/refresh-symbols")
        first = preflight(gate)
        at(gate, ist(9, 0, day=20))
        preflight(gate)
    assert first["text"].startswith("Ready for today's session (09:15 to 15:40 IST)")
    assert [one["kind"] for one in ours.told] == ["preflight", "preflight"]


@pytest.mark.parametrize(
    ("moment", "told"),
    [
        (ist(9, 0, day=24), ["The exchange is closed today, 24-Nov: alerts are not traded."]),  # Guru Nanak Jayanti
        (ist(9, 0, day=21), []),  # a Saturday
        (ist(9, 0, day=22), []),  # a holiday, and a Sunday anyway
        (ist(16, 0, day=20), []),  # the session is over
    ],
    ids=["a holiday", "a weekend", "a holiday at a weekend", "after the session"],
)
def test_a_day_without_trading_is_told_once_on_a_holiday_and_else_not_at_all(
    tmp_path: Path, ours: Phone, moment: datetime, told: list[str]
) -> None:
    hours = {"MARKET_HOURS": "09:15-15:40", "EXTRA_HOLIDAYS": "2026-11-22"}
    with gateway(tmp_path, None, None, NOTIFICATION_URL=ours.url, **hours) as gate:
        at(gate, moment)
        said = [preflight(gate) for _ in range(2)][-1]
    assert said["verdict"] == "closed"
    assert said["checks"] == []
    assert [one["text"] for one in ours.told] == told


def test_a_special_session_on_a_saturday_is_a_day_of_trading(tmp_path: Path, ours: Phone) -> None:
    hours = {"MARKET_HOURS": "09:15-15:40", "EXTRA_SESSIONS": "2026-11-21 18:00-19:00"}
    with gateway(tmp_path, None, None, NOTIFICATION_URL=ours.url, **hours) as gate:
        at(gate, ist(17, 0, day=21))
        assert "(18:00 to 19:00 IST)" in preflight(gate)["text"]


def test_without_the_ledger_the_verdict_is_told_all_the_same(
    gate: Gateway, ours: Phone, monkeypatch: pytest.MonkeyPatch
) -> None:
    from app.domain.errors import NotNow, Reason

    def down(*_: object) -> None:
        raise NotNow(Reason.LEDGER_DOWN)

    for name in ("once", "controls", "notify", "outbox", "unresolved"):
        monkeypatch.setattr(gate.desk.ledger.__class__, name, down)
    said = preflight(gate)
    assert said["verdict"] == "not ready"
    assert results(said)["ledger"] == "fail"
    assert [one["facts"]["verdict"] for one in ours.told] == ["not ready"]


def test_a_look_that_takes_longer_than_preflight_waits_has_failed(
    gate: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = threading.Event()

    def slow(*_: object) -> Check:
        done.wait(3.0)
        return Check("clock", Mark.OK, "at last")

    monkeypatch.setattr("app.operations.preflight.LOOKING", 0.3)
    monkeypatch.setitem(LOOKS, "clock", slow)
    said = preflight(gate)
    done.set()
    assert [check["found"] for check in said["checks"] if check["check"] == "clock"] == ["no answer in time"]


def test_a_hanging_broker_cannot_hold_it_up(gate: Gateway) -> None:
    gate.account.fault("*", Fault(FaultKind.HANG, times=None))
    said = preflight(gate)
    assert results(said)["broker"] == "fail"
    assert results(said)["clock"] == "fail"
