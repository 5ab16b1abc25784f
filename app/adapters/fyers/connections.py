"""urllib3's connections under one clock: a total for the whole call, and a flag for its first byte.

urllib3 gives each read a time-out of its own, so a server that sends a byte now and then holds a caller for as long as
it likes. Here the socket gets what is left of the call before every single read and write. And it does not tell whether
a byte of a failed request left; here that is written down just before it does.
"""

import http.client
import io
import socket
import ssl
from time import monotonic
from typing import Any

from urllib3 import HTTPConnectionPool, HTTPSConnectionPool, PoolManager
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.util import Timeout
from urllib3.util.wait import wait_for_read

from app.adapters.fyers.resolver import Resolver
from app.deadline import Deadline

# A server may close a connection it has kept for a while (5 s is the shortest default in wide use). If it does so while
# the request is on its way, nobody can tell whether it was read: so an older one is not used again.
FRESH_SECONDS = 4.0
_NO_TIME = 0.001  # urllib3 takes no zero; what is over is noticed where the socket is armed


class WindowOver(Exception):
    """The time in which the order may be sent was over before its first byte left."""


class Call(Timeout):
    """The clock of one call, handed through urllib3 as its time-out.

    `connect` covers waiting for a free connection, the name look-up, TCP and TLS; `total` all of it, both in seconds.
    """

    def __init__(self, connect: float, total: float, window: Deadline | None, resolver: Resolver) -> None:
        super().__init__(connect=connect, read=total)
        started = monotonic()
        self.ends = started + total
        self.connected_by = started + min(connect, total)
        self.resolver = resolver
        self.stage = "waiting for a free connection"
        self.new_connection = False
        self.wrote = False
        self._window = window

    def clone(self) -> "Call":
        """urllib3 copies time-outs; there is one clock for one call."""
        return self

    @property
    def connect_timeout(self) -> float:
        return max(self.connected_by - monotonic(), _NO_TIME)

    @property
    def read_timeout(self) -> float:
        return max(self.ends - monotonic(), _NO_TIME)

    def arm(self, sock: socket.socket, until: float | None = None) -> None:
        """Gives the socket's next step the time that is left. Raises TimeoutError where there is none."""
        left = (self.ends if until is None else until) - monotonic()
        if left <= 0:
            raise TimeoutError
        sock.settimeout(left)

    def about_to_write(self) -> None:
        """Called right before each write. From the first one on, nobody can say that nothing was sent."""
        if not self.wrote:
            if self._window is not None and self._window.left() <= 0:
                raise WindowOver
            self.wrote = True


class _TimedReader(io.RawIOBase):
    """A socket's reading end; every read has what is left of the call."""

    def __init__(self, sock: socket.socket, call: Call) -> None:
        self._sock = sock
        self._call = call
        self._raw = sock.makefile("rb", buffering=0)  # keeps the socket open until the reply is read

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        self._call.arm(self._sock)
        return self._raw.readinto(buffer)

    def close(self) -> None:
        self._raw.close()
        super().close()


class _ReplySocket:
    """What http.client needs of a socket to read a reply from it."""

    def __init__(self, sock: socket.socket, call: Call) -> None:
        self._reader = _TimedReader(sock, call)

    def makefile(self, _mode: str) -> io.BufferedReader:
        return io.BufferedReader(self._reader)


class _Timed(HTTPConnection):
    """What plain and TLS connections have in common: one call at a time, under that call's clock."""

    call: Call
    last_used: float = 0.0

    def begin(self, call: Call) -> None:
        """Takes up a call; a connection that was kept too long is closed and will be opened anew."""
        self.call = call
        if self.sock is not None and monotonic() - self.last_used > FRESH_SECONDS:
            self.close()

    def send(self, data: Any) -> None:
        """Writes it all, opening the connection first where there is none."""
        if self.sock is None:
            self.connect()
        rest = memoryview(data)
        while rest:
            self.call.stage = "sending"
            self.call.arm(self.sock)
            self.call.about_to_write()
            rest = rest[self.sock.send(rest) :]
        self.call.stage = "waiting for the reply"

    def response_class(self, sock: socket.socket, method: str | None = None) -> http.client.HTTPResponse:  # type: ignore[override]  # http.client calls it, and may as well call a function
        return http.client.HTTPResponse(_ReplySocket(sock, self.call), method=method)  # type: ignore[arg-type]  # typeshed wants a whole socket

    def _new_conn(self) -> socket.socket:
        call = self.call
        call.new_connection = True
        call.stage = "looking up the host"
        addresses = call.resolver.addresses(self.host, self.port or 0, call.connect_timeout)
        call.stage = "connecting"
        problem: OSError = OSError("no address")
        for tried, (family, address) in enumerate(addresses):
            sock = socket.socket(family, socket.SOCK_STREAM)
            try:
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                # An address that swallows packets must leave time for the next one.
                call.arm(sock, monotonic() + (call.connected_by - monotonic()) / (len(addresses) - tried))
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


class _PlainConnection(_Timed):
    pass


class _TlsConnection(_Timed, HTTPSConnection):
    @property
    def is_connected(self) -> bool:
        """TLS 1.3 sends session tickets on its own; they are no sign that the server hung up."""
        if self.sock is None:
            return False
        if not wait_for_read(self.sock, timeout=0.0):
            return True
        try:
            self.sock.settimeout(0)
            self.sock.recv(1)
        except ssl.SSLWantReadError:
            return True
        except OSError:
            return False
        return False  # the end, or bytes that nobody asked for

    def connect(self) -> None:
        sock = self._new_conn()
        self.call.stage = "in the TLS handshake"
        try:
            self.call.arm(sock, self.call.connected_by)
            assert self.ssl_context is not None  # noqa: S101 - the pool was made with one
            self.sock = self.ssl_context.wrap_socket(sock, server_hostname=self.host)
        except BaseException:
            sock.close()
            raise
        self.is_verified = True


class _TimedPool(HTTPConnectionPool):
    def _make_request(self, conn: Any, *args: Any, **kwargs: Any) -> Any:
        conn.begin(kwargs["timeout"])
        return super()._make_request(conn, *args, **kwargs)

    def _put_conn(self, conn: Any) -> None:
        if conn is not None:
            conn.last_used = monotonic()
        super()._put_conn(conn)

    def warm(self, call: Call) -> None:
        """Opens a connection, unless one is open, and keeps it for the next call."""
        conn: Any = self._get_conn(timeout=call.connect_timeout)
        try:
            conn.begin(call)
            if conn.sock is None:
                conn.connect()
        except BaseException:
            conn.close()
            raise
        finally:
            self._put_conn(conn)


class _PlainPool(_TimedPool):
    ConnectionCls = _PlainConnection


class _TlsPool(_TimedPool, HTTPSConnectionPool):
    ConnectionCls = _TlsConnection


class Pools:
    """One pool of connections to each host: so many at once, one TLS context for all of them."""

    def __init__(self, at_once: int, tls: ssl.SSLContext) -> None:
        self._manager = PoolManager(maxsize=at_once, block=True, ssl_context=tls)
        self._manager.pool_classes_by_scheme = {"http": _PlainPool, "https": _TlsPool}
        self._known: dict[str, Any] = {}

    def to(self, scheme: str, host: str) -> Any:
        """The pool of a host, with its port where it has one."""
        place = f"{scheme}://{host}"
        if (pool := self._known.get(place)) is None:
            pool = self._known[place] = self._manager.connection_from_url(place)
        return pool

    def close(self) -> None:
        self._manager.clear()
