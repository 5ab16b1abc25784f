"""The transport's promises: an answer within the total, whatever the server does, and the truth on the first byte."""

import concurrent.futures
import datetime
import gc
import ipaddress
import re
import socket
import ssl
import threading
import time
import traceback
import warnings
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NoReturn

import pytest

from app.adapters.http import connections as connections_module
from app.adapters.http.transport import Begun, CallFailed, Reply, Transport
from app.domain.deadline import Deadline
from tests.contract.nasty_server import JSON, NastyServer, Peer, Script, closed_port, reply, swallowing_port
from tests.stopwatch import Stopwatch
from tests.waiting import finish, wait_until

TOTAL = 0.2
MARGIN = 0.15
SECRET = "APPID-200:eyJhbGciOi.very-secret-token.x"


@pytest.fixture
def transport() -> Iterator[Transport]:
    made = Transport()
    yield made
    made.close()


def post(transport: Transport, url: str, total: float = TOTAL, **changes: Any) -> Reply:
    asked: dict[str, Any] = {
        "headers": {"Authorization": SECRET},
        "body": b'{"qty": 65}',
        "connect": 0.25,
        "total": total,
    }
    return transport.call("POST", url, **asked | changes)


def failure(transport: Transport, url: str, **changes: Any) -> CallFailed:
    with Stopwatch(changes.get("total", TOTAL) + MARGIN), pytest.raises(CallFailed) as caught:
        post(transport, url, **changes)
    return caught.value


# -- what the server can do to a request that it got

HANG = "hangs"


def reads_slowly(peer: Peer) -> None:
    for _ in range(140):
        peer.sock.recv(65536)
        time.sleep(0.005)


AFTER_THE_FIRST_BYTE: dict[str, Callable[[Any], object]] = {
    HANG: lambda peer: (peer.read_request(), peer.hang()),
    "never reads": lambda peer: peer.hang(),
    "drips the status line": lambda peer: (peer.read_request(), peer.drip(b"HTTP/1.1 200 " + b"O" * 100)),
    "drips the headers": lambda peer: (peer.read_request(), peer.drip(b"HTTP/1.1 200 OK\r\n" + b"X-Pad: y\r\n" * 50)),
    "drips the body": lambda peer: (
        peer.read_request(),
        peer.sock.sendall(reply(b"", length=500)),
        peer.drip(JSON * 9),
    ),
    "drips a chunked body": lambda peer: (
        peer.read_request(),
        peer.sock.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"),
        peer.drip(b"1\r\nx\r\n" * 50),
    ),
    "drips interim replies": lambda peer: (peer.read_request(), peer.drip(b"HTTP/1.1 100 Continue\r\n\r\n" * 9, 0.005)),
    "stops in the headers": lambda peer: (
        peer.read_request(),
        peer.sock.sendall(b"HTTP/1.1 200 OK\r\nCon"),
        peer.hang(),
    ),
    "stops in the body": lambda peer: (peer.read_request(), peer.sock.sendall(reply()[:-9]), peer.hang()),
    "closes unanswered": lambda peer: peer.read_request(),
    "resets unanswered": lambda peer: (peer.read_request(), peer.reset()),
    "closes unread": lambda peer: None,
    "resets half read": lambda peer: (peer.sock.recv(1), peer.reset()),
    "reads too slowly": reads_slowly,
    "resets in the body": lambda peer: (peer.answer(reply()[:-9]), peer.reset()),
    "cuts the body short": lambda peer: peer.answer(reply()[:-9]),
    "cuts a chunked body short": lambda peer: peer.answer(
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n39\r\n" + JSON
    ),
    "sends too much": lambda peer: peer.answer(reply(b"x" * (256 * 1024 + 1))),
    "sends without end": lambda peer: (
        peer.read_request(),
        peer.sock.sendall(b"HTTP/1.1 200 OK\r\n\r\n"),
        [peer.sock.sendall(b" " * 65536) for _ in range(99)],
    ),
    "sends a packed bomb": lambda peer: peer.answer(
        reply(zlib.compress(b" " * 9_000_000), headers=("Content-Encoding: deflate",))
    ),
    "says packed and is not": lambda peer: peer.answer(reply(headers=("Content-Encoding: gzip",))),
    "talks nonsense": lambda peer: peer.answer(b"SSH-2.0-OpenSSH_9.6\r\n\r\n"),
    "sends endless headers": lambda peer: peer.answer(b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * 500 + b"\r\n"),
}


