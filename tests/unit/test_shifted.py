"""The development tool that runs a command at another moment."""

import json
import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from app.runtime.processes import WALL_CLOCK, bare_environment, true_time
from tests.shifted import beginning_at

ROOT = Path(__file__).parents[2]
MOMENT = "2028-02-29T23:59+05:30"

CLOCKS = """
import json, sqlite3, threading, time
from datetime import datetime, UTC
began = time.monotonic()
time.sleep(0.05)
threading.Lock().acquire() and threading.Event().wait(0.05)
took = time.monotonic() - began
stored = sqlite3.connect(":memory:").execute("select strftime('%s', 'now')").fetchone()[0]
print(json.dumps([datetime.now(UTC).timestamp(), time.time(), time.time_ns() / 1e9, float(stored), took]))
"""


def clocks(environ: dict[str, str], *before: str) -> list[float]:
    done = subprocess.run(
        [*before, sys.executable, "-c", CLOCKS], env=environ, capture_output=True, cwd=ROOT, timeout=30
    )
    assert done.returncode == 0, done.stderr
    shown: list[float] = json.loads(done.stdout)
    return shown


def test_a_command_begins_at_the_moment_named_and_waits_as_long_as_ever() -> None:
    *wall, took = clocks(dict(os.environ), sys.executable, "-m", "tests.shifted", MOMENT, "--")
    begin = datetime.fromisoformat(MOMENT).timestamp()
    assert all(begin - 1 <= clock <= begin + 20 for clock in wall), (begin, wall)
    assert 0.1 <= took < 10


def test_a_child_with_a_bare_environment_lives_at_the_same_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in beginning_at(datetime.fromisoformat(MOMENT)).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("BROKER", "fyers")
    environ = bare_environment()
    assert set(environ) == {"PATH", *WALL_CLOCK}
    begin = datetime.fromisoformat(MOMENT).timestamp()
    assert begin - 1 <= clocks(environ)[0] <= begin + 20
    assert not set(WALL_CLOCK) & set(true_time())


def test_a_moment_without_a_zone_is_refused() -> None:
    command = [sys.executable, "-m", "tests.shifted", "2026-12-01T15:35", "--", "true"]
    done = subprocess.run(command, capture_output=True, cwd=ROOT, timeout=30)
    assert done.returncode == 2
    assert b"a zone is missing" in done.stderr


def test_a_shift_within_a_shift_counts_from_the_true_time() -> None:
    *wall, _ = clocks(
        dict(os.environ),
        *(sys.executable, "-m", "tests.shifted", "2030-01-01T00:00+00:00", "--"),
        *(sys.executable, "-m", "tests.shifted", MOMENT, "--"),
    )
    begin = datetime.fromisoformat(MOMENT).astimezone(UTC).timestamp()
    assert begin - 1 <= wall[0] <= begin + 20
