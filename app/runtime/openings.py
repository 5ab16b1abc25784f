"""Opens the parts of a gateway one by one: the server opens all of them, a command those that it needs.

Each client is imported only if a setting asks for it. Whatever has to be closed at the end is added to the resources.
"""

import logging
import secrets
import time
from collections.abc import Callable
from concurrent.futures import Executor
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote

from app.adapters.clock import SystemClock
from app.adapters.notify.fanout import Fanout
from app.adapters.notify.sink import Sink
from app.domain.deadline import Deadline, Sleep
from app.domain.errors import NotNow
from app.flow.ports import Clock, Ledger, Notifier
from app.login.ports import TokenSource
from app.login.token import Token
from app.runtime.config import Config

if TYPE_CHECKING:
    from app.adapters.http.transport import Transport
    from app.adapters.notify.pubsub import PubSubNotifier
    from app.adapters.tokens import FileTokens, GcsTokens
    from app.login import Login

log = logging.getLogger("gateway.bootstrap")

WARM_UP = 8.0  # seconds
ADDRESS = 5.0  # seconds for the caller's address


def open_notifiers(
    config: Config, ledger: Ledger, monotonic: Callable[[], float], resources: ExitStack
) -> tuple[Fanout, Fanout | None]:
    """The notifier of every configured sink, and that of the addresses alone, for notices from the topic.

    The addresses come first: a notice that the topic returns at once is then known to have reached them.
    """
    sinks: list[Sink] = []
    if config.notification_urls:
        from app.adapters.http.transport import Transport
        from app.adapters.notify.http import HttpNotifier

        transport = Transport(connections=4)
        resources.callback(transport.close)
        sinks += [HttpNotifier(url, transport) for url in config.notification_urls]
    addresses = tuple(sinks)
    if config.notification_topic is not None:
        from app.adapters.notify.on_demand import OnDemand

        topic = OnDemand(f"pubsub:{config.notification_topic}", partial(_open_topic, config.notification_topic))
        resources.callback(topic.close)
        sinks.append(topic)
    everywhere = Fanout(sinks, monotonic, ledger.taken)
    return everywhere, everywhere.among(addresses) if addresses else None


def _open_topic(topic: str) -> "PubSubNotifier":
    from app.adapters.notify.pubsub import PubSubNotifier

    return PubSubNotifier(topic)


def open_ledger(
    config: Config, resources: ExitStack, beside: Executor | None = None, sleep: Sleep = time.sleep
) -> Ledger:
    """The ledger that LEDGER_URL names. One over the network is connected by `beside`, or else now."""
    if is_far(config.ledger_url):
        return _open_firestore(config.ledger_url, resources, beside, sleep)
    from app.adapters.sqlite.ledger import SqliteLedger

    # sqlite:///relative/path and sqlite:////absolute/path, as is usual
    ledger = SqliteLedger(Path(unquote(config.ledger_url.removeprefix("sqlite:///"))), sleep)
    resources.callback(ledger.close)
    return ledger


def is_far(ledger_url: str) -> bool:
    return ledger_url.startswith("firestore:")


def _open_firestore(url: str, resources: ExitStack, beside: Executor | None, sleep: Sleep) -> Ledger:
    """firestore://PROJECT/DATABASE. It is connected during the start: an alert's time is too short for that."""
    from app.adapters.firestore.ledger import FirestoreLedger

    project, _, database = url.removeprefix("firestore://").partition("/")
    ledger = FirestoreLedger(project, database or "(default)", sleep)
    resources.callback(ledger.close)

    def warm() -> None:
        try:
            ledger.warm(Deadline(SystemClock().monotonic, WARM_UP))
        except NotNow:
            log.error("Firestore does not answer yet; alerts are answered 503 until it does")

    if beside is None:
        warm()
    else:
        beside.submit(warm)
    return ledger


def open_login(
    config: Config, ledger: Ledger, notifier: Notifier, clock: Clock, transport: "Transport", resources: ExitStack
) -> tuple[TokenSource, "Login"]:
    """The source of today's token, and the login for it."""
    from app.adapters.fyers.session import FyersLogin
    from app.login import AccountHolder, CurrentToken, Login, LoginLinks

    fyers = config.fyers
    if fyers.secret_id is None or fyers.redirect_uri is None or fyers.api_url is None or fyers.client_id is None:
        raise ValueError("a live configuration has all of these")
    secret_id = fyers.secret_id.reveal()
    broker = FyersLogin(fyers.app_id, secret_id, fyers.redirect_uri, transport, fyers.api_url, fyers.client_id)
    holder = AccountHolder(broker, fyers.client_id, fyers.secret_id)
    store = open_token_store(config, resources, holder.knows, clock.sleep)
    links = LoginLinks(store, broker.auth_url, ledger, clock)
    current = CurrentToken(store, ledger, notifier, clock, links, holder, fyers.app_id)
    return current, Login(broker, store, current, links, clock, holder, fyers.app_id, fyers.pin)


def open_token_store(
    config: Config, resources: ExitStack, knows: Callable[[Token], bool], sleep: Sleep = time.sleep
) -> "FileTokens | GcsTokens":
    """The store of the day's token and of the login links' key; `knows` tells the owner's tokens from others."""
    from app.adapters.tokens import FileTokens, GcsTokens

    if config.tokens_bucket is None:
        return FileTokens(Path(config.tokens_file), knows, sleep)
    store = GcsTokens(config.tokens_bucket, config.tokens_file, knows, sleep)
    resources.callback(store.close)
    return store


def with_simulator(config: Config, resources: ExitStack) -> Config:
    """The settings; paper trading without an address gets a simulator of its own, on a free loopback port."""
    if config.live or config.fyers.api_url is not None:
        return config
    from app.simulator import Simulator

    simulator = resources.enter_context(Simulator(accept_any_token=True))
    fyers = replace(config.fyers, api_url=simulator.api_url, data_url=simulator.data_url)
    urls = config.symbol_master_urls or tuple(simulator.master_urls)
    return replace(config, fyers=fyers, symbol_master_urls=urls)


def open_login_alone(config: Config, resources: ExitStack) -> "Login":
    """The login of a live configuration, for a command: with its own ledger, notifiers and connections."""
    from app.adapters.http.transport import Transport

    ledger, transport, clock = open_ledger(config, resources), Transport(), SystemClock()
    resources.callback(transport.close)
    notifier, _ = open_notifiers(config, ledger, clock.monotonic, resources)
    return open_login(config, ledger, notifier, clock, transport, resources)[1]


def caller_address(url: str, deadline: Deadline) -> str:
    """The answer of a URL that returns the caller's own address. Raises ConnectionError, which says why."""
    from app.adapters.http.transport import CallFailed, Transport

    transport = Transport(connections=1)
    try:
        total = deadline.cap(ADDRESS)
        reply = transport.call("GET", url, headers={}, connect=total, total=total, most=1024)
        return reply.body.decode("ascii", "replace")
    except CallFailed as failed:
        raise ConnectionError(failed.why) from None
    finally:
        transport.close()


def make_secret_file(path: Path) -> None:
    """Writes a new secret into a file that only its owner may read. Raises OSError."""
    from app.adapters.private_files import make_file

    make_file(path)
    path.write_text(secrets.token_urlsafe(24) + "\n", encoding="utf-8")
