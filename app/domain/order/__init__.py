"""The order: its states, what can become of it at the broker, and the form it is stored in."""

from app.domain.order.order import Order, OrderType, Ticket, Transition
from app.domain.order.outcome import Accepted, NotSent, Outcome, Refusal, Rejected, Unresolved
from app.domain.order.status import FINAL, IN_FLIGHT, MOVES, OPEN, IllegalMove, OrderStatus

__all__ = [
    "FINAL",
    "IN_FLIGHT",
    "MOVES",
    "OPEN",
    "Accepted",
    "IllegalMove",
    "NotSent",
    "Order",
    "OrderStatus",
    "OrderType",
    "Outcome",
    "Refusal",
    "Rejected",
    "Ticket",
    "Transition",
    "Unresolved",
]
