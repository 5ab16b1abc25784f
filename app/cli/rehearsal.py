"""The production flow in a rehearsal: a simulated account at a chosen moment, a temporary ledger and master.

Nothing outside is touched: no notice is sent, no login is used, every address is on loopback.
"""

import itertools
import logging
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path

from app.domain.alert.parse import parse
from app.domain.deadline import Deadline
from app.domain.errors import AlertError, NotNow, Reason
from app.domain.order import Order
from app.flow.desk import Desk
from app.flow.execution import Receipt, execute
from app.runtime.bootstrap import bootstrap
from app.runtime.config import BrokerKind, Config, FyersApp
from app.simulator import Exchange, Simulator

_PATIENCE = 10.0  # seconds for one alert: no sender waits for the answer
_STRIKES = 100  # listed on each side, so that options of past weeks are still among them
_fired = itertools.count(1)


class Then:
    """A clock that can be set and runs on from there."""

    def __init__(self, at: datetime) -> None:
        self.put(at)

    def put(self, at: datetime) -> None:
        self._at, self._since = at, time.monotonic()

    def now(self) -> datetime:
        return self._at + timedelta(seconds=time.monotonic() - self._since)

    def monotonic(self) -> float:
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)


@dataclass(frozen=True, slots=True)
class Stage:
    """`live`: the settings are those of real trading, with the simulated account in the broker's place."""

    desk: Desk
    live: bool
    clock: Then
    exchange: Exchange

    def alert(self, asked: Mapping[str, str], fired_at: datetime | None = None) -> Receipt | AlertError:
        """The outcome of an alert with these fields. Each call is a separate alert."""
        fields: dict[str, object] = {**asked, "alert_id": f"rehearsed {next(_fired)}"}
        if fired_at is not None:
            fields["timenow"] = fired_at.isoformat()
        try:
            return execute(parse(fields), self.desk, Deadline(self.clock.monotonic, _PATIENCE), "rehearsal")
        except AlertError as error:
            return error

    def ensure_short(self, symbol: str, quantity: int, product: str) -> None:
        """Completes a short position at the account, without the gateway."""
        rows = [row for row in self.exchange.positions() if row.instrument.symbol == symbol and row.product == product]
        missing = quantity + sum(row.net for row in rows)
        if missing > 0:
            market = {"type": 2, "limitPrice": 0, "stopPrice": 0, "validity": "DAY", "disclosedQty": 0}
            order = {"symbol": symbol, "qty": missing, "side": -1, "productType": product, "offlineOrder": False}
            self.exchange.place(market | order)


@contextmanager
def folder() -> Iterator[Path]:
    """A folder for a rehearsal's files, deleted at the end. Rehearsals of one day may share it, with its master."""
    with tempfile.TemporaryDirectory(prefix="rehearsal-") as name:
        yield Path(name)


def simulated(config: Config, clock: Then) -> Simulator:
    """An account at that moment. Live settings get the exchange's holidays, which its expiries follow."""
    holidays = config.calendar.holidays if config.live else frozenset()
    exchange = Exchange(
        now=clock.now, capital=Decimal(10**9), volatile=False, holidays=holidays, strikes_each_side=_STRIKES
    )
    return Simulator(exchange, accept_any_token=True, rate_limits=False)


@contextmanager
def on_paper(config: Config, at: datetime, place: Path) -> Iterator[Stage]:
    """These settings in paper trading at that moment, with an empty ledger and an account without positions."""
    clock = Then(at)
    with simulated(config, clock) as account:
        fyers = FyersApp("PAPER-200", None, None, None, None, account.api_url, account.data_url)
        paper = replace(config, broker=BrokerKind.PAPER, fyers=fyers)
        with staged(paper, account, clock, place) as stage:
            yield stage


@contextmanager
def staged(config: Config, account: Simulator, clock: Then, place: Path) -> Iterator[Stage]:
    """A desk with these settings that stores nothing and sends no notice."""
    alone = replace(
        config,
        ledger_url=f"sqlite:///{place / f'ledger-{next(_fired)}.db'}",
        symbol_cache=str(place / "symbols"),
        symbol_master_urls=tuple(account.master_urls),
        tokens_bucket=None,
        notification_topic=None,
        notification_urls=(),
    )
    with _silent():
        office = bootstrap(alone, clock)
        with office.resources:
            yield Stage(office.desk, config.live, clock, account.exchange)


def outcome(result: Receipt | AlertError) -> str:
    """`sent`, or what happened instead, with the reason."""
    if isinstance(result, NotNow):
        return f"put off {result.reason}"
    if isinstance(result, AlertError):
        return f"refused {result.reason}"
    return f"put off {result.problem.reason}" if result.problem else outcome_of(result.order)


def outcome_of(order: Order) -> str:
    if order.submitted_at is not None:
        return "rejected by the broker" if order.reason is Reason.BROKER_REJECTED else "sent"
    return f"{order.status.lower()} {order.reason or ''}".strip()


@contextmanager
def _silent() -> Iterator[None]:
    """Keeps a rehearsal out of the log."""
    gateway = logging.getLogger("gateway")
    level = gateway.level
    gateway.setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        gateway.setLevel(level)
