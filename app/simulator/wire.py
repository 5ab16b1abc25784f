"""The broker's HTTP API without sockets: a request goes in, an answer comes out.

Hosts `/api/v3` and `/data` share one port here, and so do the symbol masters. Where the documents leave an HTTP status
or a wording open, the choice is a constant or a field of `Terms`, with a comment.
"""

from __future__ import annotations

import hashlib
import html
import json
import re
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any
from urllib.parse import urlencode

from app.simulator import rows
from app.simulator.exchange import Exchange
from app.simulator.instruments import CASH, DERIVATIVES, EXCHANGE_CODE, Instrument
from app.simulator.limits import RateLimiter, RateLimits, retry_headers
from app.simulator.masters import MASTERS
from app.simulator.orders import Order, Status
from app.simulator.rules import Refused
from app.simulator.tokens import Mint

API, DATA = "/api/v3", "/data"
JSON_TYPE, HTML_TYPE = "application/json", "text/html; charset=UTF-8"
MOST_QUOTES = 50
_APP_ID = re.compile(r"[A-Za-z0-9]+(-\d+)?")

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
_OPEN = {"generate-authcode", "validate-authcode", "validate-refresh-token", "master"}
_TRANSACTIONAL = {"place", "modify", "cancel", "place-multi", "modify-multi", "cancel-multi", "exit", "attach"}
_ORDER_LIMITED = {"place", "modify", "cancel"}
_CANCEL_PATH = re.compile(rf"{API}/orders/([^/]+)/sync")


@dataclass(frozen=True, slots=True)
class Terms:
    """What the broker's side is set up with.

    app_id, secret_id: None accepts any app; redirect_uri: None accepts any.
    accept_any_token: True takes every `<app>:<token>` that has not been killed.
    algo_orders: whether apps may trade; None decides by the suffix: `-100` may not.
    refresh_tokens: False refuses them all, as since 1-Apr-2026.
    reject_status: the HTTP status of a -99 with an id, which no document tells.
    """

    app_id: str | None = None
    secret_id: str | None = None
    redirect_uri: str | None = None
    accept_any_token: bool = False
    algo_orders: bool | None = None
    refresh_tokens: bool = False
    pin: str | None = None
    reject_status: int = 200


@dataclass(slots=True)
class Request:
    """One HTTP request; the last three are set by faults."""

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
        """The body with its numbers exact; Refused when it is not JSON."""
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

    @property
    def body(self) -> bytes:
        if isinstance(self.content, bytes):
            return self.content
        return self.content.encode() if isinstance(self.content, str) else json.dumps(self.content).encode()


def error(code: int, message: str, status: int = 400, **headers: str) -> Answer:
    """The broker's error envelope."""
    return Answer(status, {"code": code, "message": message, "s": "error"}, headers)


def ok(**fields: Any) -> Answer:
    return Answer(200, {"s": "ok", "code": 200, "message": "", **fields})


def endpoint_of(method: str, path: str) -> str | None:
    """The short name that faults and the log use; None where nothing is served."""
    name = ENDPOINTS.get((method, path))
    return "cancel" if name is None and method == "DELETE" and _CANCEL_PATH.fullmatch(path) else name