@pytest.mark.parametrize("behaviour", AFTER_THE_FIRST_BYTE)
def test_after_the_first_byte_a_failure_says_so_and_comes_within_the_total(
    transport: Transport, behaviour: str
) -> None:
    body = b"x" * 9_000_000 if behaviour == "reads too slowly" else b"{}"
    with NastyServer(AFTER_THE_FIRST_BYTE[behaviour]) as server:
        assert failure(transport, server.url, body=body).wrote is True


# -- what can go wrong before


def test_a_refused_connection_wrote_nothing(transport: Transport) -> None:
    failed = failure(transport, f"http://127.0.0.1:{closed_port()}")
    assert (failed.wrote, failed.why) == (False, "the connection was refused while connecting")


def test_a_host_that_swallows_packets_costs_the_connect_time_alone(transport: Transport) -> None:
    with swallowing_port() as port, Stopwatch(0.1 + MARGIN), pytest.raises(CallFailed) as caught:
        post(transport, f"http://127.0.0.1:{port}", connect=0.1, total=2.0)
    assert (caught.value.wrote, caught.value.why) == (False, "timed out while connecting")


def test_an_unknown_host_wrote_nothing() -> None:
    def unknown(*_: object, **__: object) -> NoReturn:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    transport = Transport(lookup=unknown)
    failed = failure(transport, "http://broker.invalid")
    transport.close()
    assert (failed.wrote, failed.why) == (False, "the host was not found while looking up the host")


def test_a_look_up_that_hangs_costs_the_connect_time_alone_and_is_not_started_twice() -> None:
    release, started = threading.Event(), []

    def hanging(host: str, port: int, **_: object) -> list[tuple[Any, ...]]:
        started.append(host)
        release.wait(5)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))]

    transport = Transport(lookup=hanging)
    for _ in range(2):
        with Stopwatch(0.1 + MARGIN), pytest.raises(CallFailed) as caught:
            post(transport, "http://broker.invalid", connect=0.1, total=2.0)
        assert (caught.value.wrote, caught.value.why) == (False, "timed out while looking up the host")
    assert started == ["broker.invalid"]
    release.set()
    transport.close()


def test_an_answer_of_the_name_service_is_kept_and_outlives_its_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def once(host: str, port: int, **_: object) -> list[tuple[Any, ...]]:
        asked.append(host)
        if len(asked) > 1:
            raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))]

    transport = Transport(lookup=once)
    with NastyServer(lambda peer: peer.answer(reply(close=True))) as server:
        for keep, look_ups in ((60, 1), (60, 1), (0, 2), (0, 3)):
            monkeypatch.setattr("app.adapters.http.resolver.KEEP_SECONDS", keep)
            assert post(transport, f"http://broker.invalid:{server.port}").status == 200
            assert len(asked) == look_ups
    transport.close()


def test_an_address_that_is_dead_leaves_time_for_the_next_one() -> None:
    def two(host: str, port: int, **_: object) -> list[tuple[Any, ...]]:
        dead, alive = closed_port(), port
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", number)) for number in (dead, alive)]

    transport = Transport(lookup=two)
    with NastyServer(lambda peer: peer.answer(reply(close=True))) as server:
        assert post(transport, f"http://broker.invalid:{server.port}").body == JSON
    transport.close()


def test_no_time_left_wrote_nothing(transport: Transport) -> None:
    with NastyServer(lambda peer: peer.keep_answering()) as server:
        for changes in ({"total": 0}, {"connect": 0}, {"total": -1}):
            with pytest.raises(CallFailed) as caught:
                post(transport, server.url, **changes)
            assert caught.value.wrote is False
        assert server.connections == 0


def test_waiting_for_a_free_connection_ends_with_the_connect_time_and_wrote_nothing() -> None:
    transport = Transport(connections=1)
    with NastyServer(AFTER_THE_FIRST_BYTE[HANG]) as server:
        first = threading.Thread(target=lambda: failure(transport, server.url, total=0.6))
        first.start()
        wait_until("the request is there", lambda: server.requests)
        with Stopwatch(0.1 + MARGIN), pytest.raises(CallFailed) as caught:
            post(transport, server.url, connect=0.1, total=2.0)
        finish(first)
        assert (caught.value.wrote, caught.value.why) == (False, "timed out while waiting for a free connection")
        assert failure(transport, server.url).wrote is True  # the connection that failed gave its place back
    transport.close()


