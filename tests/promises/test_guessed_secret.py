"""A guess at the secret tells only that it was wrong: neither words nor time of the answer tell more."""

import http.client
import json
import select
import socket
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import timedelta
from itertools import pairwise
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
from werkzeug.test import EnvironBuilder

from app.domain.deadline import Deadline
from app.domain.errors import NotNow, Reason
from app.domain.notice import Notice
from app.runtime import log
from app.web.intake import STRIKES_PER_MINUTE
from app.web.refused import APART
from proof.processes.lab import SECRET as LAB_SECRET
from tests.gateway import SECRET, Gateway, alert, gateway
from tests.promises.test_intake_limits import running
from tests.sinks import phone

TRADINGVIEW, STRANGER = "52.89.214.238", "203.0.113.9"
WRONG = "A" + SECRET[1:]
BROKEN = '{{"token": "{}", "qty": }}'


@pytest.fixture
def gate(tmp_path: Path) -> Iterator[Gateway]:
    with gateway(tmp_path) as gate:
        yield gate


def told(gate: Gateway) -> list[Notice]:
    """All that were stored, the delivered ones too."""
    with gate.desk.ledger.reading(gate.deadline()) as db:  # type: ignore[attr-defined]
        return [Notice.from_document(json.loads(row[0])) for row in db.execute("SELECT document FROM outbox")]


def passes(gate: Gateway, seconds: float) -> None:
    clock = gate.desk.clock
    now, monotonic = clock.now, clock.monotonic
    clock.now = lambda: now() + timedelta(seconds=seconds)  # type: ignore[method-assign]
    clock.monotonic = lambda: monotonic() + seconds  # type: ignore[method-assign]
    gate.app.extensions["gateway"]._strikes._monotonic = clock.monotonic


class Exchange:
    """One request as a server carries it out: the answer is written, and then the response is closed."""

    def __init__(self, gate: Gateway, body: str | bytes, peer: str = STRANGER) -> None:
        self._builder = EnvironBuilder(
            "/webhook",
            method="POST",
            data=body,
            environ_base={"REMOTE_ADDR": peer},
            headers=[("X-Forwarded-For", peer)],
        )
        self._app: Any = gate.app
        self._environ = self._builder.get_environ()
        self._answer: Any = None
        self.status = 0

    def answered(self) -> Any:
        def started(status: str, headers: Any) -> None:
            self.status = int(status[:3])

        self._answer = self._app(self._environ, started)
        return json.loads(b"".join(self._answer))

    def close(self) -> None:
        self._answer.close()
        self._builder.close()


def steps_of(work: Callable[[], Any]) -> list[tuple[str, int]]:
    """Every instruction of the product's own code, by file and place."""
    steps: list[tuple[str, int]] = []

    def trace(frame: FrameType, event: str, _: Any) -> Any:
        code = frame.f_code
        if "/app/" not in code.co_filename or "site-packages" in code.co_filename:
            return None
        frame.f_trace_opcodes = True
        if event == "opcode":
            steps.append((f"{code.co_filename}:{code.co_name}", frame.f_lasti))
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        work()
    finally:
        sys.settrace(before)
    return steps


# -- what a guess can reach


def guesses(secret: str) -> Iterator[bytes]:
    """All but the secret in its place: near it, beside it, behind another, and among thousands."""
    for start, end in pairwise([0, 1, 8, len(secret) - 1, len(secret)]):
        part = secret[start:end]
        yield from (json.dumps(document).encode() for document in ({"token": part}, {"token": "x", part: part}))
    for text in (secret[:-1], f"{secret}x", f" {secret}", secret.upper(), [secret], {"token": secret}, None, 0, True):
        yield alert(token=text)
    yield json.dumps({"Token": secret, "secret": secret}).encode()
    yield json.dumps([secret, {"x": secret}]).encode()
    yield json.dumps({"nested": {"token": secret}}).encode()
    wrong = '"token": "guess-number-0000"'
    yield f'{{{wrong}, "token": "{secret}"}}'.encode()
    yield f'{{{", ".join([wrong] * 2000)}, "token": "{secret}"}}'.encode()
    yield f'{{{wrong}, "comment": "{secret}" "qty": }}'.encode()


