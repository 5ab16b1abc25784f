"""A gateway is killed at every step of a delivery: still one order at most, and nothing lost."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any, NoReturn

import pytest

from app.domain.order import NotSent
from app.domain.order.status import OrderStatus
from app.flow.ports import Broker, Ledger
from app.flow.reconcile import reconcile
from app.runtime.config import Config
from app.web import create_app
from proof.processes import CRASHES, STEPS, crashes, housekeeping
from proof.processes.lab import LedgerKind, MovableClock, Office, Recorder, an_office
from tests.emulators import firestore_emulator
from tests.gateway import Gateway, alert, gateway


@pytest.mark.parametrize("kind", LedgerKind)
def test_a_crash_at_any_step_leaves_one_order_at_most_and_nothing_lost(kind: LedgerKind) -> None:
    firestore = firestore_emulator() if kind is LedgerKind.FIRESTORE else None
    assert crashes.prove(kind, CRASHES[kind], firestore=firestore).violations == ()


@pytest.mark.parametrize("kind", LedgerKind)
def test_reconcile_killed_at_any_step_is_finished_by_the_next_one(kind: LedgerKind) -> None:
    firestore = firestore_emulator() if kind is LedgerKind.FIRESTORE else None
    assert housekeeping.prove(kind, STEPS[kind], firestore).violations == ()


class RivalFirst:
    """A ledger in front of whose first submit a rival is quicker."""

    def __init__(self, real: Ledger, rival: Callable[[], object]) -> None:
        self._real: Any = real
        self._rival = rival

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)

    def submit(self, *args: Any) -> Any:
        rival, self._rival = self._rival, lambda: None
        rival()
        return self._real.submit(*args)


def test_of_two_firings_at_the_same_moment_the_second_is_suppressed_and_told(tmp_path: Path) -> None:
    with gateway(tmp_path) as gate:
        body, recorder = alert(), Recorder(MovableClock())
        late = replace(gate.desk, ledger=RivalFirst(gate.desk.ledger, lambda: gate.send(body)), notifier=recorder)
        app = create_app(replace(gate.office, desk=late), Config.from_env(gate.settings))
        answer = app.test_client().post("/webhook", data=body)
        said = answer.get_json()
        assert (answer.status_code, said["status"], said["duplicate"]) == (200, "ACCEPTED", True)
        assert len(gate.live_orders()) == 1
        assert [notice.kind for notice in recorder.notifications] == ["duplicate"]


class DeadAfter:
    """A broker whose caller does not live to see what became of the order."""

    def __init__(self, real: Broker) -> None:
        self._real: Any = real

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)

    def place(self, *args: Any) -> NoReturn:
        self._real.place(*args)
        raise SystemExit("killed")


@pytest.fixture
def unheard(tmp_path: Path) -> Iterator[tuple[Gateway, Office]]:
    """A gateway one of whose orders stands at the broker, and the request that sent it died."""
    with gateway(tmp_path) as gate, an_office(gate.settings) as office:
        doomed = replace(gate.desk, broker=DeadAfter(gate.desk.broker))
        dying = create_app(replace(gate.office, desk=doomed), Config.from_env(gate.settings))
        with pytest.raises(SystemExit):
            dying.test_client().post("/webhook", data=alert())
        yield gate, office


def test_an_order_that_its_sender_never_heard_of_is_found_and_told(unheard: tuple[Gateway, Office]) -> None:
    gate, office = unheard
    office.clock.ahead = timedelta(seconds=60)
    report = reconcile(office.desk, office.deadline())
    [order] = office.desk.ledger.orders(office.deadline())
    assert (order.status, order.reason, report.moved) == ("FILLED", "FOUND_IN_BOOK", {"SUBMITTED to FILLED": 1})
    [notice] = office.recorder.notifications
    assert (notice.kind, notice.text.partition(",")[0]) == ("found", "Found in the order book as FILLED")
    assert reconcile(office.desk, office.deadline()).notices_sent == 0
    assert len(gate.live_orders()) == 1


def test_reconcile_leaves_an_order_to_the_request_that_is_still_at_it(unheard: tuple[Gateway, Office]) -> None:
    _, office = unheard
    assert reconcile(office.desk, office.deadline()).moved == {}
    [order] = office.desk.ledger.orders(office.deadline())
    assert order.status == "SUBMITTED"


@pytest.mark.parametrize("status", ["NOT_PLACED", "LAPSED"])
def test_a_live_order_that_the_ledger_has_as_never_placed_is_told(unheard: tuple[Gateway, Office], status: str) -> None:
    _, office = unheard
    [order] = office.desk.ledger.orders(office.deadline())
    now = office.clock.now()
    if status == "NOT_PLACED":
        steps = [order.moved(OrderStatus.NOT_PLACED, now, message="a human looked too early")]
    else:
        steps = [back := order.after(NotSent("it seemed"), now), back.lapsed(now, "too old")]
    for step in steps:
        office.desk.ledger.record(step, office.deadline())
    office.clock.ahead = timedelta(seconds=60)
    report = reconcile(office.desk, office.deadline())
    assert len(report.strangers) == 1
    assert not report.clean
    [stranger] = [notice for notice in office.recorder.notifications if notice.kind == "stranger"]
    assert f"the ledger has it as {status}" in stranger.text
