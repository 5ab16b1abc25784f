"""The real server while it starts: an alert that comes then has its usual time; a failed start gives its reason."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from app.runtime.processes import free_port
from proof.processes.lab import ROOT, Lab, LedgerKind, a_lab, an_account
from proof.processes.sender import an_alert, post
from proof.processes.server import Server, a_server, health
from tests.contract.nasty_server import NastyServer
from tests.stopwatch import Stopwatch


@pytest.fixture
def lab() -> Iterator[Lab]:
    with a_lab(LedgerKind.SQLITE) as lab:
        yield lab


@contextmanager
def started(lab: Lab, ledger: str) -> Iterator[Server]:
    """It says that it lives."""
    with an_account() as account:
        settings = lab.settings(account, ledger)
        with a_server(settings, lab.new_file("output"), 1, "app.runtime.server") as server:
            yield server


def test_an_alert_that_comes_at_once_is_an_order_as_soon_as_all_is_set_up(lab: Lab) -> None:
    with started(lab, lab.new_ledger()) as server:
        # A start on a busy machine may take longer than an alert waits; its sender comes again then.
        answers = (post(server.port, an_alert("early").body, 10) for _ in range(5))
        status, answer = next(one for one in answers if one[0] != 503)
        assert (status, answer["status"]) == (200, "ACCEPTED")


def test_while_the_ledger_keeps_the_start_waiting_an_alert_is_asked_for_again_in_time(lab: Lab) -> None:
    with NastyServer(lambda peer: peer.hang()) as silent:
        lab = replace(lab, firestore=f"127.0.0.1:{silent.port}")
        with started(lab, "firestore://silent/(default)") as server:
            watch = Stopwatch()
            status, answer = post(server.port, an_alert("waiting").body, 10)
            assert (status, answer["reason"]) == (503, "STARTING")
            assert watch.wall > 1.5
            assert watch.seconds < 2.5
            assert health(server.port)
            lines = [json.loads(line) for line in server.said().splitlines() if line.startswith("{")]
        assert "STARTING" in {line.get("reason") for line in lines}


def test_a_gateway_that_cannot_be_set_up_ends_with_its_reason_instead_of_trying_again_and_again(
    lab: Lab, tmp_path: Path
) -> None:
    (tmp_path / "a file").write_text("where the ledger's folder should be")
    with an_account() as account:
        settings = lab.settings(account, f"sqlite:///{tmp_path}/a file/ledger.db")
    command = [sys.executable, "-m", "gunicorn", "-c", "python:app.runtime.server", "main:app"]
    ended = subprocess.run(
        command, cwd=ROOT, env=settings | {"PORT": str(free_port())}, capture_output=True, timeout=20
    )
    assert ended.returncode == 3
    assert (ended.stdout + ended.stderr).count(b"the gateway cannot be set up") == 1
