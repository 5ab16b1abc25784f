"""Kept connections, each call under one clock: a total for all of it, and a flag for its first byte.

HTTP libraries give each read a time-out of its own, so a server that sends a byte now and then holds the caller for as
long as it likes. Here a socket never blocks: each wait for it lasts no longer than what is left of the call. Nor do the
libraries tell whether a byte of a failed request left. Here that is noted just before the first byte leaves.
"""

import select
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from time import monotonic
from typing import Any, TypeVar

from app.adapters.http.http1 import Response
from app.adapters.http.resolver import Resolver
from app.domain.deadline import Deadline

# A server may close a connection that it has kept for a while (5 s is the shortest default in wide use). If it does so
# while a request is on its way, it is not known whether it was read. So an older connection is not used again.
FRESH_SECONDS = 4.0
_NO_TIME = 0.001  # a time-out of zero means something else; the next step notices that the time is over
_PART = 64 * 1024  # bytes
_Done = TypeVar("_Done")


class WindowOver(Exception):
    """The window for the request was over before its first byte left."""


class Call:
    """The clock of one call.

    `connect` covers waiting for a free connection, the name look-up, TCP and TLS; `total` all of it, both in seconds.
    """

    def __init__(self, connect: float, total: float, window: Deadline | None, resolver: Resolver) -> None:
        self.began = monotonic()
        self.ends = self.began + total
        self.connected_by = self.began + min(connect, total)
        self.resolver = resolver
        self.stage = "waiting for a free connection"
        self.new_connection = False
        self.wrote = False
        self._window = window

    @property
    def to_connect(self) -> float:
        """Seconds left of `connect`, always more than none."""
        return max(self.connected_by - monotonic(), _NO_TIME)

    def about_to_write(self) -> None:
        """Called right before each write. From the first one on, the request may have been sent."""
        if not self.wrote:
            if self._window is not None and self._window.left() <= 0:
                raise WindowOver
            self.wrote = True

    def step(self, sock: socket.socket, act: Callable[[Any], _Done], part: Any, event: int) -> _Done:
        """One read or write, as soon as the socket is ready for it. Raises TimeoutError where the time is over."""
        while True:
            if (left := self.ends - monotonic()) <= 0:
                raise TimeoutError
            try:
                return act(part)
            except ssl.SSLWantReadError:
                _wait(sock, select.POLLIN, left)
            except ssl.SSLWantWriteError:
                _wait(sock, select.POLLOUT, left)
            except BlockingIOError:
                _wait(sock, event, left)


def _wait(sock: socket.socket, event: int, seconds: float) -> None:
    poll = select.poll()
    poll.register(sock, event)
    poll.poll(seconds * 1000)


