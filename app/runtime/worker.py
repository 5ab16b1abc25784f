"""gunicorn's threaded worker with three changes: requests arrive whole, none is lost at the end, every wait is bounded.

gunicorn gives a connection to a thread at its first byte, and the thread reads. Sixteen senders that send a byte now
and then would occupy all threads. Here the thread that accepts connections receives head and body, and a request gets a
thread of the pool when all of it has arrived.

When told to stop, gunicorn's worker accepts no new connection. A later one is cut off at the end without an answer, and
TradingView does not send such an alert again. This worker goes on accepting: the app answers 503, and TradingView sends
again.
"""

import errno
import io
import json
import logging
import secrets
import selectors
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from http import HTTPStatus
from types import FrameType
from typing import Any

from gunicorn import util
from gunicorn.http import errors
from gunicorn.workers import gthread

from app.domain.errors import Reason
from app.runtime.arriving import Arriving
from app.runtime.starting import RETRY_AFTER, no_order

log = logging.getLogger("gateway.server")

# Seconds.
REQUEST_ARRIVES = 2.0  # from the connection to its first byte, and from there to the end of the request
ANSWER_LEAVES = 2.0
LINGER = 0.5
PAUSE = 0.01

MOST_AHEAD = 16  # requests in a row that may be sent before the previous answer; then the connection ends
AT_ONCE = 16 * 1024  # bytes of one read; as many may follow a request, and are kept until it is answered
MOST_BODY = 64 * 1024 + 1  # bytes; the one above MAX_BODY_BYTES shows the app that a body is too large
NO_DESCRIPTOR = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)
NO_HTTP = "the request is not valid HTTP/1.1, so it was not read; send one POST with a Content-Length and a JSON body"
TOO_SLOW = f"the request did not arrive whole within {REQUEST_ARRIVES:.0f} s, so nothing was sent; send it again"


class Inbound:
    """A connection's socket for gunicorn: reads return what has arrived, and writes are bounded in time."""

    request: Arriving
    began: float | None  # when the request's first byte was read, monotonic seconds
    ahead = 0  # requests in a row that were sent before the answer to the one before

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock

    def begin(self, ahead: bool) -> None:
        self.request = Arriving(MOST_BODY)
        self.ahead = self.ahead + 1 if ahead else 0
        self.began = None
        self.sock.setblocking(False)

    def arrived(self) -> bytes | None:
        """The bytes that have arrived; None if there are none yet, empty at the end of the connection."""
        try:
            return self.sock.recv(AT_ONCE)
        except (BlockingIOError, InterruptedError):
            return None
        except OSError:
            return b""

    def take(self, said: bytes) -> bool:
        """Whether the request is whole, or never will be."""
        request = self.request
        if said:
            self.began = self.began or time.monotonic()
            request.take(said)
        if request.continues and not request.whole:
            request.continues = False
            self.say(b"HTTP/1.1 100 Continue\r\n\r\n")
        return request.whole or request.broken or not said

    def say(self, words: bytes) -> None:
        """Sends a few bytes if they can leave at once."""
        with suppress(OSError):  # a sender that does not read is not waited for
            self.sock.send(words)

    # -- for gunicorn

    def recv(self, size: int) -> bytes:
        part = bytes(self.request.head[:size])
        del self.request.head[:size]
        return part

    def send(self, words: bytes) -> int:
        """Drops gunicorn's "100 Continue": the body has arrived already."""
        return len(words)

    def sendall(self, words: bytes) -> None:
        try:
            self.sock.sendall(words)
        except TimeoutError:
            raise ConnectionResetError(errno.ECONNRESET, "the answer was not taken in time") from None

    def setblocking(self, blocking: bool) -> None:
        self.sock.settimeout(ANSWER_LEAVES if blocking else 0.0)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.sock, name)


