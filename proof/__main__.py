"""`make verify`: every proof at its full size, one line each; exit 1 on any violation.

`python -m proof --slice` runs the part of each that every push runs.
"""

import argparse
import sys
import time
from collections.abc import Callable, Iterator

from proof import processes, rivals, simulation, store, wire
from proof.mutants.__main__ import run as plant_all
from proof.result import Result

HISTORIES = 20_000
SLICE = 2_000

Proof = Callable[[bool], list[Result]]


def _proofs() -> Iterator[tuple[str, Proof]]:
    yield "simulation", lambda slice_only: [simulation.run(range(SLICE if slice_only else HISTORIES))]
    yield "rivals", lambda _: [rivals.run()]
    yield "broker faults", lambda _: [wire.run()]
    yield "store faults", lambda slice_only: [store.run(slice_only=slice_only)]
    yield "planted bugs", lambda _: [plant_all()]
    yield "processes", processes.run


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m proof", description=__doc__)
    parser.add_argument("--slice", action="store_true", help="the size of a push")
    parser.add_argument("--only", metavar="NAME", help="one of: " + ", ".join(name for name, _ in _proofs()))
    wanted = parser.parse_args()
    started = time.monotonic()
    results: list[Result] = []
    for name, prove in _proofs():
        if wanted.only in (None, name):
            for result in prove(wanted.slice):
                results.append(result)
                _say(result.line())
                for violation in result.violations:
                    _say(f"    {violation}")
    broken = sum(not result.holds for result in results)
    _say(f"{len(results)} proofs, {broken} with violations, {time.monotonic() - started:.0f} s")
    return 1 if broken or not results else 0


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
