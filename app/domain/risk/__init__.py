"""The checks before an order is sent: the operator's limits, the shared controls, and the check of an order by both."""

from app.domain.order import EXIT_TAG, Sent
from app.domain.risk.check import Decide, Decision, NeedsBook, NeedsRoom, check, decide
from app.domain.risk.controls import (
    BREAKER_FAILURES,
    BREAKER_OPEN,
    GIVES_BACK,
    SYSTEM,
    UNRESOLVED_AT_ONCE,
    Controls,
    TradingState,
    doubt_reduces,
    learned,
    teaches,
    ticket_of,
)
from app.domain.risk.limits import Limits

__all__ = [
    "BREAKER_FAILURES",
    "BREAKER_OPEN",
    "EXIT_TAG",
    "GIVES_BACK",
    "SYSTEM",
    "UNRESOLVED_AT_ONCE",
    "Controls",
    "Decide",
    "Decision",
    "Limits",
    "NeedsBook",
    "NeedsRoom",
    "Sent",
    "TradingState",
    "check",
    "decide",
    "doubt_reduces",
    "learned",
    "teaches",
    "ticket_of",
]
