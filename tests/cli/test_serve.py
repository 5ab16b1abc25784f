"""`serve` listens where HOST says, names the address that reaches it, and ends at Ctrl-C as at any other signal."""

import http.client
import os
import signal
import socket
import subprocess
import sys
from contextlib import closing, suppress
from pathlib import Path

import pytest

from app.cli.settings import own_address
from app.runtime.processes import free_port
from proof.processes.lab import ROOT, Lab, an_account
from tests.waiting import wait_until


@pytest.mark.parametrize(
    ("environ", "address"),
    [
        ({}, "http://127.0.0.1:8080"),
        ({"HOST": "", "PORT": ""}, "http://127.0.0.1:8080"),
        ({"HOST": "::1", "PORT": "9000"}, "http://[::1]:9000"),
        ({"HOST": "192.168.1.4"}, "http://192.168.1.4:8080"),
        ({"HOST": "localhost"}, "http://localhost:8080"),
        ({"HOST": "0.0.0.0"}, "http://127.0.0.1:8080"),
        ({"HOST": "::"}, "http://[::1]:8080"),
    ],
)
def test_the_address_that_is_named_is_one_that_reaches_it(environ: dict[str, str], address: str) -> None:
    assert own_address(environ) == address


def healthy(host: str, port: int) -> bool:
    with suppress(OSError), closing(http.client.HTTPConnection(host, port, timeout=5)) as connection:
        connection.request("GET", "/healthz", headers={"Connection": "close"})
        return connection.getresponse().status == 200
    return False


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGQUIT, signal.SIGTERM])
def test_serve_on_ipv6_says_so_is_met_there_alone_and_ends_without_a_word(tmp_path: Path, number: int) -> None:
    port, said = free_port(), tmp_path / "said"
    with an_account() as account, said.open("wb") as log:
        settings = Lab(tmp_path).settings(account, f"sqlite:///{tmp_path}/ledger.db", HOST="0:0::1")
        command = [sys.executable, "-m", "app", "serve", "--port", str(port)]
        serving = subprocess.Popen(command, cwd=ROOT, env=settings, stdout=log, stderr=log, start_new_session=True)
        try:
            wait_until("it serves", lambda: healthy("::1", port) or serving.poll() is not None, within=30)
            assert serving.poll() is None, said.read_text()
            with pytest.raises(ConnectionRefusedError):
                socket.create_connection(("127.0.0.1", port), 5)
            os.killpg(serving.pid, number)  # as a terminal does
            assert serving.wait(15) == 0
        finally:
            with suppress(ProcessLookupError):
                os.killpg(serving.pid, signal.SIGKILL)
            serving.wait(15)
    assert f"paper trading; alerts go to http://[::1]:{port}/webhook" in said.read_text()
    assert "Traceback" not in said.read_text()
    assert "stack_trace" not in said.read_text()
