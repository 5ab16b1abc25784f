"""A stand-in of Cloud Logging's API on loopback; Google has no emulator of it. It speaks the package's own types."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import grpc
from google.cloud.logging_v2.types import LogEntry, WriteLogEntriesRequest, WriteLogEntriesResponse
from google.protobuf.json_format import MessageToDict

_LONGEST = 60.0  # seconds that a call may hang


class CloudLogging:
    """`fails` is the status of each call from now on; `hangs` and `goes_on` say whether calls are answered at all."""

    def __init__(self) -> None:
        self.fails: grpc.StatusCode | None = None
        self.refuses: str | None = None  # the message of a line that it never takes
        self.calls: list[WriteLogEntriesRequest] = []
        self.raw: list[bytes] = []
        self._entries: dict[str, LogEntry] = {}
        self._going = threading.Event()
        self._going.set()
        self._guard = threading.Lock()
        self._threads = ThreadPoolExecutor(8)
        self._server = grpc.server(self._threads, options=[("grpc.so_reuseport", 0)])
        write = grpc.unary_unary_rpc_method_handler(self._write)  # bytes both ways
        service = grpc.method_handlers_generic_handler("google.logging.v2.LoggingServiceV2", {"WriteLogEntries": write})
        self._server.add_generic_rpc_handlers((service,))
        self.address = f"127.0.0.1:{self._server.add_insecure_port('127.0.0.1:0')}"
        self._server.start()

    def hangs(self) -> None:
        self._going.clear()

    def goes_on(self) -> None:
        self._going.set()

    @property
    def entries(self) -> list[LogEntry]:
        """What is in the log: one entry for each insert id, in the order in which they came."""
        with self._guard:
            return list(self._entries.values())

    @property
    def lines(self) -> list[dict[str, Any]]:
        """The payloads, as the log shows them."""
        return [MessageToDict(LogEntry.pb(entry).json_payload) for entry in self.entries]

    @property
    def messages(self) -> list[Any]:
        return [line["message"] for line in self.lines]

    def close(self) -> None:
        self.goes_on()
        self._server.stop(None).wait(5)
        self._threads.shutdown()

    def _write(self, raw: bytes, context: grpc.ServicerContext) -> bytes:
        request = WriteLogEntriesRequest.deserialize(raw)
        with self._guard:
            self.calls.append(request)
            self.raw.append(raw)
        self._going.wait(_LONGEST)
        if self.fails is not None:
            context.abort(self.fails, "as it was told to")
        messages = [entry.json_payload["message"] for entry in request.entries]
        if self.refuses in messages:
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, "a line that it never takes")
        if context.is_active():
            with self._guard:
                self._entries |= {entry.insert_id: entry for entry in request.entries}
        return bytes(WriteLogEntriesResponse.serialize(WriteLogEntriesResponse()))


@contextmanager
def cloud_logging() -> Iterator[CloudLogging]:
    stand_in = CloudLogging()
    try:
        yield stand_in
    finally:
        stand_in.close()
