"""Keeps the orders that close a position to what is left of it."""

from collections.abc import Collection, Sequence

from app.domain.book import BookRow
from app.domain.deadline import Deadline
from app.domain.errors import NotNow, Reason
from app.domain.holding import Holdings, hold
from app.domain.order import Accepted
from app.domain.protection import Trim
from app.flow.desk import Desk


def trim(legs: Trim, desk: Desk, deadline: Deadline) -> int:
    """Cancels and shrinks legs; returns how many the broker changed. One that cannot be shrunk is cancelled.

    Raises NotNow without a token, or without an order book.
    """
    return cancel_all(legs.cancel, desk, deadline) + sum(_shrunk(*one, desk, deadline) for one in legs.shrink)


def _shrunk(stop: BookRow, units: int, desk: Desk, deadline: Deadline) -> int:
    legs = [row for row in desk.broker.order_book(deadline) if row.protects == stop.protects]
    rest = [row for row in legs if row.broker_order_id != stop.broker_order_id]
    alone = stop in legs and not any(row.working or row.filled_quantity for row in rest)
    if alone and isinstance(desk.broker.resize(stop, units, deadline), Accepted):
        return 1
    return cancel_all([stop], desk, deadline)


def cancel_all(rows: Sequence[BookRow], desk: Desk, deadline: Deadline) -> int:
    """Cancels working orders; returns how many the broker took away. Raises NotNow without a token."""
    outcomes = [desk.broker.cancel(row.broker_order_id, deadline) for row in rows]
    return sum(isinstance(outcome, Accepted) for outcome in outcomes)


def holdings_after(
    book: Sequence[BookRow], desk: Desk, deadline: Deadline, cover_tags: Collection[str] = ()
) -> Holdings:
    """The holdings, by positions that are read after the book. Raises NotNow where they stay older than it.

    In this order a leg that fills in between makes the position smaller, so it does not count as protection; and no
    leg counts as an orphan because its entry's fill does not show yet.
    """
    judged = {row.symbol for row in book if row.own}  # trades by hand in other contracts do not matter here
    for _ in range(2):
        holdings = hold(desk.broker.positions(deadline), book, cover_tags)
        if not holdings.lag(judged):
            return holdings
    raise positions_lag()


def positions_lag() -> NotNow:
    return NotNow(Reason.POSITION_UNKNOWN, "the positions do not show yet what the order book says is filled")
