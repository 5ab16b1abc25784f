"""Demo and gateway do the same at every moment: their wall clock is shifted, in all processes (tests/shifted.py)."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MOMENTS = {
    "a Saturday after midnight": "2026-12-05T00:45+05:30",
    "an expiry day's lunch": "2026-12-01T12:55+05:30",
    "an expiry day's last hour": "2026-12-01T15:00+05:30",
    "an expiry day after the index options stopped": "2026-12-08T15:35+05:30",
    "across the midnight of an expiry day": "2026-12-01T23:59:57+05:30",
    "New Year's Eve": "2026-12-31T23:00+05:30",
    "after the last known holiday": "2027-01-15T11:00+05:30",
    "a leap day": "2028-02-29T10:00+05:30",
    "years later": "2030-06-03T10:00+05:30",
}
# Alerts in this process and on the wire, commands and servers as processes of their own.
SLICE = ("tests/web/test_webhook.py", "tests/cli/test_commands.py", "tests/promises/test_start.py")


def at(moment: str, *command: str, seconds: float) -> subprocess.CompletedProcess[str]:
    shifted = [sys.executable, "-m", "tests.shifted", moment, "--", sys.executable, *command]
    return subprocess.run(shifted, cwd=ROOT, capture_output=True, text=True, timeout=seconds)


@pytest.mark.parametrize("moment", MOMENTS.values(), ids=MOMENTS)
def test_the_demo_is_as_it_should_be(moment: str) -> None:
    done = at(moment, "-m", "demo", seconds=90)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    "name",
    ["an expiry day's last hour", "across the midnight of an expiry day", "after the last known holiday"],
)
def test_a_slice_of_the_tests_passes(name: str) -> None:
    done = at(MOMENTS[name], "-m", "pytest", "-p", "no:cacheprovider", *SLICE, seconds=140)
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-1000:]
