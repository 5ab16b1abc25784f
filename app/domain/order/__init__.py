"""The order: its states, the outcomes of placing it, and its stored form."""

from app.domain.order.order import EXIT_TAG, Order, OrderType, Sent, Ticket, Transition
from app.domain.order.outcome import Accepted, NotSent, Outcome, Refusal, Rejected, Unresolved
from app.domain.order.status import FINAL, IN_FLIGHT, MOVES, OPEN, IllegalMove, OrderStatus

__all__ = [
    "EXIT_TAG",
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
    "Sent",
    "Ticket",
    "Transition",
    "Unresolved",
]
