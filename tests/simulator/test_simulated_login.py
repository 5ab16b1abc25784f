"""The daily login, tokens and app rules, as the broker has them."""

import base64
import hashlib
import http.client
import json
from collections.abc import Iterator
from datetime import datetime
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import requests
from fyers_apiv3.fyersModel import SessionModel

from app.simulator import Exchange, Simulator
from app.simulator.instruments import IST
from tests.simulator.fixed_account import APP_ID, CALL, Ask, Clock, Fields, Sdk

SECRET = "SECRET1234"
REDIRECT = "https://gateway.example/auth/callback"


@pytest.fixture
def simulator(exchange: Exchange) -> Iterator[Simulator]:
    """Set up for one app, with its secret and its redirect address."""
    with Simulator(
        exchange,
        app_id=APP_ID,
        secret_id=SECRET,
        redirect_uri=REDIRECT,
        refresh_tokens=True,
        pin="1234",
        rate_limits=False,
    ) as running:
        yield running
    assert running.errors == []


def claims_of(token: str) -> dict[str, Any]:
    payload = token.split(".")[1]
    claims: dict[str, Any] = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    return claims


def session(sdk_module: Any, **changes: Any) -> SessionModel:
    fields = {
        "client_id": APP_ID, "secret_key": SECRET, "redirect_uri": REDIRECT, "response_type": "code",
        "state": "st4te", "grant_type": "authorization_code", **changes,
    }  # fmt: skip
    return sdk_module.SessionModel(**fields)


@pytest.fixture
def sdk_module(sdk: Sdk) -> Any:
    from fyers_apiv3 import fyersModel

    return fyersModel


def login(simulator: Simulator, model: SessionModel) -> tuple[int, str, str]:
    """Follow the login URL as a browser would; returns what came back in the redirect."""
    target = urlsplit(model.generate_authcode())
    connection = http.client.HTTPConnection("127.0.0.1", simulator.port, timeout=5)
    try:
        connection.request("GET", f"{target.path}?{target.query}")
        response = connection.getresponse()
        text = response.read().decode()
        location = response.headers.get("Location", "")
    finally:
        connection.close()
    return response.status, location, text


def test_the_login_page_sends_the_browser_back_with_an_auth_code_and_the_state(
    simulator: Simulator, sdk_module: Any
) -> None:
    status, location, _ = login(simulator, session(sdk_module))
    assert (status, location.partition("?")[0]) == (302, REDIRECT)
    answered = parse_qs(urlsplit(location).query)
    assert (answered["s"], answered["code"], answered["state"]) == (["ok"], ["200"], ["st4te"])
    assert answered["auth_code"][0].count(".") == 2


def test_an_auth_code_becomes_a_token_that_works_once_per_code(simulator: Simulator, sdk_module: Any, sdk: Sdk) -> None:
    model = session(sdk_module)
    code = parse_qs(urlsplit(login(simulator, model)[1]).query)["auth_code"][0]
    model.set_token(code)
    answer = model.generate_token()
    assert (answer["s"], answer["code"], answer["message"]) == ("ok", 200, "")
    assert set(answer) == {"s", "code", "message", "access_token", "refresh_token"}
    assert sdk(answer["access_token"]).get_profile()["s"] == "ok"
    assert model.generate_token() == {"code": -437, "message": "invalid auth code", "s": "error"}


@pytest.mark.parametrize(
    ("changes", "code"),
    [({"client_id": "OTHERAPP-200"}, -352), ({"redirect_uri": "https://elsewhere.example/"}, -50)],
)
def test_the_login_page_knows_its_app_and_its_address(
    simulator: Simulator, sdk_module: Any, changes: dict[str, str], code: int
) -> None:
    status, location, text = login(simulator, session(sdk_module, **changes))
    assert (status, location, json.loads(text)["code"]) == (400, "", code)


def test_a_wrong_secret_a_missing_and_a_made_up_code_are_told_apart(simulator: Simulator, sdk_module: Any) -> None:
    code = simulator.issue_auth_code()
    for changes, token, expected in (
        ({"secret_key": "wrong"}, code, -371),
        ({}, "", -374),
        ({}, "made.up.code", -437),
        ({}, simulator.issue_token(), -437),
        ({"grant_type": "password"}, code, -50),
    ):
        model = session(sdk_module, **changes)
        model.set_token(token)
        assert model.generate_token()["code"] == expected


def test_an_auth_code_lives_an_hour(simulator: Simulator, sdk_module: Any, clock: Clock) -> None:
    model = session(sdk_module)
    model.set_token(simulator.issue_auth_code())
    clock.move(hours=1)
    assert model.generate_token()["code"] == -437


def test_a_token_carries_the_claims_of_a_real_one(simulator: Simulator, clock: Clock) -> None:
    claims = claims_of(simulator.issue_token())
    assert datetime.fromtimestamp(claims["exp"], IST) == datetime(2026, 11, 21, 6, 0, tzinfo=IST)
    assert (claims["fy_id"], claims["appType"], claims["sub"], claims["iss"]) == (
        "F12345", 200, "access_token", "api.fyers.in",
    )  # fmt: skip
    assert {"aud", "at_hash", "display_name", "oms", "hsm_key", "isDdpiEnabled", "isMtfEnabled", "iat", "nbf"} <= set(
        claims
    )


