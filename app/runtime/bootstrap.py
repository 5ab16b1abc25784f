"""The composition root: a Config becomes a Desk. Each client is imported in the case that needs it."""

import logging
from collections.abc import Callable
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import replace
from datetime import date
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote

from app.adapters.clock import SystemClock
from app.adapters.notify import Fanout, Sink
from app.adapters.paper import PaperToken
from app.adapters.readers import Readers
from app.domain.calendar import Calendar, ist_day
from app.domain.deadline import CONNECT, Deadline
from app.domain.errors import NotNow
from app.domain.notice import Notice, Severity
from app.flow.desk import Desk
from app.flow.hours import notice_of_differences, stopped_by
from app.flow.market_status import MarketStatus
from app.flow.outbox import post
from app.flow.ports import Clock, Ledger, Notifier, SymbolMaster
from app.login.ports import TokenSource
from app.login.token import Token
from app.runtime.config import Config

if TYPE_CHECKING:
    from app.adapters.http import Transport
    from app.adapters.notify.pubsub import PubSubNotifier
    from app.adapters.symbols import Symbols
    from app.adapters.tokens import FileTokens, GcsTokens
    from app.login import Login

log = logging.getLogger("gateway.bootstrap")

WARM_UP = 8.0  # seconds
FIRST_CALLS = 2  # an alert asks the broker for quote and positions side by side
READERS = 64  # an alert reads up to four things side by side, sixteen alerts at once; most of the time is waiting


def bootstrap(config: Config, clock: Clock | None = None) -> Desk:
    """Everything that serves requests. Raises what makes a start impossible; an outage of Fyers is not such a thing."""
    with ExitStack() as resources:
        # What is far away is connected side by side while the rest is loaded: an alert may be waiting for this start.
        with ThreadPoolExecutor(thread_name_prefix="start") as beside:
            desk = _desk(config, clock or SystemClock(), resources, beside)
        return replace(desk, resources=resources.pop_all())


def _desk(config: Config, clock: Clock, resources: ExitStack, beside: Executor) -> Desk:
    from app.adapters.fyers import FyersBroker
    from app.adapters.fyers.pace import FOR_ORDERS, Pace, PacedTransport
    from app.adapters.fyers.server_clock import server_time
    from app.adapters.fyers.shared import Waits
    from app.adapters.http import Transport

    calendar = config.calendar
    ledger = open_ledger(config, resources, beside)
    notifier, relay = open_notifiers(config, ledger, clock.monotonic, resources)
    # The labs that switch the limit of orders a second off, or beyond what Fyers allows, want no pace either.
    transport = PacedTransport(Pace(for_orders=FOR_ORDERS)) if config.limits.within_fyers_rate else Transport()
    resources.callback(transport.close)
    if config.live:
        tokens, login = open_login(config, ledger, notifier, clock, transport, resources)
    else:
        config, tokens, login = with_simulator(config, resources), PaperToken(), None
    if login is not None and config.tokens_bucket is not None:
        beside.submit(login.status, Deadline(clock.monotonic, WARM_UP))
    for _ in range(FIRST_CALLS):
        beside.submit(transport.warm, config.fyers.api_url or "", CONNECT)
    readers = Readers(READERS, thread_name_prefix="read")
    resources.callback(readers.shutdown, cancel_futures=True)  # waits: each read ends by its own time-out
    fyers = config.fyers
    symbols = _symbols(config, calendar, clock)
    _mind_square_off(config, symbols, clock)
    urls, waits = (fyers.api_url or "", fyers.data_url or ""), Waits(clock.sleep)
    broker = FyersBroker(fyers.app_id, tokens, transport, *urls, readers, fyers.client_id or "", waits)
    return Desk(
        account=config.account,
        broker=broker,
        ledger=ledger,
        symbols=symbols,
        notifier=notifier,
        clock=clock,
        calendar=calendar,
        market_status=MarketStatus(broker, clock, calendar),
        tickets=config.tickets,
        limits=config.limits,
        ages=config.ages,
        readers=readers,
        beside_claim=readers if _is_far(config.ledger_url) else None,
        resources=resources,
        tokens=tokens,
        login=login,
        refresh_symbols=partial(_refresh_symbols, config, symbols, calendar, clock, ledger, notifier),
        relay=relay,
        server_time=partial(server_time, transport, fyers.api_url or ""),
    )


def open_notifiers(
    config: Config, ledger: Ledger, monotonic: Callable[[], float], resources: ExitStack
) -> tuple[Fanout, Fanout | None]:
    """To every sink that is configured; and to the addresses alone, for what comes back from the topic.

    The addresses come first: what the topic brings back at once is known to be there.
    """
    sinks: list[Sink] = []
    if config.notification_urls:
        from app.adapters.http import Transport
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


def open_ledger(config: Config, resources: ExitStack, beside: Executor | None = None) -> Ledger:
    """The ledger that LEDGER_URL names; closed with the resources. One far away is connected by `beside`, or now."""
    if _is_far(config.ledger_url):
        return _open_firestore(config.ledger_url, resources, beside)
    from app.adapters.sqlite import SqliteLedger

    # sqlite:///relative/path and sqlite:////absolute/path, as everywhere else
    ledger = SqliteLedger(Path(unquote(config.ledger_url.removeprefix("sqlite:///"))))
    resources.callback(ledger.close)
    return ledger


