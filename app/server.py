"""The production settings of gunicorn, in one place (`gunicorn -c python:app.server main:app`), and its worker.

One worker with threads: an alert waits for the network most of its time, and one process shares connections, caches and
the lock on submits. gunicorn itself reads $PORT and $WEB_CONCURRENCY. On SIGTERM Cloud Run gives ten seconds, and
gunicorn's default of thirty would be cut off.
"""

import errno
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from types import FrameType
from typing import Any

from gunicorn import glogging, util  # type: ignore[import-untyped]  # gunicorn ships no types
from gunicorn.workers import gthread  # type: ignore[import-untyped]

from app.log import JsonLines

worker_class = "app.server.Worker"
threads = 16
timeout = 30
graceful_timeout = 8
keepalive = 75  # longer than the front end keeps its connections, so that it never meets a closed one
max_requests = 0
accesslog = None
errorlog = "-"
loglevel = "error"  # its warnings repeat lines that are no HTTP, and with them whatever secret stood there
control_socket_disable = True

# Seconds. A sender that is slow, silent or never hangs up may hold a thread for no longer: sixteen would hold them all.
SAYS_SOMETHING = 0.1
REQUEST_ARRIVES = 2.0
LINGER = 0.5
gthread.DEFAULT_WORKER_DATA_TIMEOUT = SAYS_SOMETHING  # by default 5 s; afterwards a connection waits without a thread


class Log(glogging.Logger):  # type: ignore[misc]  # gunicorn ships no types
    """What gunicorn says by itself (a worker that hung, a start that failed), in the form of all other lines."""

    def setup(self, cfg: Any) -> None:
        super().setup(cfg)
        for handler in self.error_log.handlers:
            handler.setFormatter(JsonLines())


logger_class = Log


class _Patience:
    """A connection whose request has to be here in time, head and body, however it drips."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.until = 0.0

    def recv(self, size: int) -> bytes:
        self.sock.settimeout(max(self.until - time.monotonic(), 0.001))  # what is here already is taken all the same
        try:
            return self.sock.recv(size)
        except TimeoutError:
            raise ConnectionResetError(errno.ECONNRESET, "the request did not arrive in time") from None
        finally:
            self.sock.settimeout(None)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.sock, name)


class Worker(gthread.ThreadWorker):  # type: ignore[misc]  # gunicorn ships no types
    """gunicorn's threaded worker, which loses no alert when it stops and tells the app how long a request has waited.

    Told to stop, gunicorn's own takes no new connection: one that comes all the same stands in the socket's queue,
    hears nothing, and is cut off in the end. TradingView never sends such an alert again. This one goes on taking them
    while it finishes others, and the app answers 503, after which TradingView does.
    """

    wsgi: Any

    def init_process(self) -> None:
        self._closers = ThreadPoolExecutor(threads, thread_name_prefix="close")
        self._lingering = threading.BoundedSemaphore(threads)
        super().init_process()

    def load_wsgi(self) -> None:
        super().load_wsgi()
        self._app = self.wsgi
        self._here = threading.local()
        self.wsgi = self._serve

    def _serve(self, environ: dict[str, Any], start_response: Any) -> Any:
        """`gateway.arrived` (monotonic seconds) is when the request came; a thread may have taken it up much later."""
        environ["gateway.arrived"] = self._here.since
        return self._app(environ, start_response)

    def enqueue_req(self, conn: Any) -> None:
        if not isinstance(conn.sock, _Patience):
            conn.sock = _Patience(conn.sock)
            conn.close = partial(self._close, conn.sock.sock)
        conn.since = time.monotonic()
        super().enqueue_req(conn)

    def handle(self, conn: Any) -> Any:
        """In a thread of the pool. A new connection whose request is not here yet has not waited for one."""
        conn.sock.until = time.monotonic() + SAYS_SOMETHING + REQUEST_ARRIVES
        waited = conn.initialized or conn.wait_for_data(0)
        self._here.since = conn.since if waited else None
        return super().handle(conn)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """SIGTERM."""
        self._stop_claiming()
        super().handle_exit(sig, frame)

    def is_parent_alive(self) -> bool:
        """Without gunicorn's arbiter a worker ends, as after SIGTERM."""
        if not super().is_parent_alive():
            self._stop_claiming()
            self.alive = False
        return bool(self.alive)

    def set_accept_enabled(self, enabled: bool) -> None:
        super().set_accept_enabled(enabled or not self.alive)
        if not self.alive:
            self.wait_for_and_dispatch_events(0)  # who stands in the queue by now is taken and answered

    def _close(self, sock: socket.socket, graceful: bool = False) -> None:
        """gunicorn lingers on a connection that it closes, up to two seconds, in the thread that takes all others."""
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
        app = getattr(self, "_app", None)  # there is none yet where the signal comes during the start
        if app is not None:
            app.stop_claiming()
