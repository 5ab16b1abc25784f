"""A command works alike whatever shell it is started from, and nothing that it sends goes by the shell's proxies."""

import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
ASCII = {"PYTHONIOENCODING": "ascii", "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
PROXIES = ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "grpc_proxy")


def run(*words: str, folder: Path, **settings: str) -> "subprocess.CompletedProcess[bytes]":
    environ = {"PATH": os.environ["PATH"], "PYTHONPATH": str(REPOSITORY), **settings}
    return subprocess.run([sys.executable, "-m", *words], cwd=folder, env=environ, capture_output=True, timeout=120)


class Ok(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, *args: object) -> None:
        """Says nothing."""


@contextmanager
def a_gateway() -> Iterator[str]:
    """Something that takes alerts, at the address given."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Ok)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/webhook"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def proxy() -> Iterator[socket.socket]:
    """A proxy that never answers: every client that uses it waits in its queue."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.setblocking(False)
        yield listening


def through(proxy: socket.socket) -> dict[str, str]:
    return dict.fromkeys(PROXIES, f"http://127.0.0.1:{proxy.getsockname()[1]}")


def asked(proxy: socket.socket) -> bool:
    try:
        connection, _ = proxy.accept()
    except BlockingIOError:
        return False
    connection.close()
    return True


def test_an_alert_that_is_sent_by_hand_asks_no_proxy(tmp_path: Path, proxy: socket.socket) -> None:
    with a_gateway() as url:
        done = run("app", "send", "--to", url, folder=tmp_path, **through(proxy))
    assert (done.returncode, asked(proxy)) == (0, False), done.stderr


@pytest.mark.parametrize("encoding", ["ascii", "utf-8"])
def test_a_terminal_of_any_encoding_is_told_everything(tmp_path: Path, encoding: str) -> None:
    done = run("app", "doctor", folder=tmp_path, **ASCII | {"PYTHONIOENCODING": encoding})
    assert b"Traceback" not in done.stdout + done.stderr
    assert b"1 lot an order" in done.stdout
    loss = done.stdout.decode(encoding).partition("entries stop at ")[2][:5]
    assert loss == ("₹5000" if encoding == "utf-8" else "?5000")


def test_the_whole_job_is_done_without_a_proxy_and_on_a_terminal_that_knows_ascii_alone(proxy: socket.socket) -> None:
    done = run("demo", folder=REPOSITORY, **through(proxy), **ASCII)
    assert (done.returncode, asked(proxy)) == (0, False), done.stdout + done.stderr
    assert done.stdout.isascii()
