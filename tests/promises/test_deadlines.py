"""Whatever hangs, drips or is locked: the answer is with the sender within 2.5 seconds, and says the right thing."""

from proof.processes import deadlines
from proof.processes.lab import LedgerKind
from tests.emulators import firestore_emulator


def test_every_hang_of_every_call_is_answered_in_time_and_before_the_gate_asks_for_another_delivery():
    assert deadlines.prove(LedgerKind.SQLITE).violations == ()


def test_a_ledger_in_the_cloud_that_falls_silent_is_answered_for_in_time():
    cells = [cell for cell in deadlines.CELLS if cell.ledger_from is not None]
    assert deadlines.prove(LedgerKind.FIRESTORE, cells, firestore_emulator()).violations == ()


def test_a_cover_that_is_accepted_does_not_wait_for_its_legs_to_the_last_moment():
    cells = [cell for cell in deadlines.CELLS if cell.name.endswith("hangs after a cover")]
    assert deadlines.prove(LedgerKind.SQLITE, cells, answer_by=1.8).violations == ()
