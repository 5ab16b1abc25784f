"""The whole gateway in this process: web application, real adapter, HTTP to a simulated account, SQLite, a phone."""

import io
import itertools
import json
import logging
import tempfile
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

from app.adapters.clock import SystemClock
from app.domain.deadline import Deadline
from app.domain.errors import NotNow
from app.domain.notice import Notice
from app.domain.order import Order
from app.flow.desk import Desk
from app.flow.ports import Ledger
from app.flow.reconcile import Report, reconcile
from app.operations.back_office import BackOffice
from app.runtime.bootstrap import bootstrap
from app.runtime.config import Config
from app.runtime.log import JsonLines
from app.simulator import FixtureContract, FixtureExchange, Simulator
from app.web import create_app
from proof.history import (
    BrokerOrder,
    Delivery,
    History,
    Notification,
    broker_orders_of,
    live_orders_of,
    posts_of,
    seen_at,
)

SECRET = "canary-heron-at-the-ford"  # noqa: S105 -- opens nothing; no output may ever hold it
_SETTINGS = {
    "WEBHOOK_SECRET_TOKEN": SECRET,
    "MARKET_HOURS": "always",
    "IP_ALLOWLIST": "off",
    "MAX_ORDERS_PER_DAY": "100000",
    "MAX_LOTS_OPEN": "100000",
    "PACE_CALLS": "no",
    "MAX_ORDERS_PER_SECOND": "0",
    "MAX_ORDERS_PER_MINUTE": "0",
    "MAX_REPEATS": "0",
    "MAX_DAILY_LOSS": "0",
    "MAX_PREMIUM_PER_ORDER": "0",
}
CONTRACT = FixtureContract.of()
_numbers = itertools.count()
_building = threading.Lock()  # routes are compiled, and the compiler of Python 3.11 is not safe for two threads


class MovableClock(SystemClock):
    """The real time plus `ahead`: a proof moves it instead of waiting minutes, or instead of pausing a process."""

    def __init__(self) -> None:
        self.ahead = timedelta()
        self._moves: list[tuple[datetime, timedelta]] = []

    def now(self) -> datetime:
        return super().now() + self.ahead

    def monotonic(self) -> float:
        return super().monotonic() + self.ahead.total_seconds()

    def move(self, seconds: float) -> None:
        self.ahead += timedelta(seconds=seconds)
        self._moves.append((super().now(), self.ahead))

    def seen(self, moment: datetime) -> datetime:
        """What this clock showed at a moment of the real time."""
        aheads = [ahead for since, ahead in self._moves if since <= moment]
        return moment + (aheads[-1] if aheads else timedelta())


class Phone:
    """A notifier that remembers; it can be out of reach."""

    def __init__(self, clock: MovableClock) -> None:
        self.received: list[Notification] = []
        self.works = True
        self._clock = clock

    def send(self, notice: Notice, deadline: Deadline) -> bool:  # noqa: ARG002 -- a list needs no time
        if self.works:
            self.received.append(Notification(self._clock.now(), notice.id, notice.kind, notice.text))
        return self.works


