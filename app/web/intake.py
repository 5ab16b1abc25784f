"""The sender's address, and the limit on requests with wrong credentials."""

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
LONGEST_ADDRESS = 64  # characters, with the zone that an IPv6 address may have
UNKNOWN = "unknown"
_WITH_PORT = re.compile(r"(?P<v4>[0-9.]+):[0-9]{1,5}|\[(?P<v6>[^]]+)](:[0-9]{1,5})?")  # as some proxies write it

_Strike = tuple[float, bool]  # its time, and whether it counts towards the total of all addresses as well


def peer_of(request: Request) -> str:
    """The address that sent the request, as the trusted proxies report it (see `Proxied`)."""
    text = request.remote_addr or ""
    return _address(text) if len(text) <= LONGEST_ADDRESS else UNKNOWN


class Proxied:
    """A WSGI app behind `hops` proxies. Each appends the address of its own client to X-Forwarded-For.

    REMOTE_ADDR becomes the entry of the outermost proxy: the `hops`-th from the right. Entries further left are
    written by the sender. With fewer entries the request came another way, and the socket's address stays.
    The header is split at every comma: a parser that honours quotes would let a sender hide commas from the count.
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
        return UNKNOWN  # it may hold anything, so it is not repeated
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None  # as a socket on :: shows IPv4
    return str(mapped or address)


class Strikes:
    """Counts requests with wrong credentials in a sliding minute, for each address and in total.

    The counts are in this instance's memory: they only save work. What trades is limited in the ledger.
    """

    def __init__(self, monotonic: Callable[[], float], per_minute: int = STRIKES_PER_MINUTE) -> None:
        self._monotonic = monotonic
        self._per_minute = per_minute
        self._by_peer: dict[str, deque[_Strike]] = {}
        self._all: deque[_Strike] = deque(maxlen=10 * per_minute)
        self._lock = Lock()

    def over(self, peer: str) -> bool:
        """Whether the next strike of this address would exceed the limit."""
        now = self._monotonic()
        with self._lock:
            mine = self._by_peer.get(peer)
            return _full(self._all, now) or (mine is not None and _full(mine, now))

    def add(self, peer: str) -> bool:
        """Counts a strike; True if it exceeded the limit."""
        now = self._monotonic()
        with self._lock:
            if peer not in self._by_peer and len(self._by_peer) >= ADDRESSES_REMEMBERED:
                del self._by_peer[next(iter(self._by_peer))]
            mine = self._by_peer.setdefault(peer, deque(maxlen=self._per_minute))
            slow, over = _full(mine, now), _full(self._all, now)
            strike = (now, not slow)  # an address over its own limit takes no share of the total
            mine.append(strike)
            if not slow:
                self._all.append(strike)
            return slow or over

    def take_back(self, peer: str) -> None:
        """Removes the address's last strike, which was counted wrongly."""
        with self._lock:
            mine = self._by_peer.get(peer)
            if mine and mine.pop()[1] and self._all:
                self._all.pop()


def _full(strikes: deque[_Strike], now: float) -> bool:
    """Whether as many strikes as allowed are less than a minute old."""
    return len(strikes) == strikes.maxlen and now - strikes[0][0] < 60.0
