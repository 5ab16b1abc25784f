"""What the bucket's cache does when the store loses replies, answers late or is not there."""

import socket
import threading
import time
from collections.abc import Iterator
from datetime import UTC, date, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import requests

from app.adapters.symbols.artifact import digest_of
from app.adapters.symbols.cache import CacheDown, Entry, Pointer, artifact_name, verified
from app.adapters.symbols.gcs_cache import GcsCache
from app.adapters.symbols.row import Refused
from app.adapters.symbols.symbols import Symbols
from app.runtime.processes import free_port
from tests.emulators import gcs_bucket, gcs_emulator  # noqa: F401
from tests.present import present
from tests.stopwatch import Stopwatch
from tests.waiting import finish


class Between(ThreadingHTTPServer):
    """Passes requests on to the store; `lose_reply` uploads are carried out and never answered, `fail` ones refused."""

    daemon_threads = True
    block_on_close = False

    def __init__(self, store: str) -> None:
        super().__init__(("127.0.0.1", 0), _Passing)
        self.store = store
        self.url = f"http://127.0.0.1:{self.server_address[1]}"
        self.lose_reply = 0
        self.fail = 0
        self.uploads = 0
        self.bytes_a_second = 10**9


class _Passing(BaseHTTPRequestHandler):
    server: Between

    def log_message(self, *_: object) -> None:
        pass

    def _pass_on(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        upload = self.path.startswith("/upload")
        self.server.uploads += upload
        if upload and self.server.fail > 0:
            self.server.fail -= 1
            self.send_error(503)
            return
        headers = {
            name: value for name, value in self.headers.items() if name.lower() not in ("host", "accept-encoding")
        }
        with requests.request(
            self.command, self.server.store + self.path, data=body, headers=headers, timeout=5
        ) as reply:
            content = reply.content
        if upload and self.server.lose_reply > 0:
            self.server.lose_reply -= 1
            self.connection.shutdown(socket.SHUT_RDWR)
            return
        self.send_response(reply.status_code)
        for name, value in reply.headers.items():
            if name.lower() not in ("transfer-encoding", "content-length", "connection", "content-encoding"):
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        for at in range(0, len(content), 10_000):
            self.wfile.write(content[at : at + 10_000])
            time.sleep(10_000 / self.server.bytes_a_second)

    do_GET = do_POST = do_PUT = do_DELETE = _pass_on  # noqa: N815


@pytest.fixture
def between(gcs_emulator: str, gcs_bucket: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Between]:  # noqa: F811
    server = Between(gcs_emulator)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", server.url)
    yield server
    server.shutdown()
    finish(thread)
    server.server_close()


@pytest.fixture
def pauses() -> list[float]:
    return []


@pytest.fixture
def cache(between: Between, gcs_bucket: str, pauses: list[float]) -> Iterator[GcsCache]:  # noqa: F811
    cache = GcsCache(gcs_bucket, "symbols", sleep=pauses.append)
    yield cache
    cache.close()


def pointer_to(cache: GcsCache, artifact: bytes) -> Pointer:
    digest = digest_of(artifact)
    name = artifact_name(cache.name, digest)
    return Pointer(Entry(name, digest, date(2026, 11, 20), datetime(2026, 11, 20, 3, 0, tzinfo=UTC), {}))


def test_a_write_whose_reply_was_lost_is_found_by_reading_back_and_not_called_a_conflict(
    cache: GcsCache, between: Between
) -> None:
    between.lose_reply = 2  # the artifact's and the pointer's

    cache.publish(b"one", pointer_to(cache, b"one"), None, 5)

    assert verified(cache, Pointer.decode(present(cache.pointer(5))).current, 5) == b"one"
    assert between.uploads == 2


def test_a_store_that_is_busy_is_asked_again_after_a_pause(
    cache: GcsCache, between: Between, pauses: list[Any]
) -> None:
    between.fail = 2

    cache.publish(b"one", pointer_to(cache, b"one"), None, 5)

    assert verified(cache, Pointer.decode(present(cache.pointer(5))).current, 5) == b"one"
    assert pauses == [0.5, 1.5]


def test_a_store_that_stays_down_leaves_the_pointer_as_it_was(cache: GcsCache, between: Between) -> None:
    cache.publish(b"one", pointer_to(cache, b"one"), None, 5)
    before = cache.pointer(5)
    between.fail = 99

    with pytest.raises(CacheDown, match="could not be written"):
        cache.publish(b"two", pointer_to(cache, b"two"), before, 5)

    assert cache.pointer(5) == before


class Overtaken(GcsCache):
    """Another refresh publishes right after this one has read the pointer for the first time."""

    def __init__(self, bucket: str) -> None:
        super().__init__(bucket, "symbols", sleep=lambda _: None)
        self.rival = GcsCache(bucket, "symbols", sleep=lambda _: None)
        self._reads = 0

    def _read(self, name: str, timeout: float) -> tuple[bytes | None, int]:
        read = super()._read(name, timeout)
        self._reads += 1
        if self._reads == 1:
            self.rival.publish(b"rival", pointer_to(self.rival, b"rival"), None, 5)
        return read


def test_of_two_refreshes_at_once_one_wins_and_the_other_says_so(between: Between, gcs_bucket: str) -> None:  # noqa: F811
    cache = Overtaken(gcs_bucket)
    with pytest.raises(Refused, match="another refresh"):
        cache.publish(b"one", pointer_to(cache, b"one"), None, 5)

    assert verified(cache, Pointer.decode(present(cache.pointer(5))).current, 5) == b"rival"
    cache.rival.close()
    cache.close()


def test_a_store_that_is_not_there_is_a_named_problem_and_no_crash(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", f"http://127.0.0.1:{free_port()}")

    symbols = Symbols.open("gs://bucket/symbols", timeout=1)

    assert symbols.problem == "symbols could not be read: ConnectionError"
    symbols.close()


def test_missing_credentials_are_a_named_problem_and_no_crash(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("STORAGE_EMULATOR_HOST", raising=False)
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "missing.json"))

    symbols = Symbols.open("gs://bucket/symbols", timeout=1)

    assert symbols.problem == "symbols could not be read: DefaultCredentialsError"
    symbols.close()


def test_a_download_that_crawls_is_given_up_in_time(
    cache: GcsCache, between: Between, monkeypatch: pytest.MonkeyPatch
) -> None:
    artifact = bytes(400_000)
    cache.publish(artifact, pointer_to(cache, artifact), None, 5)
    between.bytes_a_second = 200_000
    watch = Stopwatch()

    with pytest.raises(CacheDown, match="TimeoutError"):
        cache.artifact(artifact_name("symbols", digest_of(artifact)), 0.3)

    assert watch.seconds < 1


def test_a_store_that_never_answers_holds_a_request_no_longer_than_its_time_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", f"http://127.0.0.1:{silent.getsockname()[1]}")
        symbols = Symbols.open("gs://bucket/symbols", timeout=0.2)
        watch = Stopwatch()

        assert symbols.reload_if_changed(0.0, timeout=0.2) is False

        assert watch.seconds < 1
        assert symbols.problem is not None
        symbols.close()
