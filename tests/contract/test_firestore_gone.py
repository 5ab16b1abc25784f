"""Documents that Firestore no longer has, or has without what is needed: on doubt the ledger refuses."""

import time
from collections.abc import Iterator

import pytest

from app.adapters.firestore.ledger import FirestoreLedger
from app.domain.deadline import Deadline
from app.domain.errors import NotNow, Reason
from app.domain.risk.controls import Controls, TradingState
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


def test_a_change_that_gets_no_turn_in_its_time_changes_nothing(ledger: FirestoreLedger) -> None:
    with ledger._alone(patient()), pytest.raises(NotNow) as caught:
        ledger.change_controls(Controls.reached, Deadline(time.monotonic, 0.05))
    assert caught.value.reason is Reason.LEDGER_CONTENDED
    assert ledger.change_controls(Controls.reached, patient()) == Controls()
