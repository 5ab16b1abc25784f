"""Whatever hangs, drips or is locked: the answer is with the sender within 2.5 seconds, and says the right thing."""

import signal
import threading
import time
from datetime import timedelta
from pathlib import Path

from app.flow.reconcile import reconcile
from app.simulator import Fault, FaultKind
from proof.processes import attack, deadlines
from proof.processes.lab import LedgerKind, a_lab, an_account, an_office
from proof.processes.nursery import Nursery
from proof.processes.sender import Sender, an_alert
from tests.emulators import firestore_emulator
from tests.gateway import alert, gateway
from tests.waiting import finish, wait_until


def test_every_hang_of_every_call_is_answered_in_time_and_before_the_gate_asks_for_another_delivery() -> None:
    assert deadlines.prove(LedgerKind.SQLITE).violations == ()


def test_a_ledger_in_the_cloud_that_falls_silent_is_answered_for_in_time() -> None:
    cells = [cell for cell in deadlines.CELLS if cell.ledger_from is not None]
    assert deadlines.prove(LedgerKind.FIRESTORE, cells, firestore_emulator()).violations == ()


def test_a_cover_that_is_accepted_does_not_wait_for_its_legs_to_the_last_moment() -> None:
    cells = [cell for cell in deadlines.CELLS if cell.name.endswith("hangs after a cover")]
    assert deadlines.prove(LedgerKind.SQLITE, cells, answer_by=1.8).violations == ()


def test_under_attack_every_cover_is_answered_and_carried_out_in_time() -> None:
    for result in attack.every(attack.COVERS_OF_A_SLICE):
        assert result.violations == (), result.size


def test_an_attack_that_did_not_take_place_proves_nothing() -> None:
    lame = attack.Tally(a_second=20, sent=100, seconds=10.0)
    good = [attack.Answered(200, None, 0.1, 1)]
    assert "100 sent" in attack.Outcome(good, 1, {"costly bodies": lame}).wrong()[0]
    lame.sent = 195
    assert attack.Outcome(good, 1, {"costly bodies": lame}).wrong() == ()
    assert attack.Outcome(good, 0, {}).wrong() == ("0 of 1 covers were bought at the broker",)
    for late in (attack.Answered(503, "OUT_OF_TIME", 0.1, 4), attack.Answered(200, None, 2.6, 1)):
        assert attack.Outcome([late], 1, {}).wrong() != ()


def test_an_alert_that_waited_for_longer_than_its_sender_is_written_down_and_told_when_it_lapses(
    tmp_path: Path,
) -> None:
    with gateway(tmp_path) as gate, an_office(gate.settings) as office:
        late = {"gateway.arrived": time.monotonic() - 4.0}
        answer = gate.app.test_client().post("/webhook", data=alert(), environ_overrides=late)
        assert answer.status_code == 503
        office.clock.ahead = timedelta(seconds=90)
        reconcile(office.desk, office.deadline())
        assert [notice.kind for notice in office.recorder.notifications] == ["lapsed"]
        assert gate.live_orders() == []


def test_a_process_that_wakes_after_its_sender_hung_up_leaves_its_order_to_be_found_and_told(tmp_path: Path) -> None:
    with a_lab(LedgerKind.SQLITE) as lab, Nursery() as nursery, an_account() as account:
        settings = lab.settings(account, lab.new_ledger())
        with nursery.gateway(settings, output=lab.new_file("output")) as paused, an_office(settings) as office:
            account.fault("place", Fault(FaultKind.LATENCY, processed=True, seconds=0.3))
            sender = Sender(proxied=False)
            delivering = threading.Thread(target=sender.deliver, args=(an_alert("alert"), lambda: paused.port))
            delivering.start()
            wait_until("the broker has the order", lambda: any(entry.orders for entry in account.log))
            paused.signal(signal.SIGSTOP)
            finish(delivering)
            assert [delivery.status for delivery in sender.deliveries] == [None]
            paused.signal(signal.SIGCONT)
            time.sleep(0.5)
            office.clock.ahead = timedelta(seconds=60)
            reconcile(office.desk, office.deadline())
            [order] = office.desk.ledger.orders(office.deadline())
            assert order.status == "FILLED"
            assert [notice.kind for notice in office.recorder.notifications] == ["found"]