@pytest.mark.parametrize(
    "headers", [{"Authorization": f"{SECRET}\r\nX: y"}, {"Authorization": SECRET, "bad name\n": "x"}]
)
def test_a_header_that_cannot_be_sent_wrote_nothing_and_is_not_repeated_in_the_error(
    transport: Transport, headers: dict[str, str]
) -> None:
    with NastyServer(lambda peer: peer.keep_answering()) as server:
        failed = failure(transport, server.url, headers=headers)
        assert failed.wrote is False
        assert server.requests == []
        assert "secret" not in "".join(traceback.format_exception(failed))


# -- the send window


def test_nothing_is_written_once_the_send_window_is_over(transport: Transport) -> None:
    with NastyServer(lambda peer: peer.keep_answering()) as server:
        post(transport, server.url)
        failed = failure(transport, server.url, window=Deadline(time.monotonic, 0))
        assert (failed.wrote, failed.why) == (False, "the time to send was over")
        assert len(server.requests) == 1


def test_the_window_is_checked_after_connecting_right_before_the_first_byte() -> None:
    def slow(host: str, port: int, **_: object) -> list[tuple[Any, ...]]:
        time.sleep(0.1)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))]

    transport = Transport(lookup=slow)
    with NastyServer(lambda peer: peer.keep_answering()) as server:
        failed = failure(
            transport, f"http://broker.invalid:{server.port}", window=Deadline(time.monotonic, 0.05), total=1.0
        )
        assert (failed.wrote, server.requests) == (False, [])
    transport.close()


# -- connections that are kept


def test_a_connection_is_kept_for_the_next_call(transport: Transport) -> None:
    with NastyServer(lambda peer: peer.keep_answering()) as server:
        news = [post(transport, server.url).new_connection for _ in range(5)]
        assert (news, server.connections) == ([True, False, False, False, False], 1)


def test_a_connection_that_the_server_closed_meanwhile_is_noticed_before_writing(transport: Transport) -> None:
    with NastyServer(lambda peer: peer.answer(reply()), lambda peer: peer.keep_answering()) as server:
        post(transport, server.url)
        time.sleep(0.05)
        assert post(transport, server.url).new_connection is True


def test_a_connection_that_was_kept_too_long_is_not_used_for_an_order(
    transport: Transport, monkeypatch: pytest.MonkeyPatch
) -> None:
    with NastyServer(lambda peer: peer.keep_answering()) as server:
        post(transport, server.url)
        monkeypatch.setattr(connections_module, "FRESH_SECONDS", 0.01)
        time.sleep(0.03)
        assert post(transport, server.url).new_connection is True


def test_a_kept_connection_that_breaks_under_the_request_is_no_proof_that_nothing_was_sent(
    transport: Transport,
) -> None:
    """The server closed at the same moment and read nothing; the client cannot see that."""

    def close_on_the_second(peer: Peer) -> None:
        peer.answer(reply())
        peer.sock.recv(1)
        peer.reset()

    with NastyServer(close_on_the_second) as server:
        post(transport, server.url)
        assert failure(transport, server.url).wrote is True


def test_a_late_reply_is_never_taken_for_the_reply_to_the_next_request(transport: Transport) -> None:
    def late(peer: Peer) -> None:
        peer.read_request()
        time.sleep(0.25)
        peer.sock.sendall(reply(b'{"late": true}'))
        peer.hang()

    with NastyServer(late, lambda peer: peer.keep_answering()) as server:
        assert failure(transport, server.url, total=0.1).wrote is True
        time.sleep(0.2)
        assert post(transport, server.url).body == JSON


def test_bytes_that_were_not_asked_for_end_a_connection(transport: Transport) -> None:
    def chatty(peer: Peer) -> None:
        peer.answer(reply())
        time.sleep(0.03)
        peer.sock.sendall(reply(b'{"unasked": true}'))
        peer.hang()

    with NastyServer(chatty, lambda peer: peer.keep_answering()) as server:
        post(transport, server.url)
        time.sleep(0.08)
        assert post(transport, server.url).body == JSON


def test_a_connection_can_be_opened_ahead_of_time(transport: Transport) -> None:
    with NastyServer(lambda peer: peer.keep_answering()) as server:
        assert transport.warm(server.url, 0.3) is True
        assert transport.warm(server.url, 0.3) is True
        assert post(transport, server.url).new_connection is False
        assert server.connections == 1
    assert transport.warm(f"http://127.0.0.1:{closed_port()}", 0.3) is False
    assert transport.warm(server.url, 0) is False


# -- a read that is begun now and waited for later


def begin(transport: Transport, url: str, total: float = TOTAL) -> Begun | None:
    return transport.begin(url, headers={"Authorization": SECRET}, total=total)


