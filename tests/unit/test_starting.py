"""While the gateway is set up it says that it lives; a request for more waits, and never for too long."""

import gc
import io
import json
import logging
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import Any

import pytest
from flask import Flask

from app.domain.errors import NotNow, Reason
from app.runtime import starting
from app.runtime.log import JsonLines
from app.runtime.starting import Starting
from app.web.answers import answer_error
from tests.stopwatch import Stopwatch

FULL = NotNow(Reason.LEDGER_DOWN, "the disk is full")


class Real:
    """The app that the start ends with; it answers with the path, and keeps the requests."""

    def __init__(self) -> None:
        self.extensions = {"gateway": SimpleNamespace(closing=False)}
        self.asked: list[dict[str, Any]] = []

    def __call__(self, environ: dict[str, Any], start_response: Any) -> list[bytes]:
        self.asked.append(environ)
        start_response("200 OK", [])
        return [environ["PATH_INFO"].encode()]

    @property
    def is_closing(self) -> bool:
        return bool(self.extensions["gateway"].closing)


class Start:
    """A start that goes on when the test lets it."""

    def __init__(self, problem: BaseException | None = None) -> None:
        self.real, self.problem = Real(), problem
        self.go_on, self.gave_up = threading.Event(), threading.Event()
        self.collected: bool | None = None
        self.app = Starting(self._make, self.gave_up.set)

    def _make(self) -> Real:
        self.collected = gc.isenabled()
        self.go_on.wait(10)
        if self.problem is not None:
            raise self.problem
        return self.real

    def finish(self) -> None:
        self.go_on.set()
        self.app._decided.wait(10)

    def ask(self, path: str, **environ: Any) -> tuple[str, dict[str, str], bytes]:
        said: list[Any] = []
        content = self.app({"PATH_INFO": path, **environ}, lambda *what: said.extend(what))
        return said[0], dict(said[1]), b"".join(content)


@pytest.fixture
def begin() -> Iterator[Callable[..., Start]]:
    begun: list[Start] = []

    def begin(problem: BaseException | None = None) -> Start:
        begun.append(Start(problem))
        return begun[-1]

    yield begin
    for start in begun:
        start.finish()
    gc.unfreeze()


@pytest.mark.parametrize("path", ["/health", "/healthz"])
def test_the_process_says_at_once_that_it_lives(begin: Callable[..., Start], path: str) -> None:
    start = begin()
    status, _, content = start.ask(path)
    assert (status, json.loads(content)) == ("200 OK", {"status": "ok"})
    start.finish()
    assert start.ask(path)[2] == path.encode()  # from now on the real one answers


def test_an_alert_waits_for_the_gateway_and_its_time_counts_from_its_arrival(begin: Callable[..., Start]) -> None:
    start, arrived = begin(), time.monotonic() - 0.5
    with ThreadPoolExecutor(2) as threads:
        known = threads.submit(start.ask, "/webhook", **{"gateway.arrived": arrived})
        unknown = threads.submit(start.ask, "/webhook", **{"gateway.arrived": None})
        time.sleep(0.1)
        assert start.real.asked == []
        start.finish()
        assert {known.result(5)[2], unknown.result(5)[2]} == {b"/webhook"}
    first, second = sorted(environ["gateway.arrived"] for environ in start.real.asked)
    assert first == arrived
    assert (
        0.05 < time.monotonic() - second < 5
    )  # where the arrival is not known, it counts from the beginning of the wait


def test_an_alert_that_would_wait_too_long_is_answered_503_like_any_other_so_that_it_is_sent_again(
    begin: Callable[..., Start], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(starting, "PATIENCE", 0.1)
    start = begin()
    watch = Stopwatch()
    status, headers, content = start.ask("/webhook")
    assert watch.wall >= 0.1
    assert watch.seconds < 0.5
    assert (status, headers["Retry-After"]) == ("503 Service Unavailable", "5")
    body = json.loads(content)
    with Flask("other").app_context():
        as_ever = answer_error(NotNow(Reason.STARTING), body["request_id"])
    assert body == as_ever.json
    assert headers["X-Request-Id"] == body["request_id"]
    assert headers["Content-Length"] == str(len(content))
    assert start.real.asked == []


def test_a_refused_alert_has_the_line_that_every_refused_one_has(
    begin: Callable[..., Start], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(starting, "PATIENCE", 0.01)
    stream = io.StringIO()
    heard = logging.StreamHandler(stream)
    heard.setFormatter(JsonLines())
    monkeypatch.setattr(starting.log, "handlers", [heard])
    begin().ask("/webhook")
    line = json.loads(stream.getvalue())
    assert (line["message"], line["severity"]) == ("alert refused", "WARNING")
    assert (line["reason"], line["http"]) == ("STARTING", 503)


def test_who_is_told_to_stop_during_the_start_claims_no_alert_afterwards(begin: Callable[..., Start]) -> None:
    start = begin()
    start.app.stop_claiming()
    start.finish()
    assert start.real.is_closing
    later = begin()
    later.finish()
    assert not later.real.is_closing
    later.app.stop_claiming()
    assert later.real.is_closing


@pytest.mark.parametrize("problem", [ValueError("no such bucket"), SystemExit(1), FULL])
def test_a_gateway_that_cannot_be_set_up_ends_and_says_so(
    begin: Callable[..., Start], problem: BaseException, caplog: pytest.LogCaptureFixture
) -> None:
    start = begin(problem)
    with caplog.at_level(logging.CRITICAL, "gateway.starting"), ThreadPoolExecutor(1) as threads:
        waiting = threads.submit(start.ask, "/webhook")
        time.sleep(0.05)
        start.finish()
        assert waiting.result(5)[0] == "503 Service Unavailable"
        assert not start.gave_up.is_set()  # before who waited was answered, so that the alert comes again
        assert start.gave_up.wait(5)
    [said] = [record for record in caplog.records if record.levelno == logging.CRITICAL]
    assert said.message == "the gateway cannot be set up, so it ends"
    foreseen = isinstance(problem, NotNow)
    assert said.__dict__["why"] == ("the disk is full" if foreseen else None)
    assert bool(said.exc_info) is not foreseen


def test_garbage_is_not_looked_for_while_the_gateway_is_set_up_and_is_from_then_on(begin: Callable[..., Start]) -> None:
    start = begin()
    start.finish()
    assert (start.collected, gc.isenabled()) == (False, True)
    assert gc.get_freeze_count() > 0
