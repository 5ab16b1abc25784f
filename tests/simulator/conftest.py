"""A simulated account at a fixed instant, and the real SDK pointed at it."""

import http.client
import json
import logging
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest
from fyers_apiv3.fyersModel import FyersModel

from app.simulator import Exchange, Simulator
from tests.simulator.fixed_account import APP_ID, CALL, Ask, Clock, Fields, Sdk


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def exchange(clock: Clock) -> Exchange:
    """Quotes stand still; the call that most tests trade is at 165.00 by 165.30."""
    exchange = Exchange(seed=7, now=clock, volatile=False)
    exchange.set_quote(CALL, Decimal("165.15"), Decimal("165.00"), Decimal("165.30"))
    return exchange


@pytest.fixture
def simulator(exchange: Exchange) -> Iterator[Simulator]:
    with Simulator(exchange, rate_limits=False) as running:
        yield running
    assert running.errors == []


@pytest.fixture
def token(simulator: Simulator) -> str:
    return simulator.issue_token(APP_ID)


@pytest.fixture
def ask(simulator: Simulator, token: str) -> Ask:
    """One call on a connection of its own: ask(method, path, body=None) -> (status, headers, content)."""

    def ask(
        method: str, path: str, body: Any = None, authorization: str = f"{APP_ID}:{token}", timeout: float = 5
    ) -> tuple[int, http.client.HTTPMessage, Any]:
        connection = http.client.HTTPConnection("127.0.0.1", simulator.port, timeout=timeout)
        try:
            text = body if isinstance(body, str | None) else json.dumps(body)
            connection.request(method, path, text, {"Authorization": authorization})
            response = connection.getresponse()
            raw = response.read()
        finally:
            connection.close()
        is_json = response.headers.get("Content-Type") == "application/json" and raw
        return response.status, response.headers, json.loads(raw) if is_json else raw.decode()

    return ask


class NoFile(logging.NullHandler):
    """In the place of the log files that every FyersModel opens and never closes."""

    def __init__(self, path: str) -> None:
        super().__init__()


@pytest.fixture
def sdk(simulator: Simulator, monkeypatch: pytest.MonkeyPatch) -> Iterator[Sdk]:
    """Makes FyersModels that talk to the simulator."""
    from fyers_apiv3 import fyersModel

    monkeypatch.setattr(fyersModel.Config, "API", simulator.api_url)
    monkeypatch.setattr(fyersModel.Config, "DATA_API", simulator.data_url)
    monkeypatch.setattr(logging, "FileHandler", NoFile)
    made = []

    def model(token: str, app_id: str = APP_ID) -> FyersModel:
        made.append(fyersModel.FyersModel(client_id=app_id, token=token))
        return made[-1]

    yield model
    for each in made:
        each.service.session.close()


@pytest.fixture
def client(sdk: Sdk, token: str) -> FyersModel:
    return sdk(token)


@pytest.fixture
def order() -> Fields:
    """The fields of an order: a limit sale of one lot that fills at the bid, unless told otherwise."""

    def order(**changes: Any) -> dict[str, Any]:
        fields = {
            "symbol": CALL,
            "qty": 65,
            "type": 1,
            "side": -1,
            "productType": "INTRADAY",
            "limitPrice": 165,
            "stopPrice": 0,
            "validity": "DAY",
            "disclosedQty": 0,
            "offlineOrder": False,
        }
        return {**fields, **changes}

    return order