def test_guesses_place_nothing_store_nothing_and_publish_no_notice(tmp_path: Path) -> None:
    with phone() as ours, gateway(tmp_path, NOTIFICATION_URL=ours.url) as gate:
        asked = len(gate.account.log)
        for number, body in enumerate(guesses(SECRET)):
            response = gate.send(body, headers={"X-Forwarded-For": f"203.0.113.{number}"})
            assert response.status_code in (400, 401), body
            assert response.json["key"] is None
            passes(gate, 1.0)
        for _ in range(10 * STRIKES_PER_MINUTE):
            assert gate.send(token="guess-number-0000").status_code in (401, 429)
        assert gate.send(token="guess-number-0000").status_code == 429
        assert len(gate.account.log) == asked
        assert gate.desk.ledger.orders(gate.deadline()) == []
        assert (told(gate), ours.arrived) == ([], [])
        assert gate.send().json["status"] == "ACCEPTED"


def test_over_the_count_one_guess_is_judged_in_a_body_however_many_it_holds(gate: Gateway) -> None:
    for _ in range(STRIKES_PER_MINUTE):
        gate.send(b"{")
    wrong = '"token": "guess-number-0000"'
    for body in (f'{{{wrong}, "token": "{SECRET}"', f'{{"a": {{{wrong}}}, {wrong}, "token": "{SECRET}"}}'):
        assert gate.send(body.encode()).status_code == 429


# -- what an answer says


def test_no_answer_depends_on_which_part_of_the_secret_a_body_holds(gate: Gateway) -> None:
    """In a token, in the name of a field, before or behind the place where a body breaks."""
    shapes = ('{{"token": "{}"}}', '{{"{}": }}', '{{"{}": 1, "{}": ', '{{"x": NaN, "{}": 1}}', '["{}"', BROKEN, "{}")
    for shape in shapes:
        said = set()
        for length in (0, 1, 7, 8, 15, 16, len(SECRET) - 1):
            guess = (SECRET[:length] + "z" * len(SECRET))[: len(SECRET)].replace("-", "_")
            response = gate.send(shape.replace("{}", guess).format().encode())
            said.add((response.status_code, response.json["reason"], response.json["message"]))
            passes(gate, 61.0)
        assert len(said) == 1, said


@pytest.mark.parametrize("where", ["name", "value"])
@pytest.mark.parametrize("part", [slice(8), slice(5, 15), slice(-9, None)], ids=["its start", "its middle", "its end"])
def test_no_message_shows_a_part_of_the_secret_in_the_log_or_the_notices(
    gate: Gateway, caplog: pytest.LogCaptureFixture, where: str, part: slice
) -> None:
    """The owner put it into a wrong place, so the log, the answer and the notice must not carry it on."""
    caplog.set_level("INFO")
    shown = SECRET[part]
    for padding in ("", "x" * 56):
        text = padding + shown
        if where == "name":
            values: list[Any] = [float("nan"), 1, [[["\ud800"]]]]
            answers = [gate.send(None, None, **{text: value}) for value in values]
            answers.append(gate.send(f'{{"token": "{SECRET}", "{text.replace("-", "_")}": }}'.encode()))
        else:
            answers = [
                gate.send(None, None, **{name: text}) for name in ("strikeprice", "sl", "expiry", "action", "timenow")
            ]
        passes(gate, APART)
        assert [answer.status_code for answer in answers].count(400) >= 3
        said = "".join(answer.get_data(as_text=True) for answer in answers)
        said += "".join(f"{notice.text}{notice.facts}" for notice in told(gate))
        said += "".join(f"{record.getMessage()}{vars(record)}" for record in caplog.records)
        assert shown not in said
        assert shown.replace("-", "_") not in said
    assert told(gate)


FREE = ("symbol", "strategy", "comment", "ticker", "order_id", "alert_id")


@pytest.mark.parametrize("field", FREE)
@pytest.mark.parametrize(
    "text", ["oldsecretxyz1234567890", "OldSecretXYZ1234567890", "oldsecretxyz123456789", "ecretxyz", "SECRETXY1"]
)
def test_no_text_of_an_alert_shows_the_secret_or_a_part_of_it_in_capitals_or_not(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, field: str, text: str
) -> None:
    caplog.set_level("INFO")
    with gateway(tmp_path, WEBHOOK_SECRET_TOKEN="oldsecretxyz1234567890") as gate:
        answer = gate.send(None, None, token="oldsecretxyz1234567890", **{field: text})
        assert (answer.status_code, answer.json["reason"]) == (400, "MALFORMED")
        said = answer.get_data(as_text=True) + "".join(f"{notice.text}{notice.facts}" for notice in told(gate))
        said += "".join(f"{record.getMessage()}{vars(record)}" for record in caplog.records)
        assert text[:8].casefold() not in said.casefold()
        assert gate.desk.ledger.orders(gate.deadline()) == []


