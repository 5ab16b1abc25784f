"""Ledger and order book against each other.

The book's rows move orders, the book's silence counts by strict rules, and so does time. `audit` compares which orders
the two know.
"""

from collections import Counter
from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import partial

from app.domain.alert import Side
from app.domain.book import BookRow
from app.domain.errors import Reason
from app.domain.notice import ABSENT_READS, what
from app.domain.order import Order
from app.domain.order.status import MOVES, OrderStatus
from app.domain.risk.controls import UNRESOLVED_AT_ONCE, Controls, doubt_reduces
from app.flow.reconcile.report import SETTLE, Run, submitted_at

ABSENCE_TAKES = timedelta(seconds=60)

_S = OrderStatus
_STANDS = frozenset({_S.ACCEPTED, _S.PARTIALLY_FILLED, _S.FILLED})
_NEVER_PLACED = frozenset({_S.DENIED, _S.LAPSED, _S.NOT_PLACED})


def after_row(order: Order, row: BookRow, at: datetime) -> Order | None:
    """The order as a row shows it; None where nothing changed. A row of unknown status still proves presence."""
    status = row.status or (_S.ACCEPTED if order.status is _S.SUBMITTED else order.status)
    found = order.status is _S.SUBMITTED and status in _STANDS
    same = (status, row.filled_quantity) == (order.status, order.filled_quantity)
    if same or status not in MOVES[order.status]:
        return None
    return order.moved(
        status,
        at,
        broker_order_id=row.broker_order_id,
        filled_quantity=row.filled_quantity,
        average_price=row.average_price,
        reason=Reason.FOUND_IN_BOOK if found else None,
        message=row.message or None,
    )


def reached(run: Run) -> None:
    """Closes the breaker: the broker has just answered a read."""
    if run.desk.ledger.controls(run.deadline).open_until is not None:
        run.desk.ledger.change_controls(Controls.reached, run.deadline)


def follow(run: Run, book: Sequence[BookRow]) -> None:
    """Rows of the book move their orders, after the request that sent an order has had its time to record it."""
    rows = {row.tag: row for row in book if row.protects is None}
    for order in list(run.orders.values()):
        if (row := rows.get(order.tag)) is None or (order.reason is None and run.is_young(order)):
            continue
        if order.status is _S.RECEIVED:  # it was recorded as not sent and is there: it may not be sent again
            run.record(order.submitted(run.now()))
        current = run.orders[order.key]
        if (step := after_row(current, row, run.now())) is not None:
            run.record(step)


def in_the_dark(run: Run) -> None:
    """Without a book: an order whose request ended without an outcome is in doubt, and the operator is notified."""
    for order in list(run.orders.values()):
        if order.status is _S.SUBMITTED and order.reason is None and not run.is_young(order):
            why = "the request that sent it ended without an answer, and the order book cannot be read"
            run.record(order.unresolved(run.now(), why))


def absences(run: Run, book: Sequence[BookRow], final: bool) -> None:
    """Moves orders that the book does not show. Only a valid reading counts."""
    tags = {row.tag for row in book}
    valid = not run.not_shown(book)
    for order in list(run.orders.values()):
        now = run.now()
        if order.status is not _S.SUBMITTED or order.tag in tags or run.is_young(order):
            continue
        if (step := _step_of_absence(order, valid and order.day == run.today, final, now)) is not None:
            run.record(step)


def _step_of_absence(order: Order, valid: bool, final: bool, now: datetime) -> Order | None:
    if valid and final:
        return order.moved(_S.NOT_PLACED, now, message="it is not in the final order book of its day")
    if order.reason is None:
        return order.unresolved(now, "the request that sent it ended without an answer")
    if not valid or order.absent_reads >= ABSENT_READS:
        return None
    if order.absent_reads == ABSENT_READS - 1 and now - submitted_at(order) < ABSENCE_TAKES:
        return None  # readings in quick succession prove less than a minute does
    return order.absent(now, f"not found in {order.absent_reads + 1} readings of the order book")


def lapse(run: Run) -> None:
    """Lapses orders that were not sent in time: they are never sent late. Time alone does no more."""
    ages = run.desk.ages
    for order in list(run.orders.values()):
        if order.status is not _S.RECEIVED:
            continue
        covers = order.asked["action"] == Side.BUY
        allowed = max(ages.exit, ages.entry) if covers else ages.entry
        if run.now() - order.alert_at > allowed + SETTLE:
            run.record(order.lapsed(run.now(), "it could not be sent in time, so it was not sent"))
            run.report.lapsed += 1


def unsent(run: Run) -> None:
    """Notifies of an order that was taken up, proven unsent, and still waits: its sender may have got a 202."""
    for order in run.orders.values():
        if order.status is _S.RECEIVED and order.attempt and run.now() - order.transitions[-1].at >= SETTLE:
            text = f"Not sent yet, {what(order)}: {order.message}. If no resent alert takes it up, it never is."
            run.notify(f"unsent:{order.key}:{order.sequence}", text, order)


def doubts(run: Run) -> None:
    """Counts the orders in doubt, and stops entries where there are two at once."""
    doubted = sum(order.status is _S.SUBMITTED and run.settled(order) for order in run.orders.values())
    run.report.in_doubt = doubted
    if doubted >= UNRESOLVED_AT_ONCE:
        run.desk.ledger.change_controls(partial(doubt_reduces, unresolved=doubted, now=run.now()), run.deadline)


def audit(run: Run, book: Sequence[BookRow]) -> None:
    """Notifies of rows that the ledger does not know, orders that the book lacks, and two rows of one order."""
    own = [row for row in book if row.own]
    orders = {order.tag: order for order in run.orders.values()}
    if any(row.tag not in orders for row in own):  # claimed after the ledger was read and before the book was
        orders |= {order.tag: order for order in run.desk.ledger.orders(run.deadline, day=run.today)}
    for row in own:
        _strange(run, row, orders.get(row.tag))
    live = Counter(row.tag for row in own if row.status is not _S.REJECTED)
    for tag, count in live.items():
        if count > 1:
            run.report.doubled.append(tag)
            run.notify(f"doubled:{tag}", f"{count} orders at the broker have the one tag {tag}. Check them at once.")
    for order in run.not_shown(book):
        if run.now() - submitted_at(order) < run.desk.limits.venue.book_lag:
            continue  # the book may lag
        run.report.missing.append(order.key)
        text = f"{what(order)}, order {order.broker_order_id}, is not in the broker's order book. Check it at once."
        run.notify(f"missing:{order.key}", text, order)


def _strange(run: Run, row: BookRow, order: Order | None) -> None:
    """Notifies of a row that the ledger does not know, or has as never placed."""
    if order is None or (order.status in _NEVER_PLACED and row.status is not _S.REJECTED):
        run.report.strangers.append(row.broker_order_id)
        said = f"{row.side} {row.quantity} {row.symbol}, order {row.broker_order_id},"
        known = f"has it as {order.status}" if order else "does not know it"
        text = f"{said} has a tag of this gateway, and the ledger {known}. Check it at once."
        run.notify(f"stranger:{row.broker_order_id}", text, order)
