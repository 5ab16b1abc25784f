"""HTTP to the outside: one total time-out for a call, no retry, no redirect, a bounded body.

A call ends in a `Reply` of any status, or in `CallFailed`, which says whether a byte of the request was written.
"""

import socket
import ssl
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from time import monotonic
from urllib.parse import urlencode, urlsplit

import certifi
from requests.utils import default_headers

from app.adapters.http.connections import Call, Connection, Pool, Pools, WindowOver
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

    It is no session of `requests`, which takes many times as long for a call; cookies, redirects and proxies have no
    place here. The headers are those of such a session, as the broker's SDK sends them.
    """

    def __init__(
        self, *, connections: int = CONNECTIONS, tls: ssl.SSLContext | None = None, lookup: Lookup = socket.getaddrinfo
    ) -> None:
        self._resolver = Resolver(lookup)
        self._pools = Pools(connections, tls or trusting_public_authorities())
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

        `params`, where there are any, replace the query of the address.

        With a `window` the first byte leaves only while the window is open. Raises CallFailed and nothing else.
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
        """Sends a GET at once, for its reply to be read later, all within so many seconds.

        None, without a wait, where there is no open connection for it.
        """
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
        self._pools.close()

    def _may_go(self) -> bool:
        """Whether a request may leave now."""
        return True

    def _pool(self, url: str) -> Pool:
        where = urlsplit(url)
        return self._pools.to(where.scheme, where.hostname or "", where.port)

    def _request(
        self, method: str, url: str, params: Mapping[str, str] | None, headers: Mapping[str, str], body: bytes | None
    ) -> bytes:
        where = urlsplit(url)
        query = urlencode(params) if params else where.query
        target = f"{where.path or '/'}?{query}" if query else where.path or "/"
        host = where.netloc.rpartition("@")[2]
        return request(method, target, host, {**self._headers, **headers}, body)


class Begun:
    """A request that was sent. It keeps its connection until the reply is read."""

    def __init__(self, pool: Pool, link: Connection, call: Call, most: int) -> None:
        self._pool = pool
        self._link = link
        self._call = call
        self._most = most

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


_WORDS: tuple[tuple[type[BaseException], str], ...] = (
    (WindowOver, "the time to send was over"),
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


def _words(problem: BaseException, call: Call) -> str:
    """What happened, in the gateway's words: a library's own text may quote the request, and with it a secret."""
    chain = list(_chain(problem))
    for kind, words in _WORDS:
        if any(isinstance(link, kind) for link in chain):
            return f"{words} while {call.stage}" if not isinstance(problem, WindowOver) else words
    return f"{type(chain[-1]).__name__} while {call.stage}"


def _chain(problem: BaseException) -> Iterator[BaseException]:
    link: BaseException | None = problem
    while link is not None:
        yield link
        link = link.__cause__ or link.__context__