def test_before_six_in_the_morning_a_token_lasts_until_six(simulator: Simulator, clock: Clock) -> None:
    clock.now = clock.now.replace(hour=5, minute=59)
    assert claims_of(simulator.issue_token())["exp"] - clock.now.timestamp() == 60


def test_a_token_dies_at_six_in_the_morning(simulator: Simulator, sdk: Sdk, clock: Clock) -> None:
    client = sdk(simulator.issue_token())
    clock.move(hours=19, minutes=59)
    assert client.funds()["s"] == "ok"
    clock.move(minutes=1)
    assert client.funds()["code"] == -8


@pytest.mark.parametrize("header", ["", "nonsense", f"{APP_ID}:", ":token", "Bearer token", f"{APP_ID}:a.b.c"])
def test_a_header_that_is_not_app_and_token_gets_401_on_both_hosts(ask: Ask, header: str) -> None:
    assert ask("GET", "/api/v3/funds", authorization=header)[::2] == (
        401, {"code": -16, "message": "Could not authenticate the user", "s": "error"},
    )  # fmt: skip
    assert ask("GET", f"/data/quotes?symbols={CALL}", authorization=header)[::2] == (
        401, {"code": -15, "message": "Please provide valid token", "s": "error"},
    )  # fmt: skip


def test_a_token_works_for_its_own_app_only(simulator: Simulator, ask: Ask) -> None:
    other = simulator.issue_token("OTHERAPP-200")
    assert ask("GET", "/api/v3/funds", authorization=f"{APP_ID}:{other}")[0] == 401
    assert ask("GET", "/api/v3/funds", authorization=f"OTHERAPP-200:{other}")[0] == 401


def test_a_logout_kills_this_token_only(simulator: Simulator, sdk: Sdk) -> None:
    first, second = sdk(simulator.issue_token()), sdk(simulator.issue_token())
    assert first.logout() == {"s": "ok", "code": 200, "message": "you are successfully logged out"}
    assert first.funds() == {"s": "error", "code": -16, "message": "Token is Invalid or Expired"}
    assert second.funds()["s"] == "ok"


@pytest.mark.parametrize("code", [-8, -15, -16, -17])
def test_tokens_can_be_killed_with_each_code(simulator: Simulator, sdk: Sdk, code: int) -> None:
    client = sdk(simulator.issue_token())
    simulator.kill_token(code=code)
    assert client.funds()["code"] == code
    assert sdk(simulator.issue_token()).funds()["s"] == "ok"


def test_a_restarted_simulator_knows_its_tokens(clock: Clock, ask: Ask) -> None:
    token = None
    for _ in range(2):
        with Simulator(Exchange(seed=7, now=clock), rate_limits=False) as simulator:
            token = token or simulator.issue_token(APP_ID)
            connection = http.client.HTTPConnection("127.0.0.1", simulator.port, timeout=5)
            connection.request("GET", "/api/v3/funds", headers={"Authorization": f"{APP_ID}:{token}"})
            assert connection.getresponse().status == 200
            connection.close()


def test_any_token_can_be_accepted_until_it_is_killed(exchange: Exchange) -> None:
    with Simulator(exchange, accept_any_token=True, rate_limits=False) as simulator:

        def status(header: str) -> int:
            connection = http.client.HTTPConnection("127.0.0.1", simulator.port, timeout=5)
            connection.request("GET", "/api/v3/funds", headers={"Authorization": header})
            try:
                return connection.getresponse().status
            finally:
                connection.close()

        assert [status("ANY-200:thing"), status("ANY-200:"), status("Bearer thing")] == [200, 401, 401]
        simulator.kill_token("thing")
        assert status("ANY-200:thing") == 401


def refresh(ask: Ask, token: str, **changes: Any) -> dict[str, Any]:
    body = {
        "grant_type": "refresh_token",
        "appIdHash": hashlib.sha256(f"{APP_ID}:{SECRET}".encode()).hexdigest(),
        "refresh_token": token,
        "pin": "1234",
    }
    answer: dict[str, Any] = ask("POST", "/api/v3/validate-refresh-token", {**body, **changes}, authorization="")[2]
    return answer


def test_refresh_tokens_work_where_they_are_still_taken(
    simulator: Simulator, sdk: Sdk, sdk_module: Any, ask: Ask
) -> None:
    model = session(sdk_module)
    model.set_token(simulator.issue_auth_code())
    token = model.generate_token()["refresh_token"]
    answer = refresh(ask, token)
    assert (answer["s"], set(answer)) == ("ok", {"s", "code", "message", "access_token"})
    assert sdk(answer["access_token"]).funds()["s"] == "ok"
    refused = {"code": -501, "message": "Please provide valid refresh token", "s": "error"}
    assert (
        refresh(ask, token, pin="0000") == refresh(ask, "made.up") == refresh(ask, simulator.issue_token()) == refused
    )
    assert refresh(ask, token, appIdHash="wrong")["code"] == -371


