"""The promises that hypothesis hunts for counter-examples of: run with more examples than a push has time for."""

import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from proof.result import Result, floors

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
_WITH_AN_ORDER = re.compile(r"\* (\d+\.\d+)%, the broker took an order")  # an event of the state machine
_PATIENCE = 3600.0  # seconds


def state_machine(slice_only: bool = False) -> Result:
    """Deliveries, fates, faults, deaths and human words in any order."""

    def seen(said: str) -> dict[str, int]:
        runs = _examples(said)
        with_an_order = sum(float(share) for share in _WITH_AN_ORDER.findall(said)) / 100
        return {"runs": runs, "with an order": round(runs * with_an_order)}

    return _hunted("state machine", _STATE_MACHINE, seen, {"runs": 100, "with an order": 50}, slice_only)


def fuzz(slice_only: bool = False) -> Result:
    """Bodies of alerts and replies of the broker, whatever their bytes."""
    what = "bodies and replies"
    return _hunted("fuzz", _FUZZ, lambda said: {what: _examples(said)}, {what: 1200}, slice_only)


def _examples(said: str) -> int:
    return sum(int(count) for count in _RUNS.findall(said))


def _hunted(
    name: str,
    files: tuple[str, ...],
    seen: Callable[[str], Mapping[str, int]],
    least: Mapping[str, int],
    slice_only: bool,
) -> Result:
    """`seen` reads pytest's output; `least` are the floors of a slice."""
    started = time.monotonic()
    times = 1 if slice_only else TIMES
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
    environ = {**os.environ, "EXAMPLES": str(times)}
    try:
        ended = subprocess.run(  # noqa: S603 -- the proof's own command
            command, cwd=ROOT, env=environ, capture_output=True, text=True, check=False, timeout=_PATIENCE
        )
    except subprocess.TimeoutExpired:
        wrong: tuple[str, ...]
        wrong, said = (f"pytest did not end within {_PATIENCE:.0f} s",), ""
    else:
        said = ended.stdout
        wrong = tuple(line for line in said.splitlines() if line.startswith(("FAILED", "ERROR")))
        if ended.returncode and not wrong:
            wrong = (f"pytest ended with {ended.returncode}: {ended.stderr[-300:] or said[-300:]}",)
    size, took = f"{len(files)} files, {times} times", time.monotonic() - started
    return Result(name, size, f"seed {_SEED}", wrong, took, floors(seen(said), least, times))
