"""The production settings of gunicorn, in one place (`gunicorn -c python:app.runtime.server main:app`).

One worker with threads: an alert waits for the network most of its time, and one process shares connections, caches and
the lock on submits. gunicorn itself reads $WEB_CONCURRENCY. After SIGTERM Cloud Run allows ten seconds, less than
gunicorn's default of thirty.
"""

import os
import resource
import signal
from typing import Any

from gunicorn import glogging

from app.runtime import log

# File descriptors kept for everything but senders: the connections to the broker, the ledger and Google, sixteen
# connections that are being closed, and files. In use under load: 40 to 60.
KEPT_DESCRIPTORS = 128
# Each connection may hold 112 KiB until its request is answered: 64 KiB of body, 32 KiB around it and one read of
# 16 KiB. In total that is less than half of 512 MiB.
MOST_CONNECTIONS = 2000


def address(host: str, port: str) -> str:
    """HOST:PORT for gunicorn, with an IPv6 address in brackets."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def connections(descriptors: int) -> int:
    """How many senders may be connected at once. `descriptors` is the process's limit; -1 is no limit."""
    spare = MOST_CONNECTIONS if descriptors < 0 else descriptors - KEPT_DESCRIPTORS
    return max(2 * threads, min(spare, MOST_CONNECTIONS))


bind = address(os.environ.get("HOST", "").strip() or "127.0.0.1", os.environ.get("PORT", "").strip() or "8080")
worker_class = "app.runtime.worker.Worker"
threads = 16
worker_connections = connections(resource.getrlimit(resource.RLIMIT_NOFILE)[0])
timeout = 30
graceful_timeout = 8
keepalive = 75  # seconds; longer than Google's front end keeps its connections, so that it never uses a closed one
max_requests = 0
# A sender's headers about scheme and path are ignored. Nothing needs them, and a contradiction would refuse an alert.
forwarded_allow_ips = ""
accesslog = None
errorlog = "-"
loglevel = "error"  # a warning quotes a line that is not HTTP, and with it any secret in the line
control_socket_disable = True


class Log(glogging.Logger):  # type: ignore[misc]  # gunicorn ships no types
    """gunicorn's own lines (a worker that hung, a start that failed), as JSON lines on standard error."""

    def setup(self, cfg: Any) -> None:
        super().setup(cfg)
        for handler in self.error_log.handlers:
            handler.setFormatter(log.JsonLines())
        if os.environ.get("LOG_TO", "").strip().lower() == "cloud":
            log.relay_to_workers()


logger_class = Log


def when_ready(arbiter: Any) -> None:
    """Makes Ctrl-C and SIGQUIT stop it as SIGTERM does. gunicorn would cut off the requests under way."""
    for number in (signal.SIGINT, signal.SIGQUIT):
        signal.signal(number, lambda _, frame: arbiter.signal(signal.SIGTERM, frame))


def worker_exit(arbiter: Any, worker: Any) -> None:  # noqa: ARG001 - as gunicorn calls it
    log.close()
