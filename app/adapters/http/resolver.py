"""Host names to addresses, in bounded time. `getaddrinfo` takes no time-out and can hang for half a minute."""

import ipaddress
import socket
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from time import monotonic
from typing import Any

KEEP_SECONDS = 60.0

Address = tuple[int, Any]  # the family, and the address as that family's sockets take it
Lookup = Callable[..., Sequence[tuple[Any, ...]]]
_Place = tuple[str, int]


class Resolver:
    """Looks each host up once a minute, in a thread of its own that nobody has to wait for.

    At most one look-up per host is under way. Where a new one fails or takes too long, the last answer is used: TLS
    tells whether it still leads to the right host.
    """

    def __init__(self, lookup: Lookup = socket.getaddrinfo) -> None:
        self._lookup = lookup
        self._lock = threading.Lock()
        self._known: dict[_Place, tuple[float, list[Address]]] = {}
        self._pending: dict[_Place, Future[list[Address]]] = {}

    def addresses(self, host: str, port: int, seconds: float) -> list[Address]:
        """The host's addresses, within so many seconds. Raises OSError (gaierror, TimeoutError) where there are none.

        Where an old answer can stand in, a new one is waited for no longer than half of that time.
        """
        if (literal := _literal(host, port)) is not None:
            return [literal]
        place = host, port
        with self._lock:
            looked_up, old = self._known.get(place, (0.0, []))
            if old and monotonic() - looked_up < KEEP_SECONDS:
                return old
            pending = self._pending.get(place) or self._start(place)
        try:
            return pending.result(seconds / 2 if old else seconds)
        except OSError:  # the time-out of waiting is one too
            if old:
                return old
            raise

    def _start(self, place: _Place) -> "Future[list[Address]]":
        pending: Future[list[Address]] = Future()
        self._pending[place] = pending
        # A daemon: one that hangs must not hold up the end of the process.
        threading.Thread(target=self._look_up, args=(place, pending), name="dns", daemon=True).start()
        return pending

    def _look_up(self, place: _Place, pending: "Future[list[Address]]") -> None:
        try:
            rows = self._lookup(*place, type=socket.SOCK_STREAM)
            found: list[Address] = [(row[0], row[4]) for row in rows]
            if not found:
                raise OSError("no address")
        except Exception as problem:  # noqa: BLE001 - whatever it is belongs to whoever waits
            with self._lock:
                del self._pending[place]
            pending.set_exception(problem if isinstance(problem, OSError) else OSError(type(problem).__name__))
        else:
            with self._lock:
                self._known[place] = monotonic(), found
                del self._pending[place]
            pending.set_result(found)


def _literal(host: str, port: int) -> Address | None:
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return None
    if address.version == 4:
        return socket.AF_INET, (host, port)
    return socket.AF_INET6, (host, port)
