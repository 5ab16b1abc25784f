"""Square off: closes what this gateway opened, and nothing else. Running it twice closes nothing twice.

Which units are ours is told by the order book: what entries with our tag filled today, less everything that was closed
since, by whom ever. A position larger than that is mixed with somebody's own trades; on doubt it is left alone and the
owner is told.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from app.alert import Side
from app.calendar import ist_day
from app.contract import BookRow, Position
from app.deadline import Deadline
from app.desk import Desk
from app.legs import orphans
from app.notice import Notice, Severity
from app.order import Accepted, NotSent, Rejected
from app.outbox import post


@dataclass(slots=True)
class SquareOff:
    """What one run did, by position ("SYMBOL-PRODUCT"); `left` says why each of those was not closed."""

    closed: list[str] = field(default_factory=list)
    left: dict[str, str] = field(default_factory=dict)
    legs_cancelled: int = 0


def square_off(desk: Desk, deadline: Deadline) -> SquareOff:
    """Exits each position of ours. Raises NotNow where positions or order book cannot be read."""
    report = SquareOff()
    book = desk.broker.order_book(deadline)
    positions = desk.broker.positions(deadline)
    for position in positions:
        opened = _open_of_ours(book, position)
        if position.net_quantity == 0 or opened == 0:
            continue
        place = f"{position.symbol}-{position.product}"
        if abs(position.net_quantity) > opened:
            report.left[place] = f"{position.net_quantity} units are open and the gateway opened {opened} of them"
        elif _being_closed(book, position):
            report.left[place] = "an order that closes it is in the book already"
        else:
            _exit(place, desk, deadline, report)
    if report.closed:
        report.legs_cancelled = cancel_orphans(desk, deadline)
    for place, why in report.left.items():
        text = f"Not squared off, {place}: {why}. Close it by hand if it should be closed."
        notice = Notice(f"square-off:{ist_day(desk.clock.now())}:{place}", "square-off", Severity.CRITICAL, text)
        post(notice, desk.ledger, desk.notifier, deadline)
    return report


def cancel_orphans(desk: Desk, deadline: Deadline) -> int:
    """Cancels the legs that outlived their position; returns how many. The book is read before the positions.

    So a leg that fills in between makes the position smaller than the book says, and is not taken for protection.
    """
    book = desk.broker.order_book(deadline)
    positions = desk.broker.positions(deadline)
    outcomes = [desk.broker.cancel(row.broker_order_id, deadline) for row in orphans(positions, book)]
    return sum(isinstance(outcome, Accepted) for outcome in outcomes)


def _exit(place: str, desk: Desk, deadline: Deadline, report: SquareOff) -> None:
    outcome = desk.broker.exit_position(place, deadline)
    match outcome:
        case Accepted():
            report.closed.append(place)
        case Rejected():
            report.left[place] = f"Fyers refused: {outcome.message}"
        case NotSent():
            report.left[place] = f"it could not be sent: {outcome.why}"
        case _:
            report.left[place] = "the outcome is not known; look at the positions before anything else"


def _open_of_ours(book: Sequence[BookRow], position: Position) -> int:
    """Units that entries of ours opened today and that nothing has closed since."""
    rows = [row for row in book if (row.symbol, row.product) == (position.symbol, position.product)]
    closing = _closing(position)
    opened = sum(row.filled_quantity for row in rows if row.ours and row.side != closing)
    closed = sum(row.filled_quantity for row in rows if row.side == closing)
    return max(0, opened - closed)


def _being_closed(book: Sequence[BookRow], position: Position) -> bool:
    place = (position.symbol, position.product, _closing(position))
    return any((row.symbol, row.product, row.side) == place and row.parent_id is None and row.working for row in book)


def _closing(position: Position) -> Side:
    return Side.BUY if position.net_quantity < 0 else Side.SELL
