"""One JSON object a line on standard output, in the fields that Cloud Logging reads.

`severity`, `message`, `time`, `httpRequest` and the fields that begin with `logging.googleapis.com/` are special there.
The trace links a line to Cloud Run's own line of the request. The fields of `extra` stand beside them. A Secret is
written as "Secret(…)", and no body is ever passed to the log.
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
    """Sends everything to standard output as JSON lines. Libraries log from WARNING on."""
    # The lines show none of these, so logging need not look them up.
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    sink = logging.StreamHandler(stream or sys.stdout)
    sink.setFormatter(JsonLines())
    root = logging.getLogger()
    root.handlers[:] = [sink]
    root.setLevel(logging.WARNING)
    logging.getLogger("gateway").setLevel(level)
    # requests and urllib3 log full addresses; a notification address may have a token in its path.
    logging.getLogger("urllib3").setLevel(logging.ERROR)
    # Google's clients detach their loggers from the root's handlers, unless these have a level already.
    google = logging.getLogger("google")
    google.setLevel(logging.WARNING)
    google.propagate = True


def _stack(exc_info: Any) -> str:
    """The trace without the texts of foreign exceptions: a library's text may quote a header or an address."""
    kind, error, trail = exc_info
    frames = "".join(traceback.format_tb(trail))
    said = f": {error}" if kind.__module__.startswith("app.") else ""
    return f"Traceback (most recent call last):\n{frames}{kind.__module__}.{kind.__qualname__}{said}"


def _plain(value: object) -> str:
    return f"{value:f}" if isinstance(value, Decimal) else str(value)


_ENCODE = json.JSONEncoder(default=_plain, separators=(",", ":")).encode
