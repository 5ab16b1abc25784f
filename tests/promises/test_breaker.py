"""While the line to the broker fails, entries wait instead of trying it out; exits still go out."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from app.domain.order import NotSent
from app.domain.risk import BREAKER_OPEN
from app.simulator import Fault, FaultKind
from tests.gateway import Gateway, alert
from tests.instances import instances, simulated_account


@pytest.fixture
def gates(tmp_path: Path) -> Iterator[tuple[Gateway, Gateway]]:
    """Two instances on one ledger and one account."""
    with simulated_account() as account, instances(tmp_path, account) as (one, two):
        yield one, two


def fail_the_line(gate: Gateway) -> None:
    """Reads get through and orders do not, until the breaker opens: their connections are refused."""
    broker: Any = gate.desk.broker
    place = broker.place
    broker.place = lambda order, window, deadline: NotSent("the connection was refused", again=False)
    said = [gate.send().json["reason"] for _ in range(3)]
    broker.place = place
    assert said == ["NOT_SENT"] * 3


def later(gate: Gateway, passed: timedelta) -> None:
    now = gate.desk.clock.now
    gate.desk.clock.now = lambda: now() + passed  # type: ignore[method-assign]


def posts(gate: Gateway) -> int:
    return sum(entry.endpoint == "place" for entry in gate.account.log)


def told(gate: Gateway) -> list[str]:
    with gate.desk.ledger.reading(gate.deadline()) as db:  # type: ignore[attr-defined]
        return [row[0].partition(":")[0] for row in db.execute("SELECT id FROM outbox WHERE id LIKE 'breaker:%'")]


def test_after_three_failures_entries_wait_on_every_instance_and_nothing_is_sent(
    gates: tuple[Gateway, Gateway],
) -> None:
    one, two = gates
    fail_the_line(one)
    sent = posts(one)
    for gate in gates:
        response = gate.send()
        assert (response.status_code, response.json["reason"]) == (503, "BROKER_DOWN")
        assert "IST" in response.json["message"]
    assert posts(two) == sent
    assert told(one) == ["breaker"]


def test_a_cover_goes_on_while_entries_wait(gates: tuple[Gateway, Gateway]) -> None:
    one, two = gates
    one.send()
    fail_the_line(one)
    assert two.send(action="BUY").json["status"] == "ACCEPTED"
    assert two.send().json["reason"] == "BROKER_DOWN"


def test_a_reconcile_that_reads_the_book_closes_it_for_all(gates: tuple[Gateway, Gateway]) -> None:
    one, two = gates
    fail_the_line(one)
    one.account.fault("orders", Fault(FaultKind.HTML, status=502, times=None))
    one.operate("POST", "/tasks/reconcile")
    assert two.send().json["reason"] == "BROKER_DOWN"
    one.account.clear_faults()
    one.operate("POST", "/tasks/reconcile")
    assert two.send().json["status"] == "ACCEPTED"


def test_after_its_time_the_reads_of_the_next_alert_try_the_line_and_never_an_order(
    gates: tuple[Gateway, Gateway],
) -> None:
    one, two = gates
    fail_the_line(one)
    sent = posts(one)
    later(two, BREAKER_OPEN)
    one.account.fault("positions", Fault(FaultKind.HTML, status=502, times=None))
    assert two.send().json["reason"] == "POSITION_UNKNOWN"
    assert posts(one) == sent
    one.account.clear_faults()
    assert two.send().json["status"] == "ACCEPTED"


def test_a_broker_that_is_busy_is_no_failure_of_the_line(gates: tuple[Gateway, Gateway]) -> None:
    one, _ = gates
    one.account.fault("place", Fault(FaultKind.RATE_LIMITED, times=5, seconds=1))
    assert {one.send().status_code for _ in range(5)} == {503}
    assert one.send().json["status"] == "ACCEPTED"


def test_a_refusal_by_the_broker_is_no_failure_of_the_line(gates: tuple[Gateway, Gateway]) -> None:
    one, _ = gates
    one.account.fault("place", Fault(FaultKind.REJECT, times=5))
    assert {one.send().json["reason"] for _ in range(5)} == {"BROKER_REJECTED"}
    assert one.send().json["status"] == "ACCEPTED"


def test_an_alert_that_waited_is_sent_once_when_it_comes_again(gates: tuple[Gateway, Gateway]) -> None:
    one, two = gates
    fail_the_line(one)
    body = alert()
    assert one.send(body).json["reason"] == "BROKER_DOWN"
    one.operate("POST", "/tasks/reconcile")
    assert two.send(body).json["status"] == "ACCEPTED"
    assert one.send(body).json["duplicate"] is True
    assert len(one.live_orders()) == 1
