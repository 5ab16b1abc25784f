"""The real server is told to stop: what is past the gate is finished, what comes is sent away, and nothing is lost."""

import http.client
import json
import os
import signal
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from app.flow.reconcile import reconcile
from app.simulator import Fault, FaultKind
from app.simulator.server import Simulator
from proof.processes.lab import Lab, Office, an_account, an_office
from proof.processes.sender import an_alert, post
from proof.processes.server import Server, a_server
from tests.stopwatch import Stopwatch
from tests.waiting import finish, wait_until, wait_until_ready

REPLY_TAKES = 1.0  # seconds that the broker leaves an order without a reply


class Machine:
    """A server with one order under way: the broker has it, and its reply is on the way."""

    def __init__(self, server: Server, account: Simulator, office: Office) -> None:
        self.server, self.account, self.office = server, account, office
        self.answers: dict[str, tuple[int | None, str | None, float]] = {}
        self._senders: list[threading.Thread] = []

    def send(self, name: str) -> None:
        """In a thread of its own; `answers` has status and answer, and how long it took."""

        def deliver() -> None:
            watch = Stopwatch()
            status, answer = post(self.server.port, an_alert(name).body, 10)
            self.answers[name] = status, answer.get("reason"), watch.seconds

        sender = threading.Thread(target=deliver)
        sender.start()
        self._senders.append(sender)

    def has_one_under_way(self) -> int:
        """An instance that is still starting asks for the alert again."""
        if not self.sent() and (not self._senders or "under way" in self.answers):
            self.answers.pop("under way", None)
            self.send("under way")
        return self.sent()

    def sent(self) -> int:
        return sum(entry.endpoint == "place" for entry in self.account.log)

    def signal(self, number: signal.Signals) -> None:
        self.server.arbiter.send_signal(number)

    def wait_for_answers(self) -> None:
        finish(*self._senders)

    def ends_within(self, seconds: int) -> None:
        """Raises TimeoutExpired where it does not."""
        self.server.arbiter.wait(seconds)
        self.wait_for_answers()

    def orders(self) -> dict[str, str]:
        return {order.request_id: str(order.status) for order in self.office.desk.ledger.orders(self.office.deadline())}


@contextmanager
def machine(folder: Path, fault: Fault, workers: int = 1) -> Iterator[Machine]:
    lab = Lab(folder)
    with an_account() as account:
        settings = lab.settings(account, lab.new_ledger())
        output = lab.new_file("output")
        with an_office(settings) as office, a_server(settings, output, workers, "app.runtime.server") as server:
            wait_until_ready(server.port)
            account.fault("place", fault)
            running = Machine(server, account, office)
            wait_until("the broker has the order", running.has_one_under_way)
            yield running


def slow() -> Fault:
    return Fault(FaultKind.LATENCY, None, processed=True, seconds=REPLY_TAKES)


@pytest.mark.parametrize("workers", [1, 2])
def test_an_order_past_the_gate_is_finished_and_what_comes_is_asked_to_come_again(tmp_path: Path, workers: int) -> None:
    with machine(tmp_path, slow(), workers) as running:
        running.signal(signal.SIGTERM)
        for number in range(5):
            time.sleep(0.1)
            running.send(f"new {number}")
        running.ends_within(10)
        assert running.answers.pop("under way")[0] == 200
        assert {answer[:2] for answer in running.answers.values()} == {(503, "SHUTTING_DOWN")}
        assert max(answer[2] for answer in running.answers.values()) < 2.5
        assert list(running.orders().values()) == ["ACCEPTED"]
        assert running.server.arbiter.returncode == 0
        assert post(running.server.port, an_alert("too late").body)[0] is None


def test_a_request_on_a_kept_connection_is_answered_too(tmp_path: Path) -> None:
    with machine(tmp_path, slow()) as running:
        kept = http.client.HTTPConnection("127.0.0.1", running.server.port, timeout=5)
        kept.request("GET", "/healthz")
        assert kept.getresponse().read()
        running.signal(signal.SIGTERM)
        time.sleep(0.3)
        kept.request("POST", "/webhook", an_alert("new").body)
        reply = kept.getresponse()
        assert (reply.status, json.loads(reply.read())["reason"]) == (503, "SHUTTING_DOWN")
        assert reply.getheader("Retry-After")
        kept.close()
        running.ends_within(10)


