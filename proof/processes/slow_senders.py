"""Senders that are slow or silent on purpose: attacks for `proof.processes.attack`."""

import itertools
import resource
import selectors
import socket
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

from tests.waiting import finish

SLOW, SILENT = 64, 1000
_DRIPS_EVERY = 0.1  # seconds
_HELD_AT_LEAST = 0.9  # of the connections that an attack consists of, or it was none
_HEAD = b"POST /webhook HTTP/1.1\r\nHost: gateway\r\nContent-Length: 5000\r\n"
_BEGINNINGS = (_HEAD + b"X-Y: ", _HEAD + b'\r\n{"token": "')


@dataclass(slots=True)
class Held:
    """`most`: of how many connections at once an attack consists; `held`: how many it had at the least.

    `sent` counts the connections that were opened, since each that is cut off is followed by another.
    """

    most: int
    sent: int = 0
    held: int = 0
    answers: Counter[int | None] = field(default_factory=Counter)

    def wrong(self, name: str) -> str | None:
        if self.held >= self.most * _HELD_AT_LEAST:
            return None
        return f"{name}: {self.held} connections held, and the attack is no less than {self.most}"


@contextmanager
def slow_senders(port: int) -> Iterator[Held]:
    """Half of them in their heads and half in their bodies, a byte ten times a second."""
    with _many(port, SLOW, _BEGINNINGS, drips=True) as held:
        yield held


@contextmanager
def silent_connections(port: int) -> Iterator[Held]:
    with many_descriptors(), _many(port, SILENT, (b"",), drips=False) as held:
        yield held


@contextmanager
def many_descriptors() -> Iterator[None]:
    """This process may hold all those connections."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(hard, 8192)), hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@contextmanager
def _many(port: int, count: int, beginnings: tuple[bytes, ...], drips: bool) -> Iterator[Held]:
    held, gone = Held(count), threading.Event()
    beginning = itertools.cycle(beginnings)
    connections: set[socket.socket] = set()
    with selectors.DefaultSelector() as ended:

        def connect() -> None:
            connection = socket.create_connection(("127.0.0.1", port), 5)
            connections.add(connection)
            ended.register(connection, selectors.EVENT_READ, connection)
            with suppress(OSError):  # seen to be closed in a moment
                connection.sendall(next(beginning))
            connection.setblocking(False)
            held.sent += 1

        def attack() -> None:
            while not gone.is_set():
                for key, _ in ended.select(_DRIPS_EVERY):
                    ended.unregister(key.data)
                    connections.remove(key.data)
                    key.data.close()
                with suppress(OSError):  # tried again in a moment
                    while len(connections) < count:
                        connect()
                held.held = min(held.held, len(connections))
                for connection in connections if drips else ():
                    with suppress(OSError):
                        connection.send(b" ")
                if drips:
                    gone.wait(_DRIPS_EVERY)

        attacking = threading.Thread(target=attack, name="the attack", daemon=True)
        try:
            for _ in range(count):
                connect()
            held.held = count
            attacking.start()
            yield held
        finally:
            gone.set()
            if attacking.ident is not None:
                finish(attacking)
            for connection in connections:
                connection.close()