class Api:
    """Answers requests for one exchange account."""

    def __init__(self, exchange: Exchange, terms: Terms, limits: RateLimits | None) -> None:
        self.exchange = exchange
        self.terms = terms
        self.mint = Mint(exchange.seed, exchange.client_id)
        self._limiter = RateLimiter(limits) if limits else None
        self._lock = threading.Lock()
        self._dead: dict[str, tuple[int, str]] = {}
        self._known: set[str] = set()
        self._used_codes: set[str] = set()
        self._masters: dict[tuple[str, object], bytes] = {}
        self._serve: dict[str, Callable[[Request], Answer]] = {
            "place": self._place,
            "modify": self._modify,
            "cancel": self._cancel,
            "orders": self._orders,
            "place-multi": lambda request: self._multi(request, self._place_one),
            "modify-multi": lambda request: self._multi(request, self._modify_one),
            "cancel-multi": lambda request: self._multi(request, self._cancel_one),
            "margin": self._margin,
            "positions": self._positions,
            "exit": self._exit,
            "attach": self._attach,
            "tradebook": self._tradebook,
            "funds": self._funds,
            "profile": self._profile,
            "logout": self._logout,
            "generate-authcode": self._generate_authcode,
            "validate-authcode": self._validate_authcode,
            "validate-refresh-token": self._validate_refresh_token,
            "quotes": self._quotes,
            "depth": self._depth,
            "marketStatus": self._market_status,
            "options-chain": self._options_chain,
            "master": self._master,
        }

    def respond(self, request: Request) -> Answer:
        """What the broker answers when nothing goes wrong on its side."""
        endpoint = endpoint_of(request.method, request.path)
        if endpoint is None:
            return error(-50, "Not found", 404)
        if endpoint not in _OPEN:
            stopped = self._unauthorised(request) or self._over_limit(endpoint) or self._app_refused(request, endpoint)
            if stopped:
                return stopped
        try:
            return self._serve[endpoint](request)
        except Refused as refused:
            return error(refused.code, refused.message, refused.status)

    # -- tokens

    def issue_token(self, app_id: str | None = None) -> str:
        """An access token valid until the coming 06:00 IST."""
        token = self.mint.access_token(app_id or self.terms.app_id or "SIMULATED-200", self.exchange.market.now())
        self._known.add(token)
        return token

    def issue_auth_code(self, app_id: str | None = None) -> str:
        """What the login page hands back; good once."""
        return self.mint.auth_code(app_id or self.terms.app_id or "SIMULATED-200", self.exchange.market.now())

    def kill_token(self, token: str | None = None, code: int = -16) -> None:
        """Make one token, or all known so far, dead: calls with it answer 401 with this code."""
        with self._lock:
            for dying in [token] if token else list(self._known):
                self._dead[dying] = code, _TOKEN_MESSAGES.get(code, "Token is Invalid or Expired")

    def _unauthorised(self, request: Request) -> Answer | None:
        data_host = request.path.startswith(DATA)
        stranger = error(-15, "Please provide valid token", 401) if data_host else error(-16, COULD_NOT, 401)
        app_id, _, token = request.authorization.partition(":")
        if not token or not _APP_ID.fullmatch(app_id) or self.terms.app_id not in (None, app_id):
            return stranger
        if token in self._dead:
            return error(*self._dead[token], 401)
        if not self.terms.accept_any_token:
            claims = self.mint.read(token)
            if not claims or claims.get("sub") != "access_token" or claims.get("at_hash") != self.mint.app_hash(app_id):
                return stranger
            if claims["exp"] <= self.exchange.market.now().timestamp():
                return error(-8, _TOKEN_MESSAGES[-8], 401)
        self._known.add(token)
        return None

    def _over_limit(self, endpoint: str) -> Answer | None:
        wait = self._limiter.wait(is_order=endpoint in _ORDER_LIMITED) if self._limiter else 0.0
        return error(-429, "Request limit reached", 429, **retry_headers(wait)) if wait else None

    def _app_refused(self, request: Request, endpoint: str) -> Answer | None:
        if endpoint not in _TRANSACTIONAL:
            return None
        app_id = request.authorization.partition(":")[0]
        allowed = self.terms.algo_orders if self.terms.algo_orders is not None else not app_id.endswith("-100")
        return None if allowed else app_refusal(app_id)

    # -- orders

    def _place(self, request: Request) -> Answer:
        payload = _object(request)
        if payload.get("isSliceOrder") is True:
            orders = self.exchange.place_slices(payload)
            content = [_child(self._placed(order), "OK") for order in orders]
            body = {"code": 1101, "message": "Order Slice placed successfully", "data": content}
            return Answer(200, body, orders=tuple(orders))
        return self._placed(self.exchange.place(payload, reject=request.reject))

    def _place_one(self, payload: Mapping[str, Any]) -> Answer:
        return self._placed(self.exchange.place(payload))

    def _placed(self, order: Order) -> Answer:
        if order.status is Status.REJECTED:
            body = {"code": -99, "s": "error", "message": order.message, "id": order.id}
            return Answer(self.terms.reject_status, body, orders=(order,))
        message = f"Order submitted successfully. Your Order Ref. No.{order.id}"
        return Answer(200, {"s": "ok", "code": 1101, "message": message, "id": order.id}, orders=(order,))

    def _modify(self, request: Request) -> Answer:
        return self._modify_one(_object(request))

    def _modify_one(self, payload: Mapping[str, Any]) -> Answer:
        order = self.exchange.modify(payload)
        return Answer(200, {"s": "ok", "code": 1102, "message": "Successfully modified order", "id": order.id})

    def _cancel(self, request: Request) -> Answer:
        in_path = _CANCEL_PATH.fullmatch(request.path)
        return self._cancel_one({"id": in_path[1]} if in_path else _object(request))

    def _cancel_one(self, payload: Mapping[str, Any]) -> Answer:
        order = self.exchange.cancel(payload.get("id"))
        return Answer(200, {"s": "ok", "code": 1103, "message": "Successfully cancelled order", "id": order.id})

    def _multi(self, request: Request, each: Callable[[Mapping[str, Any]], Answer]) -> Answer:
        payloads = request.json()
        if not isinstance(payloads, list) or not 1 <= len(payloads) <= 10:
            raise Refused("Between 1 and 10 orders are allowed")
        answers = [_attempt(each, payload) for payload in payloads]
        data = [_child(answer, "HTTP OK" if answer.status == 200 else "400 Bad Request") for answer in answers]
        orders = tuple(order for answer in answers for order in answer.orders)
        return Answer(200, {"s": "ok", "code": 200, "message": "", "data": data}, orders=orders)

    def _orders(self, request: Request) -> Answer:
        ids, tag = request.query.get("id"), request.query.get("order_tag")
        with self.exchange.lock:
            found = (
                self.exchange.find_orders(ids.split(",") if ids else (), tag) if ids or tag else self.exchange.orders()
            )
            if request.hide_seconds:
                oldest = time.monotonic() - request.hide_seconds
                found = [order for order in found if order.created <= oldest]
            found = found[: request.keep_rows]
            return ok(orderBook=[rows.order_row(self.exchange, order, order.number) for order in found])

    def _margin(self, request: Request) -> Answer:
        payload = _object(request)
        if not isinstance(payload.get("data"), list):
            raise Refused("data should be a list of orders")
        total, together = self.exchange.margin(payload)
        amounts = {"margin_avail": self.exchange.available(), "margin_total": total, "margin_new_order": together}
        return ok(data={name: rows.number(round(amount, 2)) for name, amount in amounts.items()})

    # -- the account

    def _positions(self, _: Request) -> Answer:
        with self.exchange.lock:
            held = self.exchange.positions()
            net = [rows.position_row(self.exchange, position, serial) for serial, position in enumerate(held, 1)]
        return ok(netPositions=net, overall=rows.overall_row(net))

    def _exit(self, request: Request) -> Answer:
        before = len(self.exchange.orders())
        closed = self.exchange.exit(_object(request))
        orders = tuple(self.exchange.orders()[before:])
        code, message = (200, "The position is closed.") if closed else (201, "The exit order is placed.")
        return Answer(200, {"s": "ok", "code": code, "message": message}, orders=orders)

    def _attach(self, request: Request) -> Answer:
        position = self.exchange.attach(_object(request))
        reference = rows.reference(f"{position.id}{len(self.exchange.orders())}")
        body = {"code": 1102, "message": "Successfully modified order", "s": "ok", "id_fyers": reference}
        return Answer(200, body)

    def _tradebook(self, request: Request) -> Answer:
        tag = request.query.get("order_tag")
        trades = self.exchange.trades()
        chosen = [trade for trade in trades if tag is None or trade.order.tag == tag]
        return ok(tradeBook=[rows.trade_row(self.exchange, trade, serial) for serial, trade in enumerate(chosen, 1)])

    def _funds(self, _: Request) -> Answer:
        with self.exchange.lock:
            self.exchange.refresh()
            return ok(fund_limit=rows.fund_rows(self.exchange))

    def _profile(self, _: Request) -> Answer:
        return ok(data=rows.profile(self.exchange.client_id))

    # -- login

    def _logout(self, request: Request) -> Answer:
        self.kill_token(request.authorization.partition(":")[2])
        return Answer(200, {"s": "ok", "code": 200, "message": "you are successfully logged out"})

    def _generate_authcode(self, request: Request) -> Answer:
        """The login page. Whoever opens it is the account holder: it sends the browser back at once."""
        query = request.query
        app_id, back = query.get("client_id", ""), query.get("redirect_uri", "")
        if not _APP_ID.fullmatch(app_id) or self.terms.app_id not in (None, app_id):
            return error(-352, "invalid app id")
        if not back or self.terms.redirect_uri not in (None, back):
            return error(-50, "invalid redirect uri")
        answered = {"s": "ok", "code": "200", "auth_code": self.issue_auth_code(app_id)}
        if "state" in query:
            answered["state"] = query["state"]
        location = f"{back}{'&' if '?' in back else '?'}{urlencode(answered)}"
        page = f'<!doctype html><title>Login</title><a href="{html.escape(location)}">Continue</a>'
        return Answer(302, page, {"Location": location}, HTML_TYPE)

    def _validate_authcode(self, request: Request) -> Answer:
        payload = _object(request)
        self._check_hash(payload, "authorization_code")
        code = payload.get("code")
        if not isinstance(code, str) or not code:
            raise Refused("auth code is missing", -374)
        claims, now = self.mint.read(code), self.exchange.market.now()
        with self._lock:
            fresh = claims and claims.get("sub") == "auth_code" and code not in self._used_codes
            if not claims or not fresh or claims["exp"] <= now.timestamp():
                raise Refused("invalid auth code", -437)
            self._used_codes.add(code)
        app_id = str(claims["app_id"])
        return ok(access_token=self.issue_token(app_id), refresh_token=self.mint.refresh_token(app_id, now))

    def _validate_refresh_token(self, request: Request) -> Answer:
        payload = _object(request)
        token = payload.get("refresh_token")
        claims = self.mint.read(token) if self.terms.refresh_tokens and isinstance(token, str) else None
        alive = (
            claims and claims.get("sub") == "refresh_token" and claims["exp"] > self.exchange.market.now().timestamp()
        )
        if not alive or not payload.get("pin") or self.terms.pin not in (None, payload["pin"]):
            raise Refused("Please provide valid refresh token", -501)
        self._check_hash(payload, "refresh_token")
        return ok(access_token=self.issue_token())

    def _check_hash(self, payload: Mapping[str, Any], grant: str) -> None:
        if payload.get("grant_type") != grant:
            raise Refused("invalid grant type")
        app_id, secret = self.terms.app_id, self.terms.secret_id
        if app_id and secret:
            expected = hashlib.sha256(f"{app_id}:{secret}".encode()).hexdigest()
            if payload.get("appIdHash") != expected:
                raise Refused("invalid app id hash", -371)

    # -- market data

    def _quotes(self, request: Request) -> Answer:
        symbols = [symbol for symbol in request.query.get("symbols", "").split(",") if symbol]
        if not 1 <= len(symbols) <= MOST_QUOTES:
            raise Refused(f"Between 1 and {MOST_QUOTES} symbols are allowed")
        with self.exchange.lock:
            self.exchange.refresh()
            return ok(d=[rows.quote_row(self.exchange, symbol) for symbol in symbols])

    def _depth(self, request: Request) -> Answer:
        with self.exchange.lock:
            self.exchange.refresh()
            instrument = self._listed(request.query.get("symbol", ""))
            return ok(d={instrument.symbol: rows.depth_row(self.exchange, instrument)})

    def _market_status(self, _: Request) -> Answer:
        status = "OPEN" if self.exchange.market_is_open() else "CLOSED"
        segments = [(exchange, segment) for exchange in EXCHANGE_CODE.values() for segment in (CASH, DERIVATIVES)]
        listed = [
            {"exchange": exchange, "segment": segment, "market_type": "NORMAL", "status": status}
            for exchange, segment in segments
        ]
        return ok(marketStatus=listed)

    def _options_chain(self, request: Request) -> Answer:
        with self.exchange.lock:
            self.exchange.refresh()
            instrument = self._listed(request.query.get("symbol", ""))
            count = request.query.get("strikecount", "5")
            return ok(
                data=self._chain(instrument, int(count) if count.isdigit() else 5, request.query.get("timestamp"))
            )

    def _chain(self, underlying: Instrument, count: int, timestamp: str | None) -> dict[str, Any]:
        options = [option for option in self.exchange.market.listing.series(underlying.underlying) if option.is_option]
        flags = {option.expiry_epoch: option for option in options}
        wanted = int(timestamp) if timestamp and timestamp.isdigit() else min(flags)
        spot = self.exchange.market.quote(underlying).ltp
        strikes = sorted({option.strike for option in options if option.strike}, key=lambda strike: abs(strike - spot))
        near = set(strikes[: 2 * count + 1])
        chain = [option for option in options if option.expiry_epoch == wanted and option.strike in near]
        dates = [
            {"date": f"{option.expiry:%d-%m-%Y}", "expiry": str(epoch), "expiry_flag": option.expiry_flag}
            for epoch, option in sorted(flags.items())
        ]
        rated = [rows.chain_row(self.exchange, instrument) for instrument in (underlying, *chain)]
        return {"expiryData": dates, "optionsChain": rated, "callOi": _oi(rated, "CE"), "putOi": _oi(rated, "PE")}

    def _listed(self, symbol: str) -> Instrument:
        instrument = self.exchange.market.find(symbol)
        if instrument is None:
            raise Refused("Please provide a valid symbol", -300)
        return instrument

    def _master(self, request: Request) -> Answer:
        with self.exchange.lock:
            self.exchange.refresh()
            key = request.path, self.exchange.market.listing.day
            if key not in self._masters:
                self._masters[key] = MASTERS[request.path](self.exchange.market)
            kind = JSON_TYPE if request.path.endswith("json") else "text/csv"
            return Answer(200, self._masters[key], content_type=kind)


