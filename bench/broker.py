"""A broker that costs next to nothing, in a process of its own, so that what is measured is the gateway.

    python -m bench.broker [--latency SECONDS]

What it answers are the simulator's own words, asked for once and then repeated from memory by one loop over raw
sockets: quotes and positions as they were that day, placed orders with a new id each. The simulated account itself
would take longer for a call than the gateway does, on the same two cores. Prints its addresses as one line of JSON and
ends with its standard input.
"""

import argparse
import gc
import heapq
import http.client
import itertools
import json
import selectors
import socket
import sys
import threading
import time
from urllib.parse import urlsplit

from app.simulator import FixtureExchange, Simulator

PLACE = b"POST /api/v3/orders/sync "
PLACED = '{{"s": "ok", "code": 1101, "message": "Order submitted successfully. Your Order Ref. No. {0}", "id": "{0}"}}'
FIRST_ID = 26112000000001
EAST = 19800  # seconds from UTC to India
PATIENCE = 5.0  # seconds for the rest of a request that has begun, and for a reply to be taken


class Replayed:
    """`latency` is seconds before each answer. One thread, one connection after the other, nothing computed twice."""

    def __init__(self, account: Simulator, latency: float) -> None:
        self._source = urlsplit(account.api_url).netloc
        self._latency = latency
        self._ids = itertools.count(FIRST_ID)
        self._known: dict[bytes, bytes] = {}
        self._day = 0.0
        self._due: list[tuple[float, int, socket.socket, bytes]] = []
        self._selector = selectors.EpollSelector()
        self._door = socket.create_server(("127.0.0.1", 0), backlog=512)
        self._selector.register(self._door, selectors.EVENT_READ)
        self.address = f"http://127.0.0.1:{self._door.getsockname()[1]}"

    def serve(self) -> None:
        while True:
            wait = max(0.0, self._due[0][0] - time.monotonic()) if self._due else None
            for key, _ in self._selector.select(wait):
                if key.fileobj is self._door:
                    self._accept()
                else:
                    self._answer(key.fileobj)  # type: ignore[arg-type]  # everything else that is registered is a socket
            while self._due and self._due[0][0] <= time.monotonic():
                _, _, link, reply = heapq.heappop(self._due)
                self._send(link, reply)

    def _accept(self) -> None:
        link, _ = self._door.accept()
        link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        link.settimeout(PATIENCE)
        self._selector.register(link, selectors.EVENT_READ)

    def _answer(self, link: socket.socket) -> None:
        try:
            request = _whole(link)
        except OSError:
            request = b""
        if not request:
            self._selector.unregister(link)
            link.close()
            return
        reply = self._reply(request)
        if self._latency:
            heapq.heappush(self._due, (time.monotonic() + self._latency, next(self._ids), link, reply))
        else:
            self._send(link, reply)

    def _send(self, link: socket.socket, reply: bytes) -> None:
        try:
            link.sendall(reply)
        except OSError:  # a client that hung up meanwhile is noticed when its socket is read
            return

    def _reply(self, request: bytes) -> bytes:
        if request.startswith(PLACE):
            return _http(PLACED.format(next(self._ids)).encode())
        line = request[: request.index(b" HTTP/")]
        if (day := (time.time() + EAST) // 86400) != self._day:  # yesterday's quotes are none
            self._known.clear()
            self._day = day
        if (reply := self._known.get(line)) is None:
            reply = self._known[line] = self._asked(*line.decode().split(" "))
        return reply

    def _asked(self, method: str, path: str) -> bytes:
        link = http.client.HTTPConnection(self._source, timeout=5)
        link.request(method, path, headers={"Authorization": "PAPER-200:paper"})
        said = link.getresponse()
        reply = _http(said.read(), said.status)
        link.close()
        return reply


def _whole(link: socket.socket) -> bytes:
    """One request; the gateway writes head and body one after the other."""
    request = link.recv(65536)
    while request and (end := request.find(b"\r\n\r\n")) < 0:
        request += link.recv(65536)
    named = request[:end].lower().partition(b"content-length:")[2] if request else b""
    length = int(named.split(b"\r\n")[0]) if named else 0
    while request and len(request) < end + 4 + length:
        request += link.recv(65536)
    return request


def _http(body: bytes, status: int = 200) -> bytes:
    head = f"HTTP/1.1 {status} OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.broker", description="A broker that answers from memory.")
    parser.add_argument("--latency", type=float, default=0.0)
    with Simulator(FixtureExchange(), accept_any_token=True, rate_limits=False) as account:
        broker = Replayed(account, parser.parse_args().latency)
        threading.Thread(target=broker.serve, daemon=True).start()
        gc.freeze()
        api, data = f"{broker.address}/api/v3", f"{broker.address}/data"
        sys.stdout.write(json.dumps({"api_url": api, "data_url": data, "masters": account.master_urls}) + "\n")
        sys.stdout.flush()
        sys.stdin.read()


if __name__ == "__main__":
    main()
