"""What happened, seen from every side at once, and the promises it is held against.

    history = History(deliveries=…, posts=…, broker_orders=…, orders=…, notifications=…, output=…, ended_at=…)
    violations = check(history)

Nothing in the checker asks the product's own code what is right: its tables are written down again, from the design.
"""

from proof.history.invariants import INVARIANTS, Violation, check
from proof.history.records import BrokerOrder, Delivery, Halt, History, Holding, Notification, Pause, Post
from proof.history.truth import broker_orders_of, live_orders_of, posts_of, seen_at

__all__ = [
    "INVARIANTS",
    "BrokerOrder",
    "Delivery",
    "Halt",
    "History",
    "Holding",
    "Notification",
    "Pause",
    "Post",
    "Violation",
    "broker_orders_of",
    "check",
    "live_orders_of",
    "posts_of",
    "seen_at",
]
