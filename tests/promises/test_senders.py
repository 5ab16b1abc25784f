"""Senders that are slow, silent, many or wrong about HTTP hold nothing that an alert needs. By the real server."""

import http.client
import json
import re
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import pytest

from app.runtime import worker
from app.runtime.processes import free_port
from proof.processes import slow_senders
from proof.processes.lab import SECRET, Lab, an_account
from proof.processes.sender import an_alert, post
from proof.processes.server import Server, a_server
from tests.stopwatch import Stopwatch
from tests.waiting import finish, wait_until

HEAD = b"POST /webhook HTTP/1.1\r\nHost: gateway\r\nContent-Length: 5000\r\n"
CHUNKED = b"POST /webhook HTTP/1.1\r\nHost: gateway\r\nTransfer-Encoding: chunked\r\n\r\n"
ASKS = b"GET /healthz HTTP/1.1\r\nHost: gateway\r\n\r\n"
ANSWER_BY = 2.5


@contextmanager
def served(tmp_path_factory: pytest.TempPathFactory, descriptors: int | None = None, **more: str) -> Iterator[Server]:
    """One instance with its production settings, which has answered an alert."""
    lab = Lab(tmp_path_factory.mktemp("server"))
    with an_account() as account:
        settings = lab.settings(account, lab.new_ledger(), **more)
        with a_server(settings, lab.new_file("output"), 1, "app.runtime.server", descriptors) as running:
            wait_until("it answers an alert", lambda: alert(running.port)[0] == 200, within=30)
            yield running


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with served(tmp_path_factory) as running:
        yield running


def alert(port: int) -> tuple[int | None, float]:
    """Status, and how long the answer took."""
    watch = Stopwatch()
    status = post(port, an_alert(f"alert-{time.monotonic_ns()}").body, 10)[0]
    return status, watch.seconds


def best_of_three(port: int) -> tuple[int | None, float]:
    """On a busy machine an alert may be late without any attack, and then is not the next time."""
    tries = iter(range(3))
    answered = alert(port)
    while (answered[0] != 200 or answered[1] > ANSWER_BY) and next(tries) < 2:
        answered = alert(port)
    return answered


@contextmanager
def visitors(port: int, count: int, says: bytes = b"", drips: bool = False) -> Iterator[list[socket.socket]]:
    """So many connections that say something and then no more, or a byte ten times a second."""
    with slow_senders.many_descriptors(), ExitStack() as stack:
        connections = [stack.enter_context(socket.create_connection(("127.0.0.1", port), 5)) for _ in range(count)]
        gone = threading.Event()

        def speak() -> None:
            for connection in connections:
                with suppress(OSError):
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


def until_closed(connection: socket.socket) -> bytes:
    """All that it still says."""
    connection.settimeout(10)
    said = b""
    with suppress(ConnectionError):
        while part := connection.recv(4096):
            said += part
    return said


def answer_in(said: bytes) -> tuple[int, dict[str, object]]:
    head, _, body = said.partition(b"\r\n\r\n")
    return int(head.split()[1]), json.loads(body)


# -- slow and silent


@pytest.mark.parametrize(
    ("count", "says", "drips"),
    [
        pytest.param(1000, b"", False, id="nothing"),
        pytest.param(64, b"POST /webh", False, id="half a head"),
        pytest.param(64, HEAD + b'\r\n{"token"', False, id="half a body"),
        pytest.param(64, HEAD + b"X-Y:", True, id="a dripping head"),
        pytest.param(64, HEAD + b"\r\n{", True, id="a dripping body"),
        pytest.param(64, ASKS, False, id="a request, and then they stay"),
        pytest.param(64, ASKS.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"), False, id="they do not hang up"),
    ],
)
def test_visitors_who_never_finish_do_not_keep_an_alert_waiting(
    server: Server, count: int, says: bytes, drips: bool
) -> None:
    with visitors(server.port, count, says, drips):
        status, seconds = best_of_three(server.port)
        assert status == 200
        assert seconds < ANSWER_BY


def test_a_connection_without_a_first_request_ends_after_two_seconds(server: Server) -> None:
    with socket.create_connection(("127.0.0.1", server.port)) as silent:
        watch = Stopwatch()
        assert until_closed(silent) == b""
        assert watch.wall > 1.5
        assert watch.seconds < 4.5


@pytest.mark.parametrize("says", [HEAD + b"X-Y:", HEAD + b'\r\n{"token"'], ids=["head", "body"])
def test_a_request_that_does_not_arrive_whole_ends_after_two_seconds_and_is_asked_for_again(
    server: Server, says: bytes
) -> None:
    with visitors(server.port, 1, says, drips=True) as [slow]:
        watch = Stopwatch()
        status, document = answer_in(until_closed(slow))
        assert (status, document["reason"]) == (503, "OUT_OF_TIME")
        assert watch.wall > 1.0
        assert watch.seconds < 4.5


def test_a_kept_connection_stays_for_longer_and_is_answered_again(server: Server) -> None:
    kept = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
    kept.request("GET", "/healthz")
    kept.getresponse().read()
    time.sleep(3.0)
    kept.auto_open = 0  # it raises where the connection is gone
    kept.request("POST", "/webhook", an_alert(f"alert-{time.monotonic_ns()}").body)
    assert kept.getresponse().status in (200, 503)
    kept.close()


def test_an_answer_that_is_not_taken_is_not_waited_for_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "ANSWER_LEAVES", 0.2)
    ours, theirs = socket.socketpair()
    with ours, theirs:
        inbound = worker.Inbound(ours)
        inbound.setblocking(True)
        with pytest.raises(ConnectionResetError):
            inbound.sendall(bytes(10_000_000))


