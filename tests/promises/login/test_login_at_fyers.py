"""The same login with the real adapter, against the simulated broker: from the phone's link to a token that trades."""

import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import requests

from app.adapters.fyers.broker import FyersBroker
from app.adapters.fyers.session import FyersLogin
from app.adapters.http.transport import Transport
from app.domain.errors import NotNow, Reason
from app.login import LoginState
from app.simulator import Exchange, Simulator
from tests.present import present
from tests.promises.login.login_world import PIN, SECRET_ID, Instance, World
from tests.tokens import APP_ID, CLIENT_ID, ist

BACK = "https://gateway.example/auth/callback"


@pytest.fixture
def simulator(world: World) -> Iterator[Simulator]:
    terms: dict[str, Any] = {"app_id": APP_ID, "secret_id": SECRET_ID, "redirect_uri": BACK, "pin": PIN}
    with Simulator(Exchange(now=world.clock.now, client_id=CLIENT_ID), rate_limits=False, **terms) as running:
        yield running
    assert running.errors == []


@pytest.fixture
def transport() -> Iterator[Transport]:
    made = Transport()
    yield made
    made.close()


@pytest.fixture
def one(world: World, simulator: Simulator, transport: Transport) -> Instance:
    world.fyers = FyersLogin(  # type: ignore[assignment]  # the real login in place of the one in memory
        APP_ID, SECRET_ID, BACK, transport, simulator.api_url
    )
    return world.instance(pin=PIN)


@pytest.fixture
def broker(one: Instance, simulator: Simulator, transport: Transport) -> FyersBroker:
    return FyersBroker(APP_ID, one.current, transport, simulator.api_url, simulator.data_url)


def tap(text: str) -> dict[str, str]:
    """Opens the link in a notice; what Fyers sends the browser back with."""
    link = present(re.search(r"https?://\S+", text))[0]
    with requests.get(link, timeout=5, allow_redirects=False) as page:
        back = urlsplit(page.headers["Location"])
    assert back.netloc == "gateway.example"
    return {name: values[0] for name, values in parse_qs(back.query).items()}


def test_one_tap_on_the_phone_is_the_days_login(world: World, one: Instance, broker: FyersBroker) -> None:
    assert one.login.refresh(world.soon()) is LoginState.NEEDS_LOGIN
    back = tap(world.phone.received[0].text)

    result = one.login.complete(back["auth_code"], back["state"], "/auth/callback", world.soon())

    assert (result.state, result.account, result.warnings) == (LoginState.AUTHENTICATED, "XY***4", ())
    assert result.ends_at == ist(6, day=21)
    assert broker.positions(world.soon()) == ()


def test_a_token_that_fyers_kills_is_found_out_told_once_and_replaced_by_one_tap(
    world: World, one: Instance, broker: FyersBroker, simulator: Simulator
) -> None:
    back = tap(one.begin(world))
    one.login.complete(back["auth_code"], back["state"], "/auth/callback", world.soon())
    simulator.kill_token()
    for _ in range(3):
        with pytest.raises(NotNow) as put_off:
            broker.positions(world.soon())
        assert put_off.value.reason is Reason.NEEDS_LOGIN
        world.clock.pass_by(3)
    (notice,) = world.phone.of("login-needed")

    back = tap(notice.text)
    one.login.complete(back["auth_code"], back["state"], "/auth/callback", world.soon())

    assert broker.positions(world.soon()) == ()


def test_a_refresh_token_that_the_rules_ended_is_tried_and_the_link_sent(
    world: World, one: Instance, simulator: Simulator
) -> None:
    back = tap(one.begin(world))
    one.login.complete(back["auth_code"], back["state"], "/auth/callback", world.soon())
    world.clock.go_to(ist(6, 31, day=21))
    simulator.clear_log()

    assert one.login.refresh(world.soon()) is LoginState.NEEDS_LOGIN

    assert [entry.endpoint for entry in simulator.log] == ["validate-refresh-token"]
    assert [notice.kind for notice in world.phone.received] == ["logged-in", "login-link"]
