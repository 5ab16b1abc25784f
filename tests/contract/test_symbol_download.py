"""Fetching the master over HTTP: bounded in time and size, tried again where that can help, and never half a file."""

import gzip
import socket
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from app.adapters.symbols import sources
from app.adapters.symbols.row import Refused
from app.adapters.symbols.sources import Source, fetch
from app.domain.deadline import Deadline
from app.runtime.processes import free_port
from tests.stopwatch import Stopwatch
from tests.waiting import finish

FILE = b"1,2,3\n" * 1000


class Site(ThreadingHTTPServer):
    """Answers each request with the next of `replies`, and the last one for ever."""

    daemon_threads = True
    block_on_close = False

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Answering)
        self.url = f"http://127.0.0.1:{self.server_address[1]}/NSE_FO.csv?signature=secret"
        self.replies: list[Reply] = [whole]
        self.asked = 0


class _Answering(BaseHTTPRequestHandler):
    server: Site

    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        reply = self.server.replies[min(self.server.asked, len(self.server.replies) - 1)]
        self.server.asked += 1
        reply(self)


Reply = Callable[[_Answering], object]


def whole(request: _Answering, content: bytes = FILE, **headers: Any) -> None:
    request.send_response(200)
    request.send_header("Content-Length", str(len(content)))
    for name, value in headers.items():
        request.send_header(name.replace("_", "-"), value)
    request.end_headers()
    request.wfile.write(content)


def status(code: int) -> Reply:
    return lambda request: request.send_error(code)


def cut_off(request: _Answering) -> None:
    request.send_response(200)
    request.send_header("Content-Length", str(len(FILE)))
    request.end_headers()
    request.wfile.write(FILE[: len(FILE) // 2])
    request.wfile.flush()
    request.connection.shutdown(socket.SHUT_RDWR)


def dripping(request: _Answering) -> None:
    request.send_response(200)
    request.end_headers()
    while True:
        try:
            request.wfile.write(b"1")
        except OSError:
            return
        time.sleep(0.02)


@pytest.fixture
def site() -> Iterator[Site]:
    server = Site()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield server
    server.shutdown()
    finish(thread)
    server.server_close()


def fetched(url: str, seconds: float = 5.0, pauses: list[float] | None = None) -> bytes:
    sleep: Callable[[float], None] = pauses.append if pauses is not None else (lambda _: None)
    return fetch(Source(url), Deadline(time.monotonic, seconds), sleep)


def test_a_file_is_read_whole(site: Site) -> None:
    assert fetched(site.url) == FILE


def test_a_compressed_file_is_unpacked(site: Site) -> None:
    site.replies = [lambda request: whole(request, gzip.compress(FILE), Content_Encoding="gzip")]

    assert fetched(site.url) == FILE


def test_a_site_that_fails_twice_is_asked_a_third_time_after_growing_pauses(site: Site) -> None:
    site.replies = [status(503), cut_off, whole]
    pauses: list[float] = []

    assert fetched(site.url, pauses=pauses) == FILE
    assert pauses == [0.5, 1.5]


def test_after_three_tries_the_fault_is_named(site: Site) -> None:
    site.replies = [status(502)]

    with pytest.raises(Refused, match=r"^NSE_FO.csv could not be read: HTTP 502$"):
        fetched(site.url)
    assert site.asked == 3


def test_a_file_cut_off_on_the_way_is_never_taken_for_a_whole_one(site: Site) -> None:
    site.replies = [cut_off]

    with pytest.raises(Refused, match="could not be read"):
        fetched(site.url)


def test_a_file_that_is_not_there_is_asked_for_once(site: Site) -> None:
    site.replies = [status(404)]

    with pytest.raises(Refused, match="HTTP 404"):
        fetched(site.url)
    assert site.asked == 1


def test_a_site_that_drips_is_given_up_at_the_total_deadline(site: Site) -> None:
    site.replies = [dripping]
    watch = Stopwatch()

    with pytest.raises(Refused, match="in time"):
        fetched(site.url, seconds=0.3)
    assert watch.seconds < 1


def test_a_site_that_says_nothing_is_given_up_at_the_total_deadline() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        watch = Stopwatch()

        with pytest.raises(Refused, match="could not be read: ReadTimeout"):
            fetched(f"http://127.0.0.1:{silent.getsockname()[1]}/NSE_FO.csv", seconds=0.3)
        assert watch.seconds < 1


def test_a_site_that_is_down_is_a_named_fault() -> None:
    with pytest.raises(Refused, match="could not be read: ConnectionError"):
        fetched(f"http://127.0.0.1:{free_port()}/NSE_FO.csv")


@pytest.mark.parametrize("encoding", [{}, {"Content_Encoding": "gzip"}])
def test_a_file_over_the_cap_is_refused_packed_or_not(
    site: Site, monkeypatch: pytest.MonkeyPatch, encoding: dict[str, str]
) -> None:
    monkeypatch.setattr(sources, "MAX_CSV_BYTES", 1024 * 1024)
    content = bytes(3 * 1024 * 1024)
    site.replies = [lambda request: whole(request, gzip.compress(content) if encoding else content, **encoding)]

    with pytest.raises(Refused, match="is over 1 MB"):
        fetched(site.url)


def test_a_file_on_disk_is_read_by_path_and_by_file_url(tmp_path: Path) -> None:
    path = tmp_path / "NSE FO.csv"
    path.write_bytes(FILE)

    assert fetched(str(path)) == FILE
    assert fetched(path.as_uri()) == FILE


def test_a_path_that_is_not_there_says_so(tmp_path: Path) -> None:
    with pytest.raises(Refused, match=r"missing\.csv could not be read: No such file"):
        fetched(str(tmp_path / "missing.csv"))


def test_what_may_be_secret_in_a_url_is_in_no_name_of_it() -> None:
    source = Source("https://user:word@public.fyers.in/sym_details/NSE_FO.csv?signature=secret")

    assert source.key == "https://public.fyers.in/sym_details/NSE_FO.csv"
    assert source.name == "NSE_FO.csv"
    assert source.is_fyers
    assert not Source("https://public.fyers.in.example.com/NSE_FO.csv").is_fyers


@pytest.mark.parametrize("last", ["http://masters.example/x.csv", "HTTP://masters.example/x.csv", "ftp://x/x.csv"])
def test_a_file_asked_for_by_https_is_not_taken_from_an_address_in_the_clear(last: str) -> None:
    first = "https://masters.example/x.csv"
    with pytest.raises(Refused, match=r"x\.csv could not be read: its https address leads to a plain http one"):
        sources._check_way(Source(first), [first, last])
    with pytest.raises(Refused, match="plain http"):
        sources._check_way(Source(first), [first, last, first])
    sources._check_way(Source(first), [first, "https://elsewhere.example/x.csv"])
    sources._check_way(Source("http://127.0.0.1:9/x.csv"), [last])
