"""Log lines on their way to Cloud Logging: a bounded queue, and one thread that empties it.

A request's thread formats its line, puts it into the queue and goes on: it waits for nothing. The sender's thread sends
the lines in order, and again until the API has taken them. Cloud Logging drops a second copy by its insert id.

    the API does not answer    the call ends by its own time-out, and the lines wait for the next call
    the queue is full          the new line is lost and counted
    the API refuses a line     the line is lost and counted
    the process ends           the lines that wait have LAST_CALLS seconds to leave; the rest is printed on the console

The console (standard error) says at once how many lines were lost, and the log says it as soon as a line gets through.
"""

import itertools
import logging
import secrets
import socket
import threading
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from time import monotonic, sleep
from typing import Protocol, TextIO

MOST_WAITING = 10_000  # lines; most have less than 1 KB
AT_ONCE = 500  # lines of one call, which may have 10 MB
# Seconds.
CALL = 5.0
GATHER = 0.2  # the lines of one moment leave together
IDLE = 2.0  # how often the relay is looked at
FIRST_PAUSE, LONGEST_PAUSE = 0.5, 30.0  # after a call that failed
LAST_CALLS = 3.5  # at the end: gunicorn kills a worker 8 s after SIGTERM, and its last requests may take 3 s of them
LAST_PAUSE = 0.1
BROKEN_OFF = 0.5  # for a call to end that is broken off

Line = tuple[str, str]  # insert id, JSON


class Api(Protocol):
    def write(self, lines: Sequence[Line], seconds: float) -> int:
        """Sends the lines and returns how many were refused for good. Raises where they may be sent again."""

    def close(self) -> None:
        """Breaks off the call that is under way."""


class CloudLog(logging.Handler):
    """A handler of the root logger, to be made after a fork, since no thread survives one.

    The sender's thread calls `open_api`, which may wait for credentials. `relayed` is a Relay's `arriving`.
    """

    def __init__(
        self,
        open_api: Callable[[], Api],
        console: TextIO,
        relayed: socket.socket | None = None,
        most_waiting: int = MOST_WAITING,
    ) -> None:
        super().__init__()
        self._open_api = open_api
        self._console = console
        self._relayed = relayed
        self._most_waiting = most_waiting
        self._process, self._numbers = secrets.token_hex(8), itertools.count()
        self._guard = threading.Lock()  # of the queue and of what is lost
        self._waiting: deque[Line] = deque()
        self._lost = 0
        self._lost_on_console = self._lost_in_log = 0  # as many of them are told there
        self._batch: list[Line] = []  # the sender's: what the next call or the one under way holds
        self._api: Api | None = None
        self._failing = False
        self._wake, self._closing = threading.Event(), threading.Event()
        self._ends = float("inf")  # monotonic seconds
        self._sender = threading.Thread(target=self._run, name="cloud-log", daemon=True)
        self._sender.start()

    # -- in the thread that has something to log

    def handle(self, record: logging.LogRecord) -> bool:
        """Takes no lock: at exit logging holds it while `close` waits for the sender, which may log too."""
        try:
            self.emit(record)
        except Exception:  # noqa: BLE001 - as in every handler: a line that cannot be made fails no request
            self._lose(1)
        return True

    def emit(self, record: logging.LogRecord) -> None:
        text = self.format(record)
        if monotonic() > self._ends or threading.current_thread() is self._sender:
            self._print(text)  # the client's words about a failed call would be followed by another call
        else:
            self._append(text)
            self._wake.set()

    def close(self) -> None:
        """Sends what waits, for LAST_CALLS seconds at most, and prints what could not be sent."""
        if not self._closing.is_set():
            self._ends = monotonic() + LAST_CALLS
            self._closing.set()
            self._wake.set()
            self._sender.join(LAST_CALLS)
            if self._sender.is_alive() and self._api is not None:
                self._api.close()
                self._sender.join(BROKEN_OFF)
            with self._guard:
                unsent = [*self._batch, *self._waiting]
                self._waiting.clear()
            for _, text in unsent:
                self._print(text)
            self._print_losses()
        super().close()

    def _append(self, text: str) -> None:
        with self._guard:
            if len(self._waiting) < self._most_waiting:
                self._waiting.append(self._numbered(text))
            else:
                self._lost += 1

    def _lose(self, lines: int) -> None:
        with self._guard:
            self._lost += lines

    def _numbered(self, text: str) -> Line:
        """Cloud Logging puts lines of the same microsecond in the order of their ids."""
        return f"{self._process}-{next(self._numbers):012}", text

    # -- in the sender's thread

    def _run(self) -> None:
        pause = FIRST_PAUSE
        while monotonic() < self._ends:
            self._gather()
            if self._batch:
                taken = self._is_taken()
                self._print_losses()
                if not taken:
                    sleep(LAST_PAUSE if self._closing.wait(pause) else 0.0)
                pause = FIRST_PAUSE if taken else min(LONGEST_PAUSE, 2 * pause)
            elif self._closing.is_set():
                break
            elif self._wake.wait(IDLE):
                self._wake.clear()
                self._closing.wait(GATHER)
        if self._api is not None:
            self._api.close()

    def _gather(self) -> None:
        """Makes the next batch, once the last one is taken. Its first line tells what was lost meanwhile."""
        if self._relayed is not None:
            with suppress(OSError):  # there is nothing more, or the relay is closed
                while True:
                    self._append(self._relayed.recv(1 << 16, socket.MSG_DONTWAIT).decode())
        if self._batch:
            return
        with self._guard:
            if self._lost > self._lost_in_log and not self._failing:
                self._batch.append(self._numbered(self._losses(self._lost_in_log)))
                self._lost_in_log = self._lost
            self._batch += [self._waiting.popleft() for _ in range(min(AT_ONCE, len(self._waiting)))]

    def _is_taken(self) -> bool:
        """Whether the API has the batch now. After any failure the lines stay and the thread goes on."""
        try:
            self._api = self._api or self._open_api()
            refused = self._api.write(self._batch, min(CALL, self._ends - monotonic()))
        except Exception as problem:  # noqa: BLE001
            if not self._failing:
                self._print(self._line("Cloud Logging takes no log lines", why=type(problem).__name__))
            self._failing = True
            return False
        self._failing = False
        self._batch = []
        self._lose(refused)
        return True

    # -- about itself

    def _print_losses(self) -> None:
        if self._lost > self._lost_on_console:
            self._print(self._losses(self._lost_on_console))
            self._lost_on_console = self._lost

    def _losses(self, told: int) -> str:
        return self._line("log lines were lost", lost=self._lost - told, lost_in_all=self._lost)

    def _line(self, message: str, **extra: object) -> str:
        record = {"name": "gateway.log", "levelno": logging.WARNING, "levelname": "WARNING", "msg": message}
        return self.format(logging.makeLogRecord(record | extra))

    def _print(self, text: str) -> None:
        with suppress(OSError, ValueError):  # a console that is gone or closed
            self._console.write(f"{text}\n")
            self._console.flush()


class Relay(logging.Handler):
    """Brings the lines of gunicorn's arbiter to its workers: the arbiter forks, and gRPC survives no fork.

    What the socket has no room for is dropped: the arbiter has printed it as well.
    """

    def __init__(self) -> None:
        super().__init__()
        self._sending, self.arriving = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)

    def emit(self, record: logging.LogRecord) -> None:
        with suppress(OSError):
            self._sending.send(self.format(record).encode(), socket.MSG_DONTWAIT)

    def close(self) -> None:
        self._sending.close()
        self.arriving.close()
        super().close()
