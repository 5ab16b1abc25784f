"""The controls, shared by all instances: the trading state, the day's counters, and what was sent lately."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum

from app.domain.calendar import ist_day
from app.domain.errors import Reason
from app.domain.order import Order, Sent, Ticket
from app.domain.order.status import OrderStatus

MINUTE = timedelta(minutes=1)
UNRESOLVED_AT_ONCE = 2
BREAKER_FAILURES = 3  # of the connection to the broker within a minute
BREAKER_OPEN = timedelta(seconds=30)  # longer than an alert lives, so no alert goes by reads from before
SYSTEM = "gateway"


class TradingState(StrEnum):
    """ACTIVE trades; REDUCING covers only; HALTED sends nothing. A state that cannot be read is HALTED."""

    ACTIVE = "ACTIVE"
    REDUCING = "REDUCING"
    HALTED = "HALTED"


@dataclass(frozen=True, slots=True)
class Controls:
    """The shared document. `orders` and `premium` (rupees) are the day's; `recent` has the orders of the last minutes.

    `failures` are those of the connection within the last minute; until `open_until` the breaker keeps entries back.
    `damaged` means that the stored document cannot be read: it is HALTED, and only a new trading state replaces it.
    """

    state: TradingState = TradingState.ACTIVE
    reason: str = ""
    author: str = SYSTEM
    changed_at: datetime | None = None
    day: str = ""
    orders: int = 0
    premium: Decimal = Decimal(0)
    recent: tuple[Sent, ...] = ()
    failures: tuple[datetime, ...] = ()
    open_until: datetime | None = None
    damaged: bool = False

    def switched(self, state: TradingState, reason: str, author: str, at: datetime) -> "Controls":
        return replace(self, state=state, reason=reason, author=author, changed_at=at, damaged=False)

    def on(self, day: str) -> "Controls":
        """The controls on that day. A new day resets the counters alone; a clock that is late resets nothing."""
        return self if day <= self.day else replace(self, day=day, orders=0, premium=Decimal(0))

    def counted(self, order: Order, at: datetime, keep: timedelta, most: int) -> "Controls":
        """With one more order. `recent` keeps the orders of the last `keep`, and at most `most` of them."""
        ticket = ticket_of(order)
        sent = Sent(
            at=at,
            tag=order.tag,
            symbol=ticket.symbol,
            quantity=ticket.quantity,
            lots=ticket.lots,
            side=ticket.side,
            covers=ticket.covers,
            underlying=ticket.underlying,
            strategy=order.strategy,
        )
        since = at - keep
        recent = (*[one for one in self.recent if one.at > since], sent)[-most:]
        premium = self.premium if ticket.covers else self.premium + ticket.premium
        return replace(self, orders=self.orders + 1, premium=premium, recent=recent)

    def sent_since(self, since: datetime) -> tuple[Sent, ...]:
        """What was sent after that moment, less what is known not to be at the broker."""
        return tuple(sent for sent in self.recent if sent.at > since and sent.quantity)

    def given_back(self, order: Order) -> "Controls":
        """Takes back what `counted` added, for an order that is certainly not at the broker. The rates keep it."""
        recent = tuple(replace(sent, quantity=0, lots=0) if sent.tag == order.tag else sent for sent in self.recent)
        back = replace(self, recent=recent)
        if order.ticket is None or order.submitted_at is None or str(ist_day(order.submitted_at)) != self.day:
            return back
        premium = self.premium if order.ticket.covers else self.premium - order.ticket.premium
        return replace(back, orders=max(0, self.orders - 1), premium=max(Decimal(0), premium))

    def failed(self, at: datetime) -> "Controls":
        """With one more failure of the connection; BREAKER_FAILURES of them within a minute open the breaker."""
        failures = (*(one for one in self.failures if at - one < MINUTE), at)
        if len(failures) < BREAKER_FAILURES:
            return replace(self, failures=failures)
        return replace(self, failures=(), open_until=at + BREAKER_OPEN)

    def reached(self) -> "Controls":
        """With the breaker closed, after the broker answered a read. No order is sent to find that out."""
        return self if self.damaged else replace(self, failures=(), open_until=None)


Decision = tuple[Order, Controls]  # the order as it goes on, and the controls after it
Decide = Callable[[Controls], Decision]
GIVES_BACK = frozenset({OrderStatus.RECEIVED, OrderStatus.REJECTED, OrderStatus.NOT_PLACED})


def teaches(order: Order) -> bool:
    """Whether the order's newest transition changes the controls as well."""
    return order.status in GIVES_BACK or _line_failed(order)


def learned(controls: Controls, order: Order) -> Controls:
    """The controls after the order's newest transition. A ledger stores both in one commit."""
    if controls.damaged:
        return controls
    if order.status in GIVES_BACK:
        controls = controls.given_back(order)
    return controls.failed(order.transitions[-1].at) if _line_failed(order) else controls


def _line_failed(order: Order) -> bool:
    """Not sent, or sent without a reply: the connection or the broker is at fault, not the order."""
    return order.reason is Reason.NOT_SENT or (order.reason is Reason.OUTCOME_UNKNOWN and order.absent_reads == 0)


def doubt_reduces(controls: Controls, unresolved: int, now: datetime) -> Controls:
    """Two orders in doubt at once stop entries until the operator has checked and sets the trading state to ACTIVE."""
    if unresolved < UNRESOLVED_AT_ONCE or controls.state is not TradingState.ACTIVE:
        return controls
    why = f"{unresolved} orders with an unknown outcome at once; check the order book"
    return controls.switched(TradingState.REDUCING, why, SYSTEM, now)


def ticket_of(order: Order) -> Ticket:
    if order.ticket is None:
        raise ValueError("the order is not priced")
    return order.ticket
