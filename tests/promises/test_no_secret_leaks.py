"""No secret leaves by a log line, an answer, the ledger or a notification, in no form, whatever goes wrong.

Each secret is a canary. The service is driven through everything that can happen to it; then all that it ever said is
searched for each of them: as it is, in base64 at each of its three alignments, url-encoded and as hex digits. The login
link with its state is for the phone: it may stand in notices and in the answer that hands it out, and nowhere else.
"""

import base64
import hashlib
import io
import json
import logging
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from unittest import mock
from urllib.parse import quote, urlsplit

import pytest
import requests

from app.adapters.tokens import FileTokens
from app.domain.errors import NotNow, Reason
from app.login.current import CurrentToken
from app.login.token import Token
from app.runtime import log
from app.runtime.processes import bare_environment, free_port
from app.simulator import Fault, FaultKind, FixtureExchange, Simulator
from tests.cloud_logging import cloud_logging
from tests.emulators import pubsub_emulator
from tests.gateway import Gateway, alert, gateway
from tests.sinks import phone, subscription
from tests.waiting import wait_until_ready

REPOSITORY = Path(__file__).parents[2]
APP_ID = "LIVE-200"
PLANTED = {
    "webhook secret": "canaryWebhookOne7f3a9c51",
    "second webhook secret": "canaryWebhookTwo/b+e8 2d",
    "app secret": "canaryAppSecretQ4",
    "PIN": "canaryPin4711",
    "operator token": "canaryOperatorToken+55/aa",
    "notification address": "canaryPath9d2e/bot77:canaryBotToken",
    "account": "XA48151",
}
MARGIN = "731946.25"  # rupees that the broker names in a refusal
STATE = re.compile(rb"(?!0{32})[0-9a-f]{32}\.[0-9]{10}\.[0-9a-f]{64}")  # of a login link; the forged one is all zeros
FIRST, SECOND = PLANTED["webhook secret"], PLANTED["second webhook secret"]


