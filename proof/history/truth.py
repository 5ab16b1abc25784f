"""From the simulator's log and book to the records of a history: the broker's side of what happened."""

from collections import Counter
from collections.abc import Iterable
from decimal import Decimal

from app.simulator import Entry, Exchange, Simulator, Status
from app.simulator.orders import Order
from proof.history.records import BrokerOrder, Post

_STATUS = {
    Status.CANCELLED: "CANCELLED",
    Status.FILLED: "FILLED",
    Status.TRANSIT: "ACCEPTED",
    Status.REJECTED: "REJECTED",
    Status.PENDING: "ACCEPTED",
    Status.EXPIRED: "EXPIRED",
}


def posts_of(log: Iterable[Entry]) -> list[Post]:
    """Every order POST in the simulator's log, oldest first; one whose body was cut short has no tag."""
    return [
        Post(entry.at, _tag_in(entry.body), turned_away=_turned_away(entry))
        for entry in log
        if entry.endpoint == "place"
    ]


def broker_orders_of(exchange: Exchange) -> list[BrokerOrder]:
    """The account's book of today without protective legs, oldest first."""
    with exchange.lock:
        return [_broker_order(order, exchange) for order in exchange.orders() if not order.is_leg]


def live_orders_of(account: Simulator) -> list[BrokerOrder]:
    """The gateway's own orders that the broker took."""
    return [row for row in broker_orders_of(account.exchange) if row.live and row.tag.startswith("tv")]


def seen_at(account: Simulator) -> Counter[str]:
    """How much happened at the broker: `orders` of the gateway that it took, `fills` of them, `faults` that struck."""
    live = live_orders_of(account)
    struck = sum(armed["used"] > 0 for armed in account.faults.listed())
    return Counter(orders=len(live), fills=sum(row.filled_quantity > 0 for row in live), faults=struck)


def _broker_order(order: Order, exchange: Exchange) -> BrokerOrder:
    status = _STATUS[order.status]
    return BrokerOrder(
        broker_order_id=order.id,
        tag=order.tag.partition(":")[2].lower(),
        at=order.placed_at,
        status="PARTIALLY_FILLED" if status == "ACCEPTED" and order.filled else status,
        live=order.status is not Status.REJECTED,
        side="BUY" if order.side > 0 else "SELL",
        lots=order.quantity // order.instrument.lot_size,
        filled_quantity=order.filled,
        premium=float(order.limit_price * order.quantity),
        protected=_protected(order, exchange),
    )


def _protected(order: Order, exchange: Exchange) -> bool | None:
    """True where nothing of it is open any more, or legs cover what was filled; None for what needs no legs."""
    if not order.filled or order.side > 0:
        return None
    position = exchange.desk.positions.get((order.instrument.symbol, order.product))
    if position is None or position.net == 0:
        return True
    legs = exchange.desk.book.open_legs(order.id)
    stops = sum((Decimal(leg.remaining) for leg in legs if leg.stop_price), Decimal(0))
    return stops >= order.filled or (order.protected > 0 and not legs)


def _tag_in(body: object) -> str:
    tag = body.get("orderTag") if isinstance(body, dict) else None
    return tag.lower() if isinstance(tag, str) else ""


def _turned_away(entry: Entry) -> bool:
    return entry.status == 429 and not entry.orders
