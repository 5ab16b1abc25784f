"""The simulator on a socket: HTTP/1.1 with keep-alive on loopback, faults, and a log of what really happened."""

from __future__ import annotations

import json
import threading
from dataclasses import asdict
from datetime import datetime
from decimal import Decimal
from types import TracebackType
from typing import Any, Self

from app.simulator.api import Api
from app.simulator.exchange import Exchange
from app.simulator.faults import Fault, FaultBook, FaultKind, disguise, prepare, read_faults
from app.simulator.http_server import Server
from app.simulator.limits import RateLimits
from app.simulator.log import Entry, RequestLog
from app.simulator.sessions import Terms
from app.simulator.wire import API, DATA, Answer, Request, error


class Simulator:
    """A broker on loopback.

    exchange: the account, a new one by default; port: 0 picks a free one; latency: seconds added to every answer.
    rate_limits: True for the documented ones, False for none, or RateLimits. The other arguments are those of Terms.
    Use it as a context manager, or call start and stop. After stop it can be started again on the same port.
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
        self.errors: list[BaseException] = []  # faults of the simulator itself; empty unless it is broken
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
        self._log = RequestLog()

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
        """Closes the port and every connection, hanging ones at once. Safe to call twice."""
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
        """An access token for this app, as a login would give: for the account holder, or for another account."""
        return self.api.sessions.issue_token(app_id, client_id)

    def issue_auth_code(self, app_id: str | None = None, client_id: str | None = None) -> str:
        """An auth code for this app, as the login page would give: for the account holder, or for another account."""
        return self.api.sessions.issue_auth_code(app_id, client_id)

    def kill_token(self, token: str | None = None, code: int = -16) -> None:
        """From now on this token, or every token known so far, gets 401 with `code`."""
        self.api.sessions.kill_token(token, code)

    def fault(self, endpoint: str, fault: Fault) -> None:
        """Arms a fault for an endpoint by its short name (the values of wire.ENDPOINTS), or `*` for all."""
        self.faults.arm(endpoint, fault)

    def clear_faults(self) -> None:
        self.faults.clear()

    @property
    def log(self) -> list[Entry]:
        """Every request so far, oldest first, those still unanswered included."""
        return self._log.entries()

    def clear_log(self) -> None:
        self._log.clear()

    # -- one request

    def open_entry(self, endpoint: str, request: Request) -> Entry:
        """The log's entry for a request that has just arrived."""
        account = self.api.sessions.account_of(request) if request.authorization else None
        return self._log.open(endpoint, request, account)

    def respond(self, request: Request, fault: Fault | None, entry: Entry) -> Answer:
        """The broker's answer, disguised where a fault says so. The entry notes what the request did to the account."""
        answer = Answer(200, "")
        if fault is None or fault.takes_effect:
            if fault is not None:
                prepare(fault, request)
            answer = self.api.respond(request)
            if fault is not None and fault.kind is FaultKind.REJECT_LATER:
                self._reject(answer, fault)
            entry.processed(answer)
        return answer if fault is None else disguise(fault, answer, request)

    def _reject(self, answer: Answer, fault: Fault) -> None:
        for order in answer.orders:
            if order.is_open:
                self.exchange.reject(order.id, fault.message or "17182 Price beyond the mark-up")

    def control(self, request: Request) -> Answer:
        """`/simulator/…`: faults, log and quotes for callers in other processes."""
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


def _plain(value: object) -> str:
    return value.isoformat() if isinstance(value, datetime) else str(value)