def _is_far(ledger_url: str) -> bool:
    return ledger_url.startswith("firestore:")


def _open_firestore(url: str, resources: ExitStack, beside: Executor | None) -> Ledger:
    """firestore://PROJECT/DATABASE, connected during the start: no alert's slice of time is long enough for that."""
    from app.adapters.firestore import FirestoreLedger

    project, _, database = url.removeprefix("firestore://").partition("/")
    ledger = FirestoreLedger(project, database or "(default)")
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
    """Today's token, and how somebody logs in for it."""
    from app.adapters.fyers import FyersLogin
    from app.login import AccountHolder, CurrentToken, Login, LoginLinks

    fyers = config.fyers
    if fyers.secret_id is None or fyers.redirect_uri is None or fyers.api_url is None or fyers.client_id is None:
        raise ValueError("a live configuration has all of these")
    secret_id = fyers.secret_id.reveal()
    broker = FyersLogin(fyers.app_id, secret_id, fyers.redirect_uri, transport, fyers.api_url, fyers.client_id)
    holder = AccountHolder(broker, fyers.client_id, fyers.secret_id)
    store = open_token_store(config, resources, holder.knows)
    links = LoginLinks(store, broker.auth_url, ledger, clock)
    current = CurrentToken(store, ledger, notifier, clock, links, holder, fyers.app_id)
    return current, Login(broker, store, current, links, clock, holder, fyers.app_id, fyers.pin)


def open_token_store(config: Config, resources: ExitStack, knows: Callable[[Token], bool]) -> "FileTokens | GcsTokens":
    """Where the day's token and the key of the login links are kept; `knows` tells the owner's tokens from others."""
    from app.adapters.tokens import FileTokens, GcsTokens

    if config.tokens_bucket is None:
        return FileTokens(Path(config.tokens_file), knows)
    store = GcsTokens(config.tokens_bucket, config.tokens_file, knows)
    resources.callback(store.close)
    return store


def with_simulator(config: Config, resources: ExitStack) -> Config:
    """Paper trading without an address brings its own simulator along, on a free loopback port."""
    if config.live or config.fyers.api_url is not None:
        return config
    from app.simulator import Simulator

    simulator = resources.enter_context(Simulator(accept_any_token=True))
    fyers = replace(config.fyers, api_url=simulator.api_url, data_url=simulator.data_url)
    urls = config.symbol_master_urls or tuple(simulator.master_urls)
    return replace(config, fyers=fyers, symbol_master_urls=urls)


def _symbols(config: Config, calendar: Calendar, clock: Clock) -> "Symbols":
    """The cached master. Where there is none, or only one that is old or of a version before, it is fetched now: better
    a slow start than none, and if that fails the old one stays.

    On Cloud Run an alert may be waiting, and yesterday's master will do until Cloud Scheduler has it refreshed.
    """
    from app.adapters.symbols import Symbols, refresh

    symbols = Symbols.open(config.symbol_cache)
    oldest = calendar.latest_trading_day(ist_day(clock.now()))
    if config.on_cloud_run:
        oldest = calendar.trading_day_before(oldest)
    if not _is_of(symbols, oldest) or not (config.on_cloud_run or symbols.is_of_this_version):
        report = refresh(config.symbol_master_urls, config.symbol_cache, calendar, clock.now())
        symbols = Symbols.open(config.symbol_cache)
        level = logging.INFO if report["accepted"] else logging.ERROR
        log.log(level, "symbol master refreshed at the start", extra={"report": report})
    return symbols


def _mind_square_off(config: Config, symbols: SymbolMaster, clock: Clock) -> None:
    """Warns of a time at which something has stopped trading already. What is open in it, doctor and preflight say."""
    if config.square_off_at is None:
        return
    try:
        late = stopped_by(config.square_off_at, symbols, config.calendar, ist_day(clock.now()))
    except NotNow:
        return
    if late:
        words = {"square_off_at": f"{config.square_off_at:%H:%M}", "why": "; ".join(late)}
        log.warning("SQUARE_OFF_AT is too late", extra=words)


def _refresh_symbols(
    config: Config,
    symbols: "Symbols",
    calendar: Calendar,
    clock: Clock,
    ledger: Ledger,
    notifier: Notifier,
    deadline: Deadline,
) -> dict[str, object]:
    """The scheduler's refresh: a master that is refused leaves the last good one and rings the phone."""
    from app.adapters.symbols import refresh

    now = clock.now()
    report = refresh(
        config.symbol_master_urls, config.symbol_cache, calendar, now, timeout=deadline.cap(60.0, tail=5.0)
    )
    if report["accepted"]:
        symbols.reload()
        if (notice := notice_of_differences(symbols, calendar, ist_day(now))) is not None:
            post(notice, ledger, notifier, deadline)
    else:
        text = f"The new symbol master was refused: {report['reason']}. Kept: {report['kept'] or 'none'}."
        post(Notice(f"symbols:{ist_day(now)}", "symbols", Severity.CRITICAL, text), ledger, notifier, deadline)
    return report


def _is_of(symbols: SymbolMaster, oldest: date) -> bool:
    try:
        return symbols.as_of >= oldest
    except NotNow:
        return False
