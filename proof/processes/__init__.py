"""The half of the proof that needs real processes: crashes at every step, gunicorn under fire, deadlines."""

import pytest

from proof.processes import crashes, deadlines, housekeeping, load
from proof.processes.lab import LedgerKind
from proof.result import Result
from tests.emulators import firestore_emulator

# What a slice has of it; all of them otherwise.
CRASHES = {LedgerKind.SQLITE: 100, LedgerKind.FIRESTORE: 20}  # cells
STEPS = {LedgerKind.SQLITE: 12, LedgerKind.FIRESTORE: 4}  # of reconcile
ALERTS = {LedgerKind.SQLITE: (40, 400), LedgerKind.FIRESTORE: (12, 100)}  # of a slice, of the whole
SEEDS = (1,), (1, 2, 3)


def run(slice: bool) -> list[Result]:  # noqa: A002 - the word of the caller
    """Every proof on every kind of ledger: a slice that fits into a push, or the whole."""
    results = _on(LedgerKind.SQLITE, None, slice)
    try:
        firestore = firestore_emulator()
    except pytest.skip.Exception as missing:
        return [*results, Result("processes, firestore", "left out", "", (str(missing),), 0.0)]
    return results + _on(LedgerKind.FIRESTORE, firestore, slice)


def _on(kind: LedgerKind, firestore: str | None, slice: bool) -> list[Result]:  # noqa: A002
    cells = [cell for cell in deadlines.CELLS if not slice or firestore is None or cell.ledger_from is not None]
    return [
        crashes.prove(kind, CRASHES[kind] if slice else None, firestore=firestore),
        housekeeping.prove(kind, STEPS[kind] if slice else None, firestore),
        deadlines.prove(kind, cells, firestore),
        *(load.prove(kind, ALERTS[kind][not slice], seed, firestore) for seed in SEEDS[not slice]),
    ]
