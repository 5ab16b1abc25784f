"""Lines on their way to Cloud Logging: whole, in order, each once; a loss is counted and told, and nothing waits."""

import io
import json
import logging
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import grpc
import pytest
from google.api_core.exceptions import DeadlineExceeded, ServiceUnavailable
from google.auth.exceptions import DefaultCredentialsError
from google.logging.type.log_severity_pb2 import LogSeverity

from app.adapters.cloud_logging.api import LogApi
from app.adapters.cloud_logging.sender import AT_ONCE, BROKEN_OFF, LAST_CALLS, CloudLog, Relay
from app.runtime import log
from app.runtime.processes import free_port
from tests.cloud_logging import CloudLogging, cloud_logging
from tests.stopwatch import Stopwatch
from tests.waiting import wait_until

LOGGER = logging.getLogger("gateway.test")


@pytest.fixture
def api() -> Iterator[CloudLogging]:
    with cloud_logging() as stand_in:
        yield stand_in


@pytest.fixture(autouse=True)
def address(api: CloudLogging, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOGGING_EMULATOR_HOST", api.address)


@pytest.fixture
def console() -> io.StringIO:
    return io.StringIO()


@pytest.fixture
def cloud(console: io.StringIO) -> Iterator[CloudLog]:
    with ready(CloudLog(lambda: LogApi("my-project"), console)) as handler:
        yield handler


class ready:  # noqa: N801 - reads as a verb does
    """Lines of `gateway.test` go to the handler; closed in the end."""

    def __init__(self, handler: CloudLog) -> None:
        self._handler = handler
        handler.setFormatter(log.JsonLines())

    def __enter__(self) -> CloudLog:
        LOGGER.setLevel(logging.DEBUG)
        LOGGER.propagate = False
        LOGGER.addHandler(self._handler)
        return self._handler

    def __exit__(self, *_: object) -> None:
        LOGGER.removeHandler(self._handler)
        LOGGER.propagate = True
        LOGGER.setLevel(logging.NOTSET)
        self._handler.close()


def printed(console: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in console.getvalue().splitlines()]


def test_a_line_arrives_with_all_its_fields_each_in_its_own_place(api: CloudLogging, cloud: CloudLog) -> None:
    asked, traced = log.request_id.set("r1"), log.trace.set("projects/my-project/traces/t")
    began = datetime.now(UTC)
    request = {"requestMethod": "POST", "requestUrl": "/webhook", "status": 200, "latency": "0.250s", "remoteIp": "::1"}
    LOGGER.warning("alert %s", "answered", extra={"httpRequest": request, "steps": {"place": 1.5}, "reason": None})
    log.request_id.reset(asked)
    log.trace.reset(traced)
    wait_until("the line is there", lambda: api.entries)
    [call], [entry], [line] = api.calls, api.entries, api.lines
    assert (call.log_name, call.resource.type) == ("projects/my-project/logs/gateway", "global")
    assert entry.severity == LogSeverity.WARNING
    assert timedelta() <= entry.timestamp - began < timedelta(seconds=30)
    assert entry.trace == "projects/my-project/traces/t"
    assert dict(entry.labels) == {"request_id": "r1"}
    sent = entry.http_request
    assert (sent.request_method, sent.request_url, sent.status, sent.remote_ip) == ("POST", "/webhook", 200, "::1")
    assert sent.latency.ToMilliseconds() == 250
    assert line == {
        "message": "alert answered",
        "logger": "gateway.test",
        "request_id": "r1",
        "steps": {"place": 1.5},
        "reason": None,
    }


def test_lines_arrive_in_their_order_in_calls_of_bounded_size(api: CloudLogging, cloud: CloudLog) -> None:
    for number in range(3 * AT_ONCE + 1):
        LOGGER.info("line %d", number)
    wait_until("all are there", lambda: len(api.entries) == 3 * AT_ONCE + 1)
    assert api.messages == [f"line {number}" for number in range(3 * AT_ONCE + 1)]
    ids = [entry.insert_id for entry in api.entries]
    assert ids == sorted(ids)
    assert max(len(call.entries) for call in api.calls) <= AT_ONCE


def test_whatever_a_text_holds_it_arrives(api: CloudLogging, cloud: CloudLog) -> None:
    cloud.handle(logging.makeLogRecord({"msg": "one\ntwo\u2028 \ud800 🚀"}))
    LOGGER.log(25, "of a level of its own")
    wait_until("both are there", lambda: len(api.entries) == 2)
    assert api.messages == ["one\ntwo\u2028 ? 🚀", "of a level of its own"]


@pytest.mark.parametrize("status", [grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.PERMISSION_DENIED])
def test_after_an_outage_the_lines_arrive_once_and_in_order_and_the_console_tells_of_it_once(
    api: CloudLogging, cloud: CloudLog, console: io.StringIO, status: grpc.StatusCode
) -> None:
    api.fails = status
    LOGGER.info("first")
    wait_until("it was tried twice", lambda: len(api.calls) >= 2)
    LOGGER.info("second")
    assert api.entries == []
    api.fails = None
    wait_until("both are there", lambda: len(api.entries) == 2)
    assert api.messages == ["first", "second"]
    [told] = printed(console)
    assert (told["severity"], told["message"]) == ("WARNING", "Cloud Logging takes no log lines")
    assert told["why"] in ("ServiceUnavailable", "PermissionDenied")


def test_a_call_that_is_not_answered_ends_by_its_own_time_out(api: CloudLogging) -> None:
    client = LogApi("my-project")
    client.write([("0", '{"message": "connects"}')], 5.0)
    api.hangs()
    with Stopwatch(1.0), pytest.raises(DeadlineExceeded):
        client.write([("1", '{"message": "x"}')], 0.3)
    client.close()


def test_a_call_to_an_address_where_nothing_listens_ends_by_its_own_time_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOGGING_EMULATOR_HOST", f"127.0.0.1:{free_port()}")
    client = LogApi("my-project")
    with Stopwatch(1.5), pytest.raises((DeadlineExceeded, ServiceUnavailable)):
        client.write([("1", '{"message": "x"}')], 0.5)
    client.close()


def test_a_line_that_was_taken_without_a_reply_is_sent_again_under_the_same_id(api: CloudLogging) -> None:
    client = LogApi("my-project")
    for _ in range(2):
        client.write([("7", '{"message": "x"}')], 5.0)
    assert [entry.insert_id for call in api.calls for entry in call.entries] == ["7", "7"]
    client.close()


def test_a_line_that_the_api_refuses_costs_no_other_one_and_is_counted(
    api: CloudLogging, cloud: CloudLog, console: io.StringIO
) -> None:
    api.refuses = "bad"
    for message in ("before", "bad", "after"):
        LOGGER.info(message)
    wait_until("the good ones are there", lambda: "after" in api.messages)
    LOGGER.info("later")
    wait_until("the last one is there", lambda: "later" in api.messages)
    told = api.messages.index("log lines were lost")  # before "after", where that one left in a call of its own
    assert 0 < told < 3
    assert [*api.messages[:told], *api.messages[told + 1 :]] == ["before", "after", "later"]
    assert [(line["message"], line["lost"]) for line in printed(console)] == [("log lines were lost", 1)]


def test_a_line_that_the_api_refuses_is_found_in_few_calls(api: CloudLogging) -> None:
    client = LogApi("my-project")
    api.refuses = "bad"
    messages = [f"line {number}" for number in range(63)]
    texts = [json.dumps({"message": message}) for message in [*messages[:40], "bad", *messages[40:]]]
    assert client.write([(str(number), text) for number, text in enumerate(texts)], 5.0) == 1
    assert api.messages == messages
    assert len(api.calls) == 13  # the whole, and two halves of what held it six times
    client.close()


def test_a_line_of_which_no_entry_can_be_made_costs_no_other_one(api: CloudLogging) -> None:
    client = LogApi("my-project")
    bad = '{"message": "x", "httpRequest": 7}'
    assert client.write([("1", '{"message": "a"}'), ("2", bad), ("3", '{"message": "b"}')], 5.0) == 1
    assert api.messages == ["a", "b"]
    client.close()


def test_what_the_queue_has_no_room_for_is_counted_and_told_on_the_console_and_in_the_log(
    api: CloudLogging, console: io.StringIO
) -> None:
    api.hangs()
    with ready(CloudLog(lambda: LogApi("my-project"), console, most_waiting=5)):
        LOGGER.info("under way")
        wait_until("a call is under way", lambda: api.calls)
        for number in range(12):
            LOGGER.info("line %d", number)
        api.goes_on()
        wait_until("the loss is told", lambda: len(api.entries) == 7)
        [told] = [line for line in api.lines if line["message"] == "log lines were lost"]
        assert (told["lost"], told["lost_in_all"]) == (7, 7)
        assert [line for line in api.messages if line.startswith("line")] == [f"line {number}" for number in range(5)]
    assert [(line["message"], line["lost"]) for line in printed(console)] == [("log lines were lost", 7)]


def test_while_the_api_hangs_a_line_is_handed_over_at_once(api: CloudLogging, cloud: CloudLog) -> None:
    api.hangs()
    LOGGER.info("under way")
    wait_until("a call is under way", lambda: api.calls)
    with Stopwatch(0.5):
        for number in range(1000):
            LOGGER.info("line %d", number)
    api.goes_on()
    wait_until("all are there", lambda: len(api.entries) == 1001)


def test_the_end_waits_for_what_is_under_way_and_sends_what_waits(api: CloudLogging, console: io.StringIO) -> None:
    with ready(CloudLog(lambda: LogApi("my-project"), console)):
        for number in range(2000):
            LOGGER.info("line %d", number)
    assert api.messages == [f"line {number}" for number in range(2000)]
    assert console.getvalue() == ""


def test_the_end_comes_also_where_the_api_hangs_and_what_was_not_sent_is_printed(
    api: CloudLogging, console: io.StringIO
) -> None:
    api.hangs()
    with ready(CloudLog(lambda: LogApi("my-project"), console)) as handler:
        LOGGER.info("under way")
        wait_until("a call is under way", lambda: api.calls)
        LOGGER.error("waiting")
        with Stopwatch(LAST_CALLS + BROKEN_OFF + 0.5):
            handler.close()
        LOGGER.info("too late")
    assert [line["message"] for line in printed(console) if line["logger"] == "gateway.test"] == [
        "under way",
        "waiting",
        "too late",
    ]
    assert [thread.name for thread in threading.enumerate() if thread.name == "cloud-log"] == []


def test_without_credentials_the_lines_are_printed_in_the_end_and_the_console_says_why(console: io.StringIO) -> None:
    def without() -> LogApi:
        raise DefaultCredentialsError("a text that may hold anything")  # type: ignore[no-untyped-call]  # google-auth's

    with ready(CloudLog(without, console)):
        LOGGER.info("a line")
    messages = [(line["message"], line.get("why")) for line in printed(console)]
    assert messages == [("Cloud Logging takes no log lines", "DefaultCredentialsError"), ("a line", None)]
    assert "may hold" not in console.getvalue()


def test_what_the_client_says_about_a_failed_call_makes_no_other_call(console: io.StringIO) -> None:
    class Talking:
        calls = 0

        def write(self, lines: object, seconds: float) -> int:
            self.calls += 1
            LOGGER.warning("the client's own words")
            return 0

        def close(self) -> None:
            """Nothing is open."""

    talking = Talking()
    with ready(CloudLog(lambda: talking, console)):
        LOGGER.info("a line")
        wait_until("it is sent", lambda: talking.calls)
    assert talking.calls == 1
    assert [line["message"] for line in printed(console)] == ["the client's own words"]


def test_a_line_that_cannot_be_made_fails_no_request_and_is_counted(
    api: CloudLogging, cloud: CloudLog, console: io.StringIO, capsys: pytest.CaptureFixture[str]
) -> None:
    cloud.handle(logging.makeLogRecord({"msg": "%d", "args": ("a secret",)}))
    LOGGER.info("the next one")
    wait_until("the loss is told", lambda: "log lines were lost" in api.messages)
    assert "a secret" not in console.getvalue() + "".join(capsys.readouterr())


def test_the_lines_of_a_process_that_forks_come_by_its_workers(api: CloudLogging, console: io.StringIO) -> None:
    relay = Relay()
    relay.setFormatter(log.JsonLines())
    relay.emit(logging.makeLogRecord({"msg": "before any worker", "levelname": "CRITICAL"}))
    with ready(CloudLog(lambda: LogApi("my-project"), console, relay.arriving)):
        wait_until("the line is there", lambda: api.entries)
        relay.emit(logging.makeLogRecord({"msg": "while one runs", "levelname": "ERROR"}))
    assert api.messages == ["before any worker", "while one runs"]
    with Stopwatch(0.5):
        for _ in range(2000):  # there is no reader any more
            relay.emit(logging.makeLogRecord({"msg": "x" * 1000}))
    relay.close()


def test_configured_for_a_project_errors_stand_on_standard_error_as_well(
    api: CloudLogging, capsys: pytest.CaptureFixture[str]
) -> None:
    log.configure("INFO", cloud_project="my-project")
    LOGGER.debug("nothing")
    LOGGER.info("all is well")
    LOGGER.error("all is not")
    log.close()
    assert api.messages == ["all is well", "all is not"]
    captured = capsys.readouterr()
    assert captured.out == ""
    assert [json.loads(line)["message"] for line in captured.err.splitlines()] == ["all is not"]


def test_without_a_project_nothing_is_loaded_and_nothing_is_to_be_closed(capsys: pytest.CaptureFixture[str]) -> None:
    log.configure("INFO")
    LOGGER.info("a line")
    log.close()
    LOGGER.info("another one")
    assert len(capsys.readouterr().out.splitlines()) == 2
