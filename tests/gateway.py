"""The whole gateway in one process, against a simulated account: real app, adapters, SQLite, HTTP to the broker."""

import itertools
import json
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from app.adapters.clock import SystemClock
from app.domain.calendar import IST
from app.domain.deadline import Deadline
from app.domain.instrument import Instrument
from app.flow.desk import Desk
from app.flow.ports import Clock
from app.operations.back_office import BackOffice
from app.runtime.bootstrap import bootstrap
from app.runtime.config import Config
from app.simulator import FixtureContract, FixtureExchange, Simulator
from app.web import create_app

SECRET = "a-webhook-secret-for-tests"
OPERATOR = "an-operator-token-for-tests"

CONTRACT = FixtureContract.of()  # what the usual alert asks for

_fired = itertools.count()


class Standing(SystemClock):
    """A wall clock that stands at a moment until it is moved; monotonic time runs."""

    def __init__(self, moment: datetime) -> None:
        self.moment = moment

    def now(self) -> datetime:
        return self.moment


class Answer(TestResponse):
    """What a route answered. `json` fails where the answer has none."""

    @property
    def json(self) -> Any:
        return self.get_json()


@dataclass(slots=True)
class Gateway:
    office: BackOffice
    account: Simulator
    app: Flask
    settings: dict[str, str]

    @property
    def desk(self) -> Desk:
        return self.office.desk

    def send(self, body: bytes | None = None, headers: dict[str, str] | None = None, **fields: Any) -> Answer:
        """Posts an alert: the one given as bytes, or the usual entry with some fields changed."""
        body = alert(**fields) if body is None else body
        return self._opened("/webhook", method="POST", data=body, headers=headers or {}, buffered=True)

    def operate(self, method: str, path: str, document: Any = None, token: str | None = OPERATOR) -> Answer:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        return self._opened(path, method=method, json=document, headers=headers)

    def _opened(self, path: str, **request: Any) -> Answer:
        answer = FlaskClient(self.app, Answer).open(path, **request)
        assert isinstance(answer, Answer)
        return answer

    def live_orders(self) -> list[Any]:
        """The orders at the broker that are not protective legs and were not rejected."""
        rows = [row for row in self.account.exchange.orders() if not row.parent_id]
        return [row for row in rows if row.status != 5]

    def deadline(self, seconds: float = 5.0) -> Deadline:
        return Deadline(self.desk.clock.monotonic, seconds)


def alert(**changes: Any) -> bytes:
    """An entry in the fixture market with an id of its own; a field set to None is left out."""
    fields: dict[str, Any] = {
        "token": SECRET,
        **CONTRACT.fields(),
        "action": "SELL",
        "alert_id": f"alert-{next(_fired)}",
        "timenow": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
    }
    fields |= changes
    return json.dumps({name: value for name, value in fields.items() if value is not None}).encode()


def listed(gate: Gateway, strike: int = 26000) -> Instrument:
    """The contract of the usual alert, or its neighbour at another strike, as the gateway knows it."""
    contract = gate.desk.symbols.lookup_symbol(replace(CONTRACT, strike=Decimal(strike)).symbol)
    assert contract is not None
    return contract


def closed_hours() -> str:
    """MARKET_HOURS of one minute that is half a day away, whenever this runs."""
    hour = (datetime.now(IST).hour + 12) % 24
    return f"{hour:02}:00-{hour:02}:01"


@contextmanager
def gateway(
    folder: Path, account: Simulator | None = None, clock: Clock | None = None, **settings: str
) -> Iterator[Gateway]:
    """A gateway with its files in a folder; settings are environment variables, the clock is the real one."""
    with ExitStack() as stack:
        if account is None:
            exchange = FixtureExchange(capital=Decimal(100_000_000))
            account = stack.enter_context(Simulator(exchange, accept_any_token=True, rate_limits=False))
        environ = {
            "WEBHOOK_SECRET_TOKEN": SECRET,
            "OPERATOR_TOKEN": OPERATOR,
            "FYERS_API_URL": account.api_url,
            "FYERS_DATA_URL": account.data_url,
            "SYMBOL_MASTER_URLS": ",".join(account.master_urls),
            "SYMBOL_CACHE": str(folder / "symbols"),
            "LEDGER_URL": f"sqlite:///{folder / 'ledger.db'}",
            "MARKET_HOURS": "always",
            "IP_ALLOWLIST": "off",
            "TRUSTED_PROXIES": "1",  # a sender's address is the one that X-Forwarded-For ends in, as on Cloud Run
            "PACE_CALLS": "no",
            "MAX_ORDERS_PER_SECOND": "0",
            "MAX_ORDERS_PER_MINUTE": "0",
            "MAX_REPEATS": "0",
            "MAX_LOTS_OPEN": "20",
            "MAX_ORDERS_PER_DAY": "200",
            "MAX_PREMIUM_PER_ORDER": "0",
            "MAX_DAILY_LOSS": "25000",
            "ALLOWED_PRODUCTS": "INTRADAY,MARGIN",
        } | settings
        config = Config.from_env(environ)
        office = bootstrap(config, clock)
        stack.enter_context(office.resources)
        yield Gateway(office, account, create_app(office, config), environ)
