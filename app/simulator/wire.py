"""The broker's HTTP shapes: endpoints, requests, answers, error envelopes. No sockets, no account.

Here one port serves `/api/v3`, `/data` and the symbol masters, which are different hosts at the broker.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from app.simulator.masters import MASTERS
from app.simulator.orders import Order
from app.simulator.rules import Refused

API, DATA = "/api/v3", "/data"
JSON_TYPE, HTML_TYPE = "application/json", "text/html; charset=UTF-8"

ENDPOINTS: dict[tuple[str, str], str] = {
    ("POST", f"{API}/orders/sync"): "place",
    ("PATCH", f"{API}/orders/sync"): "modify",
    ("DELETE", f"{API}/orders/sync"): "cancel",
    ("GET", f"{API}/orders"): "orders",
    ("POST", f"{API}/multi-order/sync"): "place-multi",
    ("PATCH", f"{API}/multi-order/sync"): "modify-multi",
    ("DELETE", f"{API}/multi-order/sync"): "cancel-multi",
    ("POST", f"{API}/multiorder/margin"): "margin",
    ("GET", f"{API}/positions"): "positions",
    ("DELETE", f"{API}/positions"): "exit",
    ("PATCH", f"{API}/positions"): "attach",
    ("GET", f"{API}/tradebook"): "tradebook",
    ("GET", f"{API}/funds"): "funds",
    ("GET", f"{API}/profile"): "profile",
    ("POST", f"{API}/logout"): "logout",
    ("GET", f"{API}/generate-authcode"): "generate-authcode",
    ("POST", f"{API}/validate-authcode"): "validate-authcode",
    ("POST", f"{API}/validate-refresh-token"): "validate-refresh-token",
    ("GET", f"{DATA}/quotes"): "quotes",
    ("GET", f"{DATA}/depth"): "depth",
    ("GET", f"{DATA}/marketStatus"): "marketStatus",
    ("GET", f"{DATA}/options-chain-v3"): "options-chain",
    **{("GET", path): "master" for path in MASTERS},
}
_CANCEL_PATH = re.compile(rf"{API}/orders/([^/]+)/sync")


@dataclass(slots=True)
class Request:
    """One HTTP request. Faults set the last three fields."""

    method: str
    path: str
    query: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    authorization: str = ""
    base_url: str = ""
    reject: str | None = None
    hide_seconds: float = 0.0
    keep_rows: int | None = None

    def json(self) -> Any:
        """The body, its numbers exact. Raises Refused where it is no JSON."""
        try:
            return json.loads(self.body, parse_float=Decimal)
        except ValueError:
            raise Refused("Invalid JSON in request body") from None


@dataclass(slots=True)
class Answer:
    """One HTTP answer. `orders` are those that the request brought into the book."""

    status: int
    content: Any
    headers: dict[str, str] = field(default_factory=dict)
    content_type: str = JSON_TYPE
    orders: tuple[Order, ...] = ()
    _body: bytes | None = None

    @property
    def body(self) -> bytes:
        """The content on the wire: bytes and text as they are, anything else as JSON."""
        if self._body is None:
            text = self.content if isinstance(self.content, str | bytes) else json.dumps(self.content)
            self._body = text if isinstance(text, bytes) else text.encode()
        return self._body


def error(code: int, message: str, status: int = 400, **headers: str) -> Answer:
    """The broker's error envelope."""
    return Answer(status, {"code": code, "message": message, "s": "error"}, headers)


def ok(**fields: Any) -> Answer:
    return Answer(200, {"s": "ok", "code": 200, "message": "", **fields})


def endpoint_of(method: str, path: str) -> str | None:
    """The short name that faults and the log use; None where nothing is served."""
    name = ENDPOINTS.get((method, path))
    return "cancel" if name is None and method == "DELETE" and cancel_id(path) else name


def cancel_id(path: str) -> str | None:
    """The order id in the other documented form, DELETE /orders/{id}/sync."""
    in_path = _CANCEL_PATH.fullmatch(path)
    return in_path[1] if in_path else None


_TOKEN_MESSAGES = {
    -8: "Your token has expired. Please generate a new token",
    -15: "Please provide valid token",
    -16: "Token is Invalid or Expired",
    -17: "Token is Invalid or Expired",
}


def token_message(code: int) -> str:
    """The broker's message for an invalid token."""
    return _TOKEN_MESSAGES.get(code, "Token is Invalid or Expired")


def token_refusal(code: int) -> Answer:
    """401 with one of the codes -8, -15, -16, -17."""
    return error(code, token_message(code), 401)


def app_refusal(app_id: str) -> Answer:
    """The answer to every order of an app without algo activation, or from an address that is not registered."""
    text = f"Request rejected: Order placement restricted. Algo orders are not allowed from this app {app_id}"
    return error(-50, text)


def json_object(request: Request) -> dict[str, Any]:
    """The body as an object. Raises Refused for anything else."""
    payload = request.json()
    if not isinstance(payload, dict):
        raise Refused("Invalid input")
    return payload


def page(status: int) -> Answer:
    """A page like those of the proxy in front of the broker."""
    titles = {
        200: "Just a moment...",
        403: "Attention Required! | Cloudflare",
        429: "Too Many Requests",
        502: "Bad gateway",
        504: "Gateway time-out",
    }
    name = titles.get(status, "Service Unavailable")
    text = f"<!DOCTYPE html><html><head><title>{name}</title></head><body><h1>{status} {name}</h1></body></html>"
    return Answer(status, text, content_type=HTML_TYPE)
