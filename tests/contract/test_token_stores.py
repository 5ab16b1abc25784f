"""Every store of the day's token keeps the same promises: written wholly or not at all, and the newer login stays."""

import json
import logging
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import requests

from app.adapters.tokens import FileTokens, GcsTokens
from app.domain.deadline import Deadline
from app.domain.errors import NotNow
from app.login.ports import TokenUnreadable
from app.runtime.processes import free_port
from tests.emulators import gcs_bucket, gcs_emulator  # noqa: F401
from tests.stopwatch import Stopwatch
from tests.tokens import ist, token
from tests.waiting import finish


def soon(seconds: float = 5.0) -> Deadline:
    return Deadline(time.monotonic, seconds)


class InFile:
    def __init__(self, path: Path) -> None:
        self.path = path

    def open(self, **options: Any) -> FileTokens:
        return FileTokens(self.path, **options)

    def put(self, text: bytes, more: str = "") -> None:
        self.path.parent.mkdir(exist_ok=True)
        self.path.with_name(self.path.name + more).write_bytes(text)

    def text(self) -> bytes:
        return self.path.read_bytes()


class InBucket:
    def __init__(self, url: str, bucket: str) -> None:
        self.url, self.bucket = url, bucket
        self.opened: list[GcsTokens] = []

    def open(self, **options: Any) -> GcsTokens:
        self.opened.append(GcsTokens(self.bucket, "fyers/tokens.json", **options))
        return self.opened[-1]

    def put(self, text: bytes, more: str = "") -> None:
        where = f"{self.url}/upload/storage/v1/b/{self.bucket}/o?uploadType=media&name=fyers%2Ftokens.json{more}"
        requests.post(where, data=text, timeout=5).raise_for_status()

    def text(self) -> bytes:
        where = f"{self.url}/storage/v1/b/{self.bucket}/o/fyers%2Ftokens.json?alt=media"
        return requests.get(where, timeout=5).content


