"""Plants the bugs, each in a process of its own, and says which proof found which.

A proof that finds something where nothing is planted has found no bug: those that go by the clock on the wall and by
this machine are tried without one as well.
"""

import argparse
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

from proof.mutants.catalogue import MUTANTS
from proof.mutants.planting import DoesNotApply, Mutant, plant
from proof.result import Result, Seen
from tests.emulators import firestore_emulator

_FOUND, _MISSED, _WITHERED = 0, 1, 2
_PATIENCE = 600.0  # seconds for one bug
_BY_THE_CLOCK_ON_THE_WALL = (
    "rivals",
    "broker faults",
    "identity",
    "send window",
    "logins",
    "slow senders",
    "costly bodies",
    "costly wire",
    "refused bodies",
    "firestore contract",
)
NOTHING = tuple(Mutant(f"nothing, {name}", "nothing is planted", (), (name,)) for name in _BY_THE_CLOCK_ON_THE_WALL)


def run(mutants: tuple[Mutant, ...] = (*NOTHING, *MUTANTS), show: bool = False) -> Result:
    """Every bug must be found, and nothing where none is planted; `show` prints each with what found it."""
    started = time.monotonic()
    environ = dict(os.environ)
    if any("firestore contract" in mutant.caught_by for mutant in mutants):
        environ["FIRESTORE_EMULATOR_HOST"] = firestore_emulator()  # one for all
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        problems = list(pool.map(lambda mutant: _planted(mutant, environ, show), mutants))
    right = [mutant for mutant, problem in zip(mutants, problems, strict=True) if problem is None]
    bugs = sum(bool(mutant.edits) for mutant in mutants)
    seen = []
    if bugs:
        seen.append(Seen("bugs found", sum(bool(mutant.edits) for mutant in right), bugs))
    if bugs < len(mutants):
        seen.append(Seen("times nothing", sum(not mutant.edits for mutant in right), len(mutants) - bugs))
    wrong = tuple(problem for problem in problems if problem is not None)
    return Result("planted bugs", f"{bugs} bugs", "0 and on", wrong, time.monotonic() - started, tuple(seen))


def _planted(mutant: Mutant, environ: dict[str, str], show: bool) -> str | None:
    command = [sys.executable, "-m", "proof.mutants", "--here", mutant.name]
    try:
        child = subprocess.run(  # noqa: S603 -- the proof's own command
            command, env=environ, capture_output=True, text=True, timeout=_PATIENCE, check=False
        )
    except subprocess.TimeoutExpired:
        return f"{mutant.name} was not found within {_PATIENCE:.0f} s"
    said = (child.stdout.strip().splitlines() or child.stderr.strip().splitlines() or ["nothing was said"])[-1]
    if show:
        _say(f"{mutant.name:<28} {mutant.sentence}\n{'':<28} {said[:150]}")
    match child.returncode, bool(mutant.edits):
        case (0, True) | (1, False):
            return None
        case (0, False):
            return f"{mutant.name}: {said}"
        case (1, True):
            return f"{mutant.name} was not found: {mutant.sentence}"
        case _:
            return f"{mutant.name}: {said}"


def _here(mutant: Mutant) -> int:
    """In a process of its own: plants the bug, then tries the proofs until one finds it."""
    try:
        plant(mutant)
    except DoesNotApply as problem:
        _say(f"does not apply: {problem}")
        return _WITHERED
    from proof.mutants.checks import CHECKS

    for name in mutant.caught_by:
        started = time.monotonic()
        if (found := CHECKS[name]()) is not None:
            _say(f"found by {name} in {time.monotonic() - started:.1f} s: {found}")
            return _FOUND
    _say("no proof found anything")
    return _MISSED


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m proof.mutants")
    parser.add_argument("name", nargs="*", help="plant these only")
    parser.add_argument("--here", metavar="NAME", help=argparse.SUPPRESS)
    args = parser.parse_args()
    by_name = {mutant.name: mutant for mutant in (*NOTHING, *MUTANTS)}
    if args.here:
        return _here(by_name[args.here])
    if unknown := set(args.name) - by_name.keys():
        parser.error(f"no such bug: {', '.join(sorted(unknown))}")
    result = run(tuple(by_name[name] for name in args.name) or tuple(by_name.values()), show=True)
    _say(result.line())
    _say("\n".join(result.violations))
    return 0 if result.holds else 1


if __name__ == "__main__":
    sys.exit(main())
