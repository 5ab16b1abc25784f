"""Alerts, contracts, quotes, orders and accounts for the tests: each is valid as it is, any field can be given."""

import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

from app.adapters.controls_document import ControlsText
from app.adapters.fyers.venue import FYERS
from app.domain.alert import TAG, Alert, OptionType, Product, Side, parse
from app.domain.alert.strict_json import decode
from app.domain.book import BookRow, Position
from app.domain.holding import Holdings, hold
from app.domain.instrument import Option
from app.domain.order import Order, OrderStatus, OrderType, Ticket
from app.domain.pricing import PriceRules
from app.domain.quote import Quote
from app.domain.risk import Controls, Limits, Sent

SECRET = "the-quiet-heron-stands"
NOW = datetime(2026, 11, 20, 4, 30, tzinfo=UTC)  # a Friday, ten in the morning in India
SYMBOL = "NSE:NIFTY26NOV26000CE"


def alert_fields(**changes: Any) -> dict[str, Any]:
    """The smallest alert there is; a change to None removes the field, `...` makes it a JSON null."""
    fields: dict[str, Any] = {
        "token": SECRET,
        "symbol": "NIFTY",
        "strikeprice": 26000,
        "optionType": "CE",
        "expiry": "WEEKLY",
        "action": "SELL",
    }
    fields |= changes
    return {name: None if value is ... else value for name, value in fields.items() if value is not None}


def alert_body(**changes: Any) -> bytes:
    return json.dumps(alert_fields(**changes)).encode()


def an_alert(header: str | None = None, /, **changes: Any) -> Alert:
    """The alert that a body with these fields, and an Idempotency-Key header, comes out as."""
    return parse(decode(alert_body(**changes)), header)


def a_contract(**changes: Any) -> Option:
    contract = Option(
        symbol=SYMBOL,
        underlying="NIFTY",
        expiry=date(2026, 11, 26),
        strike=Decimal(26000),
        option_type=OptionType.CE,
        lot_size=65,
        tick_size=Decimal("0.05"),
    )
    return replace(contract, **changes)


def a_quote(ltp: str = "165.15", bid: str = "165.10", ask: str = "165.20", symbol: str = SYMBOL) -> Quote:
    return Quote(symbol, Decimal(ltp), Decimal(bid), Decimal(ask))


def price_rules(**changes: Any) -> PriceRules:
    rules = PriceRules(
        order_type=OrderType.LIMIT,
        slippage_bps=Decimal(200),
        stop_loss_percent=Decimal(15),
        take_profit_percent=Decimal(25),
        max_spread_percent=Decimal(10),
        max_stop_percent=Decimal(100),
    )
    return replace(rules, **changes)


def a_ticket(**changes: Any) -> Ticket:
    """An entry of one lot; `covers=True` makes it the BUY that ends it, without legs."""
    ticket = Ticket(
        symbol=SYMBOL,
        underlying="NIFTY",
        side=Side.SELL,
        product=Product.INTRADAY,
        order_type=OrderType.LIMIT,
        quantity=65,
        lot_size=65,
        tick_size=Decimal("0.05"),
        ltp=Decimal("165.15"),
        limit_price=Decimal("161.75"),
        covers=False,
        stop_loss=Decimal("189.95"),
        take_profit=Decimal("123.85"),
        stop_loss_points=Decimal("24.80"),
        take_profit_points=Decimal("41.30"),
    )
    if changes.get("covers"):
        no_legs: dict[str, Any] = dict.fromkeys(("stop_loss", "take_profit", "stop_loss_points", "take_profit_points"))
        ticket = replace(ticket, side=Side.BUY, limit_price=Decimal("168.55"), **no_legs)
    return replace(ticket, **changes)


