"""The composition root: a Config becomes a BackOffice. Each client is imported where a setting asks for it."""

from collections.abc import Callable
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from app.adapters.clock import SystemClock
from app.adapters.google import GoogleIdTokens
from app.adapters.paper import PaperToken
from app.adapters.readers import Readers
from app.domain.deadline import CONNECT, Deadline
from app.flow.desk import Desk
from app.flow.market_status import MarketStatus
from app.flow.ports import Clock, Ledger, Notifier, SymbolMaster
from app.login.ports import TokenSource
from app.operations.back_office import BackOffice
from app.operations.operators import OperatorAuth
from app.runtime.config import Config
from app.runtime.config.judged import judged
from app.runtime.openings import WARM_UP, is_far, open_ledger, open_login, open_notifiers, with_simulator
from app.runtime.symbols import open_symbols, refresh_symbols, warn_of_late_square_off

if TYPE_CHECKING:
    from app.adapters.http.transport import Transport
    from app.login import Login

FIRST_CALLS = 2  # an alert asks the broker for quote and positions side by side
READERS = 64  # an alert reads up to four things side by side, sixteen alerts at once; most of the time is waiting


def bootstrap(config: Config, clock: Clock | None = None) -> BackOffice:
    """Everything that serves requests. Raises what makes a start impossible; an outage of Fyers does not."""
    with ExitStack() as resources:
        # Connections are opened side by side while the rest is loaded: an alert may be waiting for this start.
        with ThreadPoolExecutor(thread_name_prefix="start") as beside:
            office = _office(config, clock or SystemClock(), resources, beside)
        return replace(office, resources=resources.pop_all())


def _office(config: Config, clock: Clock, resources: ExitStack, beside: Executor) -> BackOffice:
    from app.adapters.fyers.server_clock import server_time

    ledger = open_ledger(config, resources, beside, clock.sleep)
    notifier, relay = open_notifiers(config, ledger, clock.monotonic, resources)
    transport = _transport(config, resources)
    tokens: TokenSource = PaperToken()
    login: Login | None = None
    if config.live:
        tokens, login = open_login(config, ledger, notifier, clock, transport, resources)
        if config.tokens_bucket is not None:
            beside.submit(login.status, Deadline(clock.monotonic, WARM_UP))
    else:
        config = with_simulator(config, resources)
    api_url = config.fyers.api_url or ""
    for _ in range(FIRST_CALLS):
        beside.submit(transport.warm, api_url, CONNECT)
    symbols = open_symbols(config, clock)
    warn_of_late_square_off(config, symbols, clock)
    return BackOffice(
        desk=_desk(config, clock, ledger, symbols, notifier, tokens, transport, resources),
        login=login,
        operators=_operators(config, clock.monotonic),
        relay=relay,
        lacking=notifier.lacking,
        refresh_symbols=partial(refresh_symbols, config, symbols, clock, ledger, notifier),
        server_time=partial(server_time, transport, api_url),
        judge_settings=partial(judged, config),
        square_off_at=config.square_off_at,
        resources=resources,
    )


def _desk(
    config: Config,
    clock: Clock,
    ledger: Ledger,
    symbols: SymbolMaster,
    notifier: Notifier,
    tokens: TokenSource,
    transport: "Transport",
    resources: ExitStack,
) -> Desk:
    from app.adapters.fyers.broker import FyersBroker
    from app.adapters.fyers.shared import Waits

    readers = Readers(READERS, thread_name_prefix="read")
    resources.callback(readers.shutdown, cancel_futures=True)  # waits: each read ends by its own time-out
    fyers = config.fyers
    urls, waits = (fyers.api_url or "", fyers.data_url or ""), Waits(clock.sleep)
    broker = FyersBroker(fyers.app_id, tokens, transport, *urls, readers, fyers.client_id or "", waits)
    return Desk(
        account=config.account,
        broker=broker,
        ledger=ledger,
        symbols=symbols,
        notifier=notifier,
        clock=clock,
        calendar=config.calendar,
        market_status=MarketStatus(broker, clock, config.calendar),
        tickets=config.tickets,
        limits=config.limits,
        ages=config.ages,
        readers=readers,
        beside_claim=readers if is_far(config.ledger_url) else None,
    )


def _transport(config: Config, resources: ExitStack) -> "Transport":
    """The broker's connections, paced below its rates unless PACE_CALLS says otherwise."""
    from app.adapters.fyers.pace import FOR_ORDERS, Pace, PacedTransport
    from app.adapters.http.transport import Transport

    transport = PacedTransport(Pace(for_orders=FOR_ORDERS)) if config.paced else Transport()
    resources.callback(transport.close)
    return transport


def _operators(config: Config, monotonic: Callable[[], float]) -> OperatorAuth:
    return OperatorAuth(
        config.operator_token,
        config.oidc_audience,
        config.oidc_service_account,
        GoogleIdTokens(monotonic),
        config.webhook_secrets,
    )
