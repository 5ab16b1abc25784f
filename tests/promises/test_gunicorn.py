"""Several gunicorns on one ledger, workers killed and paused at random, every alert delivered four times."""

import pytest

from proof.processes import ALERTS, load
from proof.processes.lab import LedgerKind
from tests.emulators import firestore_emulator


@pytest.mark.parametrize("kind", LedgerKind)
def test_killed_and_paused_workers_neither_double_an_order_nor_lose_one(kind: LedgerKind) -> None:
    firestore = firestore_emulator() if kind is LedgerKind.FIRESTORE else None
    assert load.prove(kind, ALERTS[kind], firestore=firestore).violations == ()
