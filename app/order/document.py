"""The form an order is stored in: plain JSON values, so that every ledger keeps the same document."""

from dataclasses import fields
from datetime import datetime
from decimal import Decimal
from typing import Any

from app.alert import Product, Side
from app.errors import Reason
from app.money import plain
from app.order.order import Order, OrderType, Ticket, Transition
from app.order.status import OrderStatus

Document = dict[str, Any]


def to_document(order: Order) -> Document:
    document = _plain_fields(order)
    document["asked"] = dict(order.asked)
    document["ticket"] = None if order.ticket is None else _plain_fields(order.ticket)
    document["transitions"] = [_plain_fields(step) for step in order.transitions]
    return document


def from_document(document: Document) -> Order:
    """The order again; raises KeyError or ValueError for a document that is none.

    Fields of a later version are passed over: during a deployment, old and new instances share one ledger.
    """
    known = {name: document[name] for name in _ORDER if name in document}
    return Order(
        **known
        | {
            "received_at": _moment(document["received_at"]),
            "alert_at": _moment(document["alert_at"]),
            "submitted_at": _optional(_moment, document["submitted_at"]),
            "status": OrderStatus(document["status"]),
            "reason": _optional(Reason, document["reason"]),
            "average_price": _optional(Decimal, document["average_price"]),
            "ticket": _optional(_ticket, document["ticket"]),
            "transitions": tuple(_transition(step) for step in document["transitions"]),
        }
    )


_NAMES = {kind: tuple(part.name for part in fields(kind)) for kind in (Order, Ticket, Transition)}
_ORDER, _TICKET = _NAMES[Order], _NAMES[Ticket]
_AS_THEY_ARE = frozenset({str, int, bool, type(None)})
_PRICES = ("tick_size", "ltp", "limit_price", "stop_loss", "take_profit", "stop_loss_points", "take_profit_points")


def _ticket(document: Document) -> Ticket:
    prices = {name: _optional(Decimal, document[name]) for name in _PRICES}
    words = {
        "side": Side(document["side"]),
        "product": Product(document["product"]),
        "order_type": OrderType(document["order_type"]),
    }
    return Ticket(**{name: document[name] for name in _TICKET} | prices | words)


def _transition(document: Document) -> Transition:
    return Transition(
        document["sequence"],
        _moment(document["at"]),
        OrderStatus(document["status"]),
        _optional(Reason, document["reason"]),
        document["message"],
    )


def _plain_fields(record: Any) -> Document:
    return {name: _plain(getattr(record, name)) for name in _NAMES[type(record)]}


def _plain(value: Any) -> Any:
    if type(value) in _AS_THEY_ARE:
        return value
    match value:
        case Decimal():
            return plain(value)
        case datetime():
            return value.isoformat()
        case str():
            return str(value)
        case _:
            return value


def _optional(convert: Any, value: Any) -> Any:
    return None if value is None else convert(value)


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text)