def test_refresh_tokens_are_refused_by_default(exchange: Exchange) -> None:
    with Simulator(exchange, rate_limits=False) as simulator:
        token = simulator.api.sessions._mint.refresh_token(APP_ID, exchange.market.now())
        connection = http.client.HTTPConnection("127.0.0.1", simulator.port, timeout=5)
        body = json.dumps({"grant_type": "refresh_token", "appIdHash": "x", "refresh_token": token, "pin": "1234"})
        connection.request("POST", "/api/v3/validate-refresh-token", body)
        response = connection.getresponse()
        assert (response.status, json.loads(response.read())["code"]) == (400, -501)
        connection.close()


@pytest.mark.parametrize(
    ("app_id", "allowed", "code"),
    [
        ("APPIDXXXX-200", None, 1101),
        ("APPIDXXXX-100", None, -50),
        ("APPIDXXXX-200", False, -50),
        ("APPIDXXXX-100", True, 1101),
    ],
)
def test_only_algo_apps_may_trade_and_the_rest_may_look(
    exchange: Exchange, order: Fields, app_id: str, allowed: bool | None, code: int
) -> None:
    with Simulator(exchange, algo_orders=allowed, rate_limits=False) as simulator:
        headers = {"Authorization": f"{app_id}:{simulator.issue_token(app_id)}"}
        placed = requests.post(f"{simulator.api_url}/orders/sync", json=order(), headers=headers, timeout=5)
        assert placed.json()["code"] == code
        if code == -50:
            assert placed.status_code == 400
            assert f"not allowed from this app {app_id}" in placed.json()["message"]
        assert requests.get(f"{simulator.api_url}/positions", headers=headers, timeout=5).json()["s"] == "ok"


# --- other accounts


def test_another_account_logs_in_by_the_same_page_and_is_another_account(
    simulator: Simulator, sdk_module: Any, sdk: Sdk, order: Fields
) -> None:
    model = session(sdk_module)
    target = f"{model.generate_authcode()}&fy_id=G54321"
    with requests.get(target, allow_redirects=False, timeout=5) as page:
        model.set_token(parse_qs(urlsplit(page.headers["Location"]).query)["auth_code"][0])
    answer = model.generate_token()
    assert claims_of(answer["access_token"])["fy_id"] == "G54321"
    owner, other = sdk(simulator.issue_token()), sdk(answer["access_token"])
    assert [client.get_profile()["data"]["fy_id"] for client in (owner, other)] == ["F12345", "G54321"]

    assert owner.place_order(order())["s"] == "ok"

    assert (len(owner.orderbook()["orderBook"]), other.orderbook()["orderBook"]) == (1, [])
    assert other.place_order(order())["s"] == "ok"
    assert len(simulator.exchange.orders()) == len(simulator.api.of("G54321").exchange.orders()) == 1


def test_the_log_says_whose_token_each_request_bore(simulator: Simulator, sdk: Sdk) -> None:
    sdk(simulator.issue_token()).funds()
    sdk(simulator.issue_token(client_id="G54321")).funds()
    simulator.issue_auth_code(client_id="G54321")
    assert [(entry.endpoint, entry.account) for entry in simulator.log] == [("funds", "F12345"), ("funds", "G54321")]


def test_a_refresh_token_and_a_dead_token_stay_their_account_s(
    simulator: Simulator, sdk_module: Any, sdk: Sdk, ask: Ask
) -> None:
    model = session(sdk_module)
    model.set_token(simulator.issue_auth_code(client_id="G54321"))
    answer = model.generate_token()
    renewed = refresh(ask, answer["refresh_token"])["access_token"]
    assert claims_of(renewed)["fy_id"] == "G54321"
    simulator.kill_token(renewed)
    assert sdk(renewed).funds()["code"] == -16
    assert sdk(answer["access_token"]).funds()["s"] == "ok"


def test_a_forged_token_opens_no_account(simulator: Simulator, ask: Ask) -> None:
    forged = simulator.issue_token(client_id="G54321").rpartition(".")[0] + ".c2lnbmF0dXJl"
    assert ask("GET", "/api/v3/funds", authorization=f"{APP_ID}:{forged}")[0] == 401
    assert simulator.api._others == {}


def test_what_a_login_carries_never_enters_the_log(simulator: Simulator, sdk_module: Any, ask: Ask) -> None:
    model = session(sdk_module)
    code = parse_qs(urlsplit(login(simulator, model)[1]).query)["auth_code"][0]
    model.set_token(code)
    answer = model.generate_token()
    refresh(ask, answer["refresh_token"])
    text = json.dumps(ask("GET", "/simulator/log")[2])
    assert "validate-authcode" in text
    for secret in (code, answer["access_token"], answer["refresh_token"], SECRET, model.get_hash().hexdigest()):
        assert secret not in text
