"""The half of the proof that needs real processes: crashes at every step, gunicorn under fire, deadlines."""

from collections.abc import Callable, Iterator

import pytest

from proof.processes import crashes, deadlines, housekeeping, load
from proof.processes.lab import LedgerKind
from proof.result import Result
from tests.emulators import firestore_emulator

# What a slice has of it; all of them otherwise.
CRASHES = {LedgerKind.SQLITE: 100, LedgerKind.FIRESTORE: 20}  # cells
STEPS = {LedgerKind.SQLITE: 12, LedgerKind.FIRESTORE: 4}  # of reconcile
ALERTS = {LedgerKind.SQLITE: 40, LedgerKind.FIRESTORE: 12}
MOST_ALERTS = 200
SEEDS = (1,), (1, 2, 3)

On = Callable[[LedgerKind, str | None], Iterator[Result]]


def crash_matrix(slice_only: bool) -> Iterator[Result]:
    def on(kind: LedgerKind, firestore: str | None) -> Iterator[Result]:
        yield crashes.prove(kind, CRASHES[kind] if slice_only else None, firestore=firestore)

    return _on_each("crash matrix", on)


def reconcile_killed(slice_only: bool) -> Iterator[Result]:
    def on(kind: LedgerKind, firestore: str | None) -> Iterator[Result]:
        yield housekeeping.prove(kind, STEPS[kind] if slice_only else None, firestore)

    return _on_each("reconcile killed", on)


def every_deadline(slice_only: bool) -> Iterator[Result]:
    def on(kind: LedgerKind, firestore: str | None) -> Iterator[Result]:
        ledger_only = slice_only and firestore is not None
        cells = [cell for cell in deadlines.CELLS if not ledger_only or cell.ledger_from is not None]
        yield deadlines.prove(kind, cells, firestore)

    yield from _on_each("deadlines", on)
    from proof.processes import attack  # a command of its own too, which is not to be imported before it is run

    yield from attack.every(attack.COVERS_OF_A_SLICE if slice_only else attack.COVERS)


def under_load(slice_only: bool) -> Iterator[Result]:
    def on(kind: LedgerKind, firestore: str | None) -> Iterator[Result]:
        for seed in SEEDS[not slice_only]:
            yield load.prove(kind, ALERTS[kind] if slice_only else MOST_ALERTS, seed, firestore)

    return _on_each("load", on)


def _on_each(name: str, on: On) -> Iterator[Result]:
    """On every kind of ledger. One that is not to be had is a violation: the proof would not be whole."""
    yield from on(LedgerKind.SQLITE, None)
    try:
        firestore = firestore_emulator()
    except pytest.skip.Exception as missing:
        yield Result(f"{name}, {LedgerKind.FIRESTORE}", "left out", "", (str(missing),), 0.0, ())
    else:
        yield from on(LedgerKind.FIRESTORE, firestore)
