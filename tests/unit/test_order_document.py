"""What is stored is what is read back: every order, in every state, through JSON and without a float."""

import json
from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.domain.alert import Product, Side
from app.domain.errors import Reason
from app.domain.order import Order, OrderType, Ticket
from app.domain.order.document import from_document, to_document
from app.domain.order.status import OrderStatus
from tests.builders import NOW, WAYS, a_ticket, an_order, order_in

TEXT = st.text(max_size=30)
RUPEES = st.decimals(min_value=0, max_value=10**6, places=2) | st.decimals(min_value=0, max_value=10**6, places=4)
MOMENTS = st.datetimes(timezones=st.sampled_from([UTC, timezone(timedelta(hours=5, minutes=30))]))
TICKETS = st.builds(
    Ticket,
    symbol=TEXT,
    underlying=TEXT,
    side=st.sampled_from(Side),
    product=st.sampled_from(Product),
    order_type=st.sampled_from(OrderType),
    quantity=st.integers(1, 10**9),
    lot_size=st.integers(1, 10**5),
    tick_size=RUPEES,
    ltp=RUPEES,
    limit_price=RUPEES,
    covers=st.booleans(),
    stop_loss=st.none() | RUPEES,
    take_profit=st.none() | RUPEES,
    stop_loss_points=st.none() | RUPEES,
    take_profit_points=st.none() | RUPEES,
)
REASONS = st.none() | st.sampled_from(Reason)


@st.composite
def orders(draw: st.DrawFn, status: OrderStatus) -> Order:
    """An order that came to the state by a path of its own, with anything in its fields."""
    order = Order(
        key=draw(TEXT),
        tag=draw(TEXT),
        fingerprint=draw(TEXT),
        day=str(draw(st.dates())),
        asked=draw(st.dictionaries(TEXT, TEXT, max_size=4)),
        received_at=draw(MOMENTS),
        alert_at=draw(MOMENTS),
        request_id=draw(TEXT),
        strategy=draw(st.none() | TEXT),
    )
    order = replace(order, ticket=draw(st.none() | TICKETS))
    for step in WAYS[status]:
        extra: dict[str, Any] = {"submitted_at": draw(MOMENTS)} if step is OrderStatus.SUBMITTED else {}
        order = order.moved(step, draw(MOMENTS), reason=draw(REASONS), message=draw(st.none() | TEXT), **extra)
    return replace(
        order,
        broker_order_id=draw(st.none() | TEXT),
        filled_quantity=draw(st.integers(0, 10**6)),
        average_price=draw(st.none() | RUPEES),
        absent_reads=draw(st.integers(0, 9)),
    )


@pytest.mark.parametrize("status", OrderStatus)
@given(data=st.data())
@settings(max_examples=40)
def test_an_order_comes_back_from_its_document_as_it_was(status: OrderStatus, data: st.DataObject) -> None:
    order = data.draw(orders(status))
    document = json.loads(json.dumps(to_document(order)))
    again = from_document(document)
    assert again == order
    assert to_document(again) == document


def test_what_was_read_back_moves_on_as_before() -> None:
    order = from_document(json.loads(json.dumps(to_document(order_in(OrderStatus.ACCEPTED)))))
    assert order.moved(OrderStatus.FILLED, NOW) == order_in(OrderStatus.ACCEPTED).moved(OrderStatus.FILLED, NOW)
    assert isinstance(order.status, OrderStatus)
    assert order.ticket is not None
    assert isinstance(order.ticket.side, Side)


def test_a_document_holds_plain_values_and_no_float() -> None:
    order = replace(order_in(OrderStatus.FILLED), average_price=Decimal("161.7525"), filled_quantity=65)
    for value in _leaves(to_document(order)):
        assert type(value) in (str, int, bool, type(None))


def test_prices_are_stored_as_people_write_them() -> None:
    document = to_document(an_order(a_ticket(ltp=Decimal("1E+2"), limit_price=Decimal("0.1"))))
    assert (document["ticket"]["ltp"], document["ticket"]["limit_price"]) == ("100.00", "0.10")


def test_every_part_of_an_order_and_a_ticket_is_stored() -> None:
    document = to_document(order_in(OrderStatus.ACCEPTED))
    assert set(document) == {part.name for part in fields(Order)}
    assert set(document["ticket"]) == {part.name for part in fields(Ticket)}


def test_a_field_of_a_later_version_is_passed_over() -> None:
    order = order_in(OrderStatus.ACCEPTED)
    document = to_document(order) | {"something_new": 1}
    document["ticket"] |= {"something_new": 1}
    document["transitions"] = [step | {"something_new": 1} for step in document["transitions"]]
    assert from_document(document) == order


@pytest.mark.parametrize("name", ["status", "transitions", "received_at", "alert_at", "ticket", "submitted_at"])
def test_a_document_that_misses_a_part_is_no_order(name: str) -> None:
    document = to_document(order_in(OrderStatus.ACCEPTED))
    del document[name]
    with pytest.raises(KeyError):
        from_document(document)


@pytest.mark.parametrize(("name", "value"), [("status", "LOST"), ("received_at", "yesterday"), ("reason", "BECAUSE")])
def test_a_document_with_an_unknown_word_is_no_order(name: str, value: str) -> None:
    with pytest.raises(ValueError, match=value):
        from_document(to_document(order_in(OrderStatus.ACCEPTED)) | {name: value})


def test_moments_keep_their_zone_and_their_microseconds() -> None:
    moment = datetime(2026, 11, 20, 9, 15, 0, 1, tzinfo=timezone(timedelta(hours=5, minutes=30)))
    again = from_document(to_document(an_order(received_at=moment)))
    assert again.received_at == again.transitions[0].at == moment
    assert again.received_at.utcoffset() == moment.utcoffset()


def _leaves(value: Any) -> list[Any]:
    match value:
        case dict():
            return [leaf for part in value.values() for leaf in _leaves(part)]
        case list():
            return [leaf for part in value for leaf in _leaves(part)]
        case _:
            return [value]