class Connection:
    """A kept connection, plain or TLS: one call at a time, under the clock of that call."""

    def __init__(self, host: str, port: int, tls: ssl.SSLContext | None) -> None:
        self._host = host
        self._port = port
        self._tls = tls
        self._sock: socket.socket | None = None
        self._used_at = 0.0

    @property
    def is_fresh(self) -> bool:
        """Whether it is open and was used so lately that a request may go over it."""
        return self._sock is not None and monotonic() - self._used_at <= FRESH_SECONDS and _is_quiet(self._sock)

    def open(self, call: Call) -> None:
        """Opens it again where it is not fresh, in the time that the call has for that."""
        if not self.is_fresh:
            self.close()
            self._sock = self._connected(call)
            self._used_at = monotonic()

    def ask(self, call: Call, request: bytes) -> None:
        """Sends the request, whole."""
        sock, rest = self._opened(), memoryview(request)
        call.stage = "sending"
        call.about_to_write()
        while rest:
            rest = rest[call.step(sock, sock.send, rest, select.POLLOUT) :]
        call.stage = "waiting for the reply"

    def reply(self, call: Call, most: int) -> Response:
        """The whole reply, with a body of so many bytes at most."""
        sock, response = self._opened(), Response(most)
        while not response.complete:
            if part := call.step(sock, sock.recv, _PART, select.POLLIN):
                response.feed(part)
            elif not response.has_begun:
                raise ConnectionResetError
            else:
                response.end()
            if response.has_begun:
                call.stage = "reading the reply"
        self._used_at = monotonic()
        if not response.reusable:
            self.close()
        return response

    def close(self) -> None:
        if self._sock is not None:
            self._sock.close()
            self._sock = None

    def _opened(self) -> socket.socket:
        if self._sock is None:
            raise ConnectionResetError
        return self._sock

    def _connected(self, call: Call) -> socket.socket:
        sock = self._reached(call)
        try:
            if isinstance(sock, ssl.SSLSocket):
                call.stage = "in the TLS handshake"
                sock.settimeout(call.to_connect)
                sock.do_handshake()
            sock.setblocking(False)
        except BaseException:
            sock.close()
            raise
        return sock

    def _new_socket(self, family: int) -> socket.socket:
        """Not connected yet: `wrap_socket` leaves a connected socket open that is reset before it looks at it."""
        plain = socket.socket(family, socket.SOCK_STREAM)
        if self._tls is None:
            return plain
        try:
            return self._tls.wrap_socket(plain, server_hostname=self._host, do_handshake_on_connect=False)
        except BaseException:
            plain.close()
            raise

    def _reached(self, call: Call) -> socket.socket:
        call.new_connection = True
        call.stage = "looking up the host"
        addresses = call.resolver.addresses(self._host, self._port, call.to_connect)
        call.stage = "connecting"
        problem: OSError = OSError("no address")
        for tried, (family, address) in enumerate(addresses):
            sock = self._new_socket(family)
            try:
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                # An address that swallows packets must leave time for the next one.
                sock.settimeout(call.to_connect / (len(addresses) - tried))
                sock.connect(address)
            except OSError as failed:
                sock.close()
                problem = failed
            except BaseException:
                sock.close()
                raise
            else:
                return sock
        raise problem


def _is_quiet(sock: socket.socket) -> bool:
    """Whether it is open and has received nothing since the last reply.

    TLS 1.3 servers send session tickets unasked. They are read here, and are no sign that the server hung up.
    """
    try:
        sock.recv(1)
    except (BlockingIOError, ssl.SSLWantReadError):
        return True
    except OSError:
        return False
    return False  # the end, or bytes that no request asked for


class Pool:
    """The connections to one host, so many at once. The one used last is taken first."""

    def __init__(self, host: str, port: int, tls: ssl.SSLContext | None, at_once: int) -> None:
        self._new = partial(Connection, host, port, tls)
        self._places = threading.Semaphore(at_once)
        self._kept: list[Connection] = []
        self._closed = False

    def take(self, call: Call) -> Connection:
        """A connection for one call, to be given to `lent` or `put`. Raises TimeoutError where none is free in time."""
        if not self._places.acquire(timeout=call.to_connect):
            raise TimeoutError
        return self._taken()

    def take_fresh(self) -> Connection | None:
        """An open connection, likewise; None where there is none."""
        if not self._places.acquire(blocking=False):
            return None
        link = self._taken()
        if link.is_fresh:
            return link
        self.put(link)
        return None

    @contextmanager
    def lent(self, link: Connection) -> Iterator[Connection]:
        """Takes the connection back at the end. Where its call failed, it is closed."""
        try:
            yield link
        except BaseException:
            link.close()
            raise
        finally:
            self.put(link)

    def put(self, link: Connection) -> None:
        """Takes a connection back."""
        self._kept.append(link)
        self._places.release()
        if self._closed:
            self.close()

    def close(self) -> None:
        self._closed = True
        while self._kept:
            self._kept.pop().close()

    def _taken(self) -> Connection:
        try:
            return self._kept.pop()
        except IndexError:
            return self._new()
