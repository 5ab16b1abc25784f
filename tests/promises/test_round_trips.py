"""How many calls in a row an alert waits for: each call to a far service is made to take long, on the wire.

Calls made side by side take no longer than one. So the time of an alert, in units of such a call, is the number of
round trips on its critical path, whichever calls they are.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

import pytest

from app.simulator import Simulator
from tests.contract.faulty_firestore import FaultyFirestore, slow
from tests.emulators import firestore_emulator
from tests.gateway import Gateway, gateway
from tests.instances import simulated_account

LONG = 0.12  # seconds of each call; more than an alert's own work takes on a busy machine
TRIES = 20
CALLS = ("BatchGetDocuments", "Commit", "RunQuery")


@pytest.fixture
def account() -> Iterator[Simulator]:
    with simulated_account() as account:
        yield account


@pytest.fixture
def firestore() -> Iterator[FaultyFirestore]:
    firestore = FaultyFirestore(firestore_emulator())
    yield firestore
    firestore.close()


@contextmanager
def far_away(account: Simulator, firestore: FaultyFirestore | None = None) -> Iterator[None]:
    account.latency = LONG
    if firestore is not None:
        firestore.always = dict.fromkeys(CALLS, slow(LONG))
    yield
    account.latency = 0.0
    if firestore is not None:
        firestore.calm()


def trips(gate: Gateway, hoped_for: int) -> int:
    """Measured on the quickest alert: a busy machine makes alerts slower, and nothing makes one quicker."""
    fewest = 99
    for _try in range(TRIES):
        began = time.monotonic()
        answer = gate.send()
        took = time.monotonic() - began
        if answer.status_code == 200:
            fewest = min(fewest, int(took / LONG))
        if fewest <= hoped_for:
            break
    return fewest


def test_with_a_ledger_on_its_own_disk_an_alert_waits_twice_reads_and_order(tmp_path: Path, account: Simulator) -> None:
    with gateway(tmp_path, account) as gate:
        gate.send()
        with far_away(account):
            assert trips(gate, 2) == 2


def test_with_a_ledger_far_away_an_alert_waits_four_times_reads_and_claim_submit_order_record(
    tmp_path: Path, account: Simulator, firestore: FaultyFirestore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FIRESTORE_EMULATOR_HOST", firestore.address)
    with gateway(tmp_path, account, LEDGER_URL=f"firestore://trips-{uuid4().hex[:12]}/(default)") as gate:
        gate.send()
        with far_away(account, firestore):
            assert trips(gate, 4) == 4