@dataclass(slots=True)
class Gateway:
    """`deliveries` is the sender's log; `desk` may be replaced part by part before the first alert."""

    desk: Desk
    office: BackOffice
    config: Config
    account: Simulator
    clock: MovableClock
    phone: Phone
    deliveries: list[Delivery] = field(default_factory=list)
    _app: Any = None

    def new_app(self) -> Any:
        """The web app over the desk as it is now."""
        return create_app(replace(self.office, desk=self.desk), self.config)

    def deliver(self, name: str, headers: Mapping[str, str] | None = None, **changes: Any) -> Delivery:
        """One alert by that name, as TradingView would send it, and what was answered."""
        if self._app is None:
            with _building:
                self._app = self.new_app()
        sent_at = self.clock.now()
        body = alert(name, **changes)
        reply = self._app.test_client().post("/webhook", data=body, headers=dict(headers or {}), buffered=True)
        delivery = Delivery(name, sent_at, self.clock.now(), reply.status_code, reply.get_json() or {})
        self.deliveries.append(delivery)
        return delivery

    def order(self, name: str) -> Order | None:
        """What the ledger has of the alert by that name."""
        key = next((each.order_key for each in self.deliveries if each.alert == name and each.order_key), None)
        return self.desk.ledger.get(key, self.deadline()) if key else None

    def live(self) -> list[BrokerOrder]:
        """The gateway's orders that the broker took."""
        return live_orders_of(self.account)

    def seen(self) -> Counter[str]:
        """What happened at the broker."""
        return seen_at(self.account)

    def reconcile(self, ahead: float = 0.0, seconds: float = 5.0) -> Report | None:
        """One run, so many seconds later; None where the ledger did not answer."""
        self.clock.move(ahead)
        try:
            return reconcile(self.desk, self.deadline(seconds))
        except NotNow:
            return None

    def deadline(self, seconds: float = 5.0) -> Deadline:
        return Deadline(self.clock.monotonic, seconds)

    def history(self, reconciled: bool = True, **parts: Any) -> History:
        ours = [row for row in broker_orders_of(self.account.exchange) if row.tag.startswith("tv")]
        return History(
            ended_at=self.clock.now(),
            deliveries=self.deliveries,
            posts=[replace(post, at=self.clock.seen(post.at)) for post in posts_of(self.account.log)],
            broker_orders=ours,
            orders=self.desk.ledger.orders(self.deadline()),
            notifications=self.phone.received,
            reconciled=reconciled,
            secrets=(SECRET,),
            slack=0.05,
            **parts,
        )


def alert(name: str, **changes: Any) -> bytes:
    """An entry in the fixture market by an id; a change to None takes a field out."""
    fields: dict[str, Any] = {
        "token": SECRET,
        **CONTRACT.fields(),
        "action": "SELL",
        "alert_id": name,
    }
    return json.dumps({key: value for key, value in (fields | changes).items() if value is not None}).encode()


@contextmanager
def a_workshop(at_once: int) -> Iterator[tuple[Path, ThreadPoolExecutor]]:
    """A folder with a symbol master in it, made once for all gateways there, and threads to run so many at once."""
    with tempfile.TemporaryDirectory() as name, ThreadPoolExecutor(at_once) as pool:
        with a_gateway(Path(name)):
            pass
        yield Path(name), pool


@contextmanager
def a_gateway(folder: Path, around: Callable[[Ledger], Ledger] | None = None, **settings: str) -> Iterator[Gateway]:
    """A gateway with an account and a ledger of its own; `around` puts something around that ledger.

    The symbol master in the folder is shared by all gateways there: it is made once.
    """
    exchange = FixtureExchange(capital=Decimal(10**12))
    with Simulator(exchange, accept_any_token=True, rate_limits=False) as account:
        environ = _SETTINGS | {
            "FYERS_API_URL": account.api_url,
            "FYERS_DATA_URL": account.data_url,
            "SYMBOL_MASTER_URLS": ",".join(account.master_urls),
            "SYMBOL_CACHE": str(folder / "symbols"),
            "LEDGER_URL": f"sqlite:///{folder / f'ledger-{next(_numbers)}.db'}",
        }
        config = Config.from_env(environ | settings)
        office = bootstrap(config)
        desk = office.desk
        clock = MovableClock()
        phone = Phone(clock)
        ledger = around(desk.ledger) if around is not None else desk.ledger
        with office.resources:
            desk = replace(desk, clock=clock, notifier=phone, ledger=ledger)
            yield Gateway(desk, office, config, account, clock, phone)


@contextmanager
def captured_log() -> Iterator[io.StringIO]:
    """All that the product logs meanwhile, as it would stand in the cloud's log."""
    output = io.StringIO()
    sink = logging.StreamHandler(output)
    sink.setFormatter(JsonLines())
    product = logging.getLogger("gateway")
    before = product.level, product.propagate
    product.addHandler(sink)
    product.setLevel(logging.INFO)
    product.propagate = False
    try:
        yield output
    finally:
        product.removeHandler(sink)
        product.setLevel(before[0])
        product.propagate = before[1]