def test_no_header_of_an_alert_shows_a_part_of_the_secret(gate: Gateway) -> None:
    answer = gate.send(alert_id=None, headers={"Idempotency-Key": f"x-{SECRET[:12]}"})
    assert (answer.status_code, answer.json["reason"]) == (400, "MALFORMED")
    assert SECRET[:12] not in answer.get_data(as_text=True)


def test_the_names_of_ignored_fields_add_up_to_no_part_of_the_secret(
    gate: Gateway, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    names = (SECRET[:7], SECRET[7:14].upper(), SECRET[14:19], "volume")
    assert gate.send(None, None, **dict.fromkeys(names, 1)).status_code == 200
    [fields] = [vars(record)["fields"] for record in caplog.records if hasattr(record, "fields")]
    assert fields == ["volume"]


def test_an_index_may_be_traded_though_its_name_stands_in_the_secret(tmp_path: Path) -> None:
    secret = "intraday-banknifty-strategy-1"
    with gateway(tmp_path, WEBHOOK_SECRET_TOKEN=secret) as gate:
        answer = gate.send(token=secret, ticker="NSE:BANKNIFTY1!", productType="INTRADAY", strategy="mine")
        assert answer.status_code == 200


def test_while_a_secret_is_replaced_neither_may_stand_in_any_other_field(tmp_path: Path) -> None:
    other = "the-next-secret-of-ours"
    with gateway(tmp_path, WEBHOOK_SECRET_TOKEN=f"{SECRET},{other}") as gate:
        for fields in ({"comment": f"x{other}"}, {other: 1}, {f"{'y' * 60}{other}": float("nan")}, {"strategy": other}):
            response = gate.send(**fields)
            assert (response.status_code, response.json["reason"]) == (400, "MALFORMED")
            assert other not in response.get_data(as_text=True)
        assert gate.live_orders() == []


# -- what its time says


@pytest.mark.parametrize(
    ("settings", "shape"),
    [({}, BROKEN), ({}, '{{"token": "{0}", "token": "{0}"}}'), ({"IP_ALLOWLIST": "enforce"}, '{{"token": "{}"}}')],
    ids=["not JSON", "two tokens", "an address that is not on the list"],
)
def test_up_to_the_answer_the_way_is_the_same_to_the_instruction_whether_the_secret_was_right(
    tmp_path: Path, settings: dict[str, str], shape: str
) -> None:
    with gateway(tmp_path, None, None, **settings) as gate:
        ways = []
        for secret in (WRONG, WRONG, SECRET, "B" * len(SECRET), SECRET[:-1] + "B"):  # the first finds caches empty
            exchange = Exchange(gate, shape.format(secret))
            ways.append(steps_of(exchange.answered))
            exchange.close()
        assert {exchange.status} <= {400, 403}
        assert len(ways[1]) > 500
        assert all(way == ways[1] for way in ways[2:])


def test_a_wrong_secret_takes_the_same_way_whatever_part_of_it_is_right(gate: Gateway) -> None:
    ways = []
    for length in (0, 0, 1, 8, 16, len(SECRET) - 1):
        exchange = Exchange(gate, json.dumps({"token": SECRET[:length] + "z" * (len(SECRET) - length)}))
        ways.append(steps_of(exchange.answered))
        exchange.close()
        assert exchange.status == 401
    assert all(way == ways[1] for way in ways[2:])


# -- what is told, and when


@pytest.mark.parametrize(
    ("body", "settings", "status"),
    [
        (BROKEN.format(SECRET).encode(), {}, 400),
        (alert(action="HOLD"), {}, 400),
        (alert(), {"IP_ALLOWLIST": "enforce"}, 403),
    ],
    ids=["not JSON", "no alert", "from a strange address"],
)
def test_the_operator_is_told_once_the_answer_has_left_and_not_before(
    tmp_path: Path, body: bytes, settings: dict[str, str], status: int
) -> None:
    with gateway(tmp_path, None, None, **settings) as gate:
        exchange = Exchange(gate, body)
        exchange.answered()
        assert (exchange.status, told(gate)) == (status, [])
        exchange.close()
        assert len(told(gate)) == 1


def test_the_server_has_sent_the_answer_when_the_operator_is_told(tmp_path: Path) -> None:
    """When the notice arrives, the answer lies ready at the other end of the sender's line."""
    here: list[bool] = []
    with phone() as ours, running(tmp_path, NOTIFICATION_URL=ours.url) as server:
        with socket.create_connection(("127.0.0.1", server.port), timeout=10) as line:

            def told_now(_: bytes) -> None:
                here.append(bool(select.select([line], [], [], 0)[0]))

            ours.picky = told_now
            body = BROKEN.format(LAB_SECRET)
            line.sendall(f"POST /webhook HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode())
            until = time.monotonic() + 20
            while not ours.told and time.monotonic() < until:
                time.sleep(0.02)
            head = line.recv(65536)
        assert here == [True]
        assert head.startswith(b"HTTP/1.1 400 ")
        assert [(notice["kind"], notice["facts"]) for notice in ours.told] == [("refused", {"field": "qty"})]


@pytest.mark.parametrize(
    ("first", "second", "notices"), [(SECRET, SECRET, 1), (SECRET, WRONG, 1), (WRONG, SECRET, 0), (WRONG, WRONG, 0)]
)
def test_a_token_that_stands_twice_opens_nothing_and_by_the_first_of_them_the_operator_is_told(
    gate: Gateway, first: str, second: str, notices: int
) -> None:
    response = gate.send(alert().replace(f'"{SECRET}"'.encode(), f'"{first}", "token": "{second}"'.encode()))
    assert (response.status_code, response.json["reason"]) == (400, "MALFORMED")
    assert response.json["message"].startswith("token: stands twice")
    assert len(told(gate)) == notices
    assert gate.live_orders() == []


def test_what_is_told_after_the_answer_takes_no_longer_than_three_tenths_of_a_second(
    gate: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    allowed: list[float] = []

    def asks(_: Any, notice: Notice, deadline: Deadline) -> bool:
        allowed.append(deadline.left())
        raise NotNow(Reason.LEDGER_DOWN)

    monkeypatch.setattr(type(gate.desk.ledger), "notify", asks)
    assert gate.send(action="HOLD").status_code == 400
    assert gate.send(BROKEN.format(SECRET).encode()).status_code == 400
    assert len(allowed) == 2
    assert max(allowed) <= 0.3


def test_what_breaks_while_the_operator_is_told_is_in_the_log_and_the_answer_stands(
    gate: Gateway, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    asked: list[str | None] = []

    def breaks(*_: Any) -> bool:
        asked.append(log.request_id.get())
        raise RuntimeError("no such thing")

    monkeypatch.setattr(type(gate.desk.ledger), "notify", breaks)
    response = gate.send(action="HOLD")
    assert response.status_code == 400
    assert "the operator could not be notified of a refused body" in caplog.text
    assert asked == [response.headers["X-Request-Id"]]


@pytest.mark.parametrize(
    ("secret", "peer", "notices"),
    [(SECRET, STRANGER, 1), (WRONG, TRADINGVIEW, 1), (SECRET, TRADINGVIEW, 1), (WRONG, STRANGER, 0)],
    ids=["the right secret", "from TradingView", "both", "neither"],
)
def test_a_body_that_is_not_json_is_told_of_at_most_once_a_minute(
    gate: Gateway, secret: str, peer: str, notices: int
) -> None:
    headers = {"X-Forwarded-For": peer}
    for number in range(5):
        body = f'{{"token": "{secret}", "qty": {number},}}'.encode()
        assert gate.send(body, headers=headers).status_code == 400
    assert len(told(gate)) == notices
    passes(gate, APART)
    gate.send(BROKEN.format(secret).encode(), headers=headers)
    waiting = told(gate)
    assert len(waiting) == 2 * notices
    if notices:
        assert "4 more since the last such notice" in waiting[-1].text


def test_a_connection_on_which_a_body_was_refused_goes_on(tmp_path: Path) -> None:
    with running(tmp_path) as server, closing(http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)) as line:
        for body, status in ((BROKEN.format(LAB_SECRET).encode(), 400), (alert(token="wrong"), 401), (b"{", 400)):
            line.request("POST", "/webhook", body)
            reply = line.getresponse()
            reply.read()
            assert reply.status == status
