"""The promises that hypothesis hunts for counter-examples of: run with more examples than a push has time for."""

import os
import re
import subprocess
import sys
import time
from pathlib import Path

from proof.result import Result

ROOT = Path(__file__).parents[1]
TIMES = 10  # as many examples as in a slice
_STATE_MACHINE = ("tests/promises/test_state_machine.py",)
_FUZZ = (
    "tests/promises/test_fuzzed_replies.py",
    "tests/unit/test_alert_parsing.py",
    "tests/unit/test_strict_json.py",
    "tests/promises/test_costly_bodies.py",
    "tests/unit/test_identity.py",
    "tests/unit/test_fyers_outcomes.py",
)
_SEED = 1
_RUNS = re.compile(r"- (\d+) passing, ")


def state_machine(slice_only: bool = False) -> Result:
    """Deliveries, fates, faults, deaths and human words in any order."""
    return _hunted("state machine", _STATE_MACHINE, "runs", slice_only)


def fuzz(slice_only: bool = False) -> Result:
    """Bodies of alerts and replies of the broker, whatever their bytes."""
    return _hunted("fuzz", _FUZZ, "bodies and replies", slice_only)


def _hunted(name: str, files: tuple[str, ...], what: str, slice_only: bool) -> Result:
    started = time.monotonic()
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-p",
        "no:cacheprovider",
        "--hypothesis-show-statistics",
        f"--hypothesis-seed={_SEED}",
        *files,
    ]
    environ = {**os.environ, "EXAMPLES": "1" if slice_only else str(TIMES)}
    ended = subprocess.run(  # noqa: S603 - ours
        command, cwd=ROOT, env=environ, capture_output=True, text=True, check=False
    )
    examples = sum(int(count) for count in _RUNS.findall(ended.stdout))
    violations = tuple(line for line in ended.stdout.splitlines() if line.startswith(("FAILED", "ERROR")))
    if (ended.returncode or not examples) and not violations:
        violations = (f"pytest ended with {ended.returncode}: {ended.stderr[-300:] or ended.stdout[-300:]}",)
    return Result(name, f"{examples} {what}", f"seed {_SEED}", violations, time.monotonic() - started)
