"""Alerts as fast as they are answered, over kept connections, with the least work on this side."""

import itertools
import json
import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from time import perf_counter

from bench.lab import SECRET

TIMEOUT = 5.0  # seconds
_number = itertools.count()


@dataclass(frozen=True, slots=True)
class Round:
    """Milliseconds of each alert, in the order of their answers, and how long all of them took."""

    took: list[float]
    seconds: float


def alert() -> bytes:
    """An entry that no other is equal to."""
    fired = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    fields = {
        "token": SECRET,
        "symbol": "NIFTY",
        "strikeprice": 26000,
        "optionType": "CE",
        "expiry": "WEEKLY",
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
        """The answer's body. Raises ValueError for any status but 200."""
        head = f"POST {path} HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json\r\nContent-Length: {len(body)}"
        return self.exchange(f"{head}\r\n\r\n".encode() + body)

    def exchange(self, request: bytes) -> bytes:
        self._socket.sendall(request)
        received = b""
        while (end := received.find(b"\r\n\r\n")) < 0:
            received += self._more()
        head, body = received[:end].lower(), received[end + 4 :]
        length = int(head.partition(b"content-length:")[2].split(b"\r\n")[0])
        while len(body) < length:
            body += self._more()
        if not head.startswith(b"http/1.1 200"):
            raise ValueError(f"{head.decode()}\n{body.decode()}")
        return body

    def _more(self) -> bytes:
        part = self._socket.recv(65536)
        if not part:
            raise ConnectionError("the server hung up")
        return part

    def close(self) -> None:
        self._socket.close()


def one(port: int) -> float:
    """Milliseconds of a single alert on a new connection."""
    started = perf_counter()
    link = Link(port)
    try:
        link.post(alert())
    finally:
        link.close()
    return (perf_counter() - started) * 1e3


def send(port: int, alerts: int, at_once: int = 1) -> Round:
    """So many alerts altogether, so many of them at once."""
    bodies = iter([alert() for _ in range(alerts)])
    links = [Link(port) for _ in range(at_once)]
    took: list[float] = []
    problems: list[Exception] = []

    def work(link: Link) -> None:
        try:
            for body in bodies:
                started = perf_counter()
                link.post(body)
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
    return Round(took, seconds)


def _side_by_side(jobs: list[Callable[[], None]]) -> None:
    if len(jobs) == 1:
        jobs[0]()
        return
    threads = [threading.Thread(target=job) for job in jobs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
