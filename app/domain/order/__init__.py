"""One order from the alert to its end, and the outcomes of placing it."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any

from app.domain.alert import Product, Side
from app.domain.errors import Reason
from app.domain.order.status import IN_FLIGHT, MOVES, IllegalMove, OrderStatus

EXIT_TAG = "exit:"


class OrderType(StrEnum):
    LIMIT = "LIMIT"
    MARKET = "MARKET"


@dataclass(frozen=True, slots=True)
class Ticket:
    """What is sent to the broker. Prices are in rupees, `quantity` in units, `_points` in points from the entry.

    A cover carries no protective legs; an entry carries both.
    """

    symbol: str
    underlying: str
    side: Side
    product: Product
    order_type: OrderType
    quantity: int
    lot_size: int
    tick_size: Decimal
    ltp: Decimal
    limit_price: Decimal
    covers: bool
    stop_loss: Decimal | None = None
    take_profit: Decimal | None = None
    stop_loss_points: Decimal | None = None
    take_profit_points: Decimal | None = None

    @property
    def lots(self) -> int:
        return self.quantity // self.lot_size

    @property
    def premium(self) -> Decimal:
        """Quantity times limit price, in rupees."""
        return self.limit_price * self.quantity


class Refusal(StrEnum):
    """What a broker's refusal is about: this order, the login, or this app altogether."""

    ORDER = "ORDER"
    LOGIN = "LOGIN"
    APP = "APP"


@dataclass(frozen=True, slots=True)
class Accepted:
    """The broker took the order and gave it an id. The exchange may still reject it."""

    broker_order_id: str


@dataclass(frozen=True, slots=True)
class Rejected:
    """The broker or the exchange refused the order. With an id it stands in the order book as rejected."""

    code: int
    message: str
    broker_order_id: str | None = None
    about: Refusal = Refusal.ORDER


@dataclass(frozen=True, slots=True)
class NotSent:
    """Proof that the order is not at the broker: no byte of the request left, or the broker turned it away unread.

    `retry_after` is in seconds, where the broker gave it; `again` allows another attempt within this request; `busy`
    means that only the rate limit was in the way, and nothing is wrong with the connection.
    """

    why: str
    retry_after: float | None = None
    again: bool = True
    busy: bool = False


@dataclass(frozen=True, slots=True)
class Unresolved:
    """The order may be at the broker or not. Only the order book can tell."""

    why: str


# The outcome of one POST, as data. An unknown one has its own type and never becomes a refusal.
Outcome = Accepted | Rejected | NotSent | Unresolved


@dataclass(frozen=True, slots=True)
class Transition:
    sequence: int
    at: datetime
    status: OrderStatus
    reason: Reason | None = None
    message: str | None = None


@dataclass(frozen=True, slots=True)
class Order:
    """It is frozen: each transition makes a new one with the next sequence number.

    `alert_at` is when the alert fired, or arrived where it gives no time; `day` is the IST trading day. `absent_reads`
    counts the valid readings of the order book that did not have an order in doubt.
    """

    key: str
    tag: str
    fingerprint: str
    day: str
    asked: Mapping[str, str]
    received_at: datetime
    alert_at: datetime
    request_id: str
    strategy: str | None = None
    status: OrderStatus = OrderStatus.RECEIVED
    sequence: int = 0
    attempt: int = 0
    ticket: Ticket | None = None
    submitted_at: datetime | None = None
    broker_order_id: str | None = None
    filled_quantity: int = 0
    average_price: Decimal | None = None
    absent_reads: int = 0
    reason: Reason | None = None
    message: str | None = None
    transitions: tuple[Transition, ...] = field(default=())

    def __post_init__(self) -> None:
        if not self.transitions:
            object.__setattr__(self, "transitions", (Transition(0, self.received_at, self.status),))

    @property
    def in_flight(self) -> bool:
        """True while the broker may still change it."""
        return self.status in IN_FLIGHT

    def priced(self, ticket: Ticket) -> "Order":
        """The same order with its ticket. This is no transition, and stores nothing."""
        return replace(self, ticket=ticket)

    def submitted(self, at: datetime) -> "Order":
        return self.moved(OrderStatus.SUBMITTED, at, attempt=self.attempt + 1, submitted_at=at)

    def denied(self, at: datetime, reason: Reason, message: str) -> "Order":
        return self.moved(OrderStatus.DENIED, at, reason=reason, message=message)

    def lapsed(self, at: datetime, message: str) -> "Order":
        return self.moved(OrderStatus.LAPSED, at, reason=Reason.TOO_OLD, message=message)

    def after(self, outcome: Outcome, at: datetime) -> "Order":
        """The order after the broker's reply to this attempt. Unresolved keeps the state and notes the doubt."""
        match outcome:
            case Accepted():
                return self.moved(OrderStatus.ACCEPTED, at, broker_order_id=outcome.broker_order_id)
            case Rejected():
                return self.moved(
                    OrderStatus.REJECTED,
                    at,
                    broker_order_id=outcome.broker_order_id,
                    reason=Reason.BROKER_REJECTED,
                    message=outcome.message,
                )
            case NotSent():
                reason = Reason.BROKER_BUSY if outcome.busy else Reason.NOT_SENT
                return self.moved(OrderStatus.RECEIVED, at, reason=reason, message=outcome.why)
            case Unresolved():
                return self.unresolved(at, outcome.why)

    def unresolved(self, at: datetime, why: str) -> "Order":
        """Still SUBMITTED, and now in doubt."""
        return self._doubted(at, why, absent_reads=0)

    def absent(self, at: datetime, why: str) -> "Order":
        """Still in doubt: one more valid reading of the order book did not have it."""
        return self._doubted(at, why, absent_reads=self.absent_reads + 1)

    def _doubted(self, at: datetime, why: str, absent_reads: int) -> "Order":
        if self.status is not OrderStatus.SUBMITTED:
            raise IllegalMove(self.status, OrderStatus.SUBMITTED)
        said = {"reason": Reason.OUTCOME_UNKNOWN, "message": why}
        return self._stepped(OrderStatus.SUBMITTED, at, absent_reads=absent_reads, **said)

    def moved(self, status: OrderStatus, at: datetime, **changes: Any) -> "Order":
        """The order in the next state. Raises IllegalMove, and changes nothing, where the table has no such move."""
        if status not in MOVES[self.status]:
            raise IllegalMove(self.status, status)
        return self._stepped(status, at, **changes)

    def _stepped(self, status: OrderStatus, at: datetime, **changes: Any) -> "Order":
        stated = {"reason": None, "message": None} | changes
        step = Transition(self.sequence + 1, at, status, stated["reason"], stated["message"])
        return replace(self, status=status, sequence=step.sequence, transitions=(*self.transitions, step), **stated)


@dataclass(frozen=True, slots=True)
class Sent:
    """One submitted order as the rate limits remember it; `quantity` is 0 once it is known not to be at the broker."""

    at: datetime
    tag: str
    symbol: str
    quantity: int
    lots: int
    side: str
    covers: bool
    underlying: str
    strategy: str | None

    @property
    def squares_off(self) -> bool:
        """True for the exit of a whole position, which the order book never shows by its tag."""
        return self.tag.startswith(EXIT_TAG)