def forms(secret: str) -> Iterator[bytes]:
    """Every form that a secret is looked for in; of base64 the part that its neighbours do not change."""
    raw = secret.encode()
    yield raw
    yield from (quote(secret, safe="").encode(), quote(secret).encode(), quote(secret, safe="").lower().encode())
    yield json.dumps(secret)[1:-1].encode()
    yield raw.hex().encode()
    for before in range(3):
        for encode in (base64.b64encode, base64.urlsafe_b64encode):
            coded = encode(b"x" * before + raw + b"xx")
            yield coded[-(-8 * before // 6) : 8 * (before + len(raw)) // 6]


@dataclass
class Said:
    """All that the service ever said, by where it said it."""

    places: dict[str, bytes] = field(default_factory=dict)

    def add(self, place: str, said: bytes | str) -> None:
        self.places[place] = self.places.get(place, b"") + (said.encode() if isinstance(said, str) else said) + b"\n"

    def leaks(self, secrets: dict[str, str]) -> list[str]:
        return [
            f"{name} in {place}: {form!r}"
            for name, secret in secrets.items()
            for form in sorted(set(forms(secret)))
            for place, said in self.places.items()
            if form in said
        ]


def test_the_search_finds_a_secret_in_each_form_and_between_others() -> None:
    secret = "canary/one +two"
    planted = [form.decode() for form in set(forms(secret))]
    assert len(planted) >= 8
    coded = [base64.b64encode(b"y" * before + secret.encode() + b"tail").decode() for before in range(3)]
    for text in (*planted, *coded, f"prefix{secret}suffix"):
        said = Said()
        said.add("log", f"…{text}…")
        assert said.leaks({"it": secret}), text
    harmless = Said()
    harmless.add("log", "a canary sang one and two")
    assert harmless.leaks({"it": secret}) == []


class Driven:
    """A live gateway that is watched at every place where it speaks."""

    def __init__(self, gate: Gateway, folder: Path, said: Said) -> None:
        self.gate = gate
        self.folder = folder
        self.said = said
        self.secrets = dict(PLANTED)

    def ask(self, method: str, path: str, **options: Any) -> Any:
        response = self.gate.app.test_client().open(path, method=method, buffered=True, **options)
        self.said.add("answers", "\n".join(f"{name}: {value}" for name, value in response.headers.items()))
        self.said.add("answers", response.get_data())
        return response

    def operate(self, method: str, path: str, document: Any = None) -> Any:
        return self.ask(method, path, json=document, headers=bearer(PLANTED["operator token"]))

    def send(self, headers: dict[str, str] | None = None, **fields: Any) -> Any:
        return self.ask("POST", "/webhook", data=alert(**{"token": FIRST} | fields), headers=headers or {})

    def raw(self, body: bytes | str, headers: dict[str, str] | None = None) -> Any:
        return self.ask("POST", "/webhook", data=body, headers=headers or {})

    def log_in(self) -> None:
        """By the link, as a browser does; whatever the account handed out is a secret from now on."""
        link = self.operate_quietly("/auth-url")
        with requests.get(link, allow_redirects=False, timeout=5) as page:
            back = urlsplit(page.headers["Location"])
        query = dict(part.split("=", 1) for part in back.query.split("&"))
        self.secrets[f"auth code {len(self.secrets)}"] = query["auth_code"]
        self.secrets[f"state {len(self.secrets)}"] = query["state"]
        assert self.ask("GET", f"{back.path}?{back.query}").status_code == 200
        self.learn_token()

    def operate_quietly(self, path: str) -> str:
        """The one answer that may hold a login link."""
        return str(self.gate.operate("GET", path, token=PLANTED["operator token"]).json["auth_url"])

    def learn_token(self) -> None:
        token = FileTokens(self.folder / "tokens.json").load(self.gate.deadline())
        assert token is not None
        self.secrets[f"access token {len(self.secrets)}"] = token.access_token
        self.secrets[f"signature {len(self.secrets)}"] = token.access_token.rpartition(".")[2]
        self.secrets[f"seal {len(self.secrets)}"] = token.seal or ""
        self.secrets[f"link key {len(self.secrets)}"] = (self.folder / "tokens.json.links").read_text()
        if token.refresh_token:
            self.secrets[f"refresh token {len(self.secrets)}"] = token.refresh_token


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


@contextmanager
def driven(folder: Path, said: Said, stack: ExitStack, **settings: str) -> Iterator[Driven]:
    account = stack.enter_context(
        Simulator(
            FixtureExchange(capital=Decimal(10**9), client_id=PLANTED["account"]),
            app_id=APP_ID,
            secret_id=PLANTED["app secret"],
            pin=PLANTED["PIN"],
            refresh_tokens=True,
            rate_limits=False,
        )
    )
    live = {
        "BROKER": "fyers",
        "LIVE_TRADING": "yes",
        "WEBHOOK_SECRET_TOKEN": f"{FIRST},{SECOND}",
        "OPERATOR_TOKEN": PLANTED["operator token"],
        "FYERS_APP_ID": APP_ID,
        "FYERS_CLIENT_ID": PLANTED["account"],
        "FYERS_SECRET_ID": PLANTED["app secret"],
        "FYERS_REDIRECT_URI": "http://127.0.0.1/auth/callback",
        "FYERS_PIN": PLANTED["PIN"],
        "GCS_TOKENS_FILE": str(folder / "tokens.json"),
        "IP_ALLOWLIST": "warn",
        "LOG_LEVEL": "DEBUG",
        "MAX_LOTS_OPEN": "1000",
        "MAX_DAILY_LOSS": "0",
    }
    with gateway(folder, account, None, **live | settings) as gate:
        yield Driven(gate, folder, said)
        for file in sorted(folder.glob("ledger.db*")):
            said.add("ledger", file.read_bytes())
    digest = hashlib.sha256(f"{APP_ID}:{PLANTED['app secret']}".encode()).hexdigest()
    assert digest not in str(said.places)


@pytest.fixture
def said(capfd: pytest.CaptureFixture[str]) -> Iterator[Said]:
    """What is logged, at every level and to either place, and what is printed."""
    said, stream = Said(), io.StringIO()
    with cloud_logging() as api, mock.patch.dict(os.environ, LOGGING_EMULATOR_HOST=api.address):
        log.configure("DEBUG", cloud_project="my-project")
        _, in_the_cloud = logging.getLogger().handlers
        log.configure("DEBUG", stream)
        logging.getLogger().addHandler(in_the_cloud)

        def collect() -> None:
            log.close()
            out, err = capfd.readouterr()
            said.add("log", stream.getvalue())
            said.add("cloud log", b"\n".join(api.raw))
            said.add("printed", out + err)

        said.collect = collect  # type: ignore[attr-defined]
        yield said
        log.close()


def odd_alerts(drive: Driven) -> None:
    """The secret wherever it does not belong."""
    for secret in (FIRST, SECOND):
        for name in ("symbol", "strikeprice", "optionType", "expiry", "action", "qty", "sl", "alert_id", "strategy",
                     "comment", "timenow", "unheard_of"):  # fmt: skip
            drive.send(None, token=secret, **{name: f"x{secret}"})
        drive.send(None, token=secret, **{secret: "as a name"})
        drive.send(token=secret, nested={"deep": [secret]})
        bodies = (
            f'{{"token": "{secret}", "{secret}": }}',
            f'{{"token": "{secret}", "symbol": {secret}}}',
            f'{{"{secret}": NaN, "token": "{secret}", "symbol": "NIFTY"}}',
            f'{{"{secret}": 1, "{secret}": 2, "token": "{secret}", "symbol": "NIFTY"}}',
            f'{{"{secret}": [[[[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]]], "token": "{secret}"}}',
            f'{{"token": "{secret}", "token": "{secret}", "symbol": "{secret}"}}',
            f'{{"token": "{secret}", "action": "{secret}',
            f'{{"token": "{secret}"}} {secret}',
            f'["{secret}"]',
            f'"{secret}"',
            secret,
            f'{{"token": "{secret}", "x": "\ud800"}}'.encode("utf-8", "surrogatepass"),
            f'{{"token": "{secret}", "comment": "{"y" * 70_000}"}}',
        )
        for body in bodies:
            drive.raw(body)
        header = quote(secret)
        drive.send({"Idempotency-Key": header, "User-Agent": secret, "X-Forwarded-For": secret, "Referer": header})
        drive.send({"Idempotency-Key": secret}, alert_id=None)
        drive.send({"X-Cloud-Trace-Context": secret, "Authorization": f"Bearer {secret}"})
        drive.send(token=f"{secret} ", symbol="NIFTY")
        drive.send(token=secret[:-1])
        drive.ask("POST", f"/webhook?token={quote(secret)}", data=alert(token="wrong"))
        for path in (f"/{quote(secret)}", f"/orders/{quote(secret)}", f"/webhook/{quote(secret)}"):
            drive.ask("GET", path)
        drive.ask("GET", "/orders", headers=bearer(secret))


def foreign_logins(drive: Driven) -> None:
    """Another account's: by hand, by link, and slipped into the store. Its name is as private as the owner's."""
    account, other = drive.gate.account, "ZZ77177"
    drive.secrets["the other account"] = other
    drive.operate("POST", "/generate-token", {"auth_code": account.issue_auth_code(APP_ID, other)})
    with requests.get(drive.operate_quietly("/auth-url") + f"&fy_id={other}", allow_redirects=False, timeout=5) as page:
        back = urlsplit(page.headers["Location"])
    assert drive.ask("GET", f"{back.path}?{back.query}").status_code == 422
    store = drive.folder / "tokens.json"
    kept = store.read_bytes() if store.exists() else b""
    store.write_text(json.dumps({"access_token": account.issue_token(APP_ID, other)}))
    drive.operate("POST", "/refresh-token")
    store.write_bytes(kept)


def odd_operators(drive: Driven) -> None:
    token = PLANTED["operator token"]
    for path in (f"/orders?day={quote(token)}", f"/orders/{quote(token)}", f"/orders?in_flight={quote(token)}"):
        drive.operate("GET", path)
    drive.operate("POST", "/trading-state", {"state": token, "reason": "x"})
    drive.operate("POST", "/generate-token", {"auth_code": 5})
    drive.ask("GET", "/orders", headers={"Authorization": token})
    drive.ask("GET", "/orders", headers=bearer(f"{token}.{token}.{token}"))
    drive.ask("GET", f"/auth/callback?auth_code={quote(token)}&state={quote(token)}")
    drive.operate("POST", "/tasks/relay", {"message": {"data": base64.b64encode(token.encode()).decode()}})


def broken_logins(drive: Driven) -> None:
    """Refused codes, a forged state, a Fyers that quotes what it was sent, and one that hangs up."""
    account = drive.gate.account
    code = account.issue_auth_code(APP_ID)
    drive.secrets["auth code by hand"] = code
    quoting = f"bad {code} for {PLANTED['app secret']} of {APP_ID}:{PLANTED['app secret']}"
    for fault in (
        Fault(FaultKind.ANSWER, body={"s": "error", "code": -437, "message": quoting}),
        Fault(FaultKind.ANSWER, status=500, body={"s": "error", "code": -437, "message": quoting}),
        Fault(FaultKind.ANSWER, body=quoting),
        Fault(FaultKind.DROP),
    ):
        account.fault("validate-authcode", fault)
        drive.operate("POST", "/generate-token", {"auth_code": code})
    drive.ask("GET", f"/auth/callback?auth_code={quote(code)}&state={'0' * 32}.9999999999.{'0' * 64}")
    drive.ask("GET", f"/auth/callback?code={quote(code)}")
    drive.operate("POST", "/generate-token", {"auth_code": f"x{code}"})


def refreshed(drive: Driven) -> None:
    """With a refresh token and the PIN, taken and refused, and Fyers quoting both."""
    store, now = FileTokens(drive.folder / "tokens.json"), drive.gate.desk.clock.now()
    stored = store.load(drive.gate.deadline())
    assert stored is not None
    quoting = f"no {stored.refresh_token} with {PLANTED['PIN']} ({stored.access_token})"
    drive.gate.account.kill_token()
    drive.gate.account.fault(
        "validate-refresh-token", Fault(FaultKind.ANSWER, body={"s": "error", "code": -501, "message": quoting})
    )
    drive.operate("POST", "/refresh-token")
    assert drive.operate("POST", "/refresh-token").json["login"] == "AUTHENTICATED"
    drive.learn_token()
    ended = Token("ended." + stored.access_token[:60], issued_at=now - timedelta(days=2), app_id=APP_ID)
    drive.secrets["an ended token"] = ended.access_token


def settled(drive: Driven) -> None:
    """Doubts resolved, and entries let through again."""
    drive.operate("POST", "/tasks/reconcile")
    drive.operate("POST", "/trading-state", {"state": "ACTIVE", "reason": "a test"})


def orders(drive: Driven) -> None:
    """Success and every class of failure, with a broker that quotes the token in its words."""
    account, token = drive.gate.account, list(drive.secrets.values())[-1]
    quoting = f"refused for {APP_ID}:{token} Bearer {token}, {PLANTED['account']}: Required: {MARGIN} of {MARGIN}"
    assert drive.send().json["status"] == "ACCEPTED"
    drive.send(action="BUY")
    repeated = alert(token=FIRST)
    for _ in range(2):
        drive.raw(repeated)
    drive.send(qty=66)
    drive.send(timenow="2020-01-01T00:00:00Z")
    for kind in FaultKind:
        if kind in (FaultKind.HANG, FaultKind.DRIP, FaultKind.LATENCY):
            continue
        account.fault("place", Fault(kind, message=quoting, seconds=0.01))
        drive.send()
        account.clear_faults()
        settled(drive)
    for code in (-50, -99, -300, -392, 999):
        account.fault("place", Fault(FaultKind.ANSWER, body={"s": "error", "code": code, "message": quoting}))
        drive.send()
        settled(drive)
    for endpoint in ("quotes", "positions", "orders", "place"):
        for body in (quoting, {"s": "error", "code": 7, "message": quoting}, {"s": "ok", "d": [{"n": quoting}]}):
            account.fault(endpoint, Fault(FaultKind.ANSWER, body=body))
            drive.send(action="BUY")
            account.clear_faults()
    for path in ("/orders", "/orders?in_flight=1", "/trading-state"):
        drive.operate("GET", path)
    for task in ("reconcile", "square-off", "refresh-symbols", "preflight"):
        drive.operate("POST", f"/tasks/{task}")
    account.fault("master", Fault(FaultKind.ANSWER, body=quoting, times=None))
    drive.operate("POST", "/tasks/refresh-symbols")
    account.clear_faults()
    drive.ask("GET", "/readyz")


def injected(drive: Driven, monkeypatch: pytest.MonkeyPatch) -> None:
    """Exceptions that quote every secret, out of every port."""
    everything = " ".join(drive.secrets.values())

    def raising(*_: object, **__: object) -> None:
        try:
            raise OSError(everything)
        except OSError as error:
            raise RuntimeError(everything, {"headers": everything}) from error

    desk = drive.gate.desk
    calls: list[Callable[[], Any]] = [
        drive.send,
        lambda: drive.send(action="BUY"),
        lambda: drive.operate("POST", "/tasks/reconcile"),
        lambda: drive.operate("POST", "/tasks/preflight"),
        lambda: drive.operate("GET", "/orders"),
        lambda: drive.operate("POST", "/refresh-token"),
        lambda: drive.ask("GET", "/readyz"),
    ]
    ports = {
        desk.ledger: ("claim", "submit", "record", "notify", "orders", "controls", "outbox", "delivered", "once"),
        desk.broker: ("quotes", "positions", "quotes_and_positions", "place", "order_book"),
        desk.symbols: ("resolve", "lookup_symbol"),
        desk.notifier: ("send",),
    }
    methods = [(type(port), name) for port, names in ports.items() for name in names]
    for port, name in [*methods, (CurrentToken, "token")]:
        with monkeypatch.context() as patched:
            patched.setattr(port, name, raising)
            for call in calls:
                call()


def nobody_told(drive: Driven, monkeypatch: pytest.MonkeyPatch) -> None:
    """A login is needed, the ledger is down and no sink takes the link."""

    def down(*_: object) -> None:
        raise NotNow(Reason.LEDGER_DOWN)

    with monkeypatch.context() as patched:
        patched.setattr(type(drive.gate.desk.ledger), "notify", down)
        patched.setattr(type(drive.gate.desk.notifier), "_push", lambda *_: "no")
        assert drive.send().json["reason"] == "NEEDS_LOGIN"


def test_no_secret_is_ever_said(tmp_path: Path, said: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    with ExitStack() as stack:
        ours = stack.enter_context(phone())
        topic = stack.enter_context(subscription(pubsub_emulator()))
        address = f"http://127.0.0.1:{ours.port}/{PLANTED['notification address']}/sendMessage?chat_id=1"
        nobody = f"http://127.0.0.1:{free_port()}/{PLANTED['notification address']}"
        settings = {"NOTIFICATION_URL": f"{address},{nobody}", "NOTIFICATION_TOPIC": topic.topic}
        with driven(tmp_path, said, stack, **settings) as drive:
            drive.send()  # before the first login
            broken_logins(drive)
            drive.log_in()
            foreign_logins(drive)
            odd_alerts(drive)
            odd_operators(drive)
            orders(drive)
            refreshed(drive)
            injected(drive, monkeypatch)
            drive.gate.account.kill_token()
            nobody_told(drive, monkeypatch)
            drive.send()
            drive.operate("POST", "/refresh-token")
            drive.operate("POST", "/tasks/reconcile")
            secrets = drive.secrets
        said.add("notices over HTTP", b"\n".join(one.body for one in ours.arrived))
        said.add("notices by Pub/Sub", b"\n".join(one.data + str(one.attributes).encode() for one in topic.pull(1)))
    said.collect()
    states = set(STATE.findall(said.places["ledger"]))
    shown_states = {f"a link's state {number}": state.decode() for number, state in enumerate(states)}

    # everything that was to be driven was driven
    assert len(secrets) >= len(PLANTED) + 8
    assert shown_states
    for expected in (
        b"alert answered",
        b"alert refused",
        b"stack_trace",
        b"a notice was not taken",
        b"reconciled",
        b"the owner could not be notified",
    ):
        assert expected in said.places["log"], expected
        assert expected in said.places["cloud log"], expected
    for place in ("ledger", "notices over HTTP", "notices by Pub/Sub"):
        for kind in (b"rejected", b"refused", b"login-"):
            assert kind in said.places[place], (place, kind)
    assert b"generate-authcode?" in said.places["notices over HTTP"]

    assert said.leaks(secrets | {"margin": MARGIN}) == []
    assert [place for place in ("log", "cloud log", "printed") if STATE.search(said.places[place])] == []
    spoken = Said({place: said.places[place] for place in ("log", "cloud log", "printed", "answers")})
    assert spoken.leaks(shown_states) == []


def test_the_server_itself_prints_none_of_what_it_is_sent(tmp_path: Path) -> None:
    """gunicorn as in production, with requests that are no HTTP."""
    port, secret = free_port(), PLANTED["webhook secret"]
    environ = {
        **bare_environment(),
        "PYTHONPATH": str(REPOSITORY),
        "PORT": str(port),
        "WEBHOOK_SECRET_TOKEN": secret,
        "OPERATOR_TOKEN": PLANTED["operator token"],
        "NOTIFICATION_URL": f"http://127.0.0.1:{free_port()}/{PLANTED['notification address']}",
        "LOG_LEVEL": "DEBUG",
        "MARKET_HOURS": "always",
    }
    server = subprocess.Popen(
        [sys.executable, "-m", "app", "serve"],
        cwd=tmp_path,
        env=environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    said = Said()
    try:
        wait_until_ready(port)
        for body in (alert(token=secret), alert(token=secret, action="HOLD"), f'{{"token": "{secret}", '.encode()):
            said.add(
                "answers", requests.post(f"http://127.0.0.1:{port}/webhook?t={secret}", data=body, timeout=15).content
            )
        for line in (
            f"GET /webhook?token={secret}",
            f"{secret} / HTTP/1.1",
            f"GET /{secret} HTTP/9.9",
            f"GET / HTTP/1.1\r\n{secret}\r\nX: y",
            f"GET / HTTP/1.1\r\nContent-Length: {secret}",
            f"POST /webhook HTTP/1.1\r\nTransfer-Encoding: {secret}",
            f"GET /{secret * 400} HTTP/1.1",
        ):
            with socket.create_connection(("127.0.0.1", port), timeout=15) as sock:
                sock.sendall(f"{line}\r\n\r\n".encode())
                said.add("answers to no HTTP", sock.recv(65536))
    finally:
        server.send_signal(signal.SIGTERM)
        printed, _ = server.communicate(timeout=15)
    said.add("printed", printed)
    assert b"alert answered" in printed
    assert said.leaks(PLANTED) == []
