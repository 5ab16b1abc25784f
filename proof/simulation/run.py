"""Many histories, on all cores, as one result."""

import contextlib
import logging
import multiprocessing
import os
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from app.adapters.sqlite.ledger import SqliteLedger
from proof.result import Result, floors
from proof.simulation.play import simulate

MEMORY, SQLITE = "memory", "sqlite"
_PART = 500
SHOWN = 20  # violations that a result tells one by one
FLOORS = {"orders": 0.5, "fills": 0.25, "kills": 0.3}  # of a history; about half of what there is


def run(seeds: Sequence[int], ledger: str = MEMORY, processes: int | None = None) -> Result:
    """Plays every seed; `processes` None: one for each core, 1: here."""
    started = time.monotonic()
    parts = [seeds[first : first + _PART] for first in range(0, len(seeds), _PART)]
    found: list[str] = []
    happened: Counter[str] = Counter()
    for violations, counted in _played(parts, ledger, processes):
        found += violations
        happened += counted
    name = "simulation" if ledger == MEMORY else f"simulation over {ledger}"
    spoken = f"{seeds[0]} to {seeds[-1]}"
    seen, took = floors(happened, FLOORS, len(seeds)), time.monotonic() - started
    return Result(name, f"{len(seeds)} histories", spoken, tuple(found[:SHOWN]), took, seen)


def _played(
    parts: Sequence[Sequence[int]], ledger: str, processes: int | None
) -> Iterator[tuple[list[str], Counter[str]]]:
    if processes == 1:
        yield from (_part(part, ledger) for part in parts)
        return
    spawning = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(processes or os.cpu_count(), mp_context=spawning) as pool:
        yield from pool.map(_part, parts, [ledger] * len(parts))


def _part(seeds: Sequence[int], ledger: str) -> tuple[list[str], Counter[str]]:
    seen: Counter[str] = Counter()
    return play(seeds, ledger, seen), seen


def play(seeds: Sequence[int], ledger: str = MEMORY, seen: Counter[str] | None = None) -> list[str]:
    """The violations of these seeds, each with its seed. Into `seen` goes what happened in all of them."""
    with quiet():
        return [f"seed {seed} ({ledger}): {violation}" for seed in seeds for violation in one(seed, ledger, seen)]


def one(seed: int, ledger: str = MEMORY, seen: Counter[str] | None = None) -> list[str]:
    if ledger == MEMORY:
        return [str(violation) for violation in simulate(seed, None, seen)]
    with tempfile.TemporaryDirectory(dir=memory_disk()) as folder:
        store = SqliteLedger(Path(folder) / "ledger.db")
        try:
            return [str(violation) for violation in simulate(seed, store, seen)]
        finally:
            store.close()


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Without the product's log: a thousand alerts a second are of no use to a reader."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        yield
    finally:
        logging.disable(before)


def memory_disk() -> str | None:
    """Where a file costs no disk, on systems that have such a place."""
    return "/dev/shm" if os.access("/dev/shm", os.W_OK) else None  # noqa: S108 -- a folder of our own inside it