# -- as it comes


def test_requests_that_are_sent_ahead_are_answered_in_their_order(server: Server) -> None:
    last = ASKS.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n").replace(b"/healthz", b"/nowhere")
    with socket.create_connection(("127.0.0.1", server.port)) as connection:
        connection.sendall(ASKS + ASKS + last[:20])
        time.sleep(0.2)
        connection.sendall(last[20:])
        assert re.findall(rb"HTTP/1.1 (\d+)", until_closed(connection)) == [b"200", b"200", b"404"]


def test_so_many_requests_sent_ahead_are_answered_and_the_last_answer_ends_the_connection(server: Server) -> None:
    with socket.create_connection(("127.0.0.1", server.port)) as connection:
        connection.sendall(ASKS * 400)
        said = until_closed(connection)
    assert said.count(b"HTTP/1.1 200 OK\r\n") == said.count(b"HTTP/1.1 ") == worker.MOST_AHEAD + 1
    assert said.count(b"Connection: close\r\n") == 1


@pytest.mark.parametrize("size", [0, 100, 8000, 9000, 20_000, 65_536])
def test_a_request_sent_ahead_behind_a_body_of_any_size_is_answered(server: Server, size: int) -> None:
    body = b"POST /nowhere HTTP/1.1\r\nContent-Length: %d\r\n\r\n" % size + b"x" * size
    last = ASKS.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
    with socket.create_connection(("127.0.0.1", server.port)) as connection:
        watch = Stopwatch()
        connection.sendall(body + ASKS + body + last)
        said = re.findall(rb"HTTP/1.1 (\d+)", until_closed(connection))
        assert said == [b"404", b"200", b"404", b"200"]
        assert watch.seconds < ANSWER_BY


@pytest.mark.parametrize("size", [3, 70_000], ids=["a body in chunks", "a body that is over"])
def test_where_the_next_request_begins_is_not_known_the_answer_ends_the_connection(server: Server, size: int) -> None:
    sent = CHUNKED + b"%x\r\n%s\r\n0\r\n\r\n" % (size, b"x" * size)
    with socket.create_connection(("127.0.0.1", server.port)) as connection:
        connection.sendall(sent + ASKS)
        said = until_closed(connection)
    assert re.findall(rb"HTTP/1.1 (\d+)", said) == [b"400" if size < 65_536 else b"413"]
    assert b"Connection: close\r\n" in said


def test_a_connection_is_kept_behind_a_body_in_chunks(server: Server) -> None:
    kept = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
    for _ in range(3):
        kept.request("POST", "/nowhere", iter([b"abc", b"de"]), encode_chunked=True)
        reply = kept.getresponse()
        reply.read()
        assert (reply.status, reply.will_close) == (404, False)
    kept.close()


@pytest.mark.parametrize("opening", [b"1;a=", b"0\r\nX: "], ids=["an extension", "a trailer"])
def test_what_has_no_end_is_cut_off_and_holds_no_memory(server: Server, opening: bytes) -> None:
    [worker_id] = server.workers()
    before = resident(worker_id)
    with socket.create_connection(("127.0.0.1", server.port)) as connection, suppress(OSError):  # the server closes it
        connection.sendall(CHUNKED + opening)
        for _ in range(64):
            connection.sendall(b"y" * 1_000_000)
    assert resident(worker_id) - before < 16
    assert alert(server.port)[0] in (200, 503)


def resident(process: int) -> int:
    """MiB of memory."""
    with Path(f"/proc/{process}/statm").open(encoding="ascii") as statm:
        return int(statm.read().split()[1]) * 4096 // 2**20