class Worker(gthread.ThreadWorker):  # type: ignore[misc]  # gunicorn ships no types
    """Connections wait in `pending_conns` for a request, oldest first, or in `keepalived_conns` for the next one."""

    wsgi: Any

    def init_process(self) -> None:
        self._closers = ThreadPoolExecutor(self.cfg.threads, thread_name_prefix="close")
        self._lingering = threading.BoundedSemaphore(self.cfg.threads)
        self._no_descriptor = False
        super().init_process()

    def load_wsgi(self) -> None:
        super().load_wsgi()
        self._app = self.wsgi
        self._here = threading.local()
        self.wsgi = self._serve

    # -- a request arrives: in the thread that accepts connections

    def accept(self, listener: Any) -> None:
        try:
            super().accept(listener)
        except OSError as problem:
            if problem.errno not in NO_DESCRIPTOR:
                raise
            self._no_descriptor = True

    def enqueue_req(self, conn: Any) -> None:
        """A request begins: on a new connection, on a kept one, or sent ahead of the previous answer."""
        if not isinstance(conn.sock, Inbound):
            conn.sock = Inbound(conn.sock)
            conn.close = partial(self._close, conn.sock.sock)
            conn.data_ready = True  # gunicorn need not wait for it
        ahead = b"" if conn.parser is None else conn.parser.unreader.take_buffered()
        conn.sock.begin(bool(ahead))
        said = ahead or conn.sock.arrived()
        if said is not None and conn.sock.take(said):
            self._decide(conn)
        else:
            self._wait_for(conn)
            self.poller.register(conn.sock, selectors.EVENT_READ, partial(self.on_pending_socket_readable, conn))

    def on_pending_socket_readable(self, conn: Any, client: Any) -> None:
        said = client.arrived()
        if said is None:
            return
        silent = client.began is None
        if client.take(said):
            self.poller.unregister(client)
            self.pending_conns.remove(conn)
            self._decide(conn)
        elif silent:  # its time runs from the first byte
            self.pending_conns.remove(conn)
            self._wait_for(conn)

    def _wait_for(self, conn: Any) -> None:
        conn.timeout = time.monotonic() + REQUEST_ARRIVES
        self.pending_conns.append(conn)

    def _decide(self, conn: Any) -> None:
        """Gives a whole request a thread, and ends the connection of a broken one."""
        if conn.sock.request.whole:
            super().enqueue_req(conn)
        elif conn.sock.began is None:
            self._leave(conn)
        else:
            self._leave(conn, _refusal(400, Reason.MALFORMED, NO_HTTP))

    def _leave(self, conn: Any, answer: bytes = b"") -> None:
        self.nr_conns -= 1
        if answer:
            conn.sock.say(answer)
        conn.close(graceful=bool(answer))

    def murder_pending(self) -> None:
        """Ends connections whose time is up. A sender of a part is answered 503: TradingView sends again."""
        now = time.monotonic()
        while self.pending_conns and self.pending_conns[0].timeout <= now:
            conn = self.pending_conns.popleft()
            self.poller.unregister(conn.sock)
            if conn.sock.began is None:
                self._leave(conn)
            elif conn.sock.request.names_no_version:
                self._leave(conn, _refusal(400, Reason.MALFORMED, NO_HTTP))
            else:
                self._leave(conn, _refusal(503, Reason.OUT_OF_TIME, TOO_SLOW))

    def wait_for_and_dispatch_events(self, timeout: float) -> None:
        if self.pending_conns:
            timeout = min(timeout, max(0.0, self.pending_conns[0].timeout - time.monotonic()))
        super().wait_for_and_dispatch_events(timeout)
        self._make_room()

    def _make_room(self) -> None:
        """At the limit of connections, ends the one that has waited longest; a kept one only if there is no other."""
        if not self._no_descriptor and self.nr_conns < self.worker_connections:
            return
        for waiting in (self.pending_conns, self.keepalived_conns):
            if waiting:
                conn = waiting.popleft()
                self.poller.unregister(conn.sock)
                self._leave(conn)
                break
        else:
            time.sleep(PAUSE if self._no_descriptor else 0.0)  # the next accept would fail at once
        self._no_descriptor = False

    # -- and is answered: in a thread of the pool

    def handle(self, conn: Any) -> Any:
        self._here.conn = conn
        kept = super().handle(conn)
        self._here.conn = None
        if kept:
            conn.parser.unreader.unread(conn.sock.request.behind)  # gunicorn looks there for a request sent ahead
        return kept

    def _serve(self, environ: dict[str, Any], start_response: Any) -> Any:
        """Calls the app. `gateway.arrived` is the request's arrival in monotonic seconds; the call may come much later.

        The body is passed as it arrived. gunicorn has read only the head, and finds nothing after it to drain.
        """
        inbound, parser = self._here.conn.sock, self._here.conn.parser
        environ["gateway.arrived"] = inbound.began
        environ["wsgi.input"] = io.BytesIO(inbound.request.body)
        inbound.request.body.clear()  # a kept connection does not hold it
        if inbound.request.last or inbound.ahead >= MOST_AHEAD:
            parser.mesg.force_close()
        parser.mesg = None
        return self._app(environ, start_response)

    def handle_error(self, req: Any, client: Any, addr: Any, exc: BaseException) -> None:  # noqa: ARG002 - gunicorn's
        """For requests that gunicorn's stricter parser refuses. gunicorn's own answer would quote them."""
        own_faults = (errors.ConfigurationProblem, errors.InvalidResponseHeader, errors.InvalidResponseHeaderName)
        if isinstance(exc, errors.ParseException) and not isinstance(exc, own_faults):
            answer = _refusal(400, Reason.MALFORMED, NO_HTTP)
        else:
            log.error("a request failed unexpectedly", exc_info=exc)
            answer = _refusal(500, Reason.INTERNAL)
        with suppress(OSError):  # the sender has gone
            client.sendall(answer)

    # -- the end

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """SIGTERM."""
        self._stop_claiming()
        super().handle_exit(sig, frame)

    handle_quit = handle_exit  # SIGQUIT and SIGINT; gunicorn's handler cuts off the requests under way

    def is_parent_alive(self) -> bool:
        """Ends the worker, as after SIGTERM, if gunicorn's arbiter has gone."""
        if not super().is_parent_alive():
            self._stop_claiming()
            self.alive = False
        return bool(self.alive)

    def set_accept_enabled(self, enabled: bool) -> None:
        super().set_accept_enabled(enabled or not self.alive)
        if not self.alive:
            self.wait_for_and_dispatch_events(0)  # the connections in the queue are accepted and answered

    def _close(self, sock: socket.socket, graceful: bool = False) -> None:
        """Closes in a thread of its own. gunicorn lingers up to two seconds, in the thread that accepts all others."""
        if graceful and self._lingering.acquire(blocking=False):
            self._closers.submit(self._linger, sock)
        else:
            util.close(sock)

    def _linger(self, sock: socket.socket) -> None:
        try:
            sock.setblocking(True)
            util.close_graceful(sock, LINGER)
        finally:
            self._lingering.release()

    def _stop_claiming(self) -> None:
        if hasattr(self, "_app"):  # a signal during the start comes before there is one
            self._app.stop_claiming()


def _refusal(status: int, reason: Reason, message: str | None = None) -> bytes:
    """The bytes of an answer in the form of every other error. It ends the connection."""
    request_id = secrets.token_hex(8)
    said = no_order(reason, request_id, message)
    log.warning("a request was refused", extra={"http": status, "reason": reason, "why": said["message"]})
    body = json.dumps(said).encode()
    head = [
        f"HTTP/1.1 {status} {HTTPStatus(status).phrase}",
        "Content-Type: application/json",
        "Cache-Control: no-store",
        "Connection: close",
        f"Content-Length: {len(body)}",
        f"X-Request-Id: {request_id}",
        *([f"Retry-After: {RETRY_AFTER}"] if status == 503 else []),
    ]
    return "\r\n".join(head).encode() + b"\r\n\r\n" + body
