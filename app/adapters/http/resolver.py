"""Host names to addresses, in bounded time. `getaddrinfo` takes no time-out and can hang for half a minute."""

import ipaddress
import socket
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from functools import partial
from time import monotonic
from typing import Any

from app.flow.single_flight import SingleFlight, apart

KEEP_SECONDS = 60.0

Address = tuple[int, Any]  # the family, and the address as that family's sockets take it
Lookup = Callable[..., Sequence[tuple[Any, ...]]]
_Place = tuple[str, int]


class Resolver:
    """Looks each host up once a minute, in a thread of its own; callers wait for it no longer than they may.

    At most one look-up of a host is under way. Where a new one fails or takes too long, the last answer is used: TLS
    tells whether it still leads to the right host.
    """

    def __init__(self, lookup: Lookup = socket.getaddrinfo) -> None:
        self._lookup = lookup
        self._known: dict[_Place, list[Address]] = {}
        self._flights: dict[_Place, SingleFlight[list[Address]]] = {}

    def addresses(self, host: str, port: int, seconds: float) -> list[Address]:
        """The host's addresses, within so many seconds. Raises OSError (gaierror, TimeoutError) where there are none.

        Where an old answer can stand in, a new one is waited for no longer than half of that time.
        """
        if (literal := _literal(host, port)) is not None:
            return [literal]
        place = host, port
        old = self._known.get(place)
        # Of two threads that come first at the same moment, both use the flight that is stored.
        flight = self._flights.setdefault(place, SingleFlight(monotonic, apart("dns")))
        try:
            return flight.run(partial(self._look_up, place), _is_old).result(seconds / 2 if old else seconds)
        except OSError:  # TimeoutError, from the wait, is an OSError too
            if old:
                return old
            raise

    def _look_up(self, place: _Place) -> list[Address]:
        try:
            rows = self._lookup(*place, type=socket.SOCK_STREAM)
        except OSError:
            raise
        except Exception as problem:  # noqa: BLE001 -- callers know what an OSError means
            raise OSError(type(problem).__name__) from None
        found: list[Address] = [(row[0], row[4]) for row in rows]
        if not found:
            raise OSError("no address")
        self._known[place] = found
        return found


def _is_old(lookup: "Future[list[Address]]", age: float) -> bool:
    return lookup.done() and (age >= KEEP_SECONDS or lookup.exception() is not None)


def _literal(host: str, port: int) -> Address | None:
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return None
    return socket.AF_INET if address.version == 4 else socket.AF_INET6, (host, port)
