"""A server that misbehaves byte by byte: each connection is played one script."""

import contextlib
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from ssl import SSLContext
from typing import Any, Self

JSON = b'{"s":"ok","code":1101,"message":"","id":"26112000000001"}'


def reply(
    body: bytes = JSON,
    status: str = "200 OK",
    headers: tuple[str, ...] = (),
    length: int | None = None,
    close: bool = False,
) -> bytes:
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body) if length is None else length}", *headers]
    if close:
        lines.append("Connection: close")
    return "\r\n".join([*lines, "", ""]).encode() + body


Script = Callable[["Peer"], object]


class Peer:
    """The server's end of one connection."""

    def __init__(self, sock: socket.socket, server: "NastyServer") -> None:
        self.sock = sock
        self._server = server

    def read_request(self) -> bytes:
        """One whole request; b"" where the client hung up."""
        got = b""
        while b"\r\n\r\n" not in got:
            got += (part := self.sock.recv(65536))
            if not part:
                return b""
        head, _, body = got.partition(b"\r\n\r\n")
        lengths = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
        while lengths and len(body) < int(lengths[0].split(b":")[1]):
            body += self.sock.recv(65536)
        self._server.requests.append(head + b"\r\n\r\n" + body)
        return self._server.requests[-1]

    def answer(self, content: bytes) -> None:
        self.read_request()
        self.sock.sendall(content)

    def drip(self, content: bytes, seconds: float = 0.02) -> None:
        for byte in content:
            self.sock.sendall(bytes((byte,)))
            if self._server.stopping.wait(seconds):
                return

    def hang(self) -> None:
        self._server.stopping.wait(10)

    def reset(self) -> None:
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    def keep_answering(self, content: bytes | None = None) -> None:
        while self.read_request():
            self.sock.sendall(content or reply())


class NastyServer:
    """Each connection gets the next of the scripts, and the last one again and again."""

    def __init__(self, *scripts: Script, tls: SSLContext | None = None) -> None:
        self._scripts = list(scripts)
        self._tls = tls
        self.requests: list[bytes] = []
        self.connections = 0
        self.stopping = threading.Event()
        self._threads: list[threading.Thread] = []
        self._socks: list[socket.socket] = []
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port = self._listener.getsockname()[1]
        self.url = f"http{'s' if tls else ''}://127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        self._listener.settimeout(0.02)
        self._start(self._accept)
        return self

    def __exit__(self, *_: object) -> None:
        self.stopping.set()
        for sock in list(self._socks):
            try:
                sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass  # closed already
        for thread in self._threads:
            thread.join(5)
        self._listener.close()

    def _start(self, target: Callable[..., Any], *args: Any) -> None:
        self._threads.append(threading.Thread(target=target, args=args, daemon=True))
        self._threads[-1].start()

    def _accept(self) -> None:
        while not self.stopping.is_set():
            try:
                sock, _ = self._listener.accept()
            except TimeoutError:
                continue
            script = self._scripts[min(self.connections, len(self._scripts) - 1)]
            self.connections += 1
            self._start(self._play, script, sock)

    def _play(self, script: Script, sock: socket.socket) -> None:
        self._socks.append(sock)
        with sock:
            sock.settimeout(2)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            try:
                if self._tls:
                    with self._tls.wrap_socket(sock, server_side=True) as wrapped:
                        self._socks.append(wrapped)
                        script(Peer(wrapped, self))
                else:
                    script(Peer(sock, self))
            except OSError:
                pass  # the client went away, which is what many of these scripts are for


def closed_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


@contextlib.contextmanager
def swallowing_port() -> Iterator[int]:
    """The port of a listener that never accepts and whose queue is full: the kernel drops what comes."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as full, contextlib.ExitStack() as kept:
        for _ in range(3):
            waiting = kept.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(full.getsockname())
        yield full.getsockname()[1]
