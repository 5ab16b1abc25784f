"""gunicorn with the production settings and worker in a fork of this process: what is planted here is planted there."""

import http.client
import os
import signal
import socket
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from typing import Any

ANSWER_BY = 2.5
_STARTS_WITHIN = 20.0


class App:
    """Answers at once, whatever it is asked."""

    def __call__(self, request: dict[str, Any], start_response: Any) -> Iterable[bytes]:  # noqa: ARG002 - as WSGI has it
        start_response("200 OK", [("Content-Length", "0")])
        return []

    def stop_claiming(self) -> None:
        """It claims nothing."""


app = App()


@contextmanager
def forked() -> Iterator[tuple[int, int]]:
    """The port, and the process id of gunicorn's arbiter, which with its worker is killed in the end."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    if (server := os.fork()) == 0:
        _serve(port)
    try:
        until = time.monotonic() + _STARTS_WITHIN
        while not answers(port, 1.0):
            if time.monotonic() > until:
                raise RuntimeError("the server did not start")
            time.sleep(0.05)
        yield port, server
    finally:
        os.killpg(server, signal.SIGKILL)
        os.waitpid(server, 0)


def _serve(port: int) -> None:
    """Does not return."""
    try:
        os.setsid()
        silence = os.open(os.devnull, os.O_WRONLY)  # the last line that this process prints is its parent's to read
        os.dup2(silence, 1)
        os.dup2(silence, 2)
        sys.argv = [
            "gunicorn",
            "-c",
            "python:app.runtime.server",
            "--bind",
            f"127.0.0.1:{port}",
            "proof.mutants.serving:app",
        ]
        from gunicorn.app.wsgiapp import run

        run()
    finally:
        os._exit(1)


def answers(port: int, seconds: float) -> bool:
    """Whether a request on a connection of its own is answered within so long."""
    try:
        with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=seconds)) as connection:
            connection.request("GET", "/")
            return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
