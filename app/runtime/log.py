"""One JSON object a line on standard output, in the fields that Cloud Logging reads.

`severity`, `message`, `time`, `httpRequest` and what begins with `logging.googleapis.com/` are its special fields (the
trace ties a line to Cloud Run's own line of the request); everything given as `extra` stands beside them. A Secret
shows as "Secret(…)" and nothing here ever sees a body.
"""

import contextvars
import json
import logging
import sys
import traceback
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, TextIO

request_id: contextvars.ContextVar[str | None] = contextvars.ContextVar("request_id", default=None)
trace: contextvars.ContextVar[str | None] = contextvars.ContextVar("trace", default=None)

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


def configure(level: str, stream: TextIO | None = None) -> None:
    """Sends everything to standard output as JSON lines. Libraries speak up from WARNING on."""
    # What logging would find out for each line, and nothing here shows.
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    sink = logging.StreamHandler(stream or sys.stdout)
    sink.setFormatter(JsonLines())
    root = logging.getLogger()
    root.handlers[:] = [sink]
    root.setLevel(logging.WARNING)
    logging.getLogger("gateway").setLevel(level)
    # requests and urllib3 name full addresses; a notification address may hold a token in its path.
    logging.getLogger("urllib3").setLevel(logging.ERROR)
    # Google's clients keep their loggers from the root's handlers, unless somebody has given these a level.
    google = logging.getLogger("google")
    google.setLevel(logging.WARNING)
    google.propagate = True


def _stack(exc_info: Any) -> str:
    """Where it went wrong, without what the exceptions say: a library's text may quote a header or an address."""
    kind, error, trail = exc_info
    frames = "".join(traceback.format_tb(trail))
    said = f": {error}" if kind.__module__.startswith("app.") else ""
    return f"Traceback (most recent call last):\n{frames}{kind.__module__}.{kind.__qualname__}{said}"


def _plain(value: object) -> str:
    return f"{value:f}" if isinstance(value, Decimal) else str(value)


_ENCODE = json.JSONEncoder(default=_plain, separators=(",", ":")).encode
