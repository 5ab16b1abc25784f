"""The daily login against the simulated broker: what is sent, what comes back, and what is never told."""

import hashlib
import json
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import requests

from app.adapters.fyers.session import FyersLogin
from app.adapters.http.transport import Transport
from app.domain.errors import NotNow, Reason
from app.login.ports import LoginRefused
from app.login.token import Token
from app.simulator import Fault, FaultKind, Simulator
from tests.contract.fyers_parts import APP_ID, within
from tests.contract.nasty_server import NastyServer, Peer, Script, closed_port, reply
from tests.stopwatch import Stopwatch

SECRET, BACK, PIN = "SECRETID99", "https://gateway.example/auth/callback", "4711"


@pytest.fixture(scope="module")
def running() -> Iterator[Simulator]:
    terms: dict[str, Any] = {
        "app_id": APP_ID,
        "secret_id": SECRET,
        "redirect_uri": BACK,
        "refresh_tokens": True,
        "pin": PIN,
    }
    with Simulator(rate_limits=False, **terms) as simulator:
        yield simulator


@pytest.fixture
def simulator(running: Simulator) -> Iterator[Simulator]:
    running.clear_faults()
    running.clear_log()
    yield running
    assert running.errors == []


@pytest.fixture
def transport() -> Iterator[Transport]:
    made = Transport()
    yield made
    made.close()


@pytest.fixture
def login(simulator: Simulator, transport: Transport) -> FyersLogin:
    return FyersLogin(APP_ID, SECRET, BACK, transport, simulator.api_url)


@pytest.fixture
def at(transport: Transport) -> Callable[[str], FyersLogin]:
    return lambda url: FyersLogin(APP_ID, SECRET, BACK, transport, url)


def test_the_login_link_leads_to_the_broker_that_was_configured_and_back(
    login: FyersLogin, simulator: Simulator
) -> None:
    link = login.auth_url("a state & more")
    assert link.startswith(f"{simulator.api_url}/generate-authcode?")
    asked = {name: values[0] for name, values in parse_qs(urlsplit(link).query).items()}
    assert asked == {"client_id": APP_ID, "redirect_uri": BACK, "response_type": "code", "state": "a state & more"}
    assert SECRET not in link


def test_a_whole_login(login: FyersLogin) -> None:
    back = requests.get(login.auth_url("s1"), allow_redirects=False, timeout=5).headers["Location"]
    handed = {name: values[0] for name, values in parse_qs(urlsplit(back).query).items()}
    assert (handed["code"], handed["state"]) == ("200", "s1")  # `code` is the status; the code is `auth_code`
    token = login.exchange(handed["auth_code"], within(5))
    assert token.app_id == APP_ID
    assert token.refresh_token
    assert token.issued_at is not None
    assert token.expires_at is not None
    assert token.issued_at <= datetime.now(UTC) < token.expires_at
    assert login.profile(token, within(5)) == "F12345"
    with pytest.raises(LoginRefused) as caught:
        login.exchange(handed["auth_code"], within(5))
    assert (caught.value.code, caught.value.message) == (-437, "invalid auth code")


def test_the_exchange_sends_what_fyers_documents(at: Callable[[str], FyersLogin]) -> None:
    answer = reply(b'{"s":"ok","code":200,"message":"","access_token":"a.b.c"}')
    with NastyServer(lambda peer: peer.keep_answering(answer)) as server:
        at(f"{server.url}/api/v3").exchange("the-code", within(2))
        at(f"{server.url}/api/v3").refresh("the-refresh-token", PIN, within(2))
        hashed = hashlib.sha256(f"{APP_ID}:{SECRET}".encode()).hexdigest()
        (first, second) = (request.partition(b"\r\n\r\n") for request in server.requests)
        assert first[0].startswith(b"POST /api/v3/validate-authcode HTTP/1.1\r\n")
        assert b"Content-Type: application/json" in first[0]
        assert json.loads(first[2]) == {"grant_type": "authorization_code", "appIdHash": hashed, "code": "the-code"}
        assert second[0].startswith(b"POST /api/v3/validate-refresh-token HTTP/1.1\r\n")
        assert json.loads(second[2]) == {
            "grant_type": "refresh_token",
            "appIdHash": hashed,
            "refresh_token": "the-refresh-token",
            "pin": PIN,
        }


def test_a_token_is_refreshed_where_that_is_still_allowed(login: FyersLogin, simulator: Simulator) -> None:
    first = login.exchange(simulator.issue_auth_code(APP_ID), within(5))
    assert first.refresh_token is not None
    second = login.refresh(first.refresh_token, PIN, within(5))
    assert (second.access_token != first.access_token, second.refresh_token) == (True, None)
    assert login.profile(second, within(5)) == "F12345"
    with pytest.raises(LoginRefused) as caught:
        login.refresh("an old one", PIN, within(5))
    assert caught.value.code == -501


def test_a_dead_token_has_no_profile(login: FyersLogin, simulator: Simulator) -> None:
    with pytest.raises(LoginRefused) as caught:
        login.profile(Token("a.b.c"), within(5))
    assert caught.value.code == -16


