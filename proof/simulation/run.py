"""Many histories, on all cores, as one result."""

import contextlib
import logging
import multiprocessing
import os
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from app.adapters.sqlite import SqliteLedger
from proof.result import Result
from proof.simulation.play import simulate

MEMORY, SQLITE = "memory", "sqlite"
_PART = 500
SHOWN = 20  # violations that a result tells one by one


def run(seeds: Sequence[int], ledger: str = MEMORY, processes: int | None = None) -> Result:
    """Plays every seed; `processes` None: one for each core, 1: here."""
    started = time.monotonic()
    parts = [seeds[first : first + _PART] for first in range(0, len(seeds), _PART)]
    found: list[str] = []
    if processes == 1:
        for part in parts:
            found += play(part, ledger)
    else:
        spawning = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(processes or os.cpu_count(), mp_context=spawning) as pool:
            for violations in pool.map(play, parts, [ledger] * len(parts)):
                found += violations
    name = "simulation" if ledger == MEMORY else f"simulation over {ledger}"
    spoken = f"{seeds[0]} to {seeds[-1]}"
    return Result(name, f"{len(seeds)} histories", spoken, tuple(found[:SHOWN]), time.monotonic() - started)


def play(seeds: Sequence[int], ledger: str = MEMORY) -> list[str]:
    """The violations of these seeds, each with its seed."""
    with quiet():
        return [f"seed {seed} ({ledger}): {violation}" for seed in seeds for violation in one(seed, ledger)]


def one(seed: int, ledger: str = MEMORY) -> list[str]:
    if ledger == MEMORY:
        return [str(violation) for violation in simulate(seed)]
    with tempfile.TemporaryDirectory(dir=memory_disk()) as folder:
        store = SqliteLedger(Path(folder) / "ledger.db")
        try:
            return [str(violation) for violation in simulate(seed, store)]
        finally:
            store.close()


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Without the product's log: a thousand alerts a second have nothing to say to a human."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        yield
    finally:
        logging.disable(before)


def memory_disk() -> str | None:
    """Where a file costs no disk, on systems that have such a place."""
    return "/dev/shm" if os.access("/dev/shm", os.W_OK) else None  # noqa: S108 -- a folder of our own inside it
