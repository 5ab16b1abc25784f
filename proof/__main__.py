"""`make verify`: every proof at its full size, one line each; exit 1 on any violation.

`python -m proof --slice` runs the part of each that every push runs, `--only NAME` one of them.
"""

import argparse
import logging
import sys
import time
from collections.abc import Callable, Iterable

from app.cli.surroundings import settle
from proof import processes, properties, rivals, simulation, store, wire
from proof.mutants.__main__ import run as plant_all
from proof.result import HEAD, Result

HISTORIES = {simulation.MEMORY: 100_000, simulation.SQLITE: 5_000}
SLICE = {simulation.MEMORY: 20_000, simulation.SQLITE: 1_000}

Proof = Callable[[bool], Iterable[Result]]


def _simulated(ledger: str) -> Proof:
    return lambda slice_only: [simulation.run(range((SLICE if slice_only else HISTORIES)[ledger]), ledger)]


PROOFS: dict[str, Proof] = {
    "simulation": _simulated(simulation.MEMORY),
    "simulation over sqlite": _simulated(simulation.SQLITE),
    "state machine": lambda slice_only: [properties.state_machine(slice_only)],
    "fuzz": lambda slice_only: [properties.fuzz(slice_only)],
    "rivals": lambda _: [rivals.run()],
    "broker faults": lambda _: [wire.run()],
    "store faults": lambda slice_only: [store.run(slice_only=slice_only)],
    "planted bugs": lambda _: [plant_all()],
    "deadlines": processes.every_deadline,
    "reconcile killed": processes.reconcile_killed,
    "load": processes.under_load,
    "crash matrix": processes.crash_matrix,
}


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m proof", description=__doc__)
    parser.add_argument("--slice", action="store_true", help="the size of a push")
    parser.add_argument("--only", metavar="NAME", choices=PROOFS, help="one of: " + ", ".join(PROOFS))
    wanted = parser.parse_args()
    settle()
    started = time.monotonic()
    results: list[Result] = []
    _say(HEAD)
    for name, prove in PROOFS.items():
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
    logging.getLogger().addHandler(logging.NullHandler())  # what breaks on purpose has nothing to say to an operator
    sys.exit(main())
