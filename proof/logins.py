"""An attacker's login, on the real adapters against the simulated broker: by link, by auth code, through the store."""

import json
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import requests

from app.adapters.clock import SystemClock
from app.adapters.http.transport import Transport
from app.adapters.notify.fanout import Fanout
from app.adapters.sqlite.ledger import SqliteLedger
from app.domain.deadline import Deadline
from app.domain.errors import NotNow
from app.login import Login
from app.login.ports import LoginRefused, TokenSource
from app.runtime.config import Config
from app.runtime.openings import open_login
from app.simulator import Simulator

APP_ID, SECRET_ID = "PROOF-200", "an-app-secret"
ATTACKER = "EV66613"
PAGE = "/auth/callback"


class Stage:
    """A store, a ledger and a broker, shared by as many instances as are asked for."""

    def __init__(self, folder: Path, account: Simulator, resources: ExitStack) -> None:
        self.account = account
        self.owner = account.exchange.client_id
        self.store = folder / "tokens.json"
        self._clock = SystemClock()
        self._resources = resources
        self._transport = Transport()
        resources.callback(self._transport.close)
        self._ledger = SqliteLedger(folder / "ledger.db")
        resources.callback(self._ledger.close)
        self._config = Config.from_env(
            {
                "WEBHOOK_SECRET_TOKEN": "a-webhook-secret-of-no-use",
                "BROKER": "fyers",
                "LIVE_TRADING": "yes",
                "FYERS_APP_ID": APP_ID,
                "FYERS_SECRET_ID": SECRET_ID,
                "FYERS_CLIENT_ID": self.owner,
                "FYERS_REDIRECT_URI": f"http://127.0.0.1{PAGE}",
                "FYERS_API_URL": account.api_url,
                "FYERS_DATA_URL": account.data_url,
                "GCS_TOKENS_FILE": str(self.store),
            }
        )

    def instance(self) -> tuple[TokenSource, Login]:
        """A process that has just started."""
        notifier = Fanout((), self._clock.monotonic)
        return open_login(self._config, self._ledger, notifier, self._clock, self._transport, self._resources)

    def soon(self) -> Deadline:
        return Deadline(self._clock.monotonic, 10.0)

    def log_in(self, login: Login, account: str, link: str | None = None) -> bool:
        """By that link, or by a new one. Whether it was taken."""
        link = f"{link or login.begin(self.soon())}&fy_id={account}"
        with requests.get(link, allow_redirects=False, timeout=5) as page:
            query = parse_qs(urlsplit(page.headers["Location"]).query)
        try:
            login.complete(query["auth_code"][0], query["state"][0], PAGE, self.soon())
        except (LoginRefused, NotNow):
            return False
        return True

    def slip_in(self, **more: str) -> None:
        """The attacker's token, put into the store past the gateway."""
        self.store.write_text(json.dumps({"access_token": self.account.issue_token(APP_ID, ATTACKER)} | more))

    def traded_as(self, tokens: TokenSource) -> str | None:
        """The account that an order would go to now; None where there is no token to send it with."""
        try:
            token = tokens.token(self.soon())
        except NotNow:
            return None
        return token.claimed_account


def violations() -> list[str]:
    """What the attacker reached and should not have; nothing where all is well."""
    found: list[str] = []
    for attempt in (_by_link, _by_auth_code, _by_the_store, _by_a_kept_link, _by_a_token_from_the_future):
        with tempfile.TemporaryDirectory() as folder, ExitStack() as resources:
            account = resources.enter_context(Simulator(app_id=APP_ID, secret_id=SECRET_ID, rate_limits=False))
            found += attempt(Stage(Path(folder), account, resources))
    return found


def _by_link(stage: Stage) -> Iterator[str]:
    tokens, login = stage.instance()
    if stage.log_in(login, ATTACKER) or stage.traded_as(tokens) is not None:
        yield "the attacker logged in by a link before the owner had"
    if not stage.log_in(login, stage.owner) or stage.traded_as(tokens) != stage.owner:
        yield "the owner could not log in"
    if stage.log_in(login, ATTACKER) or stage.traded_as(tokens) != stage.owner:
        yield "the attacker's link put the owner's login out of force"


def _by_auth_code(stage: Stage) -> Iterator[str]:
    tokens, login = stage.instance()
    try:
        login.exchange(stage.account.issue_auth_code(APP_ID, ATTACKER), "/generate-token", stage.soon())
        yield "the attacker's auth code was taken"
    except LoginRefused:
        pass  # as it should be
    if stage.traded_as(tokens) is not None:
        yield "orders would go to the attacker's account after the attacker's auth code"


def _by_the_store(stage: Stage) -> Iterator[str]:
    seals: tuple[dict[str, str], ...] = ({}, {"seal": "0" * 64, "app_id": APP_ID})
    for more in seals:
        stage.slip_in(**more)
        tokens, login = stage.instance()
        if stage.traded_as(tokens) is not None:
            yield f"a token of the attacker's in the store was used ({', '.join(more) or 'bare'})"
        login.refresh(stage.soon())
        if stage.traded_as(tokens) is not None:
            yield f"a token of the attacker's in the store was used after a refresh ({', '.join(more) or 'bare'})"


def _by_a_kept_link(stage: Stage) -> Iterator[str]:
    _, login = stage.instance()
    kept = login.begin(stage.soon())
    if not stage.log_in(login, stage.owner):
        yield "the owner could not log in"
    for account in (stage.owner, ATTACKER):
        if stage.log_in(login, account, kept):
            yield "a link from before the owner's login still works"


def _by_a_token_from_the_future(stage: Stage) -> Iterator[str]:
    tokens, login = stage.instance()
    far = "2099-01-01T00:00:00Z"
    stage.store.write_text(json.dumps({"access_token": "opaque", "issued_at": far, "expires_at": far}))
    if not stage.log_in(login, stage.owner) or stage.traded_as(tokens) != stage.owner:
        yield "another's token that says it is newer kept the owner's login out"
