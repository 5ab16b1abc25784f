"""HTTP to the outside: one total time-out for a call, no retry, no redirect, a bounded body.

A call ends in a `Reply` of any status, or in `CallFailed`, which says whether a byte of the request was written.
"""

import socket
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from time import monotonic
from urllib.parse import urlencode, urlsplit

import certifi
from requests.utils import default_headers

from app.adapters.http.connections import Call, Connection, Pool, WindowOver
from app.adapters.http.http1 import CannotUnpack, CutShort, NotHttp, TooLarge, request
from app.adapters.http.resolver import Lookup, Resolver
from app.domain.deadline import Deadline

MOST_BYTES = 256 * 1024
CONNECTIONS = 32


class CallFailed(Exception):
    """No whole reply came. `wrote`: at least one byte of the request was given to the socket."""

    def __init__(self, why: str, wrote: bool) -> None:
        super().__init__(why)
        self.why = why
        self.wrote = wrote


@dataclass(frozen=True, slots=True)
class Reply:
    """A reply. Header names are in lower case; `seconds` is the time that the call took."""

    status: int
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)
    new_connection: bool = False
    seconds: float = 0.0

    @property
    def says_wait(self) -> bool:
        """Whether the server said when to try again, in any form."""
        return "retry-after" in self.headers or "x-retry-after-ms" in self.headers

    @property
    def retry_after(self) -> float | None:
        """The seconds to wait, where they can be read."""
        for name, unit in (("x-retry-after-ms", 1000), ("retry-after", 1)):
            text = self.headers.get(name, "").strip()
            if text.isascii() and text.isdigit() and len(text) < 10:
                return int(text) / unit
        return None


class Transport:
    """One set of connections for all calls and threads. Make it in the process that uses it, after any fork.

    It is no session of `requests`, which takes many times as long for a call. The headers are those of one, as the
    broker's SDK sends them.
    """

    def __init__(
        self, *, connections: int = CONNECTIONS, tls: ssl.SSLContext | None = None, lookup: Lookup = socket.getaddrinfo
    ) -> None:
        self._resolver = Resolver(lookup)
        self._at_once = connections
        self._tls = tls or trusting_public_authorities()
        self._pools: dict[tuple[str, str, int], Pool] = {}
        self._headers = {**default_headers(), "Accept-Encoding": "identity"}

    def call(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str],
        params: Mapping[str, str] | None = None,
        body: bytes | None = None,
        connect: float,
        total: float,
        window: Deadline | None = None,
        most: int = MOST_BYTES,
    ) -> Reply:
        """One request, sent once. `connect` and `total` are seconds, `most` the bytes that a reply may have.

        `params`, where there are any, replace the query of the address. With a `window` the first byte leaves only
        while the window is open. Raises CallFailed and nothing else.
        """
        if connect <= 0 or total <= 0:
            raise CallFailed("there was no time left for the call", wrote=False)
        call = Call(connect, total, window, self._resolver)

        def exchanged() -> Reply:
            pool, asked = self._pool(url), self._request(method, url, params, headers, body)
            with pool.lent(pool.take(call)) as link:
                link.open(call)
                link.ask(call, asked)
                return _reply(link, call, most)

        return _or_failed(exchanged, call)

    def begin(
        self,
        url: str,
        *,
        headers: Mapping[str, str],
        params: Mapping[str, str] | None = None,
        total: float,
        most: int = MOST_BYTES,
    ) -> "Begun | None":
        """Sends a GET whose reply is read later, within `total` seconds. None, at once, where no connection is open."""
        pool = self._pool(url)
        if total <= 0 or (link := pool.take_fresh()) is None:
            return None
        call = Call(total, total, None, self._resolver)
        try:
            if self._may_go():
                link.ask(call, self._request("GET", url, params, headers, None))
                return Begun(pool, link, call, most)
        except Exception:  # noqa: BLE001 - as if there had been no connection: a GET may be sent again
            link.close()
        pool.put(link)
        return None

    def warm(self, url: str, seconds: float) -> bool:
        """Opens a connection to that host ahead of time. False where that takes longer than so many seconds."""
        if seconds <= 0:
            return False
        pool, call = self._pool(url), Call(seconds, seconds, None, self._resolver)
        try:
            with pool.lent(pool.take(call)) as link:
                link.open(call)
        except OSError:
            return False
        return True

    def close(self) -> None:
        for pool in self._pools.values():
            pool.close()

    def _may_go(self) -> bool:
        """Whether a request may leave now."""
        return True

    def _pool(self, url: str) -> Pool:
        """The pool of the URL's host. Raises ValueError for a scheme that is not HTTP's."""
        where = urlsplit(url)
        if where.scheme not in ("http", "https"):
            raise ValueError("an address of another scheme")
        tls = self._tls if where.scheme == "https" else None
        place = where.scheme, where.hostname or "", where.port or (80 if tls is None else 443)
        if (pool := self._pools.get(place)) is None:
            # Of two threads that make one at the same moment the first one's stays.
            pool = self._pools.setdefault(place, Pool(*place[1:], tls, self._at_once))
        return pool

    def _request(
        self, method: str, url: str, params: Mapping[str, str] | None, headers: Mapping[str, str], body: bytes | None
    ) -> bytes:
        where = urlsplit(url)
        query = urlencode(params) if params else where.query
        target = f"{where.path or '/'}?{query}" if query else where.path or "/"
        host = where.netloc.rpartition("@")[2]
        return request(method, target, host, {**self._headers, **headers}, body)


@dataclass(slots=True)
class Begun:
    """A request that was sent. It keeps its connection until the reply is read."""

    _pool: Pool
    _link: Connection
    _call: Call
    _most: int

    def reply(self) -> Reply:
        """To be called once. Raises CallFailed and nothing else."""

        def read() -> Reply:
            with self._pool.lent(self._link):
                return _reply(self._link, self._call, self._most)

        return _or_failed(read, self._call)


def _or_failed(work: Callable[[], Reply], call: Call) -> Reply:
    try:
        return work()
    except Exception as problem:  # noqa: BLE001 - any failure; what counts is whether a byte left
        why = _words(problem, call)
    raise CallFailed(why, call.wrote)  # raised here, without the library's exception, which may quote the request


def _reply(link: Connection, call: Call, most: int) -> Reply:
    response = link.reply(call, most)
    return Reply(response.status, response.headers, response.body, call.new_connection, monotonic() - call.began)


@cache
def trusting_public_authorities() -> ssl.SSLContext:
    """The TLS context of every transport: names and authorities checked, HTTP/1.1. Reading those takes 15 ms, once."""
    context = ssl.create_default_context(cafile=certifi.where())
    context.set_alpn_protocols(["http/1.1"])
    return context


_WORDS: tuple[tuple[type[Exception], str], ...] = (
    (TooLarge, "the reply is too large"),
    (TimeoutError, "timed out"),
    (socket.gaierror, "the host was not found"),
    (ConnectionRefusedError, "the connection was refused"),
    (ssl.SSLError, "TLS failed"),
    (ConnectionError, "the connection broke"),
    (CutShort, "the reply was cut short"),
    (NotHttp, "the reply is not HTTP"),
    (CannotUnpack, "the reply cannot be unpacked"),
)


def _words(problem: Exception, call: Call) -> str:
    """What happened, in the gateway's words: a library's own text may quote the request, and with it a secret."""
    if isinstance(problem, WindowOver):
        return "the time to send was over"
    words = next((words for kind, words in _WORDS if isinstance(problem, kind)), type(problem).__name__)
    return f"{words} while {call.stage}"
