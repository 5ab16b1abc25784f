"""The commands as a user runs them: in a process of their own."""

import dataclasses
import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from app.cli import main, send
from app.cli.ledger import reason_table
from app.cli.reconcile import in_words
from app.flow.reconcile import Report
from app.runtime.processes import bare_environment
from tests.gateway import gateway
from tests.waiting import finish

REPOSITORY = Path(__file__).parents[2]


def run(*argv: str, folder: Path, **settings: str) -> "subprocess.CompletedProcess[str]":
    environ = {**bare_environment(), "PYTHONPATH": str(REPOSITORY), **settings}
    return subprocess.run(
        [sys.executable, "-m", "app", *argv], cwd=folder, env=environ, capture_output=True, text=True, timeout=60
    )


class Answers(BaseHTTPRequestHandler):
    """Answers each POST with the next status and remembers its body."""

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.bodies.append((self.headers["Content-Type"], body))  # type: ignore[attr-defined]
        self.send_response(self.server.statuses.pop(0))  # type: ignore[attr-defined]
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, *args: object) -> None:
        """Says nothing."""


@contextmanager
def answering(*statuses: int) -> Iterator[ThreadingHTTPServer]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Answers)
    server.statuses, server.bodies = list(statuses), []  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        finish(thread)
        server.server_close()


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(send, "RESEND_AFTER", 0.01)


@pytest.mark.parametrize(
    ("statuses", "deliveries", "code"),
    [
        ((200,), 1, 0),
        ((503, 200), 2, 0),
        ((500, 502, 503, 503), 4, 1),
        ((504,), 1, 1),
        ((422,), 1, 1),
        ((302,), 1, 1),
    ],
)
@pytest.mark.usefixtures("quick")
def test_send_resends_as_tradingview_does(
    tmp_path: Path, statuses: tuple[int, ...], deliveries: int, code: int
) -> None:
    alert = tmp_path / "alert.json"
    alert.write_text('{"token": "a secret of ours", "symbol": "NIFTY"}')
    with answering(*statuses) as server:
        assert main(["send", "--to", f"http://127.0.0.1:{server.server_port}/webhook", "--file", str(alert)]) == code
    assert [body for _, body in server.bodies] == [alert.read_bytes()] * deliveries  # type: ignore[attr-defined]


@pytest.mark.usefixtures("quick")
def test_send_can_deliver_the_same_alert_once_more(tmp_path: Path) -> None:
    alert = tmp_path / "alert.txt"
    alert.write_text("not json")
    with answering(200, 200) as server:
        assert main(["send", "--to", f"http://127.0.0.1:{server.server_port}", "--file", str(alert), "--resend"]) == 0
    assert server.bodies == [("text/plain; charset=utf-8", b"not json")] * 2  # type: ignore[attr-defined]