def test_a_read_is_begun_on_an_open_connection_and_its_reply_taken_later(transport: Transport) -> None:
    with NastyServer(lambda peer: peer.keep_answering()) as server:
        transport.warm(server.url, 0.3)
        begun = begin(transport, f"{server.url}/quotes?symbols=A")
        assert begun is not None
        wait_until("the request is there", lambda: server.requests)
        assert server.requests[0].startswith(b"GET /quotes?symbols=A HTTP/1.1\r\n")
        time.sleep(0.05)
        assert (begun.reply().body, server.connections) == (JSON, 1)
        assert post(transport, server.url).new_connection is False  # it gave its connection back


def test_a_read_is_not_begun_where_something_would_have_to_be_waited_for(
    transport: Transport, monkeypatch: pytest.MonkeyPatch
) -> None:
    with NastyServer(lambda peer: peer.answer(reply()), lambda peer: peer.keep_answering()) as server:
        assert begin(transport, server.url) is None  # nothing is open
        post(transport, server.url)
        time.sleep(0.05)
        assert begin(transport, server.url) is None  # the server hung up
        post(transport, server.url)
        assert begin(transport, server.url, total=0) is None
        monkeypatch.setattr(connections_module, "FRESH_SECONDS", 0.01)
        time.sleep(0.03)
        assert begin(transport, server.url) is None  # kept for too long
        assert len(server.requests) == 2


def test_a_begun_read_ends_with_its_total_counted_from_its_beginning(transport: Transport) -> None:
    def answers_once(peer: Peer) -> None:
        peer.answer(reply())
        peer.read_request()
        peer.hang()

    with NastyServer(answers_once) as server:
        post(transport, server.url)
        watch = Stopwatch()
        begun = begin(transport, server.url, total=0.3)
        assert begun is not None
        time.sleep(0.2)
        with pytest.raises(CallFailed) as caught:
            begun.reply()
        assert watch.wall > 0.29
        assert watch.seconds < 0.3 + MARGIN
        assert (caught.value.wrote, caught.value.why) == (True, "timed out while waiting for the reply")


@pytest.mark.parametrize("fails", [False, True])
def test_a_begun_read_gives_its_place_back_however_it_ends(fails: bool) -> None:
    transport = Transport(connections=1)
    second = (lambda peer: (peer.answer(reply()), peer.read_request())) if fails else None
    with NastyServer(second or (lambda peer: peer.keep_answering()), lambda peer: peer.keep_answering()) as server:
        post(transport, server.url)
        begun = begin(transport, server.url)
        assert begun is not None
        assert begin(transport, server.url) is None  # the only place is taken
        if fails:
            with pytest.raises(CallFailed):
                begun.reply()
        else:
            begun.reply()
        assert post(transport, server.url).body == JSON
    transport.close()


def test_a_begun_read_that_cannot_be_sent_gives_its_place_back() -> None:
    transport = Transport(connections=1)
    with NastyServer(lambda peer: peer.keep_answering()) as server:
        post(transport, server.url)
        assert transport.begin(server.url, headers={"Authorization": "a\r\nb"}, total=TOTAL) is None
        assert post(transport, server.url).body == JSON
        assert len(server.requests) == 2
    transport.close()


# -- replies are handed over as they are


@pytest.mark.parametrize("status", ["301 Moved", "302 Found", "303 See Other", "307 Temporary", "308 Permanent"])
def test_a_redirect_is_not_followed(transport: Transport, status: str) -> None:
    with NastyServer(lambda peer: peer.keep_answering(reply(b"", status, ("Location: /again",)))) as server:
        assert post(transport, server.url).status == int(status[:3])
        assert len(server.requests) == 1


def test_the_body_of_a_redirect_is_bounded_like_any_other(transport: Transport) -> None:
    page = reply(b"x" * 300_000, "302 Found", ("Location: /again",))
    with NastyServer(lambda peer: peer.answer(page)) as server:
        assert failure(transport, server.url).why == "the reply is too large while reading the reply"


@pytest.mark.parametrize("status", ["500 Oh", "502 Bad Gateway", "503 Busy", "429 Too Many", "403 No", "204 None"])
def test_a_status_is_handed_over_and_nothing_is_sent_again(transport: Transport, status: str) -> None:
    body = b"" if status.startswith("204") else b"<html>"
    with NastyServer(lambda peer: peer.keep_answering(reply(body, status, ("Retry-After: 7",)))) as server:
        got = post(transport, server.url)
        assert (got.status, got.body, got.retry_after) == (int(status[:3]), body, 7.0)
        assert len(server.requests) == 1


