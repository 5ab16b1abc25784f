"""A gateway is killed at every step of a delivery: still one order at most, and nothing lost."""

from dataclasses import replace

import pytest

from app.config import Config
from app.web import create_app
from proof.processes import crashes
from proof.processes.lab import LedgerKind, MovableClock, Recorder
from tests.emulators import firestore_emulator
from tests.gateway import alert, gateway


@pytest.mark.parametrize("kind", LedgerKind)
def test_a_crash_at_any_step_leaves_one_order_at_most_and_nothing_lost(kind):
    firestore = firestore_emulator() if kind is LedgerKind.FIRESTORE else None
    result = crashes.prove(kind, most=30 if firestore else 120, firestore=firestore)
    print(result.line())
    assert result.violations == ()


class RivalFirst:
    """A ledger before whose first submit somebody else is quicker."""

    def __init__(self, real, rival):
        self._real, self._rival = real, rival

    def __getattr__(self, name):
        return getattr(self._real, name)

    def submit(self, *args):
        rival, self._rival = self._rival, lambda: None
        rival()
        return self._real.submit(*args)


def test_of_two_firings_at_the_same_moment_the_second_is_suppressed_and_somebody_is_told(tmp_path):
    with gateway(tmp_path) as gate:
        body, recorder = alert(), Recorder(MovableClock())
        late = replace(gate.desk, ledger=RivalFirst(gate.desk.ledger, lambda: gate.send(body)), notifier=recorder)
        answer = create_app(late, Config.from_env(gate.settings)).test_client().post("/webhook", data=body)
        assert (answer.status_code, answer.json["status"], answer.json["duplicate"]) == (200, "ACCEPTED", True)
        assert len(gate.live_orders()) == 1
        assert [notice.kind for notice in recorder.notifications] == ["duplicate"]