def an_order(ticket: Ticket | None = None, **changes: Any) -> Order:
    """A RECEIVED order, priced where a ticket is given; other states are reached by its own moves."""
    order = Order(
        key="5e" * 32,
        tag="tvabcdefghijklmnopqr",
        fingerprint="f1" * 32,
        day="2026-11-20",
        asked={"symbol": "NIFTY", "strikeprice": "26000", "optionType": "CE", "expiry": "WEEKLY", "action": "SELL"},
        received_at=NOW,
        alert_at=NOW,
        request_id="0123456789abcdef",
        ticket=ticket,
    )
    return replace(order, **{"transitions": ()} | changes)  # the first step is made anew from received_at


# The shortest way from RECEIVED to each state.
WAYS: Mapping[OrderStatus, tuple[OrderStatus, ...]] = {
    OrderStatus.RECEIVED: (),
    OrderStatus.DENIED: (OrderStatus.DENIED,),
    OrderStatus.LAPSED: (OrderStatus.LAPSED,),
    OrderStatus.SUBMITTED: (OrderStatus.SUBMITTED,),
    **{
        status: (OrderStatus.SUBMITTED, status)
        for status in OrderStatus
        if status not in (OrderStatus.RECEIVED, OrderStatus.DENIED, OrderStatus.LAPSED, OrderStatus.SUBMITTED)
    },
}


def order_in(status: OrderStatus, ticket: Ticket | None = None, **changes: Any) -> Order:
    """An order that came to the state by legal moves, a second apart."""
    order = an_order(ticket if ticket is not None else a_ticket(), **changes)
    for number, step in enumerate(WAYS[status], start=1):
        at = order.received_at + timedelta(seconds=number)
        order = order.submitted(at) if step is OrderStatus.SUBMITTED else order.moved(step, at)
    return order


def no_limits(**changes: Any) -> Limits:
    """Nothing is limited but what is named; the two that cannot be off are far away."""
    limits = Limits(
        venue=FYERS,
        lots_per_order=1_000,
        lots_open=100_000,
        orders_per_day=100_000,
        orders_per_second=None,
        orders_per_minute=None,
        premium_per_order=None,
        premium_per_day=None,
        daily_loss=None,
        repeats=None,
        cooldown=None,
    )
    return replace(limits, **changes)


def an_account(**changes: Any) -> Controls:
    return replace(Controls(day="2026-11-20"), **changes)


def sent(seconds_ago: float, **changes: Any) -> Sent:
    """One order that was submitted so long before NOW."""
    one = Sent(
        at=NOW - timedelta(seconds=seconds_ago),
        tag="tvzzzzzzzzzzzzzzzzzz",
        symbol=SYMBOL,
        quantity=65,
        lots=1,
        side=Side.SELL,
        covers=False,
        underlying="NIFTY",
        strategy=None,
    )
    return replace(one, **changes)


def a_position(net_quantity: int = -65, product: str = "INTRADAY", symbol: str = SYMBOL, **changes: Any) -> Position:
    return Position(f"{symbol}-{product}", symbol, product, net_quantity, **changes)


def a_book_row(**changes: Any) -> BookRow:
    """An accepted SELL of one lot, not filled yet; the gateway's `own` by its tag, as the broker's adapter tells it."""
    row = BookRow(
        broker_order_id="26112000000001",
        tag="tvyyyyyyyyyyyyyyyyyy",
        symbol=SYMBOL,
        side="SELL",
        product="INTRADAY",
        status=OrderStatus.ACCEPTED,
        quantity=65,
        filled_quantity=0,
        average_price=None,
        limit_price=Decimal("161.75"),
        message="",
        own=True,
        protects=None,
    )
    row = replace(row, **changes)
    own = row.protects is None and TAG.fullmatch(row.tag) is not None
    return replace(row, **{"own": own} | changes)


def holdings(
    positions: Iterable[Position] = (),
    book: Iterable[BookRow] | None = (),
    covers: Collection[str] = (),
    **changes: Any,
) -> Holdings:
    """What is held by one reading of positions and book; `covers` are the tags of the gateway's covers."""
    return replace(hold(positions, book, covers), **changes)


def stored(controls: Controls) -> dict[str, Any]:
    """The document of the controls, as every ledger stores it."""
    document: dict[str, Any] = json.loads(ControlsText().write(controls))
    return document
