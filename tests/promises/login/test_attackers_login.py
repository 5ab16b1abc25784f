"""An attacker with another account at Fyers and one of the owner's login links: what that opens, and no more.

The attacker may have read the link in a notice, or hold the operator's token, or write to the token store. None of that
makes the gateway trade in the attacker's account, hands over the owner's, or puts the owner's login out of force. The
simulator records whose token each request to the broker bore.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests

from app.simulator import Exchange, Simulator
from app.web.intake import STRIKES_PER_MINUTE
from tests.gateway import Gateway, gateway
from tests.sinks import phone

APP_ID, SECRET_ID = "LIVE-200", "an-app-secret"
OWNER, ATTACKER = "F12345", "EV66613"


class Scene:
    def __init__(self, gate: Gateway, store: Path, told: Any) -> None:
        self.gate = gate
        self.store = store
        self.told = told

    def link(self) -> str:
        return str(self.gate.operate("GET", "/auth-url").json["auth_url"])

    def log_in(self, link: str, account: str) -> Any:
        """Opens the link, logs in at Fyers as that account, and follows the browser back."""
        with requests.get(f"{link}&fy_id={account}", allow_redirects=False, timeout=5) as page:
            back = urlsplit(page.headers["Location"])
        return self.gate.app.test_client().get(f"{back.path}?{back.query}")

    def orders_of(self, account: str) -> int:
        return len([row for row in self.gate.account.api.of(account).exchange.orders() if not row.parent_id])

    def accounts_used(self) -> set[str | None]:
        """Whose tokens the broker was shown, but for the one question whose they are."""
        return {entry.account for entry in self.gate.account.log if entry.endpoint != "profile"} - {None}

    def notices(self, kind: str) -> list[str]:
        found = self.told.told
        return [one["text"] for one in found if one["kind"] == kind]


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    exchange = Exchange(client_id=OWNER)
    exchange.freeze()
    live = {
        "BROKER": "fyers",
        "LIVE_TRADING": "yes",
        "FYERS_APP_ID": APP_ID,
        "FYERS_SECRET_ID": SECRET_ID,
        "FYERS_CLIENT_ID": OWNER,
        "FYERS_REDIRECT_URI": "http://127.0.0.1/auth/callback",
        "GCS_TOKENS_FILE": str(tmp_path / "tokens.json"),
    }
    with (
        phone() as told,
        Simulator(exchange, app_id=APP_ID, secret_id=SECRET_ID, rate_limits=False) as account,
        gateway(tmp_path, account, None, NOTIFICATION_URL=told.url, **live) as gate,
    ):
        yield Scene(gate, tmp_path / "tokens.json", told)


def test_before_the_owner_has_logged_in_the_attacker_s_login_brings_nothing(scene: Scene) -> None:
    page = scene.log_in(scene.link(), ATTACKER)

    assert page.status_code == 422
    assert "EV***3, which is not FYERS_CLIENT_ID" in page.get_data(as_text=True)
    assert not scene.store.exists()
    assert scene.gate.send().json["reason"] == "NEEDS_LOGIN"
    assert scene.accounts_used() == set()
    [text] = scene.notices("login-refused")
    assert "account EV***3 came through /auth/callback and was refused" in text


def test_a_login_that_fyers_or_the_gateway_refuses_counts_against_its_sender(scene: Scene) -> None:
    for _ in range(STRIKES_PER_MINUTE):
        assert scene.log_in(scene.link(), ATTACKER).status_code == 422
    assert scene.log_in(scene.link(), ATTACKER).status_code == 429
    assert scene.log_in(scene.link(), OWNER).status_code == 200


@pytest.mark.parametrize("way", ["link", "auth code", "store", "bare object in the store"])
def test_the_owner_s_login_stays_in_force_and_no_order_reaches_the_attacker_s_account(scene: Scene, way: str) -> None:
    assert scene.log_in(scene.link(), OWNER).status_code == 200
    assert scene.gate.send().json["status"] == "ACCEPTED"
    mine = scene.store.read_bytes()

    match way:
        case "link":
            assert scene.log_in(scene.link(), ATTACKER).status_code == 422
        case "auth code":
            code = scene.gate.account.issue_auth_code(APP_ID, ATTACKER)
            assert scene.gate.operate("POST", "/generate-token", {"auth_code": code}).status_code == 422
        case _:
            slip_in(scene, bare=way.startswith("bare"))
            assert scene.gate.operate("POST", "/refresh-token").json == {"login": "AUTHENTICATED"}

    assert scene.gate.send().json["status"] == "ACCEPTED"
    assert (scene.orders_of(OWNER), scene.orders_of(ATTACKER)) == (2, 0)
    assert scene.accounts_used() == {OWNER}
    assert json.loads(scene.store.read_bytes())["access_token"] == json.loads(mine)["access_token"]
    assert len(scene.notices("login-refused")) == 1


def test_an_instance_that_starts_on_the_attacker_s_token_trades_nothing_and_tells(scene: Scene) -> None:
    slip_in(scene, bare=True)

    said = scene.gate.send().json

    assert (said["reason"], said["broker_order_id"]) == ("NEEDS_LOGIN", None)
    assert "EV***3, which is not FYERS_CLIENT_ID" in said["message"]
    assert scene.gate.app.test_client().get("/readyz").status_code == 503
    assert (scene.orders_of(OWNER), scene.orders_of(ATTACKER)) == (0, 0)
    assert scene.accounts_used() == set()
    assert len(scene.notices("login-refused")) == 1

    assert scene.log_in(scene.link(), OWNER).status_code == 200
    assert scene.gate.send().json["status"] == "ACCEPTED"


def test_a_link_that_the_attacker_kept_is_void_once_the_owner_has_logged_in(scene: Scene) -> None:
    kept = scene.link()
    assert scene.log_in(scene.link(), OWNER).status_code == 200

    for account in (ATTACKER, OWNER):
        assert scene.log_in(kept, account).status_code == 422
    assert scene.notices("login-refused") == []
    assert len(scene.notices("logged-in")) == 1


def test_an_attacker_who_uses_the_link_up_costs_the_owner_another_link_and_no_more(scene: Scene) -> None:
    link = scene.link()
    assert scene.log_in(link, ATTACKER).status_code == 422
    assert scene.log_in(link, OWNER).status_code == 422

    assert scene.log_in(scene.link(), OWNER).status_code == 200
    assert scene.gate.send().json["status"] == "ACCEPTED"


def test_no_answer_or_notice_names_an_account_in_full(scene: Scene) -> None:
    scene.log_in(scene.link(), OWNER)
    page = scene.log_in(scene.link(), ATTACKER)

    said = page.get_data() + b"".join(one.body for one in scene.told.arrived)
    assert OWNER.encode() not in said
    assert ATTACKER.encode() not in said


def slip_in(scene: Scene, *, bare: bool) -> None:
    """The attacker's token in the store: as the gateway would write it, or with nothing but the token."""
    token = {"access_token": scene.gate.account.issue_token(APP_ID, ATTACKER)}
    if not bare:
        issued = scene.gate.desk.clock.now().isoformat()
        token |= {"app_id": APP_ID, "issued_at": issued, "last_validated_at": issued, "seal": "0" * 64}
    scene.store.write_text(json.dumps(token))
