"""Keeps the orders that close a position to what is left of it."""

from collections.abc import Sequence

from app.domain.book import BookRow, Position
from app.domain.deadline import Deadline
from app.domain.errors import NotNow, Reason
from app.domain.exposure import positions_lag
from app.domain.legs import Trim, trimmed
from app.domain.order import Accepted, Ticket
from app.flow.desk import Desk


def make_room(book: Sequence[BookRow], ticket: Ticket, units: int, desk: Desk, deadline: Deadline) -> int:
    """Before a cover is sent: leaves its place so many units of legs. Returns how many went or were made smaller."""
    return trim(trimmed(book, ticket.symbol, ticket.product, ticket.side, units), desk, deadline)


def trim(legs: Trim, desk: Desk, deadline: Deadline) -> int:
    """Cancels the legs that have to go, and makes smaller what may stay so; what cannot be made smaller goes as well.

    Returns how many legs Fyers took away or changed. Raises NotNow without a token, or without an order book.
    """
    return cancel_all(legs.cancel, desk, deadline) + sum(_shrunk(*one, desk, deadline) for one in legs.shrink)


def _shrunk(stop: BookRow, units: int, desk: Desk, deadline: Deadline) -> int:
    legs = [row for row in desk.broker.order_book(deadline) if row.parent_id == stop.parent_id]
    rest = [row for row in legs if row.broker_order_id != stop.broker_order_id]
    alone = stop in legs and not any(row.working or row.filled_quantity for row in rest)
    if alone and isinstance(desk.broker.resize(stop, units, deadline), Accepted):
        return 1
    return cancel_all([stop], desk, deadline)


def cancel_all(rows: Sequence[BookRow], desk: Desk, deadline: Deadline) -> int:
    """Cancels working orders; returns how many Fyers took away. Raises NotNow without a token."""
    outcomes = [desk.broker.cancel(row.broker_order_id, deadline) for row in rows]
    return sum(isinstance(outcome, Accepted) for outcome in outcomes)


def positions_after(book: Sequence[BookRow], desk: Desk, deadline: Deadline) -> tuple[Position, ...]:
    """The positions, read after the book and no older than it. Raises NotNow where they stay behind.

    In this order, a leg that fills in between makes the position smaller than the book says, and is not taken for
    protection; and no leg is taken for an orphan because its entry's fill does not show yet.
    """
    ours = {row.symbol for row in book if row.ours}
    judged = [row for row in book if row.symbol in ours]  # what somebody trades by hand elsewhere is no concern of this
    for _ in range(2):
        positions = desk.broker.positions(deadline)
        if not positions_lag(positions, judged):
            return positions
    raise NotNow(Reason.POSITION_UNKNOWN, "the positions do not show yet what the order book says is filled")
