"""The real server: gunicorn with the production settings, its workers, and what a machine may do to them."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from proof.processes.lab import ROOT

_READY_WITHIN = 30.0
_GONE_WITHIN = 15.0


@dataclass(frozen=True, slots=True)
class Server:
    """One gunicorn with its workers; standard output and error of all of them are in `output`."""

    port: int
    arbiter: "subprocess.Popen[bytes]"
    output: Path

    def workers(self) -> list[int]:
        """The workers that live now; none where the arbiter is gone."""
        try:
            children = Path(f"/proc/{self.arbiter.pid}/task/{self.arbiter.pid}/children").read_text(encoding="ascii")
        except OSError:
            return []
        return [int(pid) for pid in children.split()]

    def said(self) -> str:
        return self.output.read_text(encoding="utf-8", errors="replace")


@contextmanager
def a_server(
    settings: Mapping[str, str],
    output: Path,
    workers: int = 2,
    config: str = "proof.processes.warm_settings",
    descriptors: int | None = None,
) -> Iterator[Server]:
    """Ready when it answers. In the end it is killed, whatever state it is in. `descriptors`: how many it may have."""
    port = _free_port()
    environ = {**settings, "PORT": str(port), "WEB_CONCURRENCY": str(workers)}
    command = [sys.executable, "-m", "gunicorn", "-c", f"python:{config}", "main:app"]
    if descriptors is not None:
        command = ["sh", "-c", f'ulimit -n {descriptors}; exec "$@"', "sh", *command]
    with output.open("ab") as log:
        arbiter = subprocess.Popen(  # noqa: S603 -- the proof's own command
            command, cwd=ROOT, env=environ, stdout=log, stderr=log, start_new_session=True
        )
    server = Server(port, arbiter, output)
    try:
        _wait_until_ready(server)
        yield server
    finally:
        try:
            os.killpg(arbiter.pid, signal.SIGKILL)  # the session is the server's own
        except ProcessLookupError:
            pass  # it is gone already
        arbiter.wait(_GONE_WITHIN)


def _wait_until_ready(server: Server) -> None:
    until = time.monotonic() + _READY_WITHIN
    while time.monotonic() < until and server.arbiter.poll() is None:
        if health(server.port):
            return
        time.sleep(0.02)
    raise RuntimeError(f"the server did not start within {_READY_WITHIN:.0f} s:\n{server.said()}")


def health(port: int) -> bool:
    """Whether a worker answers."""
    try:
        with socket.create_connection(("127.0.0.1", port), 1) as connection:
            connection.settimeout(1)
            connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            return connection.recv(64).startswith(b"HTTP/1.1 200")
    except OSError:
        return False


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
