"""A simulated account at a fixed instant, and the real SDK pointed at it."""

import http.client
import json
import logging
from decimal import Decimal

import pytest

from app.simulator import Exchange, Simulator
from tests.simulator.fixed_account import APP_ID, CALL, Clock


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def exchange(clock):
    """Quotes stand still; the call that most tests trade is at 165.00 by 165.30."""
    exchange = Exchange(seed=7, now=clock, volatile=False)
    exchange.set_quote(CALL, Decimal("165.15"), Decimal("165.00"), Decimal("165.30"))
    return exchange


@pytest.fixture
def simulator(exchange):
    with Simulator(exchange, rate_limits=False) as running:
        yield running
    assert running.errors == []


@pytest.fixture
def token(simulator):
    return simulator.issue_token(APP_ID)


@pytest.fixture
def ask(simulator, token):
    """One call on a connection of its own: ask(method, path, body=None) -> (status, headers, content)."""

    def ask(method, path, body=None, authorization=f"{APP_ID}:{token}", timeout=5):
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

    def __init__(self, path):
        super().__init__()


@pytest.fixture
def sdk(simulator, monkeypatch):
    """Makes FyersModels that talk to the simulator."""
    from fyers_apiv3 import fyersModel

    monkeypatch.setattr(fyersModel.Config, "API", simulator.api_url)
    monkeypatch.setattr(fyersModel.Config, "DATA_API", simulator.data_url)
    monkeypatch.setattr(logging, "FileHandler", NoFile)
    made = []

    def model(token, app_id=APP_ID):
        made.append(fyersModel.FyersModel(client_id=app_id, token=token))
        return made[-1]

    yield model
    for each in made:
        each.service.session.close()


@pytest.fixture
def client(sdk, token):
    return sdk(token)


@pytest.fixture
def order():
    """The fields of an order: a limit sale of one lot that fills at the bid, unless told otherwise."""

    def order(**changes):
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
