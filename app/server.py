"""The production settings of gunicorn, in one place (`gunicorn -c python:app.server main:app`).

One worker with threads: an alert waits for the network most of its time, and one process shares connections, caches and
the lock on submits. gunicorn itself reads $PORT and $WEB_CONCURRENCY. On SIGTERM Cloud Run gives ten seconds, and
gunicorn's default of thirty would be cut off.
"""

import signal
from types import FrameType
from typing import Any

worker_class = "gthread"
threads = 16
timeout = 30
graceful_timeout = 8
keepalive = 75  # longer than the front end keeps its connections, so that it never meets a closed one
max_requests = 0
accesslog = None
errorlog = "-"
loglevel = "warning"
control_socket_disable = True


def post_worker_init(worker: Any) -> None:
    """On SIGTERM new alerts are answered 503 at once, while those past the gate are finished."""
    finish = signal.getsignal(signal.SIGTERM)

    def stop_claiming(signum: int, frame: FrameType | None) -> None:
        worker.wsgi.extensions["gateway"].closing = True
        if callable(finish):
            finish(signum, frame)

    signal.signal(signal.SIGTERM, stop_claiming)
