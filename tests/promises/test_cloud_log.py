"""LOG_TO=cloud: every line reaches Cloud Logging before the process ends, and no alert and no end waits for it."""

import json
import os
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.cloud.logging_v2.types import LogEntry
from google.logging.type.log_severity_pb2 import LogSeverity

from app.runtime import log
from proof.processes.lab import ROOT, Lab, an_account, an_office
from proof.processes.sender import an_alert, post
from proof.processes.server import Server, a_server
from tests.cloud_logging import CloudLogging, cloud_logging
from tests.gateway import gateway
from tests.stopwatch import Stopwatch
from tests.waiting import wait_until, wait_until_ready

ALERTS = 40
NOISE = 0.5  # of the median; an alert has several lines, and one that waited for the API would cost a second and more


@pytest.fixture
def api() -> Iterator[CloudLogging]:
    with cloud_logging() as stand_in:
        yield stand_in


def cloud_settings(api: CloudLogging) -> dict[str, str]:
    return {"LOG_TO": "cloud", "GOOGLE_CLOUD_PROJECT": "my-project", "LOGGING_EMULATOR_HOST": api.address}


@contextmanager
def served(folder: Path, api: CloudLogging, workers: int = 1) -> Iterator[Server]:
    """gunicorn with its production settings, ready for alerts."""
    lab = Lab(folder)
    with an_account() as account, ExitStack() as stack:
        settings = lab.settings(account, lab.new_ledger(), **cloud_settings(api))
        stack.enter_context(an_office(settings))  # it fetches the symbols
        server = stack.enter_context(a_server(settings, lab.new_file("output"), workers, "app.runtime.server"))
        wait_until_ready(server.port)
        yield server


def saying(api: CloudLogging, message: str) -> list[tuple[LogEntry, dict[str, Any]]]:
    return [found for found in zip(api.entries, api.lines, strict=True) if found[1]["message"] == message]


def stops(server: Server) -> None:
    server.arbiter.send_signal(signal.SIGTERM)
    server.arbiter.wait(10)


def test_an_alerts_line_is_in_the_log_when_the_server_has_ended_and_not_on_its_output(
    tmp_path: Path, api: CloudLogging
) -> None:
    with served(tmp_path, api) as server:
        status, answer = post(server.port, an_alert("one").body, 10)
        stops(server)
        assert server.arbiter.returncode == 0
    assert status == 200
    [(entry, line)] = saying(api, "alert answered")
    assert (entry.severity, entry.http_request.status) == (LogSeverity.INFO, 200)
    assert dict(entry.labels) == {"request_id": answer["request_id"]}
    assert line["symbol"] == answer["symbol"]
    assert '"alert answered"' not in server.said()


@pytest.mark.parametrize("mood", ["it hangs", "it fails"])
def test_the_server_ends_in_time_whatever_the_api_does_and_prints_what_it_could_not_send(
    tmp_path: Path, api: CloudLogging, mood: str
) -> None:
    with served(tmp_path, api) as server:
        api.hangs() if mood == "it hangs" else setattr(api, "fails", grpc.StatusCode.UNAVAILABLE)
        assert post(server.port, an_alert("one").body, 10)[0] == 200
        with Stopwatch(8.0):
            stops(server)
        assert server.arbiter.returncode == 0
    printed = [json.loads(line) for line in server.said().splitlines() if line.startswith("{")]
    assert "alert answered" in {line["message"] for line in printed} | set(api.messages)


def test_gunicorns_own_lines_come_as_well(tmp_path: Path, api: CloudLogging) -> None:
    with served(tmp_path, api) as server:
        [worker] = server.workers()
        os.kill(worker, signal.SIGKILL)
        wait_until("another worker serves", lambda: server.workers() not in ([], [worker]))
        wait_until("the line is there", lambda: any(str(worker) in str(message) for message in api.messages))
    [line] = [line for line in api.lines if str(worker) in str(line["message"])]
    assert line["logger"] == "gunicorn.error"
    assert str(worker) in server.said()  # and on standard error, should no other worker come


def test_why_the_server_cannot_start_is_in_the_log_and_on_standard_error(tmp_path: Path, api: CloudLogging) -> None:
    (tmp_path / "a-file").touch()
    lab = Lab(tmp_path)
    with an_account() as account:
        settings = lab.settings(account, f"sqlite:///{tmp_path}/a-file/ledger.db", **cloud_settings(api))
        command = [sys.executable, "-m", "gunicorn", "-c", "python:app.runtime.server", "main:app"]
        ended = subprocess.run(command, cwd=ROOT, env=settings | {"PORT": "0"}, capture_output=True, timeout=60)
    assert ended.returncode != 0
    message = "the gateway cannot be set up, so it ends"
    assert [entry.severity for entry, _ in saying(api, message)] == [LogSeverity.CRITICAL]
    assert message.encode() in ended.stderr


def test_a_command_ends_when_its_lines_are_sent(tmp_path: Path, api: CloudLogging) -> None:
    lab = Lab(tmp_path)
    with an_account() as account:
        settings = lab.settings(account, lab.new_ledger(), PYTHONPATH=str(ROOT), **cloud_settings(api))
        command = [sys.executable, "-m", "app", "reconcile", "--json"]
        ended = subprocess.run(command, cwd=tmp_path, env=settings, capture_output=True, text=True, timeout=60)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert len(saying(api, "symbol master refreshed at the start")) == 1


def test_an_alert_is_answered_as_fast_while_the_api_hangs(tmp_path: Path, api: CloudLogging) -> None:
    """Turn and turn about, so that the machine's other work meets both alike."""
    os.environ["LOGGING_EMULATOR_HOST"] = api.address
    took: dict[str | None, list[float]] = {None: [], "my-project": []}
    with ExitStack() as stack:
        stack.callback(log.close)
        stack.callback(os.environ.pop, "LOGGING_EMULATOR_HOST")
        gate = stack.enter_context(gateway(tmp_path, MAX_LOTS_OPEN="1000", MAX_ORDERS_PER_DAY="1000"))
        gate.send()
        api.hangs()
        for _ in range(ALERTS // 10):
            for project, found in took.items():
                with Path(os.devnull).open("w", encoding="utf-8") as nowhere:
                    log.configure("INFO", nowhere, project)
                    for _ in range(10):
                        began = time.perf_counter()
                        assert gate.send().status_code == 200
                        found.append(time.perf_counter() - began)
                    log.close()
    assert api.calls, "the hanging API was asked"
    plain, cloud = (statistics.median(found) for found in took.values())
    assert 0 < cloud < plain * (1 + NOISE), (plain, cloud)
