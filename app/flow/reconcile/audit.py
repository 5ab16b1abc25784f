"""Ledger and order book against each other: do the two know the same orders?"""

from collections import Counter
from collections.abc import Sequence

from app.domain.book import BookRow
from app.domain.notice import what
from app.domain.order import Order
from app.domain.order.status import OrderStatus
from app.flow.reconcile.report import Run, submitted_at

_S = OrderStatus
_NEVER_PLACED = frozenset({_S.DENIED, _S.LAPSED, _S.NOT_PLACED})


def audit(run: Run, book: Sequence[BookRow]) -> None:
    """Both ways: rows the ledger does not know, orders the book does not show, and two rows of one order."""
    own = [row for row in book if row.own]
    orders = {order.tag: order for order in run.orders.values()}
    if any(row.tag not in orders for row in own):  # claimed after the ledger was read and before the book was
        orders |= {order.tag: order for order in run.desk.ledger.orders(run.deadline, day=run.today)}
    for row in own:
        _strange(run, row, orders.get(row.tag))
    live = Counter(row.tag for row in own if row.status is not _S.REJECTED)
    for tag in (tag for tag, count in live.items() if count > 1):
        run.report.doubled.append(tag)
        run.notify(f"doubled:{tag}", f"{live[tag]} orders at the broker have the one tag {tag}. Check them at once.")
    for order in run.not_shown(book):
        if run.now() - submitted_at(order) < run.desk.limits.venue.book_lag:
            continue  # a book may be late
        run.report.missing.append(order.key)
        text = f"{what(order)}, order {order.broker_order_id}, is not in the broker's order book. Check it at once."
        run.notify(f"missing:{order.key}", text, order)


def _strange(run: Run, row: BookRow, order: Order | None) -> None:
    """A row of an order that was never placed, as the ledger has it, is as strange as one that it does not know."""
    if order is None or (order.status in _NEVER_PLACED and row.status is not _S.REJECTED):
        run.report.strangers.append(row.broker_order_id)
        said = f"{row.side} {row.quantity} {row.symbol}, order {row.broker_order_id},"
        known = f"has it as {order.status}" if order else "does not know it"
        text = f"{said} has a tag of this gateway, and the ledger {known}. Check it at once."
        run.notify(f"stranger:{row.broker_order_id}", text, order)
