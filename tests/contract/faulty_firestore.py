"""Firestore with faults: a gRPC server that passes calls on to the emulator, and a TCP relay below it.

The server gives the answers that only a server can (ABORTED, ALREADY_EXISTS for the ledger's own write, a late commit),
the relay what only a network does (refused, silent, cut off before the reply).
"""

import contextlib
import socket
import struct
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc

Forward = Callable[[], Any]
Fault = Callable[[grpc.ServicerContext, Forward], Any]
_PASSED_ON = ("authorization", "google-cloud-resource-prefix", "x-goog-request-params")
_STREAMS = ("BatchGetDocuments", "RunQuery")


def refused(code: grpc.StatusCode) -> Fault:
    """The call is not carried out."""
    return lambda context, forward: context.abort(code, "not carried out")


def reply_lost(code: grpc.StatusCode) -> Fault:
    """The call is carried out, and what comes back is an error."""

    def fault(context: grpc.ServicerContext, forward: Forward) -> None:
        forward()
        context.abort(code, "carried out")

    return fault


def lands_late(seconds: float, code: grpc.StatusCode = grpc.StatusCode.UNAVAILABLE) -> Fault:
    """The error comes at once, and the call is carried out all the same, a while later."""

    def land(forward: Forward) -> None:
        with contextlib.suppress(grpc.RpcError):  # its moment may be over
            forward()

    def fault(context: grpc.ServicerContext, forward: Forward) -> None:
        threading.Timer(seconds, land, [forward]).start()
        context.abort(code, "on its way")

    return fault


class HeldUp:
    """The error comes at once, and the call is carried out when `land` says so."""

    def __call__(self, context: grpc.ServicerContext, forward: Forward) -> None:
        self._forward = forward
        context.abort(grpc.StatusCode.UNAVAILABLE, "on its way")

    def land(self) -> bool:
        """False where the store did not take it any more."""
        try:
            self._forward()
        except grpc.RpcError:
            return False
        return True


def slow(seconds: float) -> Fault:
    def fault(context: grpc.ServicerContext, forward: Forward) -> Any:
        time.sleep(seconds)
        return forward()

    return fault


def silent(context: grpc.ServicerContext, forward: Forward) -> Any:
    """Carried out, and no reply comes back as long as the client waits."""
    answer = forward()
    while context.is_active():
        time.sleep(0.01)
    return answer


class FaultyFirestore:
    """`faults` has what happens to the next calls of a method, first one first; `always` what happens to all others.

    A None among the faults is a call that goes well.
    """

    def __init__(self, emulator: str) -> None:
        self.faults: dict[str, list[Fault | None]] = {}
        self.always: dict[str, Fault] = {}
        self.calls: Counter[str] = Counter()
        self._upstream = grpc.insecure_channel(emulator)
        self._threads = ThreadPoolExecutor(40)
        self._server = grpc.server(self._threads, handlers=[_Passing(self)], options=[("grpc.so_reuseport", 0)])
        self.address = f"127.0.0.1:{self._server.add_insecure_port('127.0.0.1:0')}"
        self._server.start()

    def calm(self) -> None:
        self.faults.clear()
        self.always.clear()
        self.calls.clear()

    def close(self) -> None:
        assert self._server.stop(0).wait(20)
        self._threads.shutdown()
        self._upstream.close()

    def unary(self, path: str, request: bytes, context: grpc.ServicerContext) -> Any:
        call = self._upstream.unary_unary(path)
        return self._through_fault(path, context, lambda: call(request, timeout=20, metadata=_passed_on(context)))

    def stream(self, path: str, request: bytes, context: grpc.ServicerContext) -> Any:
        call = self._upstream.unary_stream(path)
        return self._through_fault(path, context, lambda: list(call(request, timeout=20, metadata=_passed_on(context))))

    def _through_fault(self, path: str, context: grpc.ServicerContext, forward: Forward) -> Any:
        method = path.rpartition("/")[2]
        self.calls[method] += 1
        coming = self.faults.get(method)
        fault = coming.pop(0) if coming else self.always.get(method)
        try:
            return forward() if fault is None else fault(context, forward)
        except grpc.RpcError as error:
            return context.abort(error.code(), error.details())


class _Passing(grpc.GenericRpcHandler):  # type: ignore[misc]  # grpcio ships no types
    def __init__(self, firestore: FaultyFirestore) -> None:
        self._firestore = firestore

    def service(self, call: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler:
        if call.method.rpartition("/")[2] in _STREAMS:
            return grpc.unary_stream_rpc_method_handler(
                lambda request, context: iter(self._firestore.stream(call.method, request, context))
            )
        return grpc.unary_unary_rpc_method_handler(
            lambda request, context: self._firestore.unary(call.method, request, context)
        )


def _passed_on(context: grpc.ServicerContext) -> list[tuple[str, str]]:
    return [(name, value) for name, value in context.invocation_metadata() if name in _PASSED_ON]


class Relay:
    """A TCP relay. `cut_next` resets the connection once a request has gone through, before a byte comes back."""

    def __init__(self, target: str) -> None:
        host, _, port = target.partition(":")
        self._target = (host, int(port))
        self._port = 0
        self._open: list[socket.socket] = []
        self.cut_next = False
        self.delay = 0.0
        self.up()

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self._port}"

    def up(self) -> None:
        self._listening = socket.create_server(("127.0.0.1", self._port))
        self._port = self._listening.getsockname()[1]
        threading.Thread(target=self._accept, args=(self._listening,), daemon=True).start()

    def down(self) -> None:
        """Connections are refused from now on, and those that stand are reset."""
        with contextlib.suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        for one in self._open:
            _reset(one)
        self._open.clear()

    def _accept(self, listening: socket.socket) -> None:
        while True:
            try:
                client, _ = listening.accept()
            except OSError:
                return  # down
            server = socket.create_connection(self._target, 5)
            server.settimeout(None)
            self._open += [client, server]
            for pump, source, sink in ((self._request, client, server), (self._reply, server, client)):
                threading.Thread(target=self._pump, args=(pump, source, sink), daemon=True).start()

    def _pump(self, pump: Callable[..., None], source: socket.socket, sink: socket.socket) -> None:
        try:
            while content := source.recv(65536):
                pump(content, source, sink)
        except OSError:
            pass
        _reset(source)
        _reset(sink)

    def _request(self, content: bytes, client: socket.socket, server: socket.socket) -> None:
        server.sendall(content)
        if self.cut_next:
            time.sleep(0.1)  # long enough for the emulator to carry it out
            self.cut_next = False
            _reset(client)

    def _reply(self, content: bytes, server: socket.socket, client: socket.socket) -> None:
        time.sleep(self.delay)
        if not self.cut_next:
            client.sendall(content)


def _reset(one: socket.socket) -> None:
    with contextlib.suppress(OSError):
        one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        one.shutdown(socket.SHUT_RDWR)
    one.close()


@contextlib.contextmanager
def mute_port() -> Iterator[str]:
    """An address that takes connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield f"127.0.0.1:{listening.getsockname()[1]}"
