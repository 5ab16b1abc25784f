"""One JSON object a line, on standard output or straight to Cloud Logging, in the fields that Cloud Logging reads.

`severity`, `message`, `time`, `httpRequest` and `logging.googleapis.com/…` are special there; the trace links a line to
Cloud Run's own line of the request. A Secret is written as "Secret(…)", and no body is ever passed to the log.
"""

import contextvars
import json
import logging
import sys
import traceback
from contextlib import suppress
from datetime import UTC, datetime
from decimal import Decimal
from functools import partial
from typing import Any, TextIO

request_id: contextvars.ContextVar[str | None] = contextvars.ContextVar("request_id", default=None)
trace: contextvars.ContextVar[str | None] = contextvars.ContextVar("trace", default=None)

_CLOUD = "cloud"  # the name of the handler that sends to Cloud Logging
_GUNICORN = "gunicorn.error"  # gunicorn's logger
_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


class JsonLines(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "severity": record.levelname,
            "message": record.getMessage(),
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(),
            "logger": record.name,
        }
        if (asked := request_id.get()) is not None:
            line["request_id"] = asked
            line["logging.googleapis.com/labels"] = {"request_id": asked}
        if (traced := trace.get()) is not None:
            line["logging.googleapis.com/trace"] = traced
        line |= {name: value for name, value in vars(record).items() if name not in _STANDARD}
        if record.exc_info and record.exc_info[0] is not None:
            line["stack_trace"] = _stack(record.exc_info)
        return _ENCODE(line)


class Console(logging.StreamHandler[TextIO]):
    def handleError(self, record: logging.LogRecord) -> None:  # noqa: ARG002, N802 - as logging calls it
        """A line could not be written. logging's own report would quote the exception under way, secrets and all."""
        with suppress(OSError, ValueError):  # standard error is gone as well
            sys.stderr.write(f"a log line could not be written: {type(sys.exc_info()[1]).__name__}\n")


def configure(level: str, stream: TextIO | None = None, cloud_project: str | None = None) -> None:
    """Writes all lines to standard output or to `stream`. Libraries log from WARNING on.

    With a project its Cloud Logging gets them instead. Standard error then has the lines from ERROR on as well, so that
    these survive a failure of the process or of the API. Call it after a fork; `close` ends it.
    """
    # The lines show none of these, so logging need not look them up.
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    sinks = [Console(stream or sys.stdout)] if cloud_project is None else _cloud_sinks(cloud_project)
    for sink in sinks:
        sink.setFormatter(JsonLines())
    root = logging.getLogger()
    root.handlers[:] = sinks
    root.setLevel(logging.WARNING)
    logging.getLogger("gateway").setLevel(level)
    # requests and urllib3 log full addresses; a notification address may have a token in its path.
    logging.getLogger("urllib3").setLevel(logging.ERROR)
    # Google's clients detach their loggers from the root's handlers, unless these have a level already.
    google = logging.getLogger("google")
    google.setLevel(logging.WARNING)
    google.propagate = True


def close() -> None:
    """Sends the waiting lines to Cloud Logging, within a few seconds. Call it before the process ends.

    atexit is too late: from Python 3.12 on no thread can be started there, and gRPC starts some.
    """
    for sink in logging.getLogger().handlers:
        if sink.name == _CLOUD:
            sink.close()


def relay_to_workers() -> None:
    """Makes the workers forked from now on send gunicorn's lines to Cloud Logging; gunicorn's arbiter calls it."""
    from app.adapters.cloud_logging.sender import Relay

    gunicorn = logging.getLogger(_GUNICORN)
    if not any(isinstance(sink, Relay) for sink in gunicorn.handlers):
        relay = Relay()
        relay.setFormatter(JsonLines())
        gunicorn.addHandler(relay)


def _cloud_sinks(project: str) -> list[logging.Handler]:
    # Loaded here, before the set-up starts a thread: requests and Google's libraries import in circles. If two threads
    # load them at once, one finds half a module and fails.
    from app.adapters.cloud_logging.api import LogApi
    from app.adapters.cloud_logging.sender import CloudLog, Relay

    console = Console(sys.stderr)
    console.setLevel(logging.ERROR)
    relays = (sink.arriving for sink in logging.getLogger(_GUNICORN).handlers if isinstance(sink, Relay))
    cloud = CloudLog(partial(LogApi, project), sys.stderr, next(relays, None))
    cloud.name = _CLOUD
    return [console, cloud]


def _stack(exc_info: Any) -> str:
    """The trace without the texts of foreign exceptions: a library's text may quote a header or an address."""
    kind, error, trail = exc_info
    frames = "".join(traceback.format_tb(trail))
    said = f": {error}" if kind.__module__.startswith("app.") else ""
    return f"Traceback (most recent call last):\n{frames}{kind.__module__}.{kind.__qualname__}{said}"


def _plain(value: object) -> str:
    return f"{value:f}" if isinstance(value, Decimal) else str(value)


_ENCODE = json.JSONEncoder(default=_plain, separators=(",", ":")).encode
