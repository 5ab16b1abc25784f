"""The half of the proof that needs real processes: crashes at every step, gunicorn under fire, deadlines."""

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
    results = []
    for kind in LedgerKind:
        firestore = firestore_emulator() if kind is LedgerKind.FIRESTORE else None
        cells = [cell for cell in deadlines.CELLS if not slice or firestore is None or cell.ledger_from is not None]
        results.append(crashes.prove(kind, CRASHES[kind] if slice else None, firestore=firestore))
        results.append(housekeeping.prove(kind, STEPS[kind] if slice else None, firestore))
        results.append(deadlines.prove(kind, cells, firestore))
        results += [load.prove(kind, ALERTS[kind][not slice], seed, firestore) for seed in SEEDS[not slice]]
    return results
