"""The lines that alerts and metrics are made of: their fields, and one request id from the answer to the ledger."""

import io
import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from app.runtime import log
from app.simulator import Fault, FaultKind
from tests.gateway import Gateway, gateway

STEPS = {"parse", "claim", "read", "price", "submit", "place", "record", "answer"}


@pytest.fixture
def gate(tmp_path: Path) -> Iterator[Gateway]:
    with gateway(tmp_path) as gate:
        yield gate


class Lines:
    """What the service wrote, line by line, as Cloud Logging reads it."""

    def __init__(self, stream: io.StringIO) -> None:
        self._stream = stream

    @property
    def all(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self._stream.getvalue().splitlines()]

    def saying(self, message: str) -> list[dict[str, Any]]:
        return [line for line in self.all if line["message"] == message]


@pytest.fixture
def lines() -> Lines:
    stream = io.StringIO()
    sink = logging.StreamHandler(stream)
    sink.setFormatter(log.JsonLines())
    logger = logging.getLogger("gateway")
    logger.addHandler(sink)
    logger.setLevel(logging.INFO)
    return Lines(stream)


def test_each_alert_has_one_line_that_says_where_its_time_went(gate: Gateway, lines: Lines) -> None:
    response = gate.send(strategy="ORB 15m")
    [line] = lines.saying("alert answered")
    assert line["severity"] == "INFO"
    assert (line["http"], line["status"], line["duplicate"], line["reason"]) == (200, "ACCEPTED", False, None)
    assert (line["strategy"], line["symbol"]) == ("ORB 15m", response.json["symbol"])
    assert set(line["steps"]) >= STEPS
    assert line["broker_calls"] >= 3  # a quote, the positions, the order
    assert 0 < sum(line["steps"].values()) <= line["ms"] + 1
    assert line["steps"]["place"] > 0


def test_the_line_has_cloud_loggings_own_fields_of_a_request(gate: Gateway, lines: Lines) -> None:
    sent = {"X-Forwarded-For": "10.0.0.1, 52.89.214.238", "User-Agent": "a stranger's word"}
    gate.send(headers=sent)
    gate.send(headers=sent, token="x")
    for message, status in (("alert answered", 200), ("alert refused", 401)):
        [line] = lines.saying(message)
        latency = line["httpRequest"].pop("latency")
        assert line["httpRequest"] == {
            "requestMethod": "POST",
            "requestUrl": "/webhook",
            "status": status,
            "remoteIp": "52.89.214.238",
        }
        assert latency == f"{line['ms'] / 1000:.3f}s"
        assert line["logging.googleapis.com/labels"] == {"request_id": line["request_id"]}


@pytest.mark.parametrize(
    ("fault", "status", "has", "lacks"),
    [
        (Fault(FaultKind.REJECT), "REJECTED", {"place", "record", "tell"}, set()),
        (Fault(FaultKind.DROP), "SUBMITTED", {"place", "record"}, set()),
        (None, "DENIED", {"claim", "read", "record"}, {"submit", "place"}),
    ],
)
def test_a_step_that_was_not_taken_is_not_in_the_line(
    gate: Gateway, lines: Lines, fault: Fault | None, status: str, has: set[str], lacks: set[str]
) -> None:
    if fault is not None:
        gate.account.fault("place", fault)
    changes: dict[str, Any] = {} if fault else {"qty": 66}
    gate.send(**changes)
    [line] = lines.saying("alert answered")
    assert line["status"] == status
    assert has <= set(line["steps"])
    assert not lacks & set(line["steps"])


@pytest.mark.parametrize(
    ("fields", "http", "reason"), [({"action": "HOLD"}, 400, "MALFORMED"), ({"token": "x"}, 401, "UNAUTHORIZED")]
)
def test_a_refused_alert_has_its_line_as_well(
    gate: Gateway, lines: Lines, fields: dict[str, Any], http: int, reason: str
) -> None:
    gate.send(**fields)
    [line] = lines.saying("alert refused")
    assert (line["severity"], line["http"], line["reason"]) == ("WARNING", http, reason)
    assert line["ms"] > 0
    assert "parse" in line["steps"]


def test_a_line_says_why_in_the_words_of_the_answer_and_quotes_no_body(gate: Gateway, lines: Lines) -> None:
    gate.account.fault("quotes", Fault(FaultKind.RATE_LIMITED, times=None, seconds=9))
    put_off = gate.send()
    denied = gate.send(qty=66)
    assert [line["why"] for line in lines.saying("alert answered")] == [put_off.json["message"], denied.json["message"]]
    gate.send(action="HOLD")
    [refused] = lines.saying("alert refused")
    assert (refused["field"], refused["why"]) == ("action", None)


def test_a_fault_in_the_gateway_has_its_line_as_well(
    gate: Gateway, lines: Lines, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.web.webhook.execute", lambda *_: 1 / 0)
    gate.send()
    [line] = lines.saying("alert refused")
    assert (line["http"], line["reason"]) == (503, "INTERNAL")
    [trace] = [one for one in lines.all if "stack_trace" in one]
    assert trace["request_id"] == line["request_id"]


def test_one_request_id_leads_from_the_answer_to_every_line_and_to_the_ledger(gate: Gateway, lines: Lines) -> None:
    gate.account.fault("place", Fault(FaultKind.REJECT))
    response = gate.send()
    asked = response.headers["X-Request-Id"]
    assert {line["request_id"] for line in lines.all} == {asked}
    assert {"place", "alert answered"} <= {line["message"] for line in lines.all}
    order = gate.operate("GET", f"/orders/{response.json['key']}").json
    assert (order["request_id"], response.json["request_id"]) == (asked, asked)


def test_every_line_names_the_trace_that_cloud_run_began(tmp_path: Path, lines: Lines) -> None:
    with gateway(tmp_path, GOOGLE_CLOUD_PROJECT="my-project") as gate:
        gate.send(headers={"X-Cloud-Trace-Context": f"{'a1' * 16}/123;o=1"})
        [line] = lines.saying("alert answered")
        assert line["logging.googleapis.com/trace"] == f"projects/my-project/traces/{'a1' * 16}"
        gate.send(headers={"X-Cloud-Trace-Context": "no trace"})
        assert "logging.googleapis.com/trace" not in lines.all[-1]


def test_what_readers_say_belongs_to_their_request(gate: Gateway, lines: Lines) -> None:
    """The reads run in threads of their own."""
    log.request_id.set("of this test")
    heard = gate.desk.readers.submit(log.request_id.get).result(5)
    assert heard == "of this test"


def test_reconcile_has_a_heartbeat(gate: Gateway, lines: Lines) -> None:
    gate.operate("POST", "/tasks/reconcile")
    [line] = lines.saying("reconciled")
    assert (line["severity"], line["clean"]) == ("INFO", True)
    assert line["ms"] >= 0
    assert line["report"]["in_doubt"] == 0
