"""The instant, the app and the contract that the tests of the simulator share."""

from collections.abc import Callable
from datetime import datetime, timedelta
from http.client import HTTPMessage
from typing import Any

from fyers_apiv3.fyersModel import FyersModel

from app.simulator.instruments import IST

APP_ID = "APPIDXXXX-200"
CALL = "NSE:NIFTY26NOV26000CE"

# What the fixtures in conftest.py give: the fields of an order, one call over HTTP, and clients of the SDK.
Fields = Callable[..., dict[str, Any]]
Ask = Callable[..., tuple[int, HTTPMessage, Any]]
Sdk = Callable[..., FyersModel]


class Clock:
    """Friday 20-Nov-2026, 10:00 IST, until moved."""

    def __init__(self) -> None:
        self.now = datetime(2026, 11, 20, 10, 0, tzinfo=IST)

    def __call__(self) -> datetime:
        return self.now

    def move(self, **by: Any) -> None:
        self.now += timedelta(**by)
