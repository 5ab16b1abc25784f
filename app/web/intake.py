"""Who is asking: the sender's address, and how often strangers may be wrong."""

import re
from collections import deque
from collections.abc import Callable, Iterable
from functools import lru_cache
from ipaddress import IPv6Address, ip_address
from threading import Lock
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from flask import Request

STRIKES_PER_MINUTE = 30
ADDRESSES_REMEMBERED = 1024
LONGEST_ADDRESS = 64  # characters, with the zone that an IPv6 address may name
UNKNOWN = "unknown"
_WITH_PORT = re.compile(r"(?P<v4>[0-9.]+):[0-9]{1,5}|\[(?P<v6>[^]]+)](:[0-9]{1,5})?")  # as some proxies write it

_Strike = tuple[float, bool]  # when, and whether it counts for all addresses together as well


def peer_of(request: Request) -> str:
    """The address that the request came from, behind the proxies that are trusted (see `Proxied`)."""
    text = request.remote_addr or ""
    return _address(text) if len(text) <= LONGEST_ADDRESS else UNKNOWN


class Proxied:
    """A WSGI app behind `hops` proxies, each of which appends the address that spoke to it to X-Forwarded-For.

    REMOTE_ADDR becomes the entry that the outermost of them wrote: the `hops`-th from the right. What stands further
    left is the sender's own word. With fewer entries the request took another way, and the socket's own address stays.
    The header is split at every comma: whoever reads quotes in it lets a sender hide commas from the count.
    """

    def __init__(self, app: WSGIApplication, hops: int) -> None:
        self._app = app
        self._hops = hops

    def __call__(self, request: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        entries = request.get("HTTP_X_FORWARDED_FOR", "").rsplit(",", self._hops)
        entry = entries[-self._hops].strip() if len(entries) >= self._hops else ""
        if entry:
            request["REMOTE_ADDR"] = entry
        return self._app(request, start_response)


@lru_cache(maxsize=ADDRESSES_REMEMBERED)
def _address(text: str) -> str:
    named = _WITH_PORT.fullmatch(text)
    try:
        address = ip_address((named["v4"] or named["v6"]) if named else text)
    except ValueError:
        return UNKNOWN  # no address, so nobody knows what it is; it is not repeated
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None  # as a socket on :: shows IPv4
    return str(mapped or address)


class Strikes:
    """Counts requests without the right secret, per address and altogether, in a sliding minute.

    Kept in this instance's memory: it only spares work; what trades is limited in the ledger.
    """

    def __init__(self, monotonic: Callable[[], float], per_minute: int = STRIKES_PER_MINUTE) -> None:
        self._monotonic = monotonic
        self._per_minute = per_minute
        self._by_peer: dict[str, deque[_Strike]] = {}
        self._all: deque[_Strike] = deque(maxlen=10 * per_minute)
        self._lock = Lock()

    def over(self, peer: str) -> bool:
        """Whether the next one would be one too many."""
        now = self._monotonic()
        with self._lock:
            mine = self._by_peer.get(peer)
            return _full(self._all, now) or (mine is not None and _full(mine, now))

    def add(self, peer: str) -> bool:
        """Notes one more; True where it was one too many."""
        now = self._monotonic()
        with self._lock:
            if peer not in self._by_peer and len(self._by_peer) >= ADDRESSES_REMEMBERED:
                del self._by_peer[next(iter(self._by_peer))]
            mine = self._by_peer.setdefault(peer, deque(maxlen=self._per_minute))
            slow, over = _full(mine, now), _full(self._all, now)
            strike = (now, not slow)  # one address that is slowed down already uses up nothing that the others share
            mine.append(strike)
            if not slow:
                self._all.append(strike)
            return slow or over

    def take_back(self, peer: str) -> None:
        """One of the address's was none."""
        with self._lock:
            mine = self._by_peer.get(peer)
            if mine and mine.pop()[1] and self._all:
                self._all.pop()


def _full(strikes: deque[_Strike], now: float) -> bool:
    """True where the oldest of the last so many is less than a minute ago."""
    return len(strikes) == strikes.maxlen and now - strikes[0][0] < 60.0
