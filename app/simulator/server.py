"""The simulator on a socket: HTTP/1.1 with keep-alive on loopback, faults, and a log of what really happened."""

from __future__ import annotations

import json
import threading
from collections import deque
from dataclasses import asdict, dataclass
from datetime import datetime
from decimal import Decimal
from types import TracebackType
from typing import Any, Self

from app.simulator.api import Api
from app.simulator.exchange import Exchange
from app.simulator.faults import Fault, FaultBook, FaultKind, disguise, prepare, read_faults
from app.simulator.http_server import Server
from app.simulator.instruments import utc_now
from app.simulator.limits import RateLimits
from app.simulator.orders import Status
from app.simulator.sessions import Terms
from app.simulator.wire import API, DATA, Answer, Request, error

_KEPT_ANSWER = 4096  # longer answers are not kept in the log
_KEPT_ENTRIES = 100_000
_LOGIN = {"generate-authcode", "validate-authcode", "validate-refresh-token"}  # their bodies are secrets


@dataclass(slots=True)
class Entry:
    """Ground truth about one request. Times are UTC. Tokens, and what login calls carry, are never kept.

    orders: ids that the request brought into the book; live: one of them was taken by the exchange.
    account: whose token the request bore, None where it bore none.
    status and answer stay None where nothing was answered; `fault` is the kind that hit.
    """

    number: int
    at: datetime
    endpoint: str
    method: str
    path: str
    query: dict[str, str]
    body: Any
    account: str | None = None
    fault: str | None = None
    orders: tuple[str, ...] = ()
    live: bool = False
    status: int | None = None
    answer: Any = None
    answered_at: datetime | None = None