@pytest.fixture(params=["file", "gcs"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[InBucket | InFile]:
    if request.param == "file":
        yield InFile(tmp_path / "deep" / "tokens.json")
        return
    place = InBucket(request.getfixturevalue("gcs_emulator"), request.getfixturevalue("gcs_bucket"))
    yield place
    for store in place.opened:
        store.close()


def test_an_empty_store_has_no_token(place: InBucket | InFile) -> None:
    assert place.open().load(soon()) is None


def test_what_one_instance_stores_another_one_loads(place: InBucket | InFile) -> None:
    today = token(ist(8), refresh_token="again", last_validated_at=ist(8, 1))

    assert place.open().save(today, soon()) == today

    assert place.open().load(soon()) == today


def test_the_object_has_the_documented_names_and_times_in_utc(place: InBucket | InFile) -> None:
    place.open().save(token(ist(8)), soon())

    stored = json.loads(place.text())

    assert list(stored) == [
        "access_token", "refresh_token", "issued_at", "expires_at", "app_id", "last_validated_at",
    ]  # fmt: skip
    assert stored["expires_at"] == "2026-11-21T00:30:00+00:00"


def test_the_next_login_replaces_the_last(place: InBucket | InFile) -> None:
    store = place.open()
    store.save(token(ist(8, day=19)), soon())
    today = token(ist(8))

    store.save(today, soon())

    assert store.load(soon()) == today


def test_an_older_login_that_finishes_later_does_not_replace_a_newer_one(place: InBucket | InFile) -> None:
    newer, older = token(ist(8, 5)), token(ist(8))
    place.open().save(newer, soon())

    assert place.open().save(older, soon()) == newer

    assert place.open().load(soon()) == newer


def test_the_same_login_may_be_noted_as_validated(place: InBucket | InFile) -> None:
    store, today = place.open(), token(ist(8))
    store.save(today, soon())
    validated = token(ist(8), last_validated_at=ist(9))

    assert store.save(validated, soon()) == validated


def test_of_writers_at_once_the_newest_login_stays_and_no_reader_sees_a_torn_one(place: InBucket | InFile) -> None:
    logins = [token(ist(8) + timedelta(minutes=minute)) for minute in range(4)]
    stores = [place.open() for _ in logins]
    reader, done, seen = place.open(), threading.Event(), []

    def read() -> None:
        while not done.is_set():
            seen.append(reader.load(soon()))

    with ThreadPoolExecutor(5) as pool:
        reading = pool.submit(read)
        try:
            kept = list(pool.map(lambda store, login: store.save(login, soon(10)), stores, logins))
        finally:
            done.set()
        reading.result(30)

    assert reader.load(soon()) == logins[-1]
    assert kept[-1] == logins[-1]
    assert all(not one.is_older_than(login) for one, login in zip(kept, logins, strict=True))
    assert all(one is None or one in logins for one in seen)


@pytest.mark.parametrize(
    "text", [b"", b"{", b"[1]", b'{"access_token": 5}', b"<html>CANARY</html>", b"\xff\x00", b"[" * 9000]
)
def test_nonsense_is_a_named_problem_that_shows_nothing_and_the_next_login_replaces_it(
    place: InBucket | InFile, text: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    place.put(text)
    store = place.open()

    with pytest.raises(TokenUnreadable, match="log in again"):
        store.load(soon())
    assert "log in again, or repair the token store" in caplog.text
    assert "CANARY" not in caplog.text

    today = token(ist(8))
    assert store.save(today, soon()) == today
    assert store.load(soon()) == today


def test_an_object_written_by_hand_needs_only_the_access_token(place: InBucket | InFile) -> None:
    place.put(json.dumps({"access_token": token(ist(8)).access_token}).encode())

    loaded = place.open().load(soon())
    assert loaded is not None
    assert loaded.ends_at == ist(6, day=21)


def test_a_newer_token_that_is_not_the_owner_s_gives_way_and_one_that_is_does_not(place: InBucket | InFile) -> None:
    newer, today = token(ist(9)), token(ist(8))
    place.put(json.dumps(newer.document()).encode())

    assert place.open(knows=lambda stored: stored == newer).save(today, soon()) == newer
    assert place.open(knows=lambda stored: stored != newer).save(today, soon()) == today

    assert place.open().load(soon()) == today


# --- the key of the login links


def test_the_key_is_made_once_and_is_the_same_for_all(place: InBucket | InFile) -> None:
    stores = [place.open() for _ in range(6)]

    with ThreadPoolExecutor(6) as pool:
        keys = list(pool.map(lambda store: store.link_key(soon(10)), stores))

    assert len(set(keys)) == 1
    assert len(bytes.fromhex(keys[0])) == 32
    assert place.open().link_key(soon()) == keys[0]


def test_a_new_key_is_the_key_of_all_and_the_token_beside_it_stays(place: InBucket | InFile) -> None:
    today = place.open().save(token(ist(8)), soon())
    first = place.open().link_key(soon())

    second = place.open().new_link_key(soon())

    assert second != first
    assert place.open().link_key(soon()) == second
    assert place.open().load(soon()) == today


def test_of_many_that_replace_the_key_at_once_one_key_stays(place: InBucket | InFile) -> None:
    stores = [place.open() for _ in range(4)]

    with ThreadPoolExecutor(4) as pool:
        keys = list(pool.map(lambda store: store.new_link_key(soon(20)), stores))

    assert place.open().link_key(soon()) in keys


@pytest.mark.parametrize("nonsense", [b"", b"short", b"G" * 64, b"a" * 65, b"\xff" * 64])
def test_a_key_that_is_none_is_replaced(place: InBucket | InFile, nonsense: bytes) -> None:
    place.put(nonsense, more=".links")

    key = place.open().link_key(soon())

    assert len(bytes.fromhex(key)) == 32
    assert place.open().link_key(soon()) == key


# --- the file alone


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "tokens.json"


def test_the_file_is_its_owners_alone_from_the_first_moment(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    modes = []
    replace = os.replace

    def seen(new: Path, old: Path) -> None:
        modes.append(Path(new).stat().st_mode & 0o777)
        replace(new, old)

    monkeypatch.setattr(os, "replace", seen)
    umask = os.umask(0)
    try:
        FileTokens(path).save(token(ist(8)), soon())
    finally:
        os.umask(umask)

    assert modes == [0o600]
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_file_that_others_can_read_is_closed_to_them_and_said_so(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path.write_text(json.dumps(token(ist(8)).document()))
    path.chmod(0o644)

    assert FileTokens(path).load(soon()) is not None

    assert path.stat().st_mode & 0o777 == 0o600
    assert "other users could read" in caplog.text


def test_a_write_that_breaks_off_leaves_the_old_token(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store, old = FileTokens(path), token(ist(8))
    store.save(old, soon())

    def break_off(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as broken:
        broken.setattr(os, "fsync", break_off)
        with pytest.raises(NotNow, match="cannot be written"):
            store.save(token(ist(9)), soon())
    assert store.load(soon()) == old

    later = token(ist(10))
    store.save(later, soon())
    assert store.load(soon()) == later


def test_a_writer_that_hangs_with_the_lock_holds_no_other_longer_than_its_deadline(path: Path) -> None:
    store = FileTokens(path)
    watch = Stopwatch()

    with store._locked(soon()), pytest.raises(NotNow, match="cannot be written"):
        FileTokens(path).save(token(ist(8)), soon(0.2))

    assert watch.seconds < 1
    FileTokens(path).save(token(ist(8)), soon())


def test_a_path_that_cannot_be_used_is_a_named_problem(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "file").write_text("")
    store = FileTokens(tmp_path / "file" / "tokens.json")

    with pytest.raises(NotNow, match="cannot be read"):
        store.load(soon())
    with pytest.raises(NotNow, match="cannot be written"):
        store.save(token(ist(8)), soon())
    with pytest.raises(NotNow, match="cannot be written"):
        store.link_key(soon())
    assert "Not a directory" in caplog.text


def test_folder_and_files_are_the_gateway_s_alone_whatever_the_umask(tmp_path: Path) -> None:
    umask = os.umask(0)
    try:
        store = FileTokens(tmp_path / "data" / "tokens.json")
        store.save(token(ist(8)), soon())
        store.link_key(soon())
    finally:
        os.umask(umask)

    assert (tmp_path / "data").stat().st_mode & 0o777 == 0o700
    modes = {file.name: file.stat().st_mode & 0o777 for file in (tmp_path / "data").iterdir()}
    assert modes == dict.fromkeys(("tokens.json", "tokens.json.links", "tokens.json.lock"), 0o600)


# --- the bucket alone, with faults between it and us


class Between(ThreadingHTTPServer):
    """Passes requests on to the bucket; `plan` has what to do with the next uploads instead."""

    daemon_threads = True
    block_on_close = False

    def __init__(self, bucket_url: str) -> None:
        super().__init__(("127.0.0.1", 0), _Passing)
        self.bucket_url = bucket_url
        self.url = f"http://127.0.0.1:{self.server_address[1]}"
        self.plan: list[str | None] = []
        self.uploads = 0
        self.meanwhile: Callable[[], object] = lambda: None
        self.silent = threading.Event()
        self.over = threading.Event()


class _Passing(BaseHTTPRequestHandler):
    server: Between
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log_message(self, *_: object) -> None:
        pass

    def _pass_on(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.server.silent.is_set():
            self.server.over.wait(10)
            self.close_connection = True
            return
        fault = None
        if self.path.startswith("/upload"):
            self.server.uploads += 1
            fault = self.server.plan.pop(0) if self.server.plan else None
        if fault == "503":
            self.send_error(503)
            return
        headers = {name: value for name, value in self.headers.items() if name.lower() in ("content-type", "x-goog")}
        where = self.server.bucket_url + self.path
        with requests.request(self.command, where, data=body, headers=headers, timeout=5) as reply:
            content = reply.content
        if fault == "reply lost":
            self.server.meanwhile()
            self.connection.shutdown(socket.SHUT_RDWR)
            self.close_connection = True
            return
        self.send_response(reply.status_code)
        for name, value in reply.headers.items():
            if name.lower() not in ("transfer-encoding", "content-length", "connection", "content-encoding"):
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    do_GET = do_POST = do_PUT = _pass_on  # noqa: N815


@pytest.fixture
def between(gcs_emulator: str, gcs_bucket: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Between]:  # noqa: F811
    server = Between(gcs_emulator)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", server.url)
    yield server
    server.over.set()
    server.shutdown()
    finish(thread)
    server.server_close()


@pytest.fixture
def bucket_store(between: Between, gcs_bucket: str) -> Iterator[GcsTokens]:  # noqa: F811
    store = GcsTokens(gcs_bucket, "tokens.json")
    yield store
    store.close()


def test_a_write_whose_reply_was_lost_is_found_by_reading_and_not_called_a_conflict(
    bucket_store: GcsTokens, between: Between
) -> None:
    bucket_store.save(token(ist(8, day=19)), soon())
    between.plan, today = ["reply lost"], token(ist(8))

    assert bucket_store.save(today, soon()) == today

    assert between.uploads == 2
    assert bucket_store.load(soon()) == today


def test_a_lost_reply_never_takes_a_newer_login_back(
    bucket_store: GcsTokens,
    between: Between,
    gcs_bucket: str,  # noqa: F811
    gcs_emulator: str,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", gcs_emulator)
    rival, newer = GcsTokens(gcs_bucket, "tokens.json"), token(ist(8, 5))
    between.plan, between.meanwhile = ["reply lost"], lambda: rival.save(newer, soon())

    assert bucket_store.save(token(ist(8)), soon()) == newer

    assert bucket_store.load(soon()) == newer
    rival.close()


def test_a_key_whose_reply_is_lost_is_read_back_and_is_the_one_that_others_read(
    bucket_store: GcsTokens,
    between: Between,
    gcs_bucket: str,  # noqa: F811
    gcs_emulator: str,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", gcs_emulator)
    rival = GcsTokens(gcs_bucket, "tokens.json")
    between.plan, renewed = ["reply lost", "reply lost"], []
    between.meanwhile = lambda: renewed.append(rival.new_link_key(soon()))

    assert bucket_store.link_key(soon()) == renewed[0]

    assert rival.link_key(soon()) == renewed[0]
    rival.close()


def test_a_busy_bucket_is_asked_again_and_the_login_is_kept(bucket_store: GcsTokens, between: Between) -> None:
    between.plan, today = ["503", "503"], token(ist(8))

    assert bucket_store.save(today, soon()) == today

    assert between.uploads == 3


def test_a_bucket_that_stays_busy_is_a_named_problem_within_the_deadline(
    bucket_store: GcsTokens, between: Between, caplog: pytest.LogCaptureFixture
) -> None:
    between.plan, watch = ["503"] * 99, Stopwatch()

    with pytest.raises(NotNow, match="the token store cannot be"):
        bucket_store.save(token(ist(8)), soon(1))

    assert watch.seconds < 2
    assert "eyJ" not in caplog.text


def test_a_bucket_that_never_answers_costs_no_more_than_the_deadline(bucket_store: GcsTokens, between: Between) -> None:
    between.silent.set()
    watch = Stopwatch()

    with pytest.raises(NotNow):
        bucket_store.load(soon(0.3))
    with pytest.raises(NotNow):
        bucket_store.save(token(ist(8)), soon(0.3))

    assert watch.seconds < 1.5


def test_a_bucket_that_is_not_there_is_a_named_problem(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", f"http://127.0.0.1:{free_port()}")
    store = GcsTokens("bucket", "tokens.json")

    with pytest.raises(NotNow, match="cannot be read"):
        store.load(soon(1))

    assert "gs://bucket/tokens.json" in caplog.text
    store.close()
