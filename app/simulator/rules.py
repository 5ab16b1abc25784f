"""What the broker refuses before an order exists, and the choices that the published documents leave open."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any

from app.simulator.instruments import CASH, Instrument
from app.simulator.orders import BUY, SELL, ZERO, OrderType, Ticket

INVALID = -50

MANDATORY = (
    "symbol",
    "qty",
    "type",
    "side",
    "productType",
    "limitPrice",
    "stopPrice",
    "validity",
    "disclosedQty",
    "offlineOrder",
)
DELIVERY = ("CNC", "MTF")
PRODUCTS = (*DELIVERY, "INTRADAY", "MARGIN")
WITHDRAWN_PRODUCTS = ("BO", "CO")  # refused since 02-Aug-2026
_TAG = re.compile(r"[A-Za-z0-9]+")


class Refused(Exception):
    """Validation refused a request, and nothing entered the order book.

    `code` is the broker's error code, `status` the HTTP status.
    """

    def __init__(self, message: str, code: int = INVALID, status: int = 400) -> None:
        super().__init__(message)
        self.message = message
        self.code = code
        self.status = status


@dataclass(frozen=True, slots=True)
class Rules:
    """The choices that the documents leave open. The defaults are the better attested readings."""

    max_tag_length: int = 30  # documented; one integrator reports 20
    legs_carry_tag: bool = False  # whether a child leg repeats its parent's tag is not documented
    cancel_takes_legs: bool = True  # "cancelling a pending parent cancels its legs" (SDK), taken literally
    price_bands: bool = True  # a limit outside the operating band is rejected, with an id
    freeze_has_id: bool = False  # over the freeze quantity: rejected with an id, or refused without one
    modify_needs_all: bool = False  # by one report, a modification without limitPrice is read as limitPrice 0
    always_open: bool = True  # except on holidays; False: orders outside the instrument's hours are rejected
    transit_seconds: float = 0.0  # how long an order shows status 4 before the exchange takes it


def decimal_field(payload: Mapping[str, Any], name: str) -> Decimal:
    """A number of the payload, exact; a missing or null field is zero."""
    value = payload.get(name)
    if value is None:
        return ZERO
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        raise Refused(f"{name} should be a number")
    try:
        number = Decimal(str(value))
    except InvalidOperation:
        raise Refused(f"{name} should be a number") from None
    if not number.is_finite() or number < 0:
        raise Refused(f"{name} should not be negative")
    return number


def integer_field(payload: Mapping[str, Any], name: str) -> int:
    value = payload.get(name)
    if isinstance(value, bool) or not isinstance(value, int):
        raise Refused(f"{name} should be an integer")
    return value


def read_ticket(payload: Mapping[str, Any], rules: Rules, client_id: str) -> Ticket:
    """The order in the fields of POST /orders/sync. Raises Refused for the first invalid field."""
    missing = [name for name in MANDATORY if name not in payload]
    if missing:
        raise Refused(f"{missing[0]} is mandatory")
    kind, side = integer_field(payload, "type"), integer_field(payload, "side")
    if kind not in tuple(OrderType):
        raise Refused("type should be one of 1, 2, 3, 4")
    if side not in (BUY, SELL):
        raise Refused("side should be 1 or -1")
    if payload["validity"] not in ("DAY", "IOC"):
        raise Refused("validity should be DAY or IOC")
    leg_type = payload.get("legType", 1)
    if leg_type not in (1, 2) or isinstance(leg_type, bool):
        raise Refused("legType should be 1 or 2")
    if not isinstance(payload["offlineOrder"], bool):
        raise Refused("offlineOrder should be true or false")
    if not isinstance(payload["symbol"], str):
        raise Refused("The input symbol is invalid.")
    return Ticket(
        symbol=payload["symbol"],
        side=side,
        quantity=integer_field(payload, "qty"),
        order_type=OrderType(kind),
        product=_product(payload["productType"]),
        validity=payload["validity"],
        limit_price=decimal_field(payload, "limitPrice"),
        stop_price=decimal_field(payload, "stopPrice"),
        tag=_tag(payload.get("orderTag"), rules, client_id),
        stop_loss=decimal_field(payload, "stopLoss"),
        take_profit=decimal_field(payload, "takeProfit"),
        leg_type=leg_type,
        offline=payload["offlineOrder"],
    )


def _product(value: object) -> str:
    if value in WITHDRAWN_PRODUCTS:
        raise Refused(f"Product {value} is discontinued, use takeProfit and stopLoss")
    if value not in PRODUCTS:
        raise Refused("productType is invalid")
    return str(value)


def _tag(value: object, rules: Rules, client_id: str) -> str | None:
    if value is None or value == "":
        return None
    if not isinstance(value, str) or not _TAG.fullmatch(value) or len(value) > rules.max_tag_length:
        raise Refused(f"orderTag should be alphanumeric and between 1 and {rules.max_tag_length} characters")
    if value in (client_id, "Untagged"):
        raise Refused("orderTag is invalid")
    return value


def check_quantity(instrument: Instrument, quantity: int, rules: Rules) -> None:
    if quantity <= 0 or quantity % instrument.lot_size:
        raise Refused("Quantity should be multiple of min lot size.")
    freeze = instrument.freeze_quantity
    if freeze is not None and quantity > freeze and not rules.freeze_has_id:
        raise Refused("Quantity exceeds the allowable freeze limit.")


def check_tick(instrument: Instrument, name: str, price: Decimal) -> None:
    """Raises Refused in the broker's words: `StopPrice not a multiple of tick size 0.1000`, with four decimals."""
    if price % instrument.tick_size:
        raise Refused(f"{name} not a multiple of tick size {instrument.tick_size:.4f}")


