"""Documents that Firestore no longer has, or has without what is needed: on doubt the ledger refuses."""

from collections.abc import Iterator

import pytest

from app.adapters.firestore.ledger import FirestoreLedger
from app.domain.risk import TradingState
from app.flow.ports import Window
from tests.contract.ledgers import instance, order_named, patient
from tests.emulators import firestore_emulator, firestore_project  # noqa: F401

WINDOW = Window("the same order", 60.0)


@pytest.fixture
def ledger(firestore_project: str) -> Iterator[FirestoreLedger]:  # noqa: F811
    with instance(f"firestore://{firestore_emulator()}/{firestore_project}") as ledger:
        yield ledger


def test_controls_without_their_text_are_halted(ledger: FirestoreLedger) -> None:
    ledger._controls.set({"write": "a word"})
    controls = ledger.controls(patient())
    assert (controls.damaged, controls.state) == (True, TradingState.HALTED)


def test_a_window_whose_order_has_expired_takes_the_next_order(ledger: FirestoreLedger) -> None:
    first, second = order_named("the first"), order_named("the second")
    assert ledger.claim(first, WINDOW, patient()) == first
    assert ledger.claim(second, WINDOW, patient()) == first
    ledger._store.order(first.key).delete()
    assert ledger.claim(second, WINDOW, patient()) == second