COULD_NOT = "Could not authenticate the user"
_TOKEN_MESSAGES = {
    -8: "Your token has expired. Please generate a new token",
    -15: "Please provide valid token",
    -16: "Token is Invalid or Expired",
    -17: "Token is Invalid or Expired",
}


def token_refusal(code: int) -> Answer:
    """401 with one of the codes -8, -15, -16, -17."""
    return error(code, _TOKEN_MESSAGES.get(code, "Token is Invalid or Expired"), 401)


def app_refusal(app_id: str) -> Answer:
    """What an app without the algo activation or from an unknown address gets for every order."""
    text = f"Request rejected: Order placement restricted. Algo orders are not allowed from this app {app_id}"
    return error(-50, text)


def _object(request: Request) -> dict[str, Any]:
    payload = request.json()
    if not isinstance(payload, dict):
        raise Refused("Invalid input")
    return payload


def _attempt(each: Callable[[Mapping[str, Any]], Answer], payload: object) -> Answer:
    try:
        return each(payload) if isinstance(payload, dict) else error(-50, "Invalid input")
    except Refused as refused:
        return Answer(400, {"s": "error", "code": refused.code, "message": refused.message, "id": ""})


def _child(answer: Answer, description: str) -> dict[str, Any]:
    return {"statusCode": answer.status, "body": answer.content, "statusDescription": description}


def _oi(chain: list[dict[str, Any]], option_type: str) -> int:
    return sum(row["oi"] for row in chain if row["option_type"] == option_type)