def check_prices(instrument: Instrument, side: int, order_type: OrderType, limit: Decimal, stop: Decimal) -> None:
    """Raises Refused for a price that is missing, off the tick, or on the wrong side of its trigger."""
    if order_type in (OrderType.LIMIT, OrderType.SL_L) and not limit:
        raise Refused("LimitPrice is mandatory for limit orders")
    if order_type in (OrderType.SL_M, OrderType.SL_L) and not stop:
        raise Refused("StopPrice is mandatory for stop orders")
    check_tick(instrument, "LimitPrice", limit)
    check_tick(instrument, "StopPrice", stop)
    if order_type is OrderType.SL_L and (limit - stop) * side <= 0:
        relation = "less" if side == BUY else "greater"
        raise Refused(f"StopPrice should be {relation} than LimitPrice")


def check_offsets(instrument: Instrument, stop_loss: Decimal, take_profit: Decimal, leg_type: int) -> None:
    if leg_type == 1:
        check_tick(instrument, "StopLoss", stop_loss)
        check_tick(instrument, "TakeProfit", take_profit)


def check_product(instrument: Instrument, product: str) -> None:
    """Raises Refused for delivery of a derivative, and for MARGIN, the carry-forward of derivatives, of a share."""
    if instrument.segment == CASH:
        wrong, place = product == "MARGIN", instrument.exchange
    else:
        wrong, place = product in DELIVERY, {"NSE": "NFO", "BSE": "BFO"}[instrument.exchange]
    if wrong:
        raise Refused(f"Product {product} not enabled on exchange {place}")


def check_ticket(ticket: Ticket, instrument: Instrument, rules: Rules) -> None:
    """Raises Refused for what is wrong by the instrument alone, whatever the account holds."""
    check_product(instrument, ticket.product)
    check_quantity(instrument, ticket.quantity, rules)
    check_prices(instrument, ticket.side, ticket.order_type, ticket.limit_price, ticket.stop_price)
    check_offsets(instrument, ticket.stop_loss, ticket.take_profit, ticket.leg_type)


def rupees(amount: Decimal) -> str:
    """`2,78,806.74`: grouped the Indian way."""
    whole, _, paise = f"{abs(amount):.2f}".partition(".")
    head, tail = whole[:-3], whole[-3:]
    groups = [tail]
    while head:
        groups.insert(0, head[-2:])
        head = head[:-2]
    return f"{'-' if amount < 0 else ''}{','.join(groups)}.{paise}"
