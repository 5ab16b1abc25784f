"""The floor: the least that a service can do which makes the same calls to the same broker with the same client.

A bare WSGI app under the gateway's own gunicorn settings. For one POST it asks for quote and positions side by side and
places one order, through a pool of urllib3; with CLIENT=gateway through the gateway's own transport, to show what that
alone is worth. It checks nothing, knows nothing and writes nothing down.
"""

import json
import os
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from urllib3 import PoolManager, Timeout

TIMES = Timeout(connect=0.25, read=0.7)  # seconds
HEADERS = {"Authorization": "PAPER-200:paper", "Content-Type": "application/json", "version": "3"}


class Urllib3:
    """A pool, and a thread for what goes on beside."""

    def __init__(self) -> None:
        self._pools = PoolManager(maxsize=32, block=True, retries=False)
        self._readers = ThreadPoolExecutor(32)

    def read_both(self, quotes: str, symbol: str, positions: str) -> None:
        quote = self._readers.submit(self._get, quotes, {"symbols": symbol})
        self._get(positions)
        quote.result()

    def place(self, url: str, body: bytes) -> Any:
        return self._pools.request("POST", url, body=body, headers=HEADERS, timeout=TIMES).json()

    def _get(self, url: str, params: dict[str, str] | None = None) -> Any:
        return self._pools.request("GET", url, fields=params, headers=HEADERS, timeout=TIMES).json()


class GatewayClient:
    """The gateway's transport, which asks for both before it waits for either."""

    def __init__(self) -> None:
        from app.adapters.http.transport import Transport

        self._transport = Transport()

    def read_both(self, quotes: str, symbol: str, positions: str) -> None:
        begun = self._transport.begin(quotes, headers=HEADERS, params={"symbols": symbol}, total=0.7)
        self._call("GET", positions)
        if begun is None:
            self._call("GET", quotes, params={"symbols": symbol})
        else:
            json.loads(begun.reply().body)

    def place(self, url: str, body: bytes) -> Any:
        return self._call("POST", url, body=body)

    def _call(self, method: str, url: str, **what: Any) -> Any:
        return json.loads(self._transport.call(method, url, headers=HEADERS, connect=0.25, total=0.7, **what).body)


class Floor:
    def __init__(self, api_url: str, data_url: str, order: dict[str, Any], client: Urllib3 | GatewayClient) -> None:
        self._positions, self._place = f"{api_url}/positions", f"{api_url}/orders/sync"
        self._quotes, self._order = f"{data_url}/quotes", order
        self._client = client

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        answer = b"{}"
        if environ["REQUEST_METHOD"] == "POST":
            environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"]))
            answer = json.dumps(self.execute()).encode()
        length = str(len(answer))
        start_response("200 OK", [("Content-Type", "application/json"), ("Content-Length", length)])
        return [answer]

    def execute(self) -> Any:
        """The calls of one entry."""
        self._client.read_both(self._quotes, self._order["symbol"], self._positions)
        return self._client.place(self._place, json.dumps(self._order).encode())

    def stop_claiming(self) -> None:
        """Told by app.runtime.server on SIGTERM; what comes after it is answered all the same."""


def application() -> Floor:
    """For `gunicorn bench.floor:application()`."""
    client = GatewayClient() if os.environ.get("CLIENT") == "gateway" else Urllib3()
    return Floor(os.environ["FYERS_API_URL"], os.environ["FYERS_DATA_URL"], json.loads(os.environ["ORDER"]), client)
