"""Strangers are slowed down, turned away and cut short; a sender with the secret never is. On the real server."""

import http.client
import json
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from app.web.app import HEADERS
from app.web.intake import STRIKES_PER_MINUTE
from proof.processes.lab import Lab, an_account
from proof.processes.sender import an_alert
from proof.processes.server import Server, a_server
from tests.gateway import gateway
from tests.waiting import finish, wait_until, wait_until_ready

TRADINGVIEW, STRANGER = "52.89.214.238", "203.0.113.9"
CAP = 65536
GLOBAL = 10 * STRIKES_PER_MINUTE


@contextmanager
def running(folder: Path, **settings: str) -> Iterator[Server]:
    """One instance as it is shipped: gunicorn, its production settings, one process."""
    lab = Lab(folder)
    with an_account() as account:
        environ = lab.settings(account, lab.new_ledger(), **settings)
        with a_server(environ, lab.new_file("output"), workers=1, config="app.runtime.server") as server:
            wait_until_ready(server.port)
            yield server


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with running(tmp_path_factory.mktemp("warn"), IP_ALLOWLIST="warn") as server:
        yield server


def fresh(**changes: Any) -> bytes:
    return an_alert(f"alert-{time.monotonic_ns()}", **changes).body


def ask(
    server: Server, body: bytes | None, method: str = "POST", path: str = "/webhook", seconds: float = 10.0, **says: str
) -> tuple[int, dict[str, str], Any]:
    """Status, headers and document of one answer."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=seconds)
    try:
        connection.request(method, path, body, {name.replace("_", "-"): value for name, value in says.items()})
        reply = connection.getresponse()
        return reply.status, {name.lower(): value for name, value in reply.getheaders()}, json.loads(reply.read())
    finally:
        connection.close()


# -- how often strangers may be wrong


def test_a_flood_from_one_address_is_answered_429_and_the_alert_from_that_very_address_is_not(server: Server) -> None:
    said: list[int] = []
    done = threading.Event()

    def flood() -> None:
        while not done.is_set():
            said.append(ask(server, fresh(token="guess-number-0000"), X_Forwarded_For=STRANGER)[0])

    strangers = [threading.Thread(target=flood) for _ in range(4)]
    for stranger in strangers:
        stranger.start()
    try:
        wait_until("twenty guesses are turned away", lambda: said.count(429) >= 20)
        answers = [ask(server, fresh(), X_Forwarded_For=STRANGER) for _ in range(10)]
    finally:
        done.set()
        finish(*strangers)
    assert [status for status, *_ in answers] == [200] * 10
    assert set(said) == {401, 429}
    assert said.count(401) >= STRIKES_PER_MINUTE  # more only where this took longer than the minute
    assert ask(server, fresh(token="guess-number-0000"), X_Forwarded_For="198.51.100.7")[0] == 401  # another address


def test_many_addresses_together_are_slowed_down_and_the_owner_is_not(tmp_path: Path) -> None:
    with gateway(tmp_path) as gate:
        guesses = [
            gate.send(token="guess-number-0000", headers={"X-Forwarded-For": f"10.0.{number // 200}.{number % 200}"})
            for number in range(GLOBAL + 20)
        ]
        assert Counter(guess.status_code for guess in guesses) == {401: GLOBAL, 429: 20}
        assert guesses[-1].json["reason"] == "TOO_MANY_REQUESTS"
        for peer in ("10.0.0.1", STRANGER, TRADINGVIEW):
            assert gate.send(headers={"X-Forwarded-For": peer}).status_code == 200
        assert gate.send(symbol="", headers={"X-Forwarded-For": "10.0.0.1"}).status_code == 400  # with the right secret


def test_a_stranger_who_writes_another_address_into_the_header_is_counted_by_the_real_one(server: Server) -> None:
    peer = "192.0.2.44"
    forged = [f"10.1.{number}.1, {peer}" for number in range(STRIKES_PER_MINUTE + 3)]
    answers = [ask(server, fresh(token="guess-number-0000"), X_Forwarded_For=header)[0] for header in forged]
    assert answers[STRIKES_PER_MINUTE:] == [429] * 3


# -- from where


@pytest.mark.parametrize(
    ("forwarded", "status"),
    [
        (TRADINGVIEW, 200),
        (f"{STRANGER}, {TRADINGVIEW}", 200),
        (STRANGER, 403),
        (f"{TRADINGVIEW}, {STRANGER}", 403),
        (f"{TRADINGVIEW},{TRADINGVIEW}, {STRANGER}", 403),
        (f"{TRADINGVIEW}, not-an-address", 403),
        ("", 403),
    ],
)
def test_enforce_lets_tradingview_in_by_the_right_most_address_alone(
    enforcing: Server, forwarded: str, status: int
) -> None:
    headers: dict[str, Any] = {"X_Forwarded_For": forwarded} if forwarded else {}
    assert ask(enforcing, fresh(), **headers)[0] == status


@pytest.fixture(scope="module")
def enforcing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with running(tmp_path_factory.mktemp("enforce"), IP_ALLOWLIST="enforce") as server:
        yield server


@pytest.mark.parametrize(("mode", "warned"), [("off", False), ("warn", True)])
def test_off_and_warn_let_every_sender_in_and_warn_says_so(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, mode: str, warned: bool
) -> None:
    with gateway(tmp_path, IP_ALLOWLIST=mode) as gate:
        assert gate.send(headers={"X-Forwarded-For": STRANGER}).status_code == 200
        said = [record for record in caplog.records if "not TradingView's" in record.getMessage()]
        assert bool(said) is warned
        caplog.clear()
        assert gate.send(headers={"X-Forwarded-For": TRADINGVIEW}).status_code == 200
        assert not any("not TradingView's" in record.getMessage() for record in caplog.records)


# -- how much


def padded(units: int) -> bytes:
    """A good alert of exactly so many bytes."""
    bare = fresh(comment="")
    return bare.replace(b'"comment": ""', b'"comment": "' + b"x" * (units - len(bare)) + b'"')


def test_64_kib_are_taken_and_one_byte_more_is_not(server: Server) -> None:
    whole = padded(CAP)
    assert len(whole) == CAP
    status, _, document = ask(server, whole)
    assert (status, document["reason"]) != (413, "TOO_LARGE")
    status, _, document = ask(server, padded(CAP + 1))
    assert (status, document["reason"]) == (413, "TOO_LARGE")


def test_a_body_that_does_not_say_its_length_is_cut_at_the_same_byte(server: Server) -> None:
    def chunked(units: int) -> tuple[int, str | None]:
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
        body = padded(units)
        parts = iter([body[start : start + 8000] for start in range(0, len(body), 8000)])
        connection.request("POST", "/webhook", parts, {"Transfer-Encoding": "chunked"}, encode_chunked=True)
        reply = connection.getresponse()
        document = json.loads(reply.read())
        connection.close()
        return reply.status, document["reason"]

    assert chunked(CAP)[0] != 413
    assert chunked(CAP + 1) == (413, "TOO_LARGE")


# -- what every answer carries


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("GET", "/healthz", None, 200),
        ("GET", "/readyz", None, 200),
        ("GET", "/nowhere", None, 404),
        ("GET", "/webhook", None, 405),
        ("GET", "/orders", None, 403),
        ("GET", "/auth/callback", None, 422),
        ("POST", "/webhook", b"{", 400),
        ("POST", "/webhook", b'{"token": "guess-number-0000"}', 401),
        ("POST", "/webhook", b"x" * (CAP + 1), 413),
    ],
)
def test_every_answer_has_the_headers_that_keep_a_browser_from_guessing(
    server: Server, method: str, path: str, body: bytes | None, status: int
) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
    connection.request(method, path, body, {"X-Forwarded-For": "192.0.2.99"})
    reply = connection.getresponse()
    reply.read()
    connection.close()
    assert reply.status == status
    assert {name: reply.getheader(name) for name in HEADERS} == HEADERS
    assert len(reply.getheader("X-Request-Id") or "") == 16
