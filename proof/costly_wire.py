"""Requests that are made to cost time before the app sees them: what 64 KiB on the wire cost the real server.

`python -m proof.costly_wire` prints what each shape costs: milliseconds of the worker's processor time, the least of
several. The app answers at once, whatever it is asked.
"""

import math
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from proof.costly import MOST, SIZE, TIMES, Shape, filled
from proof.mutants import serving

_ANSWERED_WITHIN = 10.0  # seconds
_QUIET = 0.01

_POST = "POST /webhook HTTP/1.1\r\nHost: x\r\n"
_CHUNKED = _POST + "Transfer-Encoding: chunked\r\n\r\n"
_AHEAD = "GET / HTTP/1.1\r\n\r\n"

SHAPES: dict[str, Shape] = {
    "a body": filled(_POST + "Content-Length: 65000\r\n\r\n", "x"),
    "small chunks": filled(_CHUNKED, "1\r\nx\r\n"),
    "small chunks and their end": filled(_CHUNKED, "1\r\nx\r\n", "0\r\n\r\n"),
    "an extension": filled(_CHUNKED + "1;a=", "y"),
    "extensions": filled(_CHUNKED, "1;a=y\r\nx\r\n"),
    "a trailer": filled(_CHUNKED + "0\r\nX: ", "y"),
    "trailers": filled(_CHUNKED + "0\r\n", "X: y\r\n"),
    "an address": filled("GET /", "x"),
    "a header": filled(_POST + "X: ", "y"),
    "headers": filled(_POST, "X: y\r\n"),
    "headers and their end": filled(_POST, "X: y\r\n", "\r\n"),
    "names": filled(_POST, "#: y\r\n"),
    "empty lines": filled("", "\r\n"),
    "ends of heads in a body": filled(_POST + "Content-Length: 65000\r\n\r\n", "\r\n\r\n"),
    "ends of heads in chunks": filled(_CHUNKED + "fde8\r\n", "\r\n\r\n"),
    "requests ahead": filled("", _AHEAD),
    "heads behind chunks": filled(_CHUNKED + "0\r\n\r\n", _AHEAD),
    "heads behind a body that is over": filled(_POST + "Content-Length: 70000\r\n\r\n", _AHEAD),
}


class Scales:
    """Weighs what comes over a connection: seconds of the worker's processor time until it has closed it."""

    def __init__(self, port: int, worker: int) -> None:
        self._port = port
        self._clock = (~worker << 3) | 2  # the process's own (Linux, clock_getcpuclockid(3))

    def weigh(self, sent: bytes) -> float:
        began = time.clock_gettime(self._clock)
        with socket.create_connection(("127.0.0.1", self._port), _ANSWERED_WITHIN) as connection:
            with suppress(ConnectionError):  # it was refused before its end
                connection.sendall(sent)
                connection.shutdown(socket.SHUT_WR)
            with suppress(ConnectionError):
                while connection.recv(1_000_000):
                    pass
        ended = time.clock_gettime(self._clock)
        time.sleep(_QUIET)
        while (now := time.clock_gettime(self._clock)) > ended:
            ended = now
            time.sleep(_QUIET)
        return ended - began

    def least(self, sent: bytes, enough: float = 0.0, times: int = TIMES) -> float:
        """Of several, since others use the machine too; no more of them where one is `enough`."""
        least = math.inf
        for _ in range(times):
            least = min(least, self.weigh(sent))
            if least <= enough:
                break
        return least


@contextmanager
def scales() -> Iterator[Scales]:
    """With the server's worker, forked from this process: what is planted here is planted there."""
    with serving.forked() as (port, server):
        [worker] = Path(f"/proc/{server}/task/{server}/children").read_text(encoding="ascii").split()
        yield Scales(port, int(worker))


def dear(times: int = TIMES) -> str | None:
    """The first of the shapes that costs too much."""
    with scales() as weighed:
        for name, shape in SHAPES.items():
            if (least := weighed.least(shape(SIZE), MOST, times)) > MOST:
                return f"{SIZE} bytes on the wire, {name}, cost {least * 1000:.1f} ms"
    return None


def main() -> int:
    with scales() as weighed:
        for name, shape in SHAPES.items():
            sys.stdout.write(f"{weighed.least(shape(SIZE)) * 1000:9.2f} ms  {name}\n")
            sys.stdout.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main())