@pytest.mark.parametrize("chunked", [False, True])
def test_a_request_in_many_small_pieces_is_the_same_request(server: Server, chunked: bool) -> None:
    body = an_alert(f"alert-{time.monotonic_ns()}").body
    framing = b"Transfer-Encoding: chunked" if chunked else f"Content-Length: {len(body)}".encode()
    sent = b"".join(b"%x\r\n%s\r\n" % (1, body[at : at + 1]) for at in range(len(body))) + b"0\r\n\r\n"
    whole = b"POST /webhook HTTP/1.1\r\nHost: x\r\nConnection: close\r\n" + framing + b"\r\n\r\n"
    whole += sent if chunked else body
    with socket.create_connection(("127.0.0.1", server.port)) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for at in range(0, len(whole), 7):
            connection.sendall(whole[at : at + 7])
        status, document = answer_in(until_closed(connection))
    assert (status, document["status"]) in ((200, "ACCEPTED"), (503, "ERROR"))
    assert document["reason"] not in ("MALFORMED", "UNAUTHORIZED")


def test_who_asks_before_sending_a_body_is_told_to_go_on(server: Server) -> None:
    body = an_alert(f"alert-{time.monotonic_ns()}").body
    with socket.create_connection(("127.0.0.1", server.port)) as connection:
        head = b"POST /webhook HTTP/1.1\r\nHost: x\r\nConnection: close\r\nExpect: 100-continue\r\n"
        connection.sendall(head + f"Content-Length: {len(body)}\r\n\r\n".encode())
        connection.settimeout(5)
        assert connection.recv(4096) == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.sendall(body)
        assert answer_in(until_closed(connection))[0] in (200, 503)


# -- many


@pytest.mark.parametrize("says", [b"", ASKS], ids=["silent", "kept after a request"])
def test_a_thousand_idle_connections_and_few_descriptors_end_no_worker_and_keep_out_no_alert(
    tmp_path_factory: pytest.TempPathFactory, says: bytes
) -> None:
    with served(tmp_path_factory, descriptors=256) as server:
        workers = server.workers()
        with visitors(server.port, 1000, says):
            status, seconds = best_of_three(server.port)
            assert status == 200
            assert seconds < ANSWER_BY
        assert alert(server.port)[0] in (200, 503)
        assert server.workers() == workers
        assert "Too many open files" not in server.said()


def test_where_descriptors_run_out_all_the_same_the_worker_goes_on_taking_connections(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    """So few that the connections which the server would allow itself are more than it can have."""
    with served(tmp_path_factory, descriptors=64) as server:
        workers = server.workers()
        with visitors(server.port, 200):
            time.sleep(1.0)
        asked = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
        asked.request("GET", "/healthz")
        assert asked.getresponse().status == 200
        asked.close()
        assert server.workers() == workers


# -- wrong about HTTP


FAULTS = {
    "no method that exists": b"BREW / HTTP/1.1\r\nHost: x\r\n\r\n",
    "a method in small letters": b"post /webhook HTTP/1.1\r\nHost: x\r\n\r\n",
    "an address that is not ASCII": "POST /wébhook HTTP/1.1\r\nHost: x\r\n\r\n".encode(),
    "HTTP/0.9": b"GET /healthz\r\n",
    "HTTP/2.0": b"GET /healthz HTTP/2.0\r\nHost: x\r\n\r\n",
    "HTTP/2's preface": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    "no CR": b"GET /healthz HTTP/1.1\nHost: x\n\n",
    "a name with a space": b"GET /healthz HTTP/1.1\r\nBad Name: x\r\n\r\n",
    "a name with nothing before the colon": b"GET /healthz HTTP/1.1\r\n: x\r\n\r\n",
    "a header over two lines": b"GET /healthz HTTP/1.1\r\nHost: x\r\n y\r\n\r\n",
    "two hosts": b"GET /healthz HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n",
    "an address of 9 KB": b"GET /" + b"x" * 9000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
    "a header of 9 KB": b"GET /healthz HTTP/1.1\r\nX: " + b"x" * 9000 + b"\r\n\r\n",
    "a head without end": b"GET /healthz HTTP/1.1\r\nX: " + b"x" * 60_000,
    "two hundred headers": b"GET /healthz HTTP/1.1\r\n" + b"X: y\r\n" * 200 + b"\r\n",
    "length and chunks": b"POST / HTTP/1.1\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\nabc",
    "two lengths": b"POST / HTTP/1.1\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd",
    "a length below nothing": b"POST / HTTP/1.1\r\nContent-Length: -3\r\n\r\nabc",
    "a length that is none": b"POST / HTTP/1.1\r\nContent-Length: 0x3\r\n\r\nabc",
    "another coding": b"POST / HTTP/1.1\r\nTransfer-Encoding: gzip\r\n\r\nabc",
    "chunks in HTTP/1.0": b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "a chunk of no size": b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nabc\r\n0\r\n\r\n",
    "a chunk longer than it says": b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nabc\r\n0\r\n\r\n",
    "a trailer that may be none": b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nHost: x\r\n\r\n",
    "another protocol and a body": HEAD + b"Connection: Upgrade\r\nUpgrade: h2c\r\n\r\n{",
    "a chunk with an extension without end": CHUNKED + b"1;a=" + b"y" * 60_000,
    "a trailer without end": CHUNKED + b"0\r\nX: " + b"y" * 60_000,
    "an unknown expectation": b"POST / HTTP/1.1\r\nExpect: money\r\nContent-Length: 0\r\n\r\n",
    "cut off in the head": b"POST /webhook HTTP/1.1\r\nHo",
    "cut off in the body": HEAD + b"\r\n{",
}  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS)
def test_what_is_no_http_is_a_400_in_one_plain_answer_and_one_line_of_the_log(server: Server, fault: str) -> None:
    before = len(server.said())
    with socket.create_connection(("127.0.0.1", server.port)) as connection:
        connection.sendall(FAULTS[fault])
        if fault.startswith("cut off"):
            connection.shutdown(socket.SHUT_WR)
        status, document = answer_in(until_closed(connection))
    assert (status, document["status"], document["reason"]) == (400, "ERROR", "MALFORMED")
    said = server.said()[before:]
    lines = [json.loads(line) for line in said.splitlines()]
    [line] = [line for line in lines if line.get("http") == 400]
    assert (line["severity"], line["why"]) == ("WARNING", document["message"])
    assert "stack_trace" not in said
    assert "Traceback" not in said