@pytest.mark.parametrize("code", [-50, -352, -1])
def test_only_a_token_code_says_that_a_token_is_dead(login: FyersLogin, simulator: Simulator, code: int) -> None:
    simulator.fault("profile", Fault(FaultKind.REFUSE, code=code))
    with pytest.raises(NotNow) as caught:
        login.profile(Token("a.b.c"), within(5))
    assert caught.value.reason is Reason.BROKER_DOWN


@pytest.mark.parametrize("body", [b'{"s":"ok","code":200,"data":{}}', b'{"s":"ok","code":200}'])
def test_a_profile_without_an_id_is_none(at: Callable[[str], FyersLogin], body: bytes) -> None:
    with NastyServer(lambda peer: peer.answer(reply(body))) as server:
        assert at(server.url).profile(Token("a.b.c"), within(2)) is None


CALLS = {
    "exchange": lambda login, deadline: login.exchange("the-secret-code", deadline),
    "refresh": lambda login, deadline: login.refresh("the-secret-refresh-token", PIN, deadline),
    "profile": lambda login, deadline: login.profile(Token("the-secret-token"), deadline),
}


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize(
    "script",
    [
        lambda peer: (peer.read_request(), peer.hang()),
        lambda peer: (peer.read_request(), peer.drip(reply())),
        lambda peer: peer.read_request(),
        lambda peer: peer.answer(reply(b"<html>", "502 Bad Gateway")),
        lambda peer: peer.answer(reply(b"<html>")),
        lambda peer: peer.answer(reply(b"<html>", "403 Forbidden")),
        lambda peer: peer.answer(reply(b"", "302 Found", ("Location: /again",))),
        lambda peer: peer.answer(reply(b'{"s":"error","code":-1}', "500 Oh")),
    ],
    ids=["hangs", "drips", "drops", "502", "page", "403", "redirects", "500"],
)
def test_a_broker_that_does_not_answer_a_login_call_says_so_in_time_and_is_asked_once(
    at: Callable[[str], FyersLogin], call: str, script: Script
) -> None:
    with NastyServer(script) as server:
        with Stopwatch(0.2 + 0.15), pytest.raises(NotNow) as caught:
            CALLS[call](at(server.url), within(0.2))
        assert caught.value.reason is Reason.BROKER_DOWN
        assert server.connections == 1


@pytest.mark.parametrize("call", CALLS)
def test_a_broker_that_is_down_or_busy_is_told_apart(at: Callable[[str], FyersLogin], call: str) -> None:
    with pytest.raises(NotNow) as down:
        CALLS[call](at(f"http://127.0.0.1:{closed_port()}"), within(1))
    with NastyServer(lambda peer: peer.answer(reply(b"", "429 Too Many"))) as server, pytest.raises(NotNow) as busy:
        CALLS[call](at(server.url), within(1))
    assert (down.value.reason, busy.value.reason) == (Reason.BROKER_DOWN, Reason.BROKER_BUSY)


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"access_token": ""},
        {"access_token": None},
        {"access_token": 5},
        {"access_token": "two words"},
        {"access_token": "a.b\r\nX: y"},
    ],
)
def test_an_answer_without_a_usable_token_is_no_login(at: Callable[[str], FyersLogin], body: dict[str, Any]) -> None:
    content = json.dumps({"s": "ok", "code": 200, "message": "", **body}).encode()
    with NastyServer(lambda peer: peer.answer(reply(content))) as server, pytest.raises(NotNow):
        at(server.url).exchange("the-code", within(2))


@pytest.mark.parametrize("call", CALLS)
def test_the_account_is_not_in_a_refusal_whatever_its_shape(transport: Transport, call: str) -> None:
    said = reply(b'{"s": "error", "code": -16, "message": "Not for ab12cd34"}', "400 Bad Request")
    with NastyServer(lambda peer: peer.answer(said)) as server, pytest.raises(LoginRefused, match=r"^Not for \*\*\* "):
        CALLS[call](FyersLogin(APP_ID, SECRET, BACK, transport, server.url, "AB12CD34"), within(2))


@pytest.mark.parametrize("call", CALLS)
def test_nothing_that_was_handed_over_is_in_the_refusal(at: Callable[[str], FyersLogin], call: str) -> None:
    def echo(peer: Peer) -> None:
        request = peer.read_request().decode()
        said = json.dumps({"s": "error", "code": -16, "message": " ".join(request.split("\r\n"))[:2000]})
        peer.sock.sendall(reply(said.encode(), "400 Bad Request"))
        time.sleep(0.01)

    with NastyServer(echo) as server, pytest.raises(LoginRefused) as caught:
        CALLS[call](at(server.url), within(2))
    told = f"{caught.value} {caught.value!r} {caught.value.message} {caught.value.__context__!r}"
    hashed = hashlib.sha256(f"{APP_ID}:{SECRET}".encode()).hexdigest()
    assert not any(secret in told for secret in ("the-secret", SECRET, hashed, APP_ID, f'"{PIN}"'))
    assert "***" in told


def test_a_fault_of_the_simulated_broker_is_no_login(login: FyersLogin, simulator: Simulator) -> None:
    for kind in (FaultKind.HTML, FaultKind.EMPTY, FaultKind.TRUNCATED, FaultKind.ARRAY):
        simulator.fault("validate-authcode", Fault(kind))
        with pytest.raises(NotNow):
            login.exchange(simulator.issue_auth_code(APP_ID), within(2))
