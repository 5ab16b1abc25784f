"""Each event is notified once at every sink, whatever a sink does, and no sink delays an alert."""

import base64
import json
import logging
import os
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any
from unittest import mock

import grpc
import pytest

from app.adapters.http.transport import Transport
from app.adapters.notify.fanout import Fanout
from app.adapters.notify.http import HttpNotifier, shaped
from app.adapters.notify.pubsub import PubSubNotifier
from app.adapters.notify.sink import NotTaken
from app.adapters.sqlite.ledger import SqliteLedger
from app.domain.deadline import Deadline
from app.domain.notice import Notice, Severity
from app.domain.secret import Secret
from app.flow.outbox import TOGETHER, drain
from app.runtime.processes import free_port
from app.simulator import Fault, FaultKind, FixtureExchange, Simulator
from tests.contract.faulty_firestore import Fault as GrpcFault
from tests.contract.faulty_firestore import FaultyFirestore, Relay, refused, reply_lost, silent
from tests.emulators import pubsub_emulator
from tests.gateway import Gateway, gateway
from tests.sinks import Phone, Subscription, phone, subscription
from tests.stopwatch import Stopwatch

Outage = Callable[[Relay, FaultyFirestore], AbstractContextManager[None]]

C, W, I = Severity.CRITICAL, Severity.WARNING, Severity.INFO  # noqa: E741


def soon(seconds: float = 2.4) -> Deadline:
    return Deadline(time.monotonic, seconds)


def eventually(holds: Callable[[], bool], seconds: float = 10.0) -> None:
    ends = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < ends
        time.sleep(0.05)


def notice(number: int, kind: str = "rejected", severity: Severity = C) -> Notice:
    return Notice(f"n{number}", kind, severity, f"notice {number} of ₹ 1", {"key": "ab"})


class Minutes:
    """A monotonic clock that is turned by hand."""

    def __init__(self) -> None:
        self.seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds


class World:
    """A ledger, sinks on loopback, and processes that come and go."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self.ledger = SqliteLedger(folder / "ledger.db")
        self.transport = Transport()
        self.clock = Minutes()
        stack.callback(self.ledger.close)
        stack.callback(self.transport.close)

    def process(self, *phones: Phone) -> Fanout:
        sinks = [HttpNotifier(Secret(phone.url), self.transport) for phone in phones]
        return Fanout(sinks, self.clock, self.ledger.taken)

    def post(self, *notices: Notice) -> None:
        for one in notices:
            assert self.ledger.notify(one, soon())

    def waiting(self) -> list[str]:
        return [one.id for one in self.ledger.outbox(soon())]

    def minute(self, process: Fanout, seconds: float = 2.4) -> tuple[int, int]:
        self.clock.seconds += 60
        return drain(self.ledger, process, soon(seconds))


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


@pytest.fixture
def world(tmp_path: Path, stack: ExitStack) -> World:
    return World(tmp_path, stack)


@pytest.fixture
def ours() -> Iterator[Phone]:
    with phone() as ours:
        yield ours


# What is told, at each kind of sink


class Told:
    """One sink as the tests see it: what reached it, less what is not looked at."""

    def __init__(self, sink: Phone | Subscription) -> None:
        self._sink = sink
        self.all: list[dict[str, Any]] = []

    @property
    def settings(self) -> dict[str, str]:
        if isinstance(self._sink, Phone):
            return {"NOTIFICATION_URL": self._sink.url}
        return {"NOTIFICATION_TOPIC": self._sink.topic}

    def kinds(self) -> list[tuple[str, str]]:
        if isinstance(self._sink, Phone):
            for one in self._sink.arrived[len(self.all) :]:
                assert one.headers["Idempotency-Key"] == one.document["id"]
            self.all = self._sink.told
        else:
            for message in self._sink.pull(at_least=0 if self.all else 1):
                document = json.loads(message.data)
                named = {name: document[name] for name in ("id", "kind", "severity")}
                assert dict(message.attributes) == named
                self.all.append(document)
        return [(one["kind"], one["severity"]) for one in self.all]


@pytest.fixture(params=["http", "pubsub"])
def told(request: pytest.FixtureRequest, stack: ExitStack) -> Told:
    if request.param == "http":
        return Told(stack.enter_context(phone()))
    return Told(stack.enter_context(subscription(pubsub_emulator())))


def reconciled(gate: Gateway, times: int = 3) -> None:
    for _ in range(times):
        assert gate.operate("POST", "/tasks/reconcile").json["notices_waiting"] == 0


def later(gate: Gateway, seconds: float) -> None:
    now = gate.desk.clock.now
    gate.desk.clock.now = lambda: now() + timedelta(seconds=seconds)  # type: ignore[method-assign]


def test_a_rejected_order_is_told_once(tmp_path: Path, told: Told) -> None:
    with gateway(tmp_path, None, None, **told.settings) as gate:
        gate.account.fault("place", Fault(FaultKind.REJECT))
        order = gate.send().json
        reconciled(gate)
    assert told.kinds() == [("rejected", "CRITICAL")]
    assert told.all[0] == {
        "id": f"{order['key']}:2",
        "kind": "rejected",
        "severity": "CRITICAL",
        "text": f"Rejected, SELL 65 {order['symbol']}: {order['message']}",
        "facts": {name: order[name] for name in ("key", "tag", "status", "reason", "broker_order_id", "symbol")},
    }


def test_an_order_in_doubt_is_told_once_and_so_is_what_became_of_it(tmp_path: Path, told: Told) -> None:
    with gateway(tmp_path, None, None, **told.settings) as gate:
        gate.account.fault("place", Fault(FaultKind.DROP))
        order = gate.send().json
        assert told.kinds() == [("unresolved", "CRITICAL")]
        reconciled(gate)
    assert told.kinds() == [("unresolved", "CRITICAL"), ("found", "WARNING")]
    about = f"SELL 65 {order['symbol']}"
    assert [one["text"] for one in told.all] == [
        (
            f"Outcome unknown for {about}: the connection broke while waiting for the reply. "
            "It may be live; do not re-enter before checking the order book."
        ),
        f"Found in the order book as FILLED, {about}. The sender of the alert was not told.",
    ]
    assert [one["id"] for one in told.all] == [f"{order['key']}:2", f"{order['key']}:3"]


def test_a_missing_login_is_told_once_with_the_link_and_asked_for_again_by_the_scheduler(
    tmp_path: Path, told: Told
) -> None:
    live = {
        "BROKER": "fyers",
        "LIVE_TRADING": "yes",
        "FYERS_APP_ID": "LIVE-200",
        "FYERS_CLIENT_ID": "F12345",
        "FYERS_SECRET_ID": "app-secret-canary",
        "FYERS_REDIRECT_URI": "http://127.0.0.1/auth/callback",
        "GCS_TOKENS_FILE": str(tmp_path / "tokens.json"),
    }
    with (
        Simulator(FixtureExchange(), app_id="LIVE-200", secret_id="app-secret-canary") as account,
        gateway(tmp_path, account, None, **told.settings, **live) as gate,
    ):
        assert {gate.send().json["reason"] for _ in range(3)} == {"NEEDS_LOGIN"}
        assert gate.app.test_client().get("/readyz").status_code == 503
        assert told.kinds() == [("login-needed", "CRITICAL")]
        said = "Alerts are not traded: there is no login at Fyers; nothing was sent. Log in (after 06:30 IST): "
        assert told.all[0]["text"].startswith(f"{said}{account.api_url}/generate-authcode?")
        assert {gate.operate("POST", "/refresh-token").json["login"] for _ in range(2)} == {"NEEDS_LOGIN"}
    assert told.kinds() == [("login-needed", "CRITICAL"), ("login-link", "WARNING")]


def test_readiness_and_preflight_without_a_login_publish_no_login_notice(tmp_path: Path, told: Told) -> None:
    live = {
        "BROKER": "fyers",
        "LIVE_TRADING": "yes",
        "FYERS_APP_ID": "LIVE-200",
        "FYERS_CLIENT_ID": "F12345",
        "FYERS_SECRET_ID": "app-secret-canary",
        "FYERS_REDIRECT_URI": "http://127.0.0.1/auth/callback",
        "GCS_TOKENS_FILE": str(tmp_path / "tokens.json"),
    }
    with (
        Simulator(FixtureExchange(), app_id="LIVE-200") as account,
        gateway(tmp_path, account, None, **told.settings, **live) as gate,
    ):
        assert gate.app.test_client().get("/readyz").get_json()["checks"]["broker"].startswith("failing: not asked")
        assert gate.operate("POST", "/tasks/preflight").json["verdict"] == "not ready"
    assert told.kinds() == [("preflight", "CRITICAL")]


def test_an_entry_without_its_stop_loss_is_told_once(tmp_path: Path, told: Told) -> None:
    with gateway(tmp_path, None, None, **told.settings) as gate:
        order = gate.send().json
        for leg in [row for row in gate.account.exchange.orders() if row.parent_id and row.is_open]:
            gate.account.exchange.cancel(leg.id)
        later(gate, 10)
        reconciled(gate)
    assert told.kinds() == [("naked", "CRITICAL")]
    assert told.all[0]["facts"]["key"] == order["key"]
    unprotected = f"65 units of SELL 65 {order['symbol']} stand open without a stop-loss. Protect or close them."
    assert told.all[0]["text"] == unprotected


def test_a_new_trading_state_is_told_with_its_reason(tmp_path: Path, told: Told) -> None:
    with gateway(tmp_path, None, None, **told.settings) as gate:
        gate.operate("POST", "/trading-state", {"state": "HALTED", "reason": "lunch"})
        gate.operate("POST", "/trading-state", {"state": "HALTED", "reason": "lunch"})
        reconciled(gate)
        assert gate.send().json["reason"] == "TRADING_HALTED"
    assert told.kinds() == [("trading-state", "CRITICAL"), ("denied", "WARNING")]
    assert told.all[0]["text"] == "Trading is HALTED (was ACTIVE), by operator: lunch."


# Sinks that fail


@pytest.mark.parametrize("mood", ["refused", 500, 503, 429, 404, 302, 400, 502, "hang"])
def test_ten_minutes_without_the_sink_lose_nothing_and_repeat_nothing_more_than_five_times(
    world: World, ours: Phone, mood: int | str
) -> None:
    process = world.process(ours)
    with ExitStack() as down:
        if mood == "refused":
            nobody = Phone(port=free_port())
            process = world.process(nobody)
        else:
            ours.mood = mood
        world.post(notice(1), notice(2))
        for _ in range(10):
            assert world.minute(process, seconds=0.5) == (0, 2)
        down.close()
    if mood == "refused":
        with phone(nobody.port, nobody):
            world.minute(process)
        ours = nobody
    else:
        ours.mood = 200
        ours.hung_up.set()
        for _ in range(20):
            world.minute(process)
    assert world.waiting() == []
    assert set(ours.ids) == {"n1", "n2"}
    assert max(ours.ids.count(one) for one in ("n1", "n2")) <= 5


class Swallowing:
    """Takes whatever comes and never says so."""

    name = "swallowing"

    def __init__(self, clock: Minutes) -> None:
        self._clock = clock
        self.asked: list[float] = []

    def push(self, notice: Notice, seconds: float) -> None:
        self.asked.append(self._clock.seconds)
        raise NotTaken("timed out", arrived=True)


def test_a_sink_that_takes_and_never_answers_is_asked_at_growing_intervals(world: World) -> None:
    sink = Swallowing(world.clock)
    process = Fanout([sink], world.clock, world.ledger.taken)
    world.post(notice(1))
    began = world.clock.seconds + 60
    for _ in range(30):
        world.minute(process)
    assert [(at - began) / 60 for at in sink.asked] == [0, 1, 2, 5, 11, 23]


@pytest.mark.parametrize(("mood", "times"), [(502, 4), (504, 4), (500, 10), (503, 10)])
def test_what_a_proxy_may_have_passed_on_comes_at_growing_intervals_and_what_was_turned_away_each_minute(
    world: World, ours: Phone, mood: int, times: int
) -> None:
    ours.mood = mood
    process = world.process(ours)
    world.post(notice(1))
    for _ in range(10):
        world.minute(process)
    assert len(ours.arrived) == times


@pytest.mark.parametrize("restarts", [False, True])
def test_the_sink_that_works_gets_each_notice_once_while_the_other_is_down(
    world: World, ours: Phone, restarts: bool
) -> None:
    with phone() as other:
        other.mood = 503
        process = world.process(other, ours)
        world.post(*(notice(number) for number in range(5)))
        for _ in range(10):
            process = world.process(other, ours) if restarts else process
            assert world.minute(process) == (0, 5)
        assert ours.ids == [f"n{number}" for number in range(5)]
        other.mood = 200
        assert world.minute(process) == (5, 0)
        assert sorted(other.ids) == sorted(ours.ids)


def test_newer_notices_pass_those_that_wait_for_a_sink_out_of_reach(world: World, ours: Phone) -> None:
    with phone() as other:
        other.mood = 500
        world.post(*(notice(number) for number in range(120)))
        world.minute(world.process(ours, other), seconds=20)
        world.minute(world.process(ours, other), seconds=20)
    assert sorted(ours.ids) == sorted(f"n{number}" for number in range(120))


def test_a_notice_that_a_sink_does_not_like_keeps_no_other_from_it(world: World, ours: Phone) -> None:
    ours.picky = lambda body: 400 if b"n1" in body else None
    world.post(*(notice(number) for number in range(1, 4)))
    assert world.minute(world.process(ours)) == (2, 1)
    assert ours.ids == ["n2", "n3"]


def test_a_sink_that_hangs_costs_a_drain_one_time_out_and_the_others_nothing(world: World, ours: Phone) -> None:
    with phone() as other:
        other.mood = "hang"
        process = world.process(other, ours)
        world.post(*(notice(number) for number in range(15)))
        world.clock.seconds += 60
        watch = Stopwatch()
        assert drain(world.ledger, process, soon(2.0)) == (0, 15)
        assert watch.seconds < 2.5
        assert world.minute(process, seconds=3.0) == (0, 15)  # who hung comes last now
        assert sorted(ours.ids) == sorted(f"n{number}" for number in range(15))


def test_an_alert_is_answered_in_time_while_its_sink_hangs_and_the_notice_follows(tmp_path: Path, ours: Phone) -> None:
    ours.mood = "hang"
    with gateway(tmp_path, NOTIFICATION_URL=ours.url) as gate:
        gate.account.fault("place", Fault(FaultKind.REJECT))
        watch = Stopwatch()
        order = gate.send().json
        assert watch.seconds < 2.5
        assert order["status"] == "REJECTED"
        ours.mood = 200
        ours.hung_up.set()
        ours.arrived.clear()
        reconciled(gate)
    assert ours.ids == [f"{order['key']}:2"]


def test_an_order_that_needs_no_notice_waits_for_no_sink(tmp_path: Path, ours: Phone) -> None:
    ours.mood = "hang"
    with gateway(tmp_path, NOTIFICATION_URL=ours.url) as gate:
        watch = Stopwatch()
        assert gate.send().json["status"] == "ACCEPTED"
        assert watch.seconds < 2.0
    assert ours.arrived == []


class Faulty:
    name = "faulty"

    def push(self, notice: Notice, seconds: float) -> None:
        raise RuntimeError("a secret of ours")


def test_a_fault_in_a_sink_ends_no_trade(world: World, ours: Phone, caplog: pytest.LogCaptureFixture) -> None:
    good = HttpNotifier(Secret(ours.url), world.transport)
    process = Fanout([Faulty(), good], world.clock)
    assert process.lacking(notice(1), soon()) == {"faulty": "a fault in the gateway: RuntimeError"}
    assert ours.ids == ["n1"]
    assert "a secret of ours" not in caplog.text


def test_the_log_is_told_once_by_each_process_and_names_no_address(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    nobody = Phone(port=free_port())
    process = world.process(nobody)
    world.post(notice(1))
    for _ in range(5):
        world.minute(process)
    lines = [record for record in caplog.records if record.getMessage() == notice(1).text]
    assert [line.levelno for line in lines] == [logging.CRITICAL]
    said = " ".join(str(vars(record)) for record in caplog.records)
    assert "secret-path-canary" not in said
    assert "127.0.0.1#" in said


def test_without_the_ledger_a_critical_notice_goes_out_directly(tmp_path: Path, ours: Phone) -> None:
    with gateway(tmp_path, NOTIFICATION_URL=ours.url) as gate:
        gate.account.fault("place", Fault(FaultKind.LATENCY, seconds=0.01, processed=True))
        record = gate.desk.ledger.record
        gate.desk.ledger.record = lambda *_: record(None, None)  # type: ignore[method-assign, arg-type]
        assert gate.send().status_code == 202
    assert [one["kind"] for one in ours.told] == ["not-recorded"]


# A storm


def test_of_one_kind_twenty_go_out_in_ten_minutes_and_critical_ones_all(world: World, ours: Phone) -> None:
    process = world.process(ours)
    for number in range(25):
        process.send(notice(number, "denied", W), soon())
        process.send(notice(100 + number, "rejected", C), soon())
        process.send(notice(200, "duplicate", W), soon())
    kinds = [one["kind"] for one in ours.told]
    assert {kind: kinds.count(kind) for kind in kinds} == {"denied": 20, "rejected": 25, "duplicate": 1}
    world.clock.seconds += 601
    assert process.send(notice(24, "denied", W), soon())


def test_a_full_ten_minutes_keep_from_a_sink_none_that_the_other_has(world: World, ours: Phone) -> None:
    with phone() as other:
        process = world.process(ours, other)
        other.mood = 503
        waiting = [notice(number, "denied", W) for number in range(15)]
        world.post(*waiting)
        world.minute(process)
        for number in range(100, 105):
            process.send(notice(number, "denied", W), soon())
        assert len(ours.ids) == 20  # no other of this kind for now
        other.mood = 200
        assert world.minute(process) == (15, 0)
    assert other.ids == [one.id for one in waiting]


def test_what_a_second_sink_gets_later_is_not_counted_again(world: World, ours: Phone) -> None:
    with phone() as other:
        process = world.process(ours, other)
        other.mood = 503
        world.post(*(notice(number, "denied", W) for number in range(10)))
        world.minute(process)
        other.mood = 200
        assert world.minute(process) == (10, 0)
        assert all(process.send(notice(number, "denied", W), soon()) for number in range(10, 20))


class Noted:
    def __init__(self, name: str, order: list[str], fails_first: bool = False) -> None:
        self.name = name
        self._order = order
        self._fails = fails_first

    def push(self, notice: Notice, seconds: float) -> None:
        self._order.append(self.name)
        if self._fails:
            self._fails = False
            raise NotTaken("timed out")


def test_a_sink_in_trouble_is_asked_after_the_others_until_it_is_well_again(world: World) -> None:
    order: list[str] = []
    process = Fanout([Noted("once in trouble", order, fails_first=True), Noted("well", order)], world.clock)
    for number in range(3):
        process.send(notice(number), soon())
    assert order == ["once in trouble", "well", "well", "once in trouble", "once in trouble", "well"]


def test_many_that_wait_are_told_as_one_that_says_how_many(world: World, ours: Phone) -> None:
    process = world.process(ours)
    world.post(*(notice(number, "denied", W) for number in range(TOGETHER + 17)), notice(99), notice(98, "refused", W))
    assert world.minute(process) == (3, 0)
    assert [one["kind"] for one in ours.told] == ["rejected", "refused", "summary"]
    assert ours.told[-1]["facts"] == {"kind": "denied", "held_back": str(TOGETHER + 17)}
    assert ours.told[-1]["text"].startswith(f"{TOGETHER + 17} notices of the kind denied")
    assert world.waiting() == []


def test_a_summary_that_a_sink_lacks_is_sent_to_it_alone_later(world: World, ours: Phone) -> None:
    with phone() as other:
        other.mood = 500
        process = world.process(ours, other)
        world.post(*(notice(number, "denied", W) for number in range(TOGETHER)))
        assert [world.minute(process) for _ in range(3)] == [(0, 1)] * 3
        other.mood = 200
        assert world.minute(process) == (1, 0)
        assert ours.ids == other.ids
        assert len(ours.ids) == 1


# Forms


def test_well_known_sinks_get_the_form_they_take(world: World, ours: Phone) -> None:
    base = f"http://127.0.0.1:{ours.port}"
    places = {
        "own": f"{base}/anything?x=1",
        "telegram": f"{base}/bot123:secret/sendMessage?chat_id=-42&message_thread_id=7",
        "slack": f"{base}/services/T0AB/B0CD/secret",
        "ntfy": f"{base}/ntfy/secret-topic",
    }
    told = Notice("id-1", "rejected", C, "Rejected <b> & ₹ \ud800", {"key": "ab"})
    for place in places.values():
        HttpNotifier(Secret(place), world.transport).push(told, 2.0)
    own, telegram, slack, ntfy = ours.arrived
    assert {one.headers["Idempotency-Key"] for one in ours.arrived} == {"id-1"}
    assert (own.path, own.document) == ("/anything?x=1", told.document())
    assert telegram.path == "/bot123:secret/sendMessage"
    assert (telegram.document["chat_id"], telegram.document["message_thread_id"]) == ("-42", "7")
    assert telegram.document["text"] == "🚨 Rejected <b> & ₹ \ud800"
    assert slack.document["text"] == "🚨 Rejected &lt;b&gt; &amp; ₹ \ud800"
    assert ntfy.body.decode() == "Rejected <b> & ₹ ?"
    assert (ntfy.headers["Title"], ntfy.headers["Priority"], ntfy.headers["Tags"]) == (
        "rejected",
        "5",
        "rotating_light",
    )


def test_a_name_and_a_password_in_the_address_go_into_a_header(world: World, ours: Phone) -> None:
    address = f"http://me:p%40ss@127.0.0.1:{ours.port}/topic?x=1"
    HttpNotifier(Secret(address), world.transport).push(notice(1), 2.0)
    [one] = ours.arrived
    assert one.path == "/topic?x=1"
    assert one.headers["Authorization"] == f"Basic {base64.b64encode(b'me:p@ss').decode()}"
    assert "p%40ss" not in HttpNotifier(Secret(address), world.transport).name


@pytest.mark.parametrize(
    ("url", "header"),
    [
        ("https://ntfy.sh/topic", "Title"),
        ("https://ntfy.example.org/topic", "Title"),
        ("https://hooks.slack.com/x", "Content-Type"),
    ],
)
def test_public_sinks_are_known_by_their_host(url: str, header: str) -> None:
    assert header in shaped(url, notice(1)).headers


def test_a_text_longer_than_phones_take_is_cut_and_a_line_break_cannot_make_a_header() -> None:
    post = shaped("https://ntfy.sh/topic", Notice("a\r\nX: y", "k", W, "x" * 9000))
    assert len(post.body.decode()) == 3501
    assert post.headers["Idempotency-Key"] == "a??X: y"


def test_a_redirect_is_not_followed(world: World, ours: Phone) -> None:
    ours.mood = 302
    with pytest.raises(NotTaken, match="HTTP 302"):
        HttpNotifier(Secret(ours.url), world.transport).push(notice(1), 2.0)
    assert len(ours.arrived) == 1


# Pub/Sub


def test_a_topic_that_is_not_there_is_said_and_bounded() -> None:
    with subscription(pubsub_emulator()):
        sink = PubSubNotifier("projects/test/topics/nobody-made-it")
        with pytest.raises(NotTaken, match="NotFound"):
            sink.push(notice(1), 2.0)
        sink.close()


def test_pubsub_out_of_reach_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PUBSUB_EMULATOR_HOST", f"127.0.0.1:{free_port()}")
    sink = PubSubNotifier("projects/test/topics/x")
    watch = Stopwatch()
    assert not Fanout([sink], time.monotonic).send(notice(1), soon(1.0))
    assert watch.seconds < 1.2
    sink.close()


@contextmanager
def refusing(relay: Relay, pubsub: FaultyFirestore) -> Iterator[None]:
    relay.down()
    yield
    relay.up()


def failing(fault: GrpcFault) -> Outage:
    @contextmanager
    def outage(relay: Relay, pubsub: FaultyFirestore) -> Iterator[None]:
        pubsub.always["Publish"] = fault
        yield
        pubsub.always.clear()

    return outage


OUTAGES = {
    "refused": refusing,
    "unavailable": failing(refused(grpc.StatusCode.UNAVAILABLE)),
    "no such topic": failing(refused(grpc.StatusCode.NOT_FOUND)),
    "reply lost": failing(reply_lost(grpc.StatusCode.INTERNAL)),
    "silent": failing(silent),
}


@pytest.mark.parametrize("outage", OUTAGES.values(), ids=OUTAGES.keys())
def test_ten_minutes_without_pubsub_lose_nothing_and_repeat_nothing_more_than_five_times(
    world: World, stack: ExitStack, outage: Outage
) -> None:
    with subscription(pubsub_emulator()) as topic:
        pubsub = FaultyFirestore(pubsub_emulator())  # it passes on whatever gRPC it does not know
        stack.callback(pubsub.close)
        relay = Relay(pubsub.address)
        stack.callback(relay.down)
        with mock.patch.dict(os.environ, PUBSUB_EMULATOR_HOST=relay.address):
            sink = PubSubNotifier(topic.topic)
        stack.callback(sink.close)
        process = Fanout([sink], world.clock, world.ledger.taken)
        world.post(notice(1), notice(2))
        with outage(relay, pubsub):
            for _ in range(10):
                assert world.minute(process, seconds=0.5) == (0, 2)
        eventually(lambda: [world.minute(process), world.waiting()][1] == [])
        came = [json.loads(message.data)["id"] for message in topic.pull(at_least=2)]
    assert set(came) == {"n1", "n2"}
    assert max(came.count(one) for one in ("n1", "n2")) <= 5


# The relay


def envelope(data: object) -> dict[str, object]:
    coded = base64.b64encode(json.dumps(data).encode()).decode()
    return {
        "message": {"data": coded, "attributes": {}, "messageId": "1"},
        "subscription": "projects/p/subscriptions/s",
    }


def test_what_comes_from_the_topic_reaches_the_phone_and_is_acknowledged_only_then(tmp_path: Path, ours: Phone) -> None:
    with subscription(pubsub_emulator()) as topic:
        with gateway(tmp_path / "a", NOTIFICATION_TOPIC=topic.topic) as gate:
            gate.account.fault("place", Fault(FaultKind.REJECT))
            gate.send()
        [message] = topic.pull(at_least=1)
    with gateway(tmp_path / "b", NOTIFICATION_URL=ours.url) as relay:
        brought = envelope(json.loads(message.data))
        ours.mood = 503
        assert relay.operate("POST", "/tasks/relay", brought).status_code == 503
        ours.mood = 200
        assert relay.operate("POST", "/tasks/relay", brought).json == {"relayed": message.attributes["id"]}
        assert relay.operate("POST", "/tasks/relay", brought).status_code == 200  # a second delivery
    assert [one["kind"] for one in ours.told] == ["rejected"]


def test_with_address_and_topic_on_one_service_the_phone_is_notified_once(tmp_path: Path, ours: Phone) -> None:
    with (
        subscription(pubsub_emulator()) as topic,
        gateway(tmp_path, NOTIFICATION_URL=ours.url, NOTIFICATION_TOPIC=topic.topic) as gate,
    ):
        gate.account.fault("place", Fault(FaultKind.REJECT))
        gate.send()
        [message] = topic.pull(at_least=1)
        assert gate.operate("POST", "/tasks/relay", envelope(json.loads(message.data))).status_code == 200
    assert len(ours.told) == 1


@pytest.mark.parametrize(
    "body", [{}, {"message": {}}, envelope("text"), envelope({"id": 1}), {"message": {"data": "?"}}, []]
)
def test_what_is_no_notice_is_not_relayed(tmp_path: Path, ours: Phone, body: object) -> None:
    with gateway(tmp_path, NOTIFICATION_URL=ours.url) as gate:
        assert gate.operate("POST", "/tasks/relay", body).status_code == 400
    assert ours.arrived == []


def test_without_an_address_nothing_is_acknowledged(tmp_path: Path) -> None:
    with gateway(tmp_path) as gate:
        assert gate.operate("POST", "/tasks/relay", envelope(notice(1).document())).status_code == 503