def test_send_fills_in_the_time_and_the_secret(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WEBHOOK_SECRET_TOKEN", "first-secret-of-ours,second")
    alert = tmp_path / "alert.json"
    alert.write_text('{"symbol": "NIFTY", "timenow": "{{timenow}}", "price": "{{close}}"}')
    with answering(200) as server:
        assert main(["send", "--to", f"http://127.0.0.1:{server.server_port}", "--file", str(alert)]) == 0
    [(content_type, body)] = server.bodies  # type: ignore[attr-defined]
    sent = json.loads(body)
    assert content_type == "application/json; charset=utf-8"
    assert (sent["token"], sent["price"]) == ("first-secret-of-ours", "{{close}}")
    assert len(sent["timenow"]) == len("2026-11-20T04:00:00Z")


def test_send_says_so_when_there_is_no_answer(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["send", "--to", "http://127.0.0.1:9/webhook"]) == 1
    assert "no answer" in capsys.readouterr().err


def test_a_start_that_cannot_be_names_every_fault_and_shows_no_trace(tmp_path: Path) -> None:
    done = run("serve", folder=tmp_path, BROKER="fyers", MARKET_HOURS="late", STOP_LOSS_PERCENT="x")
    assert done.returncode == 1
    for name in ("WEBHOOK_SECRET_TOKEN", "LIVE_TRADING", "FYERS_APP_ID", "FYERS_SECRET_ID", "MARKET_HOURS"):
        assert name in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    "argv", [["nonsense"], [], ["orders", "--nonsense"], ["trading-state", "off", "--reason", "x"]]
)
def test_bad_usage_exits_2(argv: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(argv)
    assert stopped.value.code == 2
    assert "usage" in capsys.readouterr().err


def test_the_ledger_can_be_read_switched_and_reconciled_from_a_terminal(tmp_path: Path) -> None:
    with gateway(tmp_path) as gate:
        key = gate.send().json["key"]
        listed = run("orders", "--json", folder=tmp_path, **gate.settings)
        assert [order["key"] for order in json.loads(listed.stdout)["orders"]] == [key]
        assert key[:12] in run("orders", "--in-flight", folder=tmp_path, **gate.settings).stdout
        assert run("trading-state", "halted", "--reason", "a test", folder=tmp_path, **gate.settings).returncode == 0
        assert gate.send().json["reason"] == "TRADING_HALTED"
        reconciled = run("reconcile", "--json", folder=tmp_path, **gate.settings)
        assert json.loads(reconciled.stdout)["moved"] == {"ACCEPTED to FILLED": 1}
        assert reconciled.returncode == 0
        refused = run("orders", "resolve", key, "--not-placed", "--reason", "x", folder=tmp_path, **gate.settings)
        assert refused.returncode == 1


def test_contracts_can_be_looked_up_one_by_one_and_from_a_file(tmp_path: Path) -> None:
    with gateway(tmp_path) as gate:
        one = run("symbols", "find", "NIFTY", "26000", "CE", "WEEKLY", "--json", folder=tmp_path, **gate.settings)
        found = json.loads(one.stdout)
        assert (found["underlying"], found["strike"], found["lot_size"]) == ("NIFTY", "26000", 65)
        rows = tmp_path / "rows.jsonl"
        rows.write_text(
            '{"symbol": "NIFTY", "strikeprice": 26000, "optionType": "PE", "expiry": "MONTHLY"}\n'
            '{"symbol": "NIFTY", "strikeprice": 1, "optionType": "PE", "expiry": "MONTHLY"}\n'
        )
        many = run("symbols", "find", "--batch", str(rows), "--json", folder=tmp_path, **gate.settings)
        answers = [json.loads(line) for line in many.stdout.splitlines()]
        assert [set(answer) for answer in answers][1] == {"error"}
        assert many.returncode == 1
        refreshed = run("symbols", "refresh", "--json", folder=tmp_path, **gate.settings)
        assert json.loads(refreshed.stdout)["accepted"] is True


def test_before_anything_ran_paper_trading_brings_its_own_master_along(tmp_path: Path) -> None:
    found = run("symbols", "find", "NIFTY", "ATM", "CE", "WEEKLY", "--spot", "26010", folder=tmp_path)
    assert (found.returncode, found.stdout[:9]) == (0, "NSE:NIFTY"), found.stderr
    refreshed = run("symbols", "refresh", folder=tmp_path)
    assert (refreshed.returncode, refreshed.stdout.partition(" option")[0].isdecimal()) == (0, True), refreshed.stdout


def test_reconcile_says_where_it_cannot_see_the_simulated_account_that_serve_brought_along(tmp_path: Path) -> None:
    alone = run("reconcile", "--json", folder=tmp_path)
    assert (alone.returncode, json.loads(alone.stdout)["clean"]) == (0, True)
    assert "POST /tasks/reconcile" in alone.stderr
    with gateway(tmp_path) as gate:
        assert run("reconcile", "--json", folder=tmp_path, **gate.settings).stderr == ""


def test_the_readme_lists_every_reason(capsys: pytest.CaptureFixture[str]) -> None:
    assert reason_table() in (REPOSITORY / "README.md").read_text(encoding="utf-8")
    assert main(["reasons"]) == 0
    assert "MARKET_CLOSED" in capsys.readouterr().out


@pytest.mark.parametrize("name", [field.name for field in dataclasses.fields(Report)])
def test_reconcile_says_in_words_whatever_it_found(name: str) -> None:
    found: dict[str, Any] = {"moved": {"ACCEPTED to FILLED": 7}, "book": "7 rows", "positions": "7 rows"}
    usual = getattr(Report(), name)
    value = found.get(name, ["one"] * 7 if usual == [] else 7)
    told = in_words(Report(**{name: value}))
    assert "7" in told or name == "notices_sent"  # good news need not be told
    assert in_words(Report()) == "0 orders looked at"