class Simulator:
    """A running broker on loopback.

    exchange: the account, a new one by default; port 0 picks a free one; latency: seconds added to every answer.
    rate_limits: True for the documented ones, False for none, or your own. The remaining arguments are those of Terms.
    Use it as a context manager, or call start and stop; after stop it can be started again on the same port.
    """

    def __init__(  # noqa: PLR0913 -- each is a way of Fyers' that a test may switch
        self,
        exchange: Exchange | None = None,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        latency: float = 0.0,
        rate_limits: bool | RateLimits = True,
        app_id: str | None = None,
        secret_id: str | None = None,
        redirect_uri: str | None = None,
        accept_any_token: bool = False,
        algo_orders: bool | None = None,
        refresh_tokens: bool = False,
        pin: str | None = None,
        reject_status: int = 200,
    ) -> None:
        self.exchange = exchange or Exchange()
        self.latency = latency
        self.errors: list[BaseException] = []  # faults of the simulator itself: always empty, unless it is broken
        self.stopping = threading.Event()
        self.api = Api(
            self.exchange,
            Terms(
                app_id=app_id,
                secret_id=secret_id,
                redirect_uri=redirect_uri,
                accept_any_token=accept_any_token,
                algo_orders=algo_orders,
                refresh_tokens=refresh_tokens,
                pin=pin,
                reject_status=reject_status,
            ),
            RateLimits() if rate_limits is True else rate_limits or None,
        )
        self.faults = FaultBook(self.exchange.seed)
        self._address = host, port
        self._server: Server | None = None
        self._thread: threading.Thread | None = None
        self._log: deque[Entry] = deque(maxlen=_KEPT_ENTRIES)
        self._log_lock = threading.Lock()
        self._requests = 0

    # -- running

    def start(self) -> Self:
        if self._server is not None:
            raise RuntimeError("the simulator is already running")
        self.stopping.clear()
        self._server = Server(self._address, self)
        self._address = self._address[0], self._server.server_port
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), name="simulator", daemon=True)
        self._thread.start()
        return self

    def stop(self) -> None:
        """Close every connection, hanging ones at once, and the port. Safe to call twice."""
        server, self._server = self._server, None
        if server is None or self._thread is None:
            return
        self.stopping.set()
        server.shutdown()
        self._thread.join()
        server.server_close()
        server.close_connections()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def port(self) -> int:
        return self._address[1]

    @property
    def base_url(self) -> str:
        return f"http://{self._address[0]}:{self._address[1]}"

    @property
    def api_url(self) -> str:
        """For FYERS_API_URL."""
        return self.base_url + API

    @property
    def data_url(self) -> str:
        """For FYERS_DATA_URL."""
        return self.base_url + DATA

    @property
    def master_urls(self) -> list[str]:
        """For SYMBOL_MASTER_URLS."""
        return [f"{self.base_url}/sym_details/{name}_FO.csv" for name in ("NSE", "BSE")]

    # -- by hand

    def issue_token(self, app_id: str | None = None, client_id: str | None = None) -> str:
        """An access token for this app, as a login would give: the account holder's, or that of another account."""
        return self.api.sessions.issue_token(app_id, client_id)

    def issue_auth_code(self, app_id: str | None = None, client_id: str | None = None) -> str:
        """An auth code for this app, as the login page would hand back, likewise."""
        return self.api.sessions.issue_auth_code(app_id, client_id)

    def kill_token(self, token: str | None = None, code: int = -16) -> None:
        """Every token known so far, or this one, answers 401 with `code` from now on."""
        self.api.sessions.kill_token(token, code)

    def fault(self, endpoint: str, fault: Fault) -> None:
        """Arm a fault for an endpoint by its short name (the values of wire.ENDPOINTS), or `*` for all."""
        self.faults.arm(endpoint, fault)

    def clear_faults(self) -> None:
        self.faults.clear()

    @property
    def log(self) -> list[Entry]:
        """Every request so far, oldest first, those still unanswered included."""
        with self._log_lock:
            return list(self._log)

    def clear_log(self) -> None:
        with self._log_lock:
            self._log.clear()

    # -- one request

    def open_entry(self, endpoint: str, request: Request) -> Entry:
        with self._log_lock:
            self._requests += 1
            secret = endpoint in _LOGIN
            body, query = (None, {}) if secret else (_readable(request.body), request.query)
            who = self.api.sessions.account_of(request) if request.authorization else None
            entry = Entry(self._requests, utc_now(), endpoint, request.method, request.path, query, body, who)
            self._log.append(entry)
            return entry

    def respond(self, request: Request, fault: Fault | None, entry: Entry) -> Answer:
        """The broker's own answer, disguised where a fault says so; the log learns what became of it."""
        answer = Answer(200, "")
        if fault is None or fault.takes_effect:
            if fault is not None:
                prepare(fault, request)
            answer = self.api.respond(request)
            if fault is not None and fault.kind is FaultKind.REJECT_LATER:
                self._reject(answer, fault)
            entry.orders = tuple(order.id for order in answer.orders)
            entry.live = any(order.status is not Status.REJECTED for order in answer.orders)
        return answer if fault is None else disguise(fault, answer, request)

    def _reject(self, answer: Answer, fault: Fault) -> None:
        for order in answer.orders:
            if order.is_open:
                self.exchange.reject(order.id, fault.message or "17182 Price beyond the mark-up")

    def note(self, answer: Answer, entry: Entry) -> None:
        """Put down what is about to be answered."""
        entry.status = answer.status
        kept = entry.endpoint not in _LOGIN and len(answer.body) <= _KEPT_ANSWER
        entry.answer = answer.content if kept else None
        entry.answered_at = utc_now()

    def control(self, request: Request) -> Answer:
        """`/simulator/…`: faults, log and quotes for whoever is not in this process."""
        try:
            match request.method, request.path:
                case "POST", "/simulator/faults":
                    for endpoint, fault in read_faults(request.body.decode()):
                        self.fault(endpoint, fault)
                    return Answer(200, {"faults": self.faults.listed()})
                case "GET", "/simulator/faults":
                    return Answer(200, {"faults": self.faults.listed()})
                case "DELETE", "/simulator/faults":
                    self.clear_faults()
                    return Answer(200, {"faults": []})
                case "GET", "/simulator/log":
                    return Answer(200, json.dumps({"log": [asdict(entry) for entry in self.log]}, default=_plain))
                case "POST", "/simulator/quote":
                    self._set_quote(json.loads(request.body, parse_float=Decimal))
                    return Answer(200, {"s": "ok"})
        except (ValueError, KeyError, TypeError, ArithmeticError) as wrong:
            return error(400, str(wrong))
        return error(404, "Not found", 404)

    def _set_quote(self, wanted: dict[str, Any]) -> None:
        prices = {name: Decimal(str(wanted[name])) for name in ("ltp", "bid", "ask") if wanted.get(name) is not None}
        if "ltp" not in prices:
            raise ValueError("a quote needs symbol and ltp, and may have bid and ask")
        self.exchange.set_quote(wanted["symbol"], **prices)


def _readable(body: bytes) -> Any:
    try:
        return json.loads(body) if body else None
    except ValueError:
        return body.decode(errors="replace")


def _plain(value: object) -> str:
    return value.isoformat() if isinstance(value, datetime) else str(value)
