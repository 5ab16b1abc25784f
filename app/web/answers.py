"""The answers to the sender. Two tables are the whole mapping to HTTP.

TradingView sends again only on 500-599 except 504, five seconds apart and at most three more times; never on a time-out
(its support page 43000735201). So 503 asks for another delivery. It is sent only while no order has left.
"""

from typing import Any

from flask import Response, make_response

from app.domain.alert import MAX_BODY_BYTES
from app.domain.book import BookRow
from app.domain.errors import (
    AddressNotAllowed,
    AlertError,
    Denied,
    Malformed,
    NotNow,
    Reason,
    SameIdOtherOrder,
    TooLarge,
    TooManyRequests,
    Unauthorized,
)
from app.domain.money import plain
from app.domain.order import Order
from app.domain.order.document import to_document
from app.domain.order.status import OrderStatus
from app.flow.execution import Receipt
from app.runtime.starting import RETRY_AFTER, no_order

HTTP_OF_ERROR: dict[type[AlertError], int] = {
    Malformed: 400,
    Unauthorized: 401,
    AddressNotAllowed: 403,
    SameIdOtherOrder: 409,
    TooLarge: 413,
    Denied: 422,
    TooManyRequests: 429,
    NotNow: 503,
}

HTTP_OF_STATUS: dict[OrderStatus, int] = {
    OrderStatus.RECEIVED: 503,
    OrderStatus.SUBMITTED: 202,
    OrderStatus.ACCEPTED: 200,
    OrderStatus.PARTIALLY_FILLED: 200,
    OrderStatus.FILLED: 200,
    OrderStatus.CANCELLED: 200,  # it was accepted; its later fate is not the sender's fault
    OrderStatus.EXPIRED: 200,
    OrderStatus.DENIED: 422,
    OrderStatus.REJECTED: 422,
    OrderStatus.LAPSED: 422,
    OrderStatus.NOT_PLACED: 422,
}


def answer_receipt(receipt: Receipt, request_id: str) -> Response:
    order, problem = receipt.order, receipt.problem
    body = shown(order) | {"duplicate": receipt.duplicate, "request_id": request_id}
    if order.status is OrderStatus.NOT_PLACED:
        body["reason"] = Reason.FOUND_NOT_PLACED
    if problem is not None:
        body |= {"reason": problem.reason, "message": problem.message}
    elif order.status is OrderStatus.SUBMITTED and order.reason is None:
        body |= {"reason": Reason.OUTCOME_UNKNOWN, "message": "the order is on its way; its outcome is not known yet"}
    return _for_sender(body, HTTP_OF_STATUS[order.status])


def answer_error(error: AlertError, request_id: str) -> Response:
    return _for_sender(no_order(error.reason, request_id, error.message), http_of(error))


def http_of(error: AlertError) -> int:
    return next(HTTP_OF_ERROR[kind] for kind in type(error).__mro__ if kind in HTTP_OF_ERROR)


def shown(order: Order) -> dict[str, Any]:
    """An order in the fields of the webhook's answer. `request_id` is that of the alert that made the order."""
    ticket = order.ticket
    return {
        "status": order.status,
        "key": order.key,
        "tag": order.tag,
        "broker_order_id": order.broker_order_id,
        **{name: getattr(ticket, name, None) for name in ("symbol", "side", "quantity")},
        **{name: _price(getattr(ticket, name, None)) for name in ("ltp", "limit_price", "stop_loss", "take_profit")},
        "reason": order.reason,
        "message": order.message,
        "duplicate": False,
        "request_id": order.request_id,
    }


def detailed(order: Order) -> dict[str, Any]:
    """`shown`, with the order's times, the alert's fields and the transitions."""
    document = to_document(order)
    more = ("received_at", "alert_at", "submitted_at", "filled_quantity", "average_price", "asked", "transitions")
    return shown(order) | {name: document[name] for name in more}


def has_legs(order: Order) -> bool:
    """Whether the order may have protective legs: it is an entry that the broker knows."""
    return order.ticket is not None and not order.ticket.covers and order.broker_order_id is not None


def shown_leg(row: BookRow) -> dict[str, Any]:
    """One protective leg. `price` is a stop-loss's trigger or a take-profit's limit; `status` None is unknown."""
    kind, price = ("take_profit", row.limit_price) if row.stop_price is None else ("stop_loss", row.stop_price)
    return {
        "broker_order_id": row.broker_order_id,
        "kind": kind,
        "status": row.status,
        "quantity": row.quantity,
        "filled_quantity": row.filled_quantity,
        "price": _price(price),
    }


def too_large() -> TooLarge:
    return TooLarge(f"the body is over {MAX_BODY_BYTES} bytes; an alert needs a few hundred")


def _price(value: Any) -> str | None:
    return None if value is None else plain(value)


def _for_sender(body: dict[str, Any], status: int) -> Response:
    response = make_response(body, status)
    if status == 503:
        response.headers["Retry-After"] = RETRY_AFTER
    return response
