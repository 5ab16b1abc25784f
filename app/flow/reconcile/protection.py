"""Positions and what works on them: no leg outlives its position, and no position stands bare unnoticed."""

from collections.abc import Sequence

from app.domain.book import BookRow
from app.domain.errors import NotNow
from app.domain.holding import Holdings
from app.domain.notice import what
from app.domain.order import Order
from app.domain.protection import naked, orphans, strays
from app.flow.protection import cancel_all, holdings_after, trim
from app.flow.reconcile.report import SETTLE, Run


def protect(run: Run, book: Sequence[BookRow]) -> None:
    """Cancels legs and covers that outlived their position, and notifies of what is long, naked or left overnight."""
    covers = {order.tag for order in run.orders.values() if order.ticket is not None and order.ticket.covers}
    try:
        holdings = holdings_after(book, run.desk, run.deadline, covers)
        run.report.covers_cancelled = cancel_all(strays(holdings), run.desk, run.deadline)
        run.report.legs_cancelled = trim(orphans(holdings), run.desk, run.deadline)
    except NotNow as problem:
        run.report.positions = problem.message
        return
    _notify_overbought(run, holdings)
    _notify_naked(run, holdings)
    _notify_overnight(run, holdings)


def _notify_overbought(run: Run, holdings: Holdings) -> None:
    for holding in holdings:
        if units := holding.overbought:
            run.report.overbought.append(holding.id)
            text = (
                f"{units} {holding.symbol} ({holding.product}) are long: covers and legs closed more than was open. "
                "Look at it at once."
            )
            run.notify(f"overbought:{run.today}:{holding.id}:{units}", text)


def _notify_naked(run: Run, holdings: Holdings) -> None:
    # The legs of a position that is being closed went first. The next run judges what is left of it.
    recent = run.desk.ledger.controls(run.deadline).recent
    leaving = {sent.symbol for sent in recent if sent.covers and run.now() - sent.at < SETTLE}
    orders = [order for order in run.orders.values() if order.ticket is None or order.ticket.symbol not in leaving]
    for entry in naked(filter(run.settled, orders), holdings):
        run.report.naked.append(entry.order.key)
        text = f"{entry.units} units of {what(entry.order)} stand open without a stop-loss. Protect or close them."
        run.notify(f"naked:{entry.order.key}:{entry.units}:{entry.stops}", text, entry.order)


def _notify_overnight(run: Run, holdings: Holdings) -> None:
    """Once a day and size for the gateway's position of an earlier day that has no stop-loss."""
    bare = [holding for holding in holdings if holding.overnight]
    if not bare:
        return
    own = {one.ticket.symbol for one in run.desk.ledger.orders(run.deadline) if one.ticket and _opened(one)}
    for holding in bare:
        if holding.symbol in own:
            units = holding.overnight
            run.report.overnight.append(holding.id)
            text = (
                f"{units} {holding.symbol} ({holding.product}) of an earlier day stand open without a stop-loss: "
                "legs end with the day they were placed on. Protect or close them."
            )
            run.notify(f"overnight:{run.today}:{holding.id}:{units}", text)


def _opened(order: Order) -> bool:
    """Whether it opened a position, or may have: the book may not have been read at the end of its day."""
    return order.ticket is not None and not order.ticket.covers and (order.filled_quantity > 0 or order.in_flight)