def test_what_is_no_http_is_repeated_neither_to_its_sender_nor_in_the_log(server: Server) -> None:
    secret = SECRET.encode()
    for sent in (
        secret + b"\r\n\r\n",
        b"GET /webhook?t=" + secret + b"\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nHost: " + secret + b"\r\n\r\n",
        b"POST / HTTP/1.1\r\n" + secret + b" x: y\r\n\r\n",
        b"POST / HTTP/1.1\r\nTransfer-Encoding: " + secret + b"\r\n\r\n",
        b"POST / HTTP/1.1\r\nExpect: " + secret + b"\r\nContent-Length: 0\r\n\r\n",
        b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nTrailer: " + secret + b"\r\n\r\n",
    ):
        with socket.create_connection(("127.0.0.1", server.port)) as connection:
            connection.sendall(sent)
            said = until_closed(connection)
            assert said.startswith(b"HTTP/1.1 400 ")
            assert secret not in said
    assert SECRET not in server.said()


@pytest.mark.parametrize(
    "headers",
    [
        {"X-Forwarded-Proto": "https", "X-Forwarded-Ssl": "off", "X-Forwarded-Protocol": "http"},
        {"Script-Name": "/x", "Script_Name": "/x", "Path_Info": "/y"},
        {"Forwarded": "for=" + "x" * 100, "X-Forwarded-For": "," * 1000},
    ],
    ids=["scheme", "script", "for"],
)
def test_headers_of_a_proxy_that_contradict_each_other_refuse_nothing(server: Server, headers: dict[str, str]) -> None:
    asked = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
    asked.request("GET", "/healthz", headers=headers)
    assert asked.getresponse().status == 200
    asked.close()


# -- from where


def test_it_listens_on_ipv6_and_ipv4_and_knows_an_ipv4_sender_by_its_address(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    with served(tmp_path_factory, HOST="::", TRUSTED_PROXIES="0") as server:
        for host, peer in (("127.0.0.1", "127.0.0.1"), ("::1", "::1")):
            before = len(server.said())
            connection = http.client.HTTPConnection(host, server.port, timeout=10)
            connection.request("POST", "/webhook", b"{}", {"X-Forwarded-For": "52.89.214.238"})
            assert connection.getresponse().status == 401
            connection.close()
            [line] = [json.loads(line) for line in server.said()[before:].splitlines()]
            assert line["httpRequest"]["remoteIp"] == peer


def test_by_itself_it_is_met_on_this_machine_alone(tmp_path_factory: pytest.TempPathFactory) -> None:
    with served(tmp_path_factory) as server:
        addresses = listening(server.port)
        assert addresses == ["0100007F"]  # 127.0.0.1, as the kernel writes it


def listening(port: int) -> list[str]:
    """The addresses of this machine at which the port is listened on."""
    with Path("/proc/net/tcp").open(encoding="ascii") as sockets:
        rows = [line.split() for line in sockets.read().splitlines()[1:]]
    return [row[1].split(":")[0] for row in rows if row[3] == "0A" and int(row[1].split(":")[1], 16) == port]


def test_free_ports_are_free() -> None:
    assert listening(free_port()) == []
