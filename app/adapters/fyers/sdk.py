"""fyers-apiv3 for its endpoints, headers and fields, with the gateway's transport in place of its own.

The SDK's transport has no time-outs, drops status and headers, turns a lost reply into `{"code": -99}` and keeps one
error object for all threads. Its constructor opens two log files. None of that runs: the model below uses the SDK's
methods alone, and each of their calls ends in `Wire`.

Nor is loaded what only the unused parts need: aiohttp for the asynchronous half, and the base class of the loggers.
These two would take half the time of the service's start.
"""

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from types import ModuleType
from typing import Any

from app.adapters.fyers.json_text import write
from app.adapters.http.transport import MOST_BYTES, Begun, Reply, Transport
from app.domain.deadline import Deadline

_UNUSED = ("aiohttp", "aws_lambda_powertools")


@contextmanager
def _standing_in() -> Iterator[None]:
    """Puts empty modules in place of the unused ones, unless those are loaded already, and removes them afterwards."""
    stand_ins = {name: ModuleType(name) for name in _UNUSED if name not in sys.modules}
    if "aws_lambda_powertools" in stand_ins:
        stand_ins["aws_lambda_powertools"].Logger = object  # type: ignore[attr-defined]  # the SDK's logger derives from it
    sys.modules.update(stand_ins)
    try:
        yield
    finally:
        for name in stand_ins:
            del sys.modules[name]


with _standing_in():
    from fyers_apiv3 import fyersModel

HEADERS = {"Content-Type": "application/json", "version": "3"}  # as the SDK sends them
Config = fyersModel.Config
SessionModel = fyersModel.SessionModel


@dataclass(frozen=True, slots=True)
class Wire:
    """The SDK's service, for one call: where to, and in how much time (seconds). Its methods raise CallFailed.

    They return the Reply, not the SDK's dictionary: an outcome is judged by what was seen on the wire.
    """

    transport: Transport
    api_url: str
    data_url: str
    connect: float
    total: float
    window: Deadline | None = None
    most: int = MOST_BYTES

    def get_call(self, api: str, header: str, data: Mapping[str, str] | None = None, data_flag: bool = False) -> Reply:
        return self._call("GET", api, header, data_flag, params=data)

    def post_call(self, api: str, header: str, data: Any = None, data_flag: bool = False) -> Reply:
        return self._call("POST", api, header, data_flag, body=write(data))

    def patch_call(self, api: str, header: str, data: Any, data_flag: bool = False) -> Reply:
        return self._call("PATCH", api, header, data_flag, body=write(data))

    def delete_call(self, api: str, header: str, data: Any, data_flag: bool = False) -> Reply:
        return self._call("DELETE", api, header, data_flag, body=write(data))

    def _call(
        self,
        method: str,
        api: str,
        header: str,
        data_flag: bool,
        params: Mapping[str, str] | None = None,
        body: bytes | None = None,
    ) -> Reply:
        return self.transport.call(
            method,
            (self.data_url if data_flag else self.api_url) + api,
            headers={"Authorization": header, **HEADERS},
            params=params,
            body=body,
            connect=self.connect,
            total=self.total,
            window=self.window,
            most=self.most,
        )


@dataclass(frozen=True, slots=True)
class BeginningWire(Wire):
    """The same for a read whose reply is read later: its methods return what `Transport.begin` returns."""

    def get_call(  # type: ignore[override]  # the SDK returns what its service returns
        self, api: str, header: str, data: Mapping[str, str] | None = None, data_flag: bool = False
    ) -> Begun | None:
        return self.transport.begin(
            (self.data_url if data_flag else self.api_url) + api,
            headers={"Authorization": header, **HEADERS},
            params=data,
            total=self.total,
            most=self.most,
        )


class Model(fyersModel.FyersModel):  # type: ignore[misc]  # the SDK has no types
    """The SDK's methods, for one call. The SDK's own constructor, which opens log files and a session, never runs."""

    def __init__(self, app_id: str, access_token: str, wire: Wire) -> None:
        self.client_id = app_id
        self.token = access_token
        self.header = f"{app_id}:{access_token}"
        self.is_async = False
        self.service = wire
