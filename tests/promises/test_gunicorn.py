"""Several gunicorns on one ledger, workers killed and paused at random, every alert delivered four times."""

import socket
import threading
import time
from contextlib import ExitStack, contextmanager, suppress

import pytest

from proof.processes import ALERTS, load
from proof.processes.lab import Lab, LedgerKind, an_account
from proof.processes.sender import an_alert, post
from proof.processes.server import a_server
from tests.emulators import firestore_emulator
from tests.stopwatch import Stopwatch
from tests.waiting import finish


@pytest.mark.parametrize("kind", LedgerKind)
def test_killed_and_paused_workers_neither_double_an_order_nor_lose_one(kind):
    firestore = firestore_emulator() if kind is LedgerKind.FIRESTORE else None
    assert load.prove(kind, ALERTS[kind], firestore=firestore).violations == ()


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """One instance with its production settings."""
    lab = Lab(tmp_path_factory.mktemp("server"))
    with an_account() as account:
        settings = lab.settings(account, lab.new_ledger())
        with a_server(settings, lab.new_file("output"), workers=1, config="app.server") as running:
            yield running


@contextmanager
def visitors(port, count, says=b"", drips=False):
    """So many connections that say something and then no more, or a byte now and then."""
    with ExitStack() as stack:
        connections = [stack.enter_context(socket.create_connection(("127.0.0.1", port))) for _ in range(count)]
        gone = threading.Event()

        def speak():
            for connection in connections:
                connection.sendall(says)
            while drips and not gone.wait(0.1):
                for connection in connections:
                    with suppress(OSError):
                        connection.sendall(b" ")

        speaking = threading.Thread(target=speak)
        speaking.start()
        try:
            time.sleep(0.2)
            yield connections
        finally:
            gone.set()
            finish(speaking)


def fresh_alert():
    return an_alert(f"alert-{time.monotonic_ns()}").body


HEAD = b"POST /webhook HTTP/1.1\r\nHost: gateway\r\nContent-Length: 5000\r\n"


@pytest.mark.parametrize(
    ("says", "drips"),
    [
        pytest.param(b"", False, id="nothing"),
        pytest.param(b"POST /webh", False, id="half a head"),
        pytest.param(HEAD + b'\r\n{"token"', False, id="half a body"),
        pytest.param(HEAD + b"X-Y:", True, id="a dripping head"),
        pytest.param(HEAD + b"\r\n{", True, id="a dripping body"),
    ],
)
def test_visitors_who_never_finish_do_not_keep_an_alert_out(server, says, drips):
    with visitors(server.port, 16, says, drips):
        watch, body = Stopwatch(), fresh_alert()
        answers = [post(server.port, body, 2.5)[0]]
        while answers[-1] == 503:  # it waited for a thread for so long that it is asked to come again
            answers.append(post(server.port, body, 2.5)[0])
        assert answers[-1] == 200
        assert watch.seconds < 6


def test_clients_who_do_not_hang_up_do_not_keep_an_alert_waiting(server):
    said = b"GET /healthz HTTP/1.1\r\nHost: gateway\r\nConnection: close\r\n\r\n"
    with visitors(server.port, 40, said):
        watch = Stopwatch()
        assert post(server.port, fresh_alert())[0] == 200
        assert watch.seconds < 2.5
