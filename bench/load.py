"""Alerts as fast as they are answered, over kept connections, with the least work on this side."""

import itertools
import json
import socket
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from time import perf_counter
from urllib.parse import urlencode, urlsplit

from bench.floor import HEADERS
from bench.lab import CONTRACT, SECRET, Account, order_of_the_floor
from tests.waiting import finish

TIMEOUT = 30.0  # seconds; more than the gateway takes even on a machine that stands still for a while
LONGEST = 900.0  # seconds of a round
FEW = 0.05  # of the alerts of a figure may be refused, as happens on a machine that stands still for a while
_number = itertools.count()


class Refused(ValueError):
    """An answer other than 200."""


class NotMeasured(Exception):
    """Too few alerts became orders: what the others took is no figure."""


def twice(port: int) -> None:
    """One alert and the same again, for which a notice goes out."""
    link, body = Link(port), alert()
    try:
        link.post(body)
        link.post(body)
    finally:
        link.close()


@dataclass(frozen=True, slots=True)
class Round:
    """Milliseconds of each alert that was answered 200, in the order of their answers, and how long all of them took.

    `refused` has the answers of the others, where that was allowed.
    """

    took: list[float]
    seconds: float
    refused: list[Refused]


def demand_orders(alerts: int, refused: Sequence[Refused]) -> None:
    """Raises NotMeasured where more than a few of so many alerts were refused."""
    if len(refused) > FEW * alerts or not alerts:
        first = f"; the first one was answered {refused[0]}" if refused else ""
        raise NotMeasured(f"{len(refused)} of {alerts} alerts were refused, and {FEW:.0%} may be{first}")


def alert() -> bytes:
    """An entry that no other is equal to."""
    fired = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    fields = {
        "token": SECRET,
        **CONTRACT.fields(),
        "action": "SELL",
        "alert_id": f"bench-{next(_number)}",
        "timenow": fired,
    }
    return json.dumps(fields).encode()


class Link:
    """One kept HTTP connection."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), TIMEOUT)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def post(self, body: bytes, path: str = "/webhook") -> bytes:
        """The answer's body. Raises Refused for any status but 200."""
        head = f"POST {path} HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json\r\nContent-Length: {len(body)}"
        return self.exchange(f"{head}\r\n\r\n".encode() + body)

    def exchange(self, request: bytes) -> bytes:
        self.send(request)
        return self.receive()

    def send(self, request: bytes) -> None:
        self._socket.sendall(request)

    def receive(self) -> bytes:
        """The answer's body. Raises Refused for any status but 200."""
        received = b""
        while (end := received.find(b"\r\n\r\n")) < 0:
            received += self._more()
        head, body = received[:end].lower(), received[end + 4 :]
        length = int(head.partition(b"content-length:")[2].split(b"\r\n")[0])
        while len(body) < length:
            body += self._more()
        if not head.startswith(b"http/1.1 200"):
            raise Refused(f"{head.split(b' ')[1].decode()} {_why(body)}")
        return body

    def _more(self) -> bytes:
        part = self._socket.recv(65536)
        if not part:
            raise ConnectionError("the server hung up")
        return part

    def close(self) -> None:
        self._socket.close()


def _why(body: bytes) -> str:
    try:
        said = json.loads(body)
        return f"{said['reason']}: {said['message']}"
    except (ValueError, KeyError, TypeError):
        return body[:200].decode(errors="replace")


def one(port: int) -> float:
    """Milliseconds of a single alert on a new connection."""
    started = perf_counter()
    link = Link(port)
    try:
        link.post(alert())
    finally:
        link.close()
    return (perf_counter() - started) * 1e3


def broker_alone(account: Account, times: int) -> list[float]:
    """Milliseconds of the three calls of an entry on bare sockets: quote and positions side by side, then the order."""
    api, data = urlsplit(account.api_url), urlsplit(account.data_url)
    order = order_of_the_floor()
    quotes = _request("GET", f"{data.path}/quotes?{urlencode({'symbols': order['symbol']})}")
    positions = _request("GET", f"{api.path}/positions")
    place = _request("POST", f"{api.path}/orders/sync", json.dumps(order).encode())
    one, other = Link(api.port or 0), Link(data.port or 0)
    took = []
    for _ in range(times + 1):
        started = perf_counter()
        one.send(positions)
        other.send(quotes)
        one.receive()
        other.receive()
        one.exchange(place)
        took.append((perf_counter() - started) * 1e3)
    one.close()
    other.close()
    return took[1:]  # the first of them began with new connections


def _request(method: str, target: str, body: bytes = b"") -> bytes:
    head = {"Host": "bench", "Content-Length": str(len(body)), **HEADERS}
    lines = "".join(f"{name}: {value}\r\n" for name, value in head.items())
    return f"{method} {target} HTTP/1.1\r\n{lines}\r\n".encode() + body


def send(port: int, alerts: int, at_once: int = 1, may_refuse: bool = False) -> Round:
    """So many alerts altogether, so many of them at once. Raises Refused unless that may be."""
    numbers = iter(range(alerts))
    links = [Link(port) for _ in range(at_once)]
    took: list[float] = []
    refused: list[Refused] = []
    problems: list[Exception] = []

    def work(link: Link) -> None:
        try:
            for _ in numbers:
                body = alert()  # now: one that waited for its turn would be too old to be sent
                started = perf_counter()
                try:
                    link.post(body)
                except Refused as answer:
                    if not may_refuse:
                        raise
                    refused.append(answer)
                else:
                    took.append((perf_counter() - started) * 1e3)
        except Exception as problem:  # noqa: BLE001 - the first of them ends the benchmark
            problems.append(problem)

    started = perf_counter()
    _side_by_side([lambda link=link: work(link) for link in links])  # type: ignore[misc]
    seconds = perf_counter() - started
    for link in links:
        link.close()
    if problems:
        raise problems[0]
    return Round(took, seconds, refused)


def _side_by_side(jobs: list[Callable[[], None]]) -> None:
    if len(jobs) == 1:
        jobs[0]()
        return
    threads = [threading.Thread(target=job, name="sender", daemon=True) for job in jobs]
    for thread in threads:
        thread.start()
    finish(*threads, within=LONGEST)
