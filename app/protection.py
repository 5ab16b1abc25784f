"""Keeps the orders that close a position to what is left of it."""

from collections.abc import Sequence

from app.contract import BookRow, Position
from app.deadline import Deadline
from app.desk import Desk
from app.errors import NotNow, Reason
from app.exposure import positions_lag
from app.legs import orphans
from app.order import Accepted

LOOK_AGAIN = 0.15  # seconds until a cover that Fyers has just taken is looked for once more
LOOK_TAKES = 0.3


def free_legs(cover_id: str, desk: Desk, deadline: Deadline) -> int:
    """After a cover was taken: cancels the legs that it leaves behind, waiting a moment for it to be filled."""
    book = desk.broker.order_book(deadline)
    while _is_working(cover_id, book) and deadline.left() > LOOK_AGAIN + LOOK_TAKES:
        desk.clock.sleep(LOOK_AGAIN)
        book = desk.broker.order_book(deadline)
    return _cancel_orphans(book, desk, deadline)


def cancel_orphans(desk: Desk, deadline: Deadline) -> int:
    """Cancels the legs that outlived their position; returns how many."""
    return _cancel_orphans(desk.broker.order_book(deadline), desk, deadline)


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


def _cancel_orphans(book: Sequence[BookRow], desk: Desk, deadline: Deadline) -> int:
    return cancel_all(orphans(positions_after(book, desk, deadline), book), desk, deadline)


def _is_working(broker_order_id: str, book: Sequence[BookRow]) -> bool:
    """True also where the book does not show it yet."""
    rows = [row for row in book if row.broker_order_id == broker_order_id]
    return not rows or any(row.working > 0 for row in rows)
