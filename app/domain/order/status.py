"""The states of an order, as one table.

An order begins as RECEIVED: the alert is stored and nothing was sent. Any request may take it up from there: a second
delivery of the alert, or one at another instance or after a restart. DENIED (a rule of the gateway forbids it) and
LAPSED (it is too old) end it before anything was sent.

The move to SUBMITTED is a compare-and-set that one request wins. From then on no other request may ever send the order:
the state means "it may be at the broker", and it is stored before the first byte leaves. A kill, a time-out or an
exception after that changes nothing, so the state stays true. Two things lead on. Proof that no byte of the request
left leads back to RECEIVED. Evidence (the broker's reply, or a row of its order book with the order's tag) leads to the
state that the broker shows. NOT_PLACED needs the final order book after the session, or the operator; time alone never
leads there.

ACCEPTED is the broker's word, not the exchange's: the order can still be rejected, filled, cancelled or expire. A
cancelled order can turn out filled, because the fill was already on its way. The gateway *denies*; the broker and the
exchange *reject*.
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
