"""The stored form of an order: plain JSON values, so that every ledger keeps the same document."""

from dataclasses import fields
from datetime import datetime
from decimal import Decimal
from typing import Any

from app.domain.alert import Product, Side
from app.domain.errors import Reason
from app.domain.money import plain
from app.domain.order import Order, OrderType, Ticket, Transition
from app.domain.order.status import OrderStatus

Document = dict[str, Any]
_moment = datetime.fromisoformat


def to_document(order: Order) -> Document:
    """Field by field, because that is fast: each alert writes its order three times."""
    return {
        "key": order.key,
        "tag": order.tag,
        "fingerprint": order.fingerprint,
        "day": order.day,
        "asked": dict(order.asked),
        "received_at": order.received_at.isoformat(),
        "alert_at": order.alert_at.isoformat(),
        "request_id": order.request_id,
        "strategy": order.strategy,
        "status": order.status.value,
        "sequence": order.sequence,
        "attempt": order.attempt,
        "ticket": _optional(_ticket_document, order.ticket),
        "submitted_at": _optional(datetime.isoformat, order.submitted_at),
        "broker_order_id": order.broker_order_id,
        "filled_quantity": order.filled_quantity,
        "average_price": _optional(plain, order.average_price),
        "absent_reads": order.absent_reads,
        "reason": _optional(str, order.reason),
        "message": order.message,
        "transitions": [_transition_document(step) for step in order.transitions],
    }


def from_document(document: Document) -> Order:
    """The stored order. Raises KeyError or ValueError for a document that is not an order.

    Fields of a later version are ignored: during a deployment, old and new instances share one ledger.
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


_ORDER, _TICKET = (tuple(part.name for part in fields(kind)) for kind in (Order, Ticket))
_PRICES = ("tick_size", "ltp", "limit_price", "stop_loss", "take_profit", "stop_loss_points", "take_profit_points")


def _ticket_document(ticket: Ticket) -> Document:
    return {
        "symbol": ticket.symbol,
        "underlying": ticket.underlying,
        "side": ticket.side.value,
        "product": ticket.product.value,
        "order_type": ticket.order_type.value,
        "quantity": ticket.quantity,
        "lot_size": ticket.lot_size,
        "tick_size": plain(ticket.tick_size),
        "ltp": plain(ticket.ltp),
        "limit_price": plain(ticket.limit_price),
        "covers": ticket.covers,
        "stop_loss": _optional(plain, ticket.stop_loss),
        "take_profit": _optional(plain, ticket.take_profit),
        "stop_loss_points": _optional(plain, ticket.stop_loss_points),
        "take_profit_points": _optional(plain, ticket.take_profit_points),
    }


def _ticket(document: Document) -> Ticket:
    prices = {name: _optional(Decimal, document[name]) for name in _PRICES}
    words = {
        "side": Side(document["side"]),
        "product": Product(document["product"]),
        "order_type": OrderType(document["order_type"]),
    }
    return Ticket(**{name: document[name] for name in _TICKET} | prices | words)


def _transition_document(step: Transition) -> Document:
    return {
        "sequence": step.sequence,
        "at": step.at.isoformat(),
        "status": step.status.value,
        "reason": _optional(str, step.reason),
        "message": step.message,
    }


def _transition(document: Document) -> Transition:
    return Transition(
        document["sequence"],
        _moment(document["at"]),
        OrderStatus(document["status"]),
        _optional(Reason, document["reason"]),
        document["message"],
    )


def _optional(convert: Any, value: Any) -> Any:
    return None if value is None else convert(value)
