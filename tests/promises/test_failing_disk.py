"""A ledger whose disk is full, damaged or read-only loses no alert in silence: the operator is told why."""

import io
import json
import logging
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from app.cli import main
from app.runtime import log
from app.simulator import Simulator
from tests.disks import damage, no_room_beyond, read_only
from tests.gateway import Gateway
from tests.instances import house, simulated_account
from tests.sinks import Phone, phone

WORDS = {"full": "limit on size", "damaged": "is damaged", "read-only": "may not be written"}


@dataclass
class Troubled:
    gate: Gateway
    phone: Phone
    word: str


@pytest.fixture(scope="module")
def account() -> Iterator[Simulator]:
    with simulated_account() as account:
        yield account


@pytest.fixture(params=WORDS)
def troubled(request: pytest.FixtureRequest, tmp_path: Path, account: Simulator) -> Iterator[Troubled]:
    """A gateway that has traded, and now its ledger's disk fails."""
    kind, path = request.param, tmp_path / "ledger.db"
    with phone() as told, ExitStack() as stack:
        with house(tmp_path, account) as gate:
            assert gate.send().json["status"] == "ACCEPTED"
        if kind == "damaged":
            damage(path)
        if kind == "read-only":
            stack.enter_context(read_only(path))
        gate = stack.enter_context(house(tmp_path, account, NOTIFICATION_URL=told.url))
        if kind == "full":
            assert gate.send().json["status"] == "ACCEPTED"
            stack.enter_context(no_room_beyond(size_of_changes(tmp_path)))
        told.arrived.clear()
        yield Troubled(gate, told, WORDS[kind])


def size_of_changes(folder: Path) -> int:
    return (folder / "ledger.db-wal").stat().st_size


def command(gate: Gateway, *argv: str) -> int:
    """A command with the gateway's own settings; an exception that it does not catch would print a trace."""
    with pytest.MonkeyPatch.context() as patched:
        for name, value in gate.settings.items():
            patched.setenv(name, value)
        return main(argv)


def test_an_alert_is_put_off_and_its_sender_the_log_and_the_phone_hear_why(troubled: Troubled) -> None:
    lines = io.StringIO()
    sink = logging.StreamHandler(lines)
    sink.setFormatter(log.JsonLines())
    logging.getLogger("gateway").addHandler(sink)
    orders = len(troubled.gate.live_orders())
    refused = troubled.gate.send()
    assert (refused.status_code, refused.json["reason"]) == (503, "LEDGER_DOWN")
    assert troubled.word in refused.json["message"]
    assert len(troubled.gate.live_orders()) == orders
    [notice] = troubled.phone.told
    assert (notice["severity"], troubled.word in notice["text"]) == ("CRITICAL", True)
    logged = [json.loads(line) for line in lines.getvalue().splitlines()]
    [why] = [line["why"] for line in logged if line["message"] == "alert refused"]
    assert troubled.word in why
    assert "SQLITE_" in why


def test_readiness_and_doctor_say_it_before_an_alert_has_to(
    troubled: Troubled, capsys: pytest.CaptureFixture[str]
) -> None:
    ready = troubled.gate.app.test_client().get("/readyz")
    assert ready.status_code == 503
    assert troubled.word in ready.get_json()["checks"]["ledger"]
    assert command(troubled.gate, "doctor", "--json") == 1
    found = {one["check"]: one for one in json.loads(capsys.readouterr().out)["checks"]}
    assert found["ledger"]["result"] == "fail"
    assert troubled.word in found["ledger"]["found"]


def test_a_command_that_has_to_write_says_it_in_one_line(
    troubled: Troubled, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command(troubled.gate, "trading-state", "halted", "--reason", "a test") == 1
    [line] = capsys.readouterr().err.splitlines()
    assert line.startswith("error: the ledger does not work (SQLITE_")
    assert troubled.word in line


def test_readiness_asks_for_as_much_room_as_an_alert_takes(tmp_path: Path, account: Simulator) -> None:
    with house(tmp_path, account) as gate:
        assert gate.send().json["status"] == "ACCEPTED"
        before = size_of_changes(tmp_path)
        assert gate.send().json["status"] == "ACCEPTED"
        took = size_of_changes(tmp_path) - before
        with no_room_beyond(size_of_changes(tmp_path) + took - 1):
            assert gate.desk.ledger.once("a name takes little", gate.deadline())
            ready = gate.app.test_client().get("/readyz")
    assert "limit on size" in ready.get_json()["checks"]["ledger"]


def test_a_gateway_is_ready_again_once_there_is_room(tmp_path: Path, account: Simulator) -> None:
    with house(tmp_path, account) as gate:
        assert gate.send().json["status"] == "ACCEPTED"
        with no_room_beyond(size_of_changes(tmp_path)):
            assert gate.send().status_code == 503
        assert gate.app.test_client().get("/readyz").status_code == 200
        assert gate.send().json["status"] == "ACCEPTED"
