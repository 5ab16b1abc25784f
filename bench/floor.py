"""The floor: the least that a service can do which makes the same calls to the same broker with the same client.

A bare WSGI app under the gateway's own gunicorn settings. For one POST it asks for quote and positions side by side and
places one order, through urllib3 as the gateway does. It checks nothing, knows nothing and writes nothing down.
"""

import json
import os
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from urllib3 import PoolManager, Timeout

TIMES = Timeout(connect=0.25, read=0.7)  # seconds
HEADERS = {"Authorization": "PAPER-200:paper", "Content-Type": "application/json", "version": "3"}


class Floor:
    def __init__(self, api_url: str, data_url: str, order: dict[str, Any]) -> None:
        self._positions, self._place = f"{api_url}/positions", f"{api_url}/orders/sync"
        self._quotes, self._order = f"{data_url}/quotes", order
        self._pools = PoolManager(maxsize=32, block=True, retries=False)
        self._readers = ThreadPoolExecutor(32)

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
        quote = self._readers.submit(self._get, self._quotes, {"symbols": self._order["symbol"]})
        self._get(self._positions)
        quote.result()
        body = json.dumps(self._order)
        return self._pools.request("POST", self._place, body=body, headers=HEADERS, timeout=TIMES).json()

    def stop_claiming(self) -> None:
        """Told by app.server on SIGTERM; what comes after it is answered all the same."""

    def close(self) -> None:
        self._readers.shutdown()
        self._pools.clear()

    def _get(self, url: str, params: dict[str, str] | None = None) -> Any:
        return self._pools.request("GET", url, fields=params, headers=HEADERS, timeout=TIMES).json()


def application() -> Floor:
    """For `gunicorn bench.floor:application()`."""
    return Floor(os.environ["FYERS_API_URL"], os.environ["FYERS_DATA_URL"], json.loads(os.environ["ORDER"]))
