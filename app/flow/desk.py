"""Everything that one alert works with, chosen once at the start."""

from concurrent.futures import Executor
from dataclasses import dataclass
from datetime import timedelta

from app.domain.calendar import Calendar
from app.domain.risk.limits import Limits
from app.domain.ticket import TicketRules
from app.flow.market_status import MarketStatus
from app.flow.ports import Broker, Clock, Ledger, Notifier, SymbolMaster


@dataclass(frozen=True, slots=True)
class AgeRules:
    """How old an alert may be when it is sent; within `dedupe_window` two equal alerts without an id are one."""

    entry: timedelta
    exit: timedelta
    dedupe_window: timedelta


@dataclass(frozen=True, slots=True)
class Desk:
    """What an alert, reconcile and square-off need. The operator's part is the BackOffice.

    `account` names the broker account within keys. `readers` runs reads side by side. `beside_claim` runs an alert's
    reads during its claim; it is None where a claim takes no round trip, since reading after it is cheaper there.
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