def test_a_broker_that_hangs_keeps_no_instance_alive_and_the_order_is_known_to_be_in_doubt(tmp_path: Path) -> None:
    with machine(tmp_path, Fault(FaultKind.HANG, None)) as running:
        running.signal(signal.SIGTERM)
        running.ends_within(10)
        assert running.answers["under way"][:2] == (202, "OUTCOME_UNKNOWN")
        running.account.clear_faults()
        reconcile(running.office.desk, running.office.deadline())
        assert list(running.orders().values()) == ["FILLED"]
        assert [notice.kind for notice in running.office.recorder.notifications] == ["found"]


@pytest.mark.parametrize("second", [signal.SIGTERM, signal.SIGQUIT, signal.SIGINT])
def test_a_second_signal_loses_nothing_either(tmp_path: Path, second: signal.Signals) -> None:
    with machine(tmp_path, slow()) as running:
        running.signal(signal.SIGTERM)
        time.sleep(0.2)
        running.signal(second)
        running.ends_within(10)
        assert running.answers["under way"][0] == 200
        assert list(running.orders().values()) == ["ACCEPTED"]


@pytest.mark.parametrize("number", [signal.SIGQUIT, signal.SIGINT])
@pytest.mark.parametrize("whom", ["the arbiter", "all, as a terminal does"])
def test_sigquit_and_ctrl_c_are_as_gentle_as_sigterm(tmp_path: Path, number: signal.Signals, whom: str) -> None:
    with machine(tmp_path, slow()) as running:
        if whom == "the arbiter":
            running.signal(number)
        else:
            os.killpg(running.server.arbiter.pid, number)  # it leads a session of its own
        time.sleep(0.2)
        running.send("new")
        running.ends_within(10)
        assert running.answers["under way"][0] == 200
        assert running.answers["new"][:2] == (503, "SHUTTING_DOWN")
        assert list(running.orders().values()) == ["ACCEPTED"]
        assert running.server.arbiter.returncode == 0


def test_senders_who_say_nothing_do_not_keep_it_from_ending(tmp_path: Path) -> None:
    with machine(tmp_path, slow()) as running, ExitStack() as stack:
        for _ in range(20):
            stack.enter_context(socket.create_connection(("127.0.0.1", running.server.port)))
        watch = Stopwatch()
        running.signal(signal.SIGTERM)
        running.ends_within(10)
        assert watch.seconds < 6
        assert running.answers["under way"][0] == 200


def test_a_worker_whose_arbiter_was_killed_finishes_its_order_and_ends(tmp_path: Path) -> None:
    with machine(tmp_path, slow()) as running:
        [worker] = running.server.workers()
        running.signal(signal.SIGKILL)
        running.ends_within(10)
        assert running.answers["under way"][0] == 200
        wait_until("the worker has ended", lambda: not alive(worker))


def alive(pid: int) -> bool:
    try:
        with Path(f"/proc/{pid}/stat").open(encoding="ascii") as stat:
            return stat.read().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_more_alerts_at_once_than_threads_are_answered_in_time_and_asked_to_come_again(tmp_path: Path) -> None:
    """Those that wait for a thread have their time counted from when they came."""
    with machine(tmp_path, slow()) as running:
        for number in range(60):
            running.send(f"burst {number}")
        running.wait_for_answers()
        assert max(answer[2] for answer in running.answers.values()) < 2.5
        statuses = [answer[:2] for answer in running.answers.values()]
        assert statuses.count((200, None)) >= 16
        assert set(statuses) <= {(200, None), (503, "OUT_OF_TIME")}
        assert running.sent() == statuses.count((200, None))
        running.signal(signal.SIGTERM)
        running.ends_within(10)
