"""The states of an order, as one table.

An order begins RECEIVED: the alert is written down and nothing was sent. Anyone may take it up from there: the
sender's second delivery, another instance, a restart. It ends there as DENIED (a rule of ours forbids it) or LAPSED
(too old).

The step to SUBMITTED is a compare-and-set that one request wins. From that moment nobody else may send it, ever: the
state means "it may be at the broker", and it is on disk before the first byte leaves. A kill, a time-out or an
exception after it changes nothing, so the state stays true. Two things lead on. Proof that not a byte of the request
left leads back to RECEIVED. Evidence, the broker's reply or a row of its order book with our tag, leads to what the
broker says. Only the final book after the session, or a human, may say NOT_PLACED; time alone never may.

ACCEPTED is the broker's word, not the exchange's: it can still be rejected, filled, cancelled or expire. A cancelled order
can turn out filled, because the fill was already on its way. *We* deny, *they* reject.
"""

from enum import StrEnum


class OrderStatus(StrEnum):
    RECEIVED = "RECEIVED"
    DENIED = "DENIED"
    LAPSED = "LAPSED"
    SUBMITTED = "SUBMITTED"
    ACCEPTED = "ACCEPTED"
    REJECTED = "REJECTED"
    PARTIALLY_FILLED = "PARTIALLY_FILLED"
    FILLED = "FILLED"
    CANCELLED = "CANCELLED"
    EXPIRED = "EXPIRED"
    NOT_PLACED = "NOT_PLACED"


_S = OrderStatus
_AT_THE_BROKER = frozenset({_S.REJECTED, _S.PARTIALLY_FILLED, _S.FILLED, _S.CANCELLED, _S.EXPIRED})

MOVES: dict[OrderStatus, frozenset[OrderStatus]] = {
    _S.RECEIVED: frozenset({_S.DENIED, _S.SUBMITTED, _S.LAPSED}),
    _S.SUBMITTED: frozenset({_S.RECEIVED, _S.ACCEPTED, _S.NOT_PLACED}) | _AT_THE_BROKER,
    _S.ACCEPTED: _AT_THE_BROKER,
    _S.PARTIALLY_FILLED: frozenset({_S.PARTIALLY_FILLED, _S.FILLED, _S.CANCELLED, _S.EXPIRED}),
    _S.CANCELLED: frozenset({_S.FILLED}),
    _S.DENIED: frozenset(),
    _S.LAPSED: frozenset(),
    _S.REJECTED: frozenset(),
    _S.FILLED: frozenset(),
    _S.EXPIRED: frozenset(),
    _S.NOT_PLACED: frozenset(),
}

# A cancelled order counts as final, although a fill that was on its way may still arrive.
FINAL = frozenset(status for status, following in MOVES.items() if following <= {_S.FILLED})
OPEN = tuple(status for status in OrderStatus if status not in FINAL)  # in this order a stored index lists them
IN_FLIGHT = frozenset(OPEN) - {_S.RECEIVED}  # the broker may still change it


class IllegalMove(Exception):
    """The table has no such move; nothing was changed."""

    def __init__(self, old: OrderStatus, new: OrderStatus) -> None:
        super().__init__(f"an order cannot go from {old} to {new}")
