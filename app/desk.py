"""Everything one request works with, chosen once at the start."""

from collections.abc import Callable
from concurrent.futures import Executor
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from app.calendar import Calendar
from app.deadline import Deadline
from app.login import Login
from app.ports import Broker, Clock, Ledger, Notifier, SymbolMaster, TokenSource
from app.risk import Limits
from app.ticket import TicketRules


@dataclass(frozen=True, slots=True)
class AgeRules:
    """How old an alert may be when it is sent, and how long one without identity is taken for the same."""

    entry: timedelta
    exit: timedelta
    dedupe_window: timedelta


@dataclass(frozen=True, slots=True)
class Desk:
    """`account` names the broker account within keys; `readers` runs reads side by side and owns no effect.

    `resources` holds what has to be closed at the end: connections, files, threads. Paper trading has no `login`.
    """

    account: str
    broker: Broker
    ledger: Ledger
    symbols: SymbolMaster
    notifier: Notifier
    clock: Clock
    calendar: Calendar
    tickets: TicketRules
    limits: Limits
    ages: AgeRules
    readers: Executor
    resources: ExitStack
    tokens: TokenSource
    login: Login | None
    refresh_symbols: Callable[[Deadline], dict[str, Any]]
