"""Whatever bytes come back for an order: accepted only by the one exact shape, and never a reason to send again."""

import json
from dataclasses import replace
from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st

from app.adapters.http.transport import Reply
from app.domain.order.status import OrderStatus
from proof.simulation import Play, a_shot
from proof.simulation.fyers import Fyers
from tests.examples import examples
from tests.promises.test_state_machine import CALM

ACCEPTED = {"s": "ok", "code": 1101, "message": "Order submitted successfully", "id": "26112000000001"}
_WORDS = st.sampled_from(["s", "code", "id", "message", "ok", "error", "Bad request", "26112000000001", ""])
_CODES = st.sampled_from([1101, 200, 201, -50, -99, -300, -8, -16, -429, 1101.0, "1101", True, None])
_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20) | _WORDS | _CODES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_WORDS | st.text(max_size=5), inner, max_size=4),
    max_leaves=8,
)
_IDS = st.sampled_from(["26112000000001", "", " ", 26112000000001, None, ["1"], "a" * 65, "1\n2"])
_NEARLY = st.fixed_dictionaries(
    {},
    optional={
        "s": st.sampled_from(["ok", "error", "OK", "", None, True, ["ok"]]),
        "code": _CODES | st.integers(),
        "message": st.text(max_size=40) | _WORDS | st.none(),
        "id": st.sampled_from(["26112000000001", "", " ", 26112000000001, None, ["1"], "a" * 65, "1\n2"])
        | st.text(max_size=5),
        "data": _VALUES,
    },
)
_JSON = (_VALUES | _NEARLY).map(lambda value: json.dumps(value).encode())
_BODIES = st.binary(max_size=200) | _JSON | st.builds(lambda body, cut: body[:cut], _JSON, st.integers(0, 80))
_STATUS = st.sampled_from([200, 201, 202, 204, 301, 307, 400, 401, 403, 404, 408, 429, 500, 502, 503, 504, 520])
_HEADERS = st.sampled_from([{}, {"retry-after": "1"}, {"retry-after": "soon"}, {"content-type": "text/html"}])


class Replies:
    """A transport that answers every POST as told, after taking the order or not; the rest is the simulated account."""

    def __init__(self, account: Fyers, reply: Reply, takes: bool) -> None:
        self._account = account
        self._reply = reply
        self._takes = takes
        self.posts = 0

    def begin(self, url: str, **how: Any) -> None:
        return None

    def call(self, method: str, url: str, **how: Any) -> Reply:
        if method != "POST":
            return self._account.call(method, url, **how)
        self.posts += 1
        self._account.chosen = ("accepted", "live" if self._takes else "not")
        self._account.call(method, url, **how)
        return self._reply


def wired(play: Play, wire: Replies) -> None:
    broker: Any = play.desk.broker
    broker._line = replace(broker._line, transport=wire)


def is_accepted(status: int, body: bytes) -> bool:
    """The design's own words, once more: 2xx, a JSON object, s == "ok", code 1101, a non-empty string id."""

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        if len({name for name, _ in pairs}) != len(pairs):
            raise ValueError("a key stands twice")
        return dict(pairs)

    try:
        said = json.loads(body.decode(), object_pairs_hook=once)
    except (ValueError, RecursionError):
        return False
    if not isinstance(said, dict) or not 200 <= status < 300:
        return False
    right_code = said.get("code") == 1101 and type(said.get("code")) is int
    return said.get("s") == "ok" and right_code and isinstance(said.get("id"), str) and said["id"] != ""


@settings(max_examples=examples(300), deadline=None)
@given(status=_STATUS, headers=_HEADERS, body=_BODIES, takes=st.booleans())
@example(200, {}, json.dumps(ACCEPTED).encode(), True)
@example(200, {}, json.dumps(ACCEPTED | {"code": 1101.0}).encode(), True)
@example(200, {}, json.dumps(ACCEPTED | {"id": 26112000000001}).encode(), True)
@example(200, {}, b'{"s":"error","s":"ok","code":1101,"id":"26112000000001"}', True)
@example(500, {}, json.dumps(ACCEPTED).encode(), True)
def test_no_reply_but_the_one_shape_is_accepted_and_none_makes_an_order_go_out_twice(
    status: int, headers: dict[str, str], body: bytes, takes: bool
) -> None:
    play = Play(11, story=CALM)
    wire = Replies(play.fyers, Reply(status, headers, body), takes)
    wired(play, wire)
    shot = a_shot(0, 1, covers=False, at=0.0)
    play._send_again = lambda *_: None  # type: ignore[method-assign]  # no sender's resends here
    play.world.run_now(lambda: play.deliver(shot), play.a_host())
    first = play.store.orders(play.deadline())[0]
    for _ in range(2):  # the same alert comes again, before and after reconcile
        play.world.run_now(lambda: play.deliver(shot), play.a_host())
        play.world.seconds += 10.0
        play.world.run_now(play.reconcile_once, play.a_host())
    assert play.world.crashes == []
    assert (first.status is OrderStatus.ACCEPTED) <= is_accepted(status, body)
    # Sent again only where the broker turned it away unread, by its own word, and its book has no such order.
    may_go_again = first.status is OrderStatus.RECEIVED and status == 429 and not takes
    assert wire.posts == 1 or may_go_again
    assert all(delivery.status != 503 or first.status is OrderStatus.RECEIVED for delivery in play.record.deliveries)


def test_the_one_shape_is_accepted() -> None:
    assert is_accepted(200, json.dumps(ACCEPTED).encode())
    play = Play(11, story=CALM)
    wired(play, Replies(play.fyers, Reply(200, {}, json.dumps(ACCEPTED).encode()), takes=True))
    play.world.run_now(lambda: play.deliver(a_shot(0, 1, covers=False, at=0.0)), play.a_host())
    assert play.store.orders(play.deadline())[0].status is OrderStatus.ACCEPTED
