"""One call of Cloud Logging's API. Importing this loads Google's client, in 0.2 s.

The generated client is used, and none of the library's handlers (google-cloud-logging 3.17.0). The thread of its
BackgroundThreadTransport cannot be bounded: the queue has no limit, a call may take 60 s and is repeated for as long,
`flush` waits without an end, lines that failed are dropped uncounted, and none are sent once the main thread has ended.
CloudLoggingHandler asks the metadata server when it is made, and reads a request's headers in the request's own thread.
"""

import json
import os
from collections.abc import Sequence
from typing import Any

# google.auth would load these two later, in the sender's thread (see log.py).
import google.auth.compute_engine
import google.oauth2.credentials  # noqa: F401
from google.api_core.exceptions import InvalidArgument
from google.cloud.logging_v2.services.logging_service_v2 import LoggingServiceV2Client
from google.cloud.logging_v2.services.logging_service_v2.transports import LoggingServiceV2GrpcTransport
from google.cloud.logging_v2.types import LogEntry, WriteLogEntriesRequest
from google.protobuf.json_format import ParseError

from app.adapters.cloud_logging.sender import Line
from app.adapters.grpc_channel import open_channel

LOG = "gateway"
# A line's special fields, and where an entry has them; Cloud Run does the same with standard output.
_FIELDS = {
    "severity": "severity",
    "time": "timestamp",
    "httpRequest": "httpRequest",
    "logging.googleapis.com/trace": "trace",
    "logging.googleapis.com/labels": "labels",
}


class LogApi:
    """Implements `sender.Api` for one project. LOGGING_EMULATOR_HOST is honoured, for tests: Google has no emulator.

    To be made after a fork. Raises DefaultCredentialsError where there are none.
    """

    def __init__(self, project: str) -> None:
        self._about = {"log_name": f"projects/{project}/logs/{LOG}", "resource": {"type": "global"}}
        self._channel, _ = open_channel(LoggingServiceV2GrpcTransport, os.environ.get("LOGGING_EMULATOR_HOST"))
        self._client = LoggingServiceV2Client(transport=LoggingServiceV2GrpcTransport(channel=self._channel))

    def write(self, lines: Sequence[Line], seconds: float) -> int:
        """`seconds` is for each call. Raises GoogleAPICallError or GoogleAuthError if the API may not have them all."""
        try:
            request = WriteLogEntriesRequest(self._about | {"entries": [entry(line) for line in lines]})
            # The library's own retry would go on for a minute.
            self._client.write_log_entries(request=request, retry=None, timeout=seconds)
        except (InvalidArgument, ParseError):
            # For one bad line the API refuses all of a call: half of them at a time, until that line stands alone.
            if len(lines) == 1:
                return 1
            half = len(lines) // 2
            return self.write(lines[:half], seconds) + self.write(lines[half:], seconds)
        return 0

    def close(self) -> None:
        self._channel.close()


def entry(line: Line) -> LogEntry:
    """Raises ParseError for a line of which no entry can be made."""
    insert_id, text = line
    said: dict[str, Any] = json.loads(text)
    own = {field: said.pop(name) for name, field in _FIELDS.items() if name in said}
    document = {"insertId": insert_id, **own, "jsonPayload": said}
    # JSON can say half of a surrogate pair and protobuf cannot: it becomes a question mark.
    payload = json.dumps(document, ensure_ascii=False).encode("utf-8", "replace").decode()
    made: LogEntry = LogEntry.from_json(payload, ignore_unknown_fields=True)
    return made
