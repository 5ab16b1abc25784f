"""The socket side: a thread a connection, HTTP/1.1 with keep-alive, and the faults that only a socket can show."""

from __future__ import annotations

import http
import selectors
import socket
import socketserver
import struct
import sys
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Protocol
from urllib.parse import parse_qsl, unquote, urlsplit

from app.simulator.faults import Fault, FaultBook, FaultKind
from app.simulator.log import Entry
from app.simulator.wire import Answer, Request, endpoint_of


class Broker(Protocol):
    """What a connection asks of the simulator behind it.

    `latency` is in seconds, added to every answer; `stopping` is set when the simulator stops; `errors` are faults of
    the simulator itself.
    """

    latency: float
    faults: FaultBook
    errors: list[BaseException]
    stopping: threading.Event

    @property
    def base_url(self) -> str: ...

    def open_entry(self, endpoint: str, request: Request) -> Entry:
        """The log's entry for a request that has just arrived."""

    def respond(self, request: Request, fault: Fault | None, entry: Entry) -> Answer:
        """The answer, disguised where a fault says so."""

    def control(self, request: Request) -> Answer:
        """The answer to a request under `/simulator/`."""


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256

    def __init__(self, address: tuple[str, int], broker: Broker) -> None:
        self.broker = broker
        self._guard = threading.Lock()
        self._connections: dict[threading.Thread, socket.socket] = {}
        super().__init__(address, Connection)

    def server_bind(self) -> None:
        """Binds without the host-name lookup of the standard server."""
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = str(self.server_address[0]), int(self.server_address[1])

    def process_request(self, request: Any, client_address: Any) -> None:
        thread = threading.Thread(
            target=self.process_request_thread, args=(request, client_address), name="simulator call", daemon=True
        )
        with self._guard:
            self._connections[thread] = request
        thread.start()

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            with self._guard:
                del self._connections[threading.current_thread()]

    def close_connections(self) -> None:
        with self._guard:
            connections = list(self._connections.items())
        for thread, connection in connections:
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass  # closed already
            thread.join(5)

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ARG002 - the base class's signature
        """A client that closed its connection is no error of the simulator."""
        problem = sys.exc_info()[1]
        if problem is not None and not isinstance(problem, ConnectionError):
            self.broker.errors.append(problem)


class Connection(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # otherwise a separate head and body cost 45 ms a call with keep-alive
    server: Server

    def serve(self) -> None:
        broker = self.server.broker
        request = self._read()
        if request.path.startswith("/simulator/"):
            self._send(broker.control(request))
            return
        endpoint = endpoint_of(request.method, request.path) or "unknown"
        entry = broker.open_entry(endpoint, request)
        taken = broker.faults.take(endpoint)
        fault = next((each for each in taken if each.kind is not FaultKind.LATENCY), None)
        entry.fault = ", ".join(each.kind for each in taken) or None
        self._pause(broker.latency + sum(each.seconds for each in taken if _delays(each, early=True)))
        answer = broker.respond(request, fault, entry)
        self._pause(sum(each.seconds for each in taken if _delays(each, early=False)))
        self._deliver(answer, fault, entry)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = serve  # noqa: N815 - the base class calls them by these names

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's signature
        """Writes nothing: the simulator's own log has every request."""

    def _read(self) -> Request:
        target = urlsplit(self.path)
        length = self.headers.get("Content-Length", "0")
        return Request(
            method=self.command,
            path=unquote(target.path),
            query=dict(parse_qsl(target.query, keep_blank_values=True)),
            body=self.rfile.read(int(length)) if length.isdigit() else b"",
            authorization=self.headers.get("Authorization", ""),
            base_url=self.server.broker.base_url,
        )

    def _deliver(self, answer: Answer, fault: Fault | None, entry: Entry) -> None:
        delivery: dict[FaultKind, Callable[[Answer, Fault], None]] = {
            FaultKind.HANG: self._hang,
            FaultKind.DROP: self._drop,
            FaultKind.RESET: self._reset,
            FaultKind.TRUNCATED: self._truncate,
            FaultKind.DRIP: self._drip,
        }
        special = delivery.get(fault.kind) if fault is not None else None
        if special is None or fault is None:
            entry.answered(answer)
            self._send(answer)
            return
        if fault.kind in (FaultKind.TRUNCATED, FaultKind.DRIP):
            entry.answered(answer)
        self.close_connection = True
        special(answer, fault)

    def _send(self, answer: Answer) -> None:
        self.wfile.write(self._rendered(answer))

    def _rendered(self, answer: Answer) -> bytes:
        body = answer.body
        lines = [f"HTTP/1.1 {answer.status} {_reason(answer.status)}", f"Content-Type: {answer.content_type}"]
        lines += [f"Content-Length: {len(body)}", *(f"{name}: {value}" for name, value in answer.headers.items())]
        if self.close_connection:
            lines.append("Connection: close")
        return "\r\n".join([*lines, "", ""]).encode("latin-1") + body

    def _pause(self, seconds: float) -> None:
        if seconds > 0:
            self.server.broker.stopping.wait(seconds)

    def _hang(self, _: Answer, fault: Fault) -> None:
        """Waits until the client closes the connection, the simulator stops, or the time is over."""
        with selectors.DefaultSelector() as waiting:
            waiting.register(self.connection, selectors.EVENT_READ)
            waiting.select(fault.seconds or None)

    def _drop(self, _: Answer, __: Fault) -> None:
        """The connection closes when this returns."""

    def _reset(self, _: Answer, __: Fault) -> None:
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.rfile.close()
        self.connection.close()

    def _truncate(self, answer: Answer, _: Fault) -> None:
        whole = self._rendered(answer)
        self.wfile.write(whole[: len(whole) - (len(answer.body) + 1) // 2])

    def _drip(self, answer: Answer, fault: Fault) -> None:
        for byte in self._rendered(answer):
            self.wfile.write(bytes((byte,)))
            if self.server.broker.stopping.wait(fault.interval):
                return


def _delays(fault: Fault, *, early: bool) -> bool:
    return fault.kind is FaultKind.LATENCY and fault.takes_effect is not early


def _reason(status: int) -> str:
    try:
        return http.HTTPStatus(status).phrase
    except ValueError:
        return "Unknown"
