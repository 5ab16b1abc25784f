"""One JSON object a line, and never a secret in it."""

import io
import json
import logging
from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from typing import Any

import pytest
from google.api_core.client_logging import setup_logging
from gunicorn.config import Config as GunicornConfig

from app.domain.errors import Malformed
from app.domain.order.status import OrderStatus
from app.domain.secret import Secret
from app.runtime import log, server

CANARY = "canary-0123456789abcdef"


@pytest.fixture
def stream() -> io.StringIO:
    sink = io.StringIO()
    log.configure("INFO", sink)
    log.request_id.set(None)
    log.trace.set(None)
    return sink


GATEWAY = logging.getLogger("gateway.test")


def lines(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def only(stream: io.StringIO) -> dict[str, Any]:
    (line,) = lines(stream)
    return line


def test_a_line_has_cloud_loggings_fields(stream: io.StringIO) -> None:
    GATEWAY.warning("order %s refused", "k1")
    line = only(stream)
    assert (line["severity"], line["message"], line["logger"]) == ("WARNING", "order k1 refused", "gateway.test")
    assert datetime.fromisoformat(line["time"]).utcoffset() is not None


def test_extra_fields_stand_beside_the_message_in_plain_form(stream: io.StringIO) -> None:
    GATEWAY.info("x", extra={"status": OrderStatus.FILLED, "price": Decimal("1E+2"), "asked": {"qty": "65"}, "ms": 1.5})
    line = only(stream)
    assert (line["status"], line["price"], line["asked"], line["ms"]) == ("FILLED", "100", {"qty": "65"}, 1.5)


def test_whatever_a_text_holds_it_stays_one_line_of_ascii() -> None:
    text = 'one\ntwo\r\u2028 "three" \ud800 🚀'
    line = log.JsonLines().format(logging.makeLogRecord({"msg": text, "levelname": "INFO", "note": text}))
    assert line.isascii()
    assert line.isprintable()
    assert (json.loads(line)["message"], json.loads(line)["note"]) == (text, text)


def test_a_request_is_named_in_every_line_of_its_own(stream: io.StringIO) -> None:
    request, trace = log.request_id.set("r1"), log.trace.set("projects/p/traces/t")
    try:
        GATEWAY.info("inside")
    finally:
        log.request_id.reset(request)
        log.trace.reset(trace)
    GATEWAY.info("outside")
    inside, outside = lines(stream)
    assert (inside["request_id"], inside["logging.googleapis.com/trace"]) == ("r1", "projects/p/traces/t")
    assert not {"request_id", "logging.googleapis.com/trace"} & set(outside)


def test_a_secret_shows_itself_nowhere(stream: io.StringIO) -> None:
    secret = Secret(CANARY)
    GATEWAY.info("%s %r", secret, secret, extra={"token": secret, "nested": {"list": [secret]}})
    GATEWAY.info(f"{secret}")
    try:
        raise RuntimeError(secret)
    except RuntimeError:
        GATEWAY.exception("failed with %s", secret)
    assert CANARY not in stream.getvalue()
    assert stream.getvalue().count("Secret(…)".encode("ascii", "backslashreplace").decode()) >= 5


def test_a_librarys_words_stay_out_of_a_stack_trace_but_the_place_is_told(stream: io.StringIO) -> None:
    try:
        raise ConnectionError(f"https://ntfy.example/{CANARY} refused")
    except ConnectionError:
        GATEWAY.exception("a call failed")
    line = only(stream)
    assert CANARY not in stream.getvalue()
    assert line["severity"] == "ERROR"
    assert line["stack_trace"].endswith("builtins.ConnectionError")
    assert "test_log.py" in line["stack_trace"]


def test_where_a_line_cannot_be_written_the_exception_under_way_is_not_quoted(
    stream: io.StringIO, capsys: pytest.CaptureFixture[str]
) -> None:
    stream.close()
    try:
        raise ConnectionError(f"https://ntfy.example/{CANARY} refused")
    except ConnectionError:
        GATEWAY.exception("a call failed")
    assert capsys.readouterr() == ("", "a log line could not be written: ValueError\n")


def test_our_own_words_stand_in_a_stack_trace(stream: io.StringIO) -> None:
    try:
        raise Malformed("qty", "is empty; give it a value")
    except Malformed:
        GATEWAY.exception("x")
    assert only(stream)["stack_trace"].endswith("Malformed: qty: is empty; give it a value")


def test_libraries_are_heard_from_warnings_on_and_urllib3_from_errors_on(stream: io.StringIO) -> None:
    for name in ("werkzeug", "google.auth", "urllib3.connectionpool", "gateway.x"):
        for level in (logging.DEBUG, logging.INFO, logging.WARNING, logging.ERROR):
            logging.getLogger(name).log(level, "said")
    heard = [(line["logger"], line["severity"]) for line in lines(stream)]
    assert heard == [
        ("werkzeug", "WARNING"),
        ("werkzeug", "ERROR"),
        ("google.auth", "WARNING"),
        ("google.auth", "ERROR"),
        ("urllib3.connectionpool", "ERROR"),
        ("gateway.x", "INFO"),
        ("gateway.x", "WARNING"),
        ("gateway.x", "ERROR"),
    ]


@pytest.mark.parametrize("first", ["the client", "the log"])
def test_googles_clients_do_not_take_their_warnings_out_of_the_log(first: str) -> None:
    google, sink = logging.getLogger("google"), io.StringIO()
    google.setLevel(logging.NOTSET)
    google.propagate = True
    steps: list[Callable[[], object]] = [
        setup_logging,
        lambda: log.configure("INFO", sink),
    ]  # what each client does that is made; what we do
    for step in steps if first == "the client" else reversed(steps):
        step()
    logging.getLogger("google.auth").warning("the metadata server does not answer")
    assert only(sink)["logger"] == "google.auth"


def test_what_gunicorn_says_by_itself_is_a_line_like_all_others(capsys: pytest.CaptureFixture[str]) -> None:
    settings = GunicornConfig()
    for name in ("errorlog", "loglevel", "logger_class"):
        settings.set(name, getattr(server, name))
    gunicorn = settings.logger_class(settings)
    gunicorn.warning("a line that is no HTTP: %s", CANARY)
    gunicorn.critical("WORKER TIMEOUT (pid:%s)", 7)
    [line] = map(json.loads, capsys.readouterr().err.splitlines())
    assert (line["severity"], line["message"], line["logger"]) == (
        "CRITICAL",
        "WORKER TIMEOUT (pid:7)",
        "gunicorn.error",
    )


def test_configuring_twice_does_not_say_everything_twice(stream: io.StringIO) -> None:
    log.configure("INFO", stream)
    GATEWAY.info("once")
    assert only(stream)["message"] == "once"


# Secret itself.


@pytest.mark.parametrize("show", [str, repr, "{}".format, "{0!r}".format, "%s".__mod__, ascii])
def test_a_secret_has_one_face(show: Any) -> None:
    assert CANARY not in show(Secret(CANARY))
    assert CANARY not in show([Secret(CANARY)])


def test_a_secret_is_revealed_by_name_and_compared_by_value() -> None:
    assert Secret(CANARY).reveal() == CANARY
    assert Secret(CANARY) == Secret(CANARY)
    assert len({Secret(CANARY), Secret(CANARY), Secret("other")}) == 2
    assert Secret(CANARY) != CANARY
    assert not hasattr(Secret(CANARY), "__dict__")


def test_two_secrets_can_be_told_apart_without_being_shown() -> None:
    prints = [Secret(text).fingerprint() for text in (CANARY, CANARY, "other")]
    assert prints[0] == prints[1] != prints[2]
    assert all(len(found) == 8 and found not in CANARY for found in prints)
