"""The checker itself: each promise, broken by hand, is found broken, and a sound history passes."""

from base64 import b64encode
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any
from urllib.parse import quote

import pytest

from app.domain.alert.identity import tag_of
from app.domain.errors import Reason
from app.domain.order import Accepted, NotSent, Order, Transition, Unresolved
from app.domain.order.status import OrderStatus
from proof.history import (
    INVARIANTS,
    BrokerOrder,
    Delivery,
    Halt,
    History,
    Holding,
    Notification,
    Pause,
    Post,
    check,
)
from proof.processes.evidence import unheard_of
from tests.builders import NOW, a_ticket, an_order, no_limits

KEY, OTHER = "5e" * 32, "6f" * 32
TAG, OTHER_TAG = tag_of(KEY), tag_of(OTHER)
SECRET = "canary/heron+stands=1"


def at(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


def received(**changes: Any) -> Order:
    return an_order(a_ticket(), **{"key": KEY, "tag": TAG} | changes)


def submitted(seconds: float = 0.2, **changes: Any) -> Order:
    return received(**changes).submitted(at(seconds))


def accepted(**changes: Any) -> Order:
    return submitted(**changes).after(Accepted("B1"), at(0.4))


def in_doubt() -> Order:
    return submitted().after(Unresolved("no reply"), at(1.5))


def filled(units: int = 65) -> Order:
    return accepted().moved(OrderStatus.FILLED, at(2), filled_quantity=units)


def row(tag: str = TAG, status: str = "ACCEPTED", **changes: Any) -> BrokerOrder:
    return replace(BrokerOrder("B1", tag, at(0.3), status), **changes)


def a_notice(notice_id: str, seconds: float = 1.0, kind: str = "") -> Notification:
    return Notification(at(seconds), notice_id, kind)


def a_summary(kind: str) -> Notification:
    return Notification(at(30), f"summary:{kind}:1", "summary", f"20 notices of the kind {kind} were held back.")


def answered(status: int | None = 200, **changes: Any) -> Delivery:
    answer = {"key": KEY, "tag": TAG, "request_id": "r1", "duplicate": False}
    return replace(Delivery("alert-1", at(0), at(0.5), status, answer), **changes)


def again(seconds: float, **changes: Any) -> Delivery:
    answer = {**answered().answer, "duplicate": True, "request_id": "r2"}
    usual: dict[str, Any] = {"sent_at": at(seconds), "answered_at": at(seconds + 0.1), "answer": answer}
    return answered(**usual | changes)


def a_history(**changes: Any) -> History:
    """One alert that became one order, ten minutes ago by now."""
    history = History(
        ended_at=at(600),
        deliveries=[answered()],
        posts=[Post(at(0.3), TAG, request_id="r1")],
        broker_orders=[row()],
        orders=[accepted()],
        reconciled=True,
    )
    return replace(history, **changes)


def two_entries(notice_id: str) -> History:
    """Both filled in one contract, and the first one has no legs at the broker."""
    other = replace(filled(), key=OTHER, tag=OTHER_TAG, broker_order_id="B2")
    bare = row(status="FILLED", filled_quantity=65, protected=False)
    safe = replace(bare, broker_order_id="B2", tag=OTHER_TAG, protected=True)
    return a_history(
        deliveries=[
            answered(),
            answered(alert="alert-2", answer={**answered().answer, "key": OTHER, "tag": OTHER_TAG}),
        ],
        posts=[Post(at(0.3), TAG, request_id="r1"), Post(at(0.3), OTHER_TAG, request_id="r1")],
        broker_orders=[bare, safe],
        orders=[filled(), other],
        notifications=[a_notice(notice_id, kind="naked")],
    )


def nothing_sent(**changes: Any) -> History:
    return a_history(**{"posts": [], "broker_orders": [], "orders": []} | changes)


def doubted(**changes: Any) -> History:
    told = {"deliveries": [answered(202)], "orders": [in_doubt()], "broker_orders": [], "reconciled": False}
    return a_history(**told | changes)


def limited(**limits: Any) -> dict[str, Any]:
    return {"limits": no_limits(**limits)}


def with_step(order: Order, status: OrderStatus, sequence: int) -> Order:
    step = Transition(sequence, at(5), status)
    return replace(order, status=status, sequence=sequence, transitions=(*order.transitions, step))


def twice_sent() -> Order:
    return submitted().after(NotSent("turned away"), at(0.5)).submitted(at(5)).after(Accepted("B1"), at(5.3))


def many(count: int, apart: float) -> list[Order]:
    orders = [submitted(apart * number, key=f"{number:064x}", tag=f"tv{number:018d}") for number in range(count)]
    return [order.after(Accepted("B1"), at(500)) for order in orders]


def posts(count: int, apart: float) -> list[Post]:
    return [Post(at(10 + apart * number), f"tv{number:018d}") for number in range(count)]


RIGHT: dict[str, Callable[[], History]] = {
    "one alert, one order": a_history,
    "a doubt that was told and was resolved later": lambda: doubted(
        orders=[in_doubt().moved(OrderStatus.FILLED, at(200), broker_order_id="B1", filled_quantity=65)],
        broker_orders=[row(status="FILLED", filled_quantity=65)],
        notifications=[a_notice(f"{KEY}:2")],
        reconciled=True,
    ),
    "a second attempt after the broker turned the first away": lambda: a_history(
        orders=[twice_sent()],
        posts=[Post(at(0.3), TAG, turned_away=True, request_id="r1"), Post(at(5.2), TAG, request_id="r2")],
        deliveries=[answered(503), again(4.9)],
    ),
    "a duplicate that was told": lambda: a_history(
        deliveries=[answered(), again(9)], notifications=[a_notice(f"{KEY}:duplicate", 9.1)]
    ),
    "503 to a delivery beside the one that sent": lambda: a_history(
        deliveries=[answered(), again(0.1, status=503, answered_at=at(1))]
    ),
    "a cover while only covers are let through": lambda: a_history(
        orders=[accepted(asked={"action": "BUY"})], halts=[Halt(at(-1), covers_allowed=True)]
    ),
    "a denial told with many others as one": lambda: nothing_sent(
        deliveries=[answered(422)],
        orders=[received().denied(at(0.2), Reason.MARKET_CLOSED, "closed")],
        notifications=[
            Notification(at(30), "summary:denied:1", "summary", "20 notices of the kind denied were held back")
        ],
    ),
    "a naked entry that was told": lambda: two_entries(f"naked:{KEY}:65:0"),
    "a naked entry beside one with its legs, for whose units the notice was": lambda: two_entries(
        f"naked:{OTHER}:65:0"
    ),
    "a doubt younger than 75 seconds": lambda: doubted(ended_at=at(70)),
    "a doubt that was told after 75 seconds of which a minute was a pause": lambda: doubted(
        notifications=[a_notice(f"{KEY}:2", 130)], pauses=[Pause(at(10), at(70))]
    ),
}

# What breaks which promises: the promises that are found broken, and the history.
BROKEN: dict[str, tuple[str, Callable[[], History]]] = {
    "two orders live for one key": (
        "I1",
        lambda: a_history(broker_orders=[row(), row(broker_order_id="B2", status="CANCELLED")], reconciled=False),
    ),
    "two orders live for one alert under two keys": (
        "I1 I15",
        lambda: a_history(
            deliveries=[answered(), answered(answer={"key": OTHER, "tag": OTHER_TAG, "request_id": "r2"})],
            broker_orders=[row(), row(OTHER_TAG)],
            orders=[accepted(), accepted(key=OTHER, tag=OTHER_TAG)],
        ),
    ),
    "answered 200 and in no ledger": ("I2", nothing_sent),
    "answered 202 and silent ever after": ("I2 I12", doubted),
    "answered 202 and told a minute too late": ("I2", lambda: doubted(notifications=[a_notice(f"{KEY}:2", 140)])),
    "answered 202 and only a duplicate was told": (
        "I2 I12",
        lambda: doubted(notifications=[a_notice(f"{KEY}:duplicate")]),
    ),
    "refused with 422 in silence": ("I2", lambda: nothing_sent(deliveries=[answered(422)])),
    "refused with 400 in silence": ("I2", lambda: nothing_sent(deliveries=[answered(400)])),
    "refused with 409 in silence": ("I2", lambda: a_history(deliveries=[answered(), answered(409)])),
    "told to come again, never came, never lapsed": (
        "I2",
        lambda: nothing_sent(deliveries=[answered(503)], orders=[received()]),
    ),
    "died after the submit, and no notice was published": (
        "I2",
        lambda: a_history(deliveries=[answered(None)], orders=[submitted()], broker_orders=[]),
    ),
    "an order at the broker that the ledger does not know": (
        "I3",
        lambda: a_history(broker_orders=[row(), row(OTHER_TAG)]),
    ),
    "an order in the ledger that the broker does not know": ("I3", lambda: a_history(broker_orders=[])),
    "called rejected, live at the broker": (
        "I3",
        lambda: a_history(
            orders=[submitted().moved(OrderStatus.REJECTED, at(0.4))], notifications=[a_notice(f"{KEY}:2")]
        ),
    ),
    "sent before it was submitted": ("I5", lambda: a_history(posts=[Post(at(0.1), TAG)])),
    "sent under an unknown tag": ("I5", lambda: a_history(posts=[Post(at(0.3), OTHER_TAG)])),
    "sent before the submit was in the store": ("I5", lambda: a_history(committed={(KEY, 1): at(0.35)})),
    "two POSTs in one attempt": (
        "I6",
        lambda: a_history(posts=[Post(at(0.3), TAG, turned_away=True), Post(at(0.5), TAG)]),
    ),
    "sent again with no proof": (
        "I6",
        lambda: a_history(orders=[twice_sent()], posts=[Post(at(0.3), TAG), Post(at(5.2), TAG)]),
    ),
    "sent after the send window": ("I7", lambda: a_history(posts=[Post(at(0.2 + 0.5 + 1.3), TAG)])),
    "sent too old": ("I7", lambda: a_history(orders=[accepted(alert_at=at(-63))])),
    "submitted while halted": ("I8", lambda: a_history(halts=[Halt(at(-1), at(100))])),
    "an entry submitted while only covers are let through": (
        "I8",
        lambda: a_history(halts=[Halt(at(-1), covers_allowed=True)]),
    ),
    "submitted before a halt, stored after it": (
        "I8",
        lambda: a_history(halts=[Halt(at(0.25))], committed={(KEY, 1): at(0.26)}),
    ),
    "eleven POSTs in a second": ("I5 I9", lambda: a_history(posts=posts(11, 0.09))),
    "too many orders in a second": (
        "I9",
        lambda: a_history(
            orders=many(3, 0.4), **limited(orders_per_second=2), reconciled=False, deliveries=[], posts=[]
        ),
    ),
    "too many orders in a minute": (
        "I9",
        lambda: a_history(
            orders=many(3, 25), **limited(orders_per_minute=2), reconciled=False, deliveries=[], posts=[]
        ),
    ),
    "too many orders in a day": (
        "I9",
        lambda: a_history(broker_orders=[row(), row(OTHER_TAG)], reconciled=False, **limited(orders_per_day=1)),
    ),
    "too many lots in one order": (
        "I9",
        lambda: a_history(broker_orders=[row(lots=2)], **limited(lots_per_order=1)),
    ),
    "too many lots open": ("I9", lambda: a_history(holdings=[Holding(at(1), 3)], **limited(lots_open=2))),
    "too much premium": (
        "I9",
        lambda: a_history(broker_orders=[row(premium=100.5)], **limited(premium_per_day=Decimal(100))),
    ),
    "a cover that bought more than was short": ("I9", lambda: a_history(holdings=[Holding(at(1), 0, 65)])),
    "answered late": ("I10", lambda: a_history(deliveries=[answered(answered_at=at(2.6))])),
    "answered 504": ("I10", lambda: nothing_sent(deliveries=[answered(504)])),
    "429 to one who had the right secret": ("I10", lambda: nothing_sent(deliveries=[answered(429)])),
    "503 after this request's order left": ("I10", lambda: a_history(deliveries=[answered(503)])),
    "503 after the order left, from either of the two": (
        "I10",
        lambda: a_history(
            posts=[Post(at(0.3), TAG)], deliveries=[answered(503), again(0.2, status=503, answered_at=at(0.6))]
        ),
    ),
    "an illegal step": (
        "I11",
        lambda: a_history(
            orders=[with_step(accepted(), OrderStatus.NOT_PLACED, 3)],
            notifications=[a_notice(f"{KEY}:3")],
            reconciled=False,
        ),
    ),
    "a step left out": (
        "I11 I12",
        lambda: a_history(orders=[with_step(accepted(), OrderStatus.CANCELLED, 4)], reconciled=False),
    ),
    "a state that no step led to": (
        "I11",
        lambda: a_history(orders=[replace(accepted(), status=OrderStatus.FILLED)], reconciled=False),
    ),
    "denied in silence": (
        "I2 I12",
        lambda: nothing_sent(
            deliveries=[answered(422)], orders=[received().denied(at(0.2), Reason.MARKET_CLOSED, "closed")]
        ),
    ),
    "denied, and many others of another kind told as one": (
        "I2 I12",
        lambda: nothing_sent(
            deliveries=[answered(422)],
            orders=[received().denied(at(0.2), Reason.MARKET_CLOSED, "closed")],
            notifications=[
                Notification(at(30), "summary:1", "summary", "20 notices of the kind lapsed were held back")
            ],
        ),
    ),
    "turned away, and sent again by the same request": (
        "I6",
        lambda: a_history(
            orders=[twice_sent()],
            posts=[Post(at(0.3), TAG, turned_away=True, request_id="r1"), Post(at(5.2), TAG, request_id="r1")],
        ),
    ),
    "sent too old by what its sender knows": (
        "I7",
        lambda: a_history(deliveries=[answered(fired_at=at(-63))]),
    ),
    "not in the book for a minute, in silence": (
        "I12",
        lambda: doubted(
            orders=[in_doubt().absent(at(60), "1").absent(at(120), "2").absent(at(180), "3")],
            notifications=[a_notice(f"{KEY}:2")],
        ),
    ),
    "a second firing suppressed in silence": ("I12", lambda: a_history(deliveries=[answered(), again(9)])),
    "fills that the ledger does not have": (
        "I13",
        lambda: a_history(orders=[filled(60)], broker_orders=[row(status="FILLED", filled_quantity=65)]),
    ),
    "filled, naked and silent": (
        "I14",
        lambda: a_history(orders=[filled()], broker_orders=[row(status="FILLED", filled_quantity=65, protected=False)]),
    ),
    "filled, naked, and a notice of fewer units": ("I14", lambda: two_entries(f"naked:{OTHER}:64:0")),
    "filled, naked, and a notice of another order": ("I14", lambda: two_entries("naked:" + "7a" * 32 + ":65:0")),
    "one alert, two keys": ("I2 I15", lambda: a_history(deliveries=[answered(key=OTHER)])),
    "two alerts, one key": ("I15", lambda: a_history(deliveries=[answered(), answered(alert="alert-2")])),
} | {
    f"a secret {place}, {form}": ("I4", lambda put=put, shown=shown: a_history(secrets=[SECRET], **put(shown)))
    for form, shown in {
        "as it is": SECRET,
        "url-encoded": quote(SECRET, safe=""),
        "in hex": SECRET.encode().hex(),
        "in base64": b64encode(f"user:{SECRET}".encode()).decode(),
        "in base64, one letter on": b64encode(f"user::{SECRET}".encode()).decode(),
        "in base64, two letters on": b64encode(f"user:::{SECRET}".encode()).decode(),
    }.items()
    for place, put in {
        "in the output": lambda text: {"output": f"line\n{{'x': '{text}'}}"},
        "in a notification": lambda text: {"notifications": [Notification(at(1), "n", "k", f"said {text}")]},
        "in an answer": lambda text: {"deliveries": [answered(answer={**answered().answer, "message": text})]},
        "in the ledger": lambda text: {"orders": [replace(accepted(), message=text)]},
    }.items()
}


@pytest.mark.parametrize("name", RIGHT)
def test_a_right_history_breaks_nothing(name: str) -> None:
    assert check(RIGHT[name]()) == []


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_promise_is_found_and_no_other_one(name: str) -> None:
    promises, history = BROKEN[name]
    assert {violation.promise for violation in check(history())} == set(promises.split())


def test_every_promise_is_broken_at_least_once() -> None:
    broken = {promise for promises, _ in BROKEN.values() for promise in promises.split()}
    assert broken == {f"I{number}" for number in range(1, len(INVARIANTS) + 1)}


@pytest.mark.parametrize(
    ("found_after", "status", "notified", "lost"),
    [
        pytest.param(20, None, False, True, id="found by reconcile and no notice was published"),
        pytest.param(20, None, True, False, id="found by reconcile and told"),
        pytest.param(20, 202, False, True, id="answered 202, found later, not told"),
        pytest.param(20, 200, False, False, id="answered 200"),
        pytest.param(0.4, None, False, False, id="written down by its own request, which died before the answer"),
    ],
)
def test_an_order_at_the_broker_without_any_record_is_lost(
    found_after: float, status: int | None, notified: bool, lost: bool
) -> None:
    order = submitted().moved(OrderStatus.FILLED, at(found_after), filled_quantity=65)
    notices = [a_notice(f"{KEY}:2")] if notified else [a_notice(f"{KEY}:duplicate:1")]
    history = History(at(100), [answered(status, key=KEY)], (), [row()], [order], notices)
    assert bool(unheard_of(history)) is lost


@pytest.mark.parametrize(("ended", "broken"), [(40, False), (200, True)])
def test_a_second_firing_has_to_be_told_within_75_seconds(ended: int, broken: bool) -> None:
    history = History(at(ended), [answered(), again(10)], (), (), [accepted()])
    told = [violation for violation in check(history) if violation.promise == "I12"]
    assert bool(told) is broken
