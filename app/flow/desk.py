"""Everything one request works with, chosen once at the start."""

from collections.abc import Callable
from concurrent.futures import Executor
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from app.domain.calendar import Calendar
from app.domain.deadline import Deadline
from app.domain.risk import Limits
from app.domain.ticket import TicketRules
from app.flow.market_status import MarketStatus
from app.flow.ports import Broker, Clock, Ledger, Notifier, SymbolMaster
from app.login import Login
from app.login.ports import TokenSource


@dataclass(frozen=True, slots=True)
class AgeRules:
    """How old an alert may be when it is sent, and how long one without identity is taken for the same."""

    entry: timedelta
    exit: timedelta
    dedupe_window: timedelta


def _untold(deadline: Deadline) -> datetime | None:  # noqa: ARG001
    return None


@dataclass(frozen=True, slots=True)
class Desk:
    """`account` names the broker account within keys; `readers` runs reads side by side and owns no effect.

    `beside_claim` runs what an alert reads while its claim is under way; where a claim takes no round trip it is
    cheaper to read when the claim is made, and there is none.
    `resources` holds what has to be closed at the end: connections, files, threads. Paper trading has no `login`.
    `relay` is where notices from a Pub/Sub subscription go on to; None without such an address. `server_time` is the
    time at the broker, None where its answers do not say; it raises NotNow.
    """

    account: str
    broker: Broker
    ledger: Ledger
    symbols: SymbolMaster
    notifier: Notifier
    clock: Clock
    calendar: Calendar
    market_status: MarketStatus
    tickets: TicketRules
    limits: Limits
    ages: AgeRules
    readers: Executor
    beside_claim: Executor | None
    resources: ExitStack
    tokens: TokenSource
    login: Login | None
    refresh_symbols: Callable[[Deadline], dict[str, Any]]
    relay: Notifier | None = None
    server_time: Callable[[Deadline], datetime | None] = _untold