def test_a_body_may_be_chunked_packed_or_end_with_the_connection(transport: Transport) -> None:
    head = b"HTTP/1.1 200 OK\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n"
    chunked = head + b"%x\r\n%b\r\n0\r\n\r\n" % (len(JSON), JSON)
    packed = reply(zlib.compress(JSON), headers=("Content-Encoding: deflate",), close=True)
    ending = b"HTTP/1.1 200 OK\r\n\r\n" + JSON
    scripts = [lambda peer, content=content: peer.answer(content) for content in (chunked, packed, ending)]
    with NastyServer(*scripts) as server:
        for _ in scripts:
            assert post(transport, server.url).body == JSON


def test_cookies_proxies_and_passwords_of_the_environment_play_no_part(
    transport: Transport, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{closed_port()}")
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login somebody password else\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    with NastyServer(lambda peer: peer.keep_answering(reply(headers=("Set-Cookie: a=b; Path=/",)))) as server:
        post(transport, server.url)
        post(transport, server.url)
        assert b"ookie" not in server.requests[1]
        assert f"Authorization: {SECRET}\r\n".encode() in server.requests[1]


@pytest.mark.parametrize(
    ("headers", "seconds", "says"),
    [
        (("Retry-After: 3",), 3.0, True),
        (("Retry-After: 3", "X-Retry-After-Ms: 2500"), 2.5, True),
        (("Retry-After: Wed, 21 Oct 2026 07:28:00 GMT",), None, True),
        (("Retry-After: -5",), None, True),
        ((), None, False),
    ],
)
def test_how_long_to_wait_is_read_from_the_headers(
    transport: Transport, headers: tuple[str, ...], seconds: float | None, says: bool
) -> None:
    with NastyServer(lambda peer: peer.answer(reply(headers=headers))) as server:
        got = post(transport, server.url)
        assert (got.retry_after, got.says_wait) == (seconds, says)


# -- TLS


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """A certificate for 127.0.0.1, and what a server and a client need of it."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "a test")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path_factory.mktemp("tls") / "server.pem"
    pem = serialization.Encoding.PEM
    private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    path.write_bytes(private + made.public_bytes(pem))
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(path)
    return server, ssl.create_default_context(cadata=made.public_bytes(pem).decode())


@pytest.fixture
def tls(authority: tuple[ssl.SSLContext, ssl.SSLContext]) -> Iterator[Transport]:
    made = Transport(tls=authority[1])
    yield made
    made.close()


def test_calls_over_tls_keep_their_connection(tls: Transport, authority: tuple[ssl.SSLContext, ssl.SSLContext]) -> None:
    with NastyServer(lambda peer: peer.keep_answering(), tls=authority[0]) as server:
        assert [post(tls, server.url).new_connection for _ in range(3)] == [True, False, False]


def test_a_tls_connection_opened_ahead_of_time_is_used_though_session_tickets_came_in(
    tls: Transport, authority: tuple[ssl.SSLContext, ssl.SSLContext]
) -> None:
    with NastyServer(lambda peer: peer.keep_answering(), tls=authority[0]) as server:
        assert tls.warm(server.url, 0.3) is True
        time.sleep(0.05)
        assert post(tls, server.url).new_connection is False


def test_a_tls_connection_that_the_server_closed_is_noticed_before_writing(
    tls: Transport, authority: tuple[ssl.SSLContext, ssl.SSLContext]
) -> None:
    with NastyServer(lambda peer: peer.answer(reply()), lambda peer: peer.keep_answering(), tls=authority[0]) as server:
        post(tls, server.url)
        time.sleep(0.05)
        assert post(tls, server.url).new_connection is True


@pytest.mark.parametrize(
    "behaviour", [HANG, "drips the headers", "drips the body", "cuts the body short", "resets half read"]
)
def test_over_tls_too_a_failure_comes_within_the_total(
    tls: Transport, authority: tuple[ssl.SSLContext, ssl.SSLContext], behaviour: str
) -> None:
    with NastyServer(AFTER_THE_FIRST_BYTE[behaviour], tls=authority[0]) as server:
        assert failure(tls, server.url).wrote is True


def test_an_unknown_authority_is_refused_before_a_byte_of_the_request(
    transport: Transport, authority: tuple[ssl.SSLContext, ssl.SSLContext]
) -> None:
    with NastyServer(lambda peer: peer.keep_answering(), tls=authority[0]) as server:
        failed = failure(transport, server.url)
        assert (failed.wrote, failed.why) == (False, "TLS failed while in the TLS handshake")
        assert server.requests == []


def test_a_certificate_for_another_name_is_refused_before_a_byte_of_the_request(
    authority: tuple[ssl.SSLContext, ssl.SSLContext],
) -> None:
    here = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", 0))]
    with NastyServer(lambda peer: peer.keep_answering(), tls=authority[0]) as server:
        here[0] = (*here[0][:4], ("127.0.0.1", server.port))
        transport = Transport(tls=authority[1], lookup=lambda *_, **__: here)
        failed = failure(transport, f"https://api-t1.fyers.in:{server.port}")
        transport.close()
        assert (failed.wrote, server.requests) == (False, [])


def test_an_address_that_shares_the_connect_time_with_another_has_the_rest_of_it_for_its_handshake(
    authority: tuple[ssl.SSLContext, ssl.SSLContext],
) -> None:
    def slow_to_shake_hands(peer: Peer) -> None:
        time.sleep(0.2)
        with authority[0].wrap_socket(peer.sock, server_side=True) as wrapped:
            wrapped.recv(65536)
            wrapped.sendall(reply())

    with NastyServer(slow_to_shake_hands) as server:
        twice = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", server.port))] * 2
        transport = Transport(tls=authority[1], lookup=lambda *_, **__: twice)
        name = "localhost"
        with pytest.raises(CallFailed) as caught:  # the certificate is for the address, so the handshake itself is told
            post(transport, f"https://{name}:{server.port}", connect=0.35, total=0.5)
        assert caught.value.why == "TLS failed while in the TLS handshake"
        transport.close()


@pytest.mark.parametrize(
    "script",
    [
        lambda peer: peer.hang(),
        lambda peer: peer.sock.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n"),
        lambda peer: peer.reset(),
        lambda peer: peer.drip(b"\x16\x03\x03\x10\x00" + b"x" * 200),
    ],
    ids=["hangs", "talks plain HTTP", "resets", "drips"],
)
def test_a_handshake_that_fails_wrote_nothing_and_costs_the_connect_time(tls: Transport, script: Script) -> None:
    with NastyServer(script) as server, Stopwatch(0.15 + MARGIN), pytest.raises(CallFailed) as caught:
        post(tls, server.url.replace("http:", "https:"), connect=0.15, total=2.0)
    assert caught.value.wrote is False


def test_a_reset_that_arrives_before_the_handshake_leaves_no_socket_open() -> None:
    class Late(ssl.SSLSocket):
        """The reset is there whenever it looks at its connection."""

        def getpeername(self) -> Any:
            time.sleep(0.03)
            return super().getpeername()

        def do_handshake(self, block: bool = False) -> None:
            time.sleep(0.03)
            super().do_handshake(block)

    context = ssl.create_default_context()
    context.sslsocket_class = Late
    transport = Transport(tls=context)
    with NastyServer(lambda peer: peer.reset()) as server, warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        failed = failure(transport, server.url.replace("http:", "https:"))
        wrote = failed.wrote
        del failed
        gc.collect()
    transport.close()
    assert (wrote, [str(each.message) for each in warned]) == (False, [])


# -- together


def test_sixteen_threads_share_one_transport_and_each_gets_its_own_reply(transport: Transport) -> None:
    def echo(peer: Peer) -> None:
        while request := peer.read_request():
            peer.sock.sendall(reply(request.partition(b"\r\n\r\n")[2]))

    def ask(number: int) -> bool:
        return post(transport, server.url, total=2.0, body=b"%d" % number).body == b"%d" % number

    with NastyServer(echo) as server, concurrent.futures.ThreadPoolExecutor(16) as threads:
        assert all(threads.map(ask, range(320)))
        assert server.connections <= 16


def test_no_failure_tells_the_token(transport: Transport) -> None:
    seen = []
    for script in (AFTER_THE_FIRST_BYTE["closes unanswered"], AFTER_THE_FIRST_BYTE["talks nonsense"]):
        with NastyServer(script) as server:
            failed = failure(transport, server.url)
            seen += [*traceback.format_exception(failed), repr(failed), repr(failed.__context__)]
    with NastyServer(lambda peer: peer.answer(reply(SECRET.encode(), headers=(f"X-Echo: {SECRET}",)))) as server:
        seen.append(repr(post(transport, server.url)))
    assert not re.search("secret|APPID", "".join(seen))
