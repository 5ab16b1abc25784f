"""An order as Fyers takes it (POST /orders/sync, documents of September 2026)."""

from typing import Any

from app.adapters.fyers.json_text import number
from app.domain.alert import Side
from app.domain.book import BookRow
from app.domain.order import Order, OrderType

_SIDES = {Side.BUY: 1, Side.SELL: -1}
_TYPES = {OrderType.LIMIT: 1, OrderType.MARKET: 2}
_IN_POINTS = 1


def order_payload(order: Order) -> dict[str, Any]:
    """The fields of a new order. Raises ValueError for one that cannot be sent as it is.

    `stopLoss` and `takeProfit` are points from the entry, and stand at the broker as legs of the order.
    """
    ticket = order.ticket
    if ticket is None:
        raise ValueError("the order has no ticket")
    payload = {
        "symbol": ticket.symbol,
        "qty": ticket.quantity,
        "type": _TYPES[ticket.order_type],
        "side": _SIDES[ticket.side],
        "productType": str(ticket.product),
        "limitPrice": number(ticket.limit_price) if ticket.order_type is OrderType.LIMIT else 0,
        "stopPrice": 0,
        "disclosedQty": 0,
        "validity": "DAY",
        "offlineOrder": False,
        "orderTag": order.tag,
        "isSliceOrder": False,
    }
    points = {"stopLoss": ticket.stop_loss_points, "takeProfit": ticket.take_profit_points}
    legs = {name: number(offset) for name, offset in points.items() if offset is not None}
    return payload | legs | ({"legType": _IN_POINTS} if legs else {})


def resize_payload(row: BookRow, quantity: int) -> dict[str, Any]:
    """PATCH /orders/sync: the same order with another quantity.

    Type and prices are sent again: without them Fyers answered "limitPrice does not match: 0" to integrators. A row of
    the book has no order type; its prices tell the type.
    """
    kind = 1 if row.stop_price is None else 3 if row.limit_price is None else 4
    prices = {"limitPrice": row.limit_price, "stopPrice": row.stop_price}
    same = {name: 0 if price is None else number(price) for name, price in prices.items()}
    return {"id": row.broker_order_id, "qty": quantity, "type": kind} | same
