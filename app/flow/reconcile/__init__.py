"""Brings the ledger up to the broker's order book. Sends no order.

A row with the gateway's tag proves that the order is there, and moves it. Absence counts only in a complete reading
that has every order id the ledger knows of today, and then it only notifies. NOT_PLACED is written from the final book
of the order's own day, after the session, or by an operator.

Cloud Scheduler runs it every minute, and an operator by hand (`python -m app reconcile`). It may run twice at once:
each step is a compare-and-set, and the later run finds the work done.
"""

from datetime import timedelta

from app.domain.calendar import ist_day
from app.domain.deadline import Deadline
from app.domain.errors import NotNow
from app.flow.desk import Desk
from app.flow.outbox import drain
from app.flow.reconcile import evidence
from app.flow.reconcile.evidence import after_row
from app.flow.reconcile.protection import protect
from app.flow.reconcile.report import SETTLE, Report, Run

__all__ = ["SETTLE", "Report", "after_row", "reconcile"]

FINAL_AFTER = timedelta(minutes=10)  # after the last contract stopped; the book then has the closing minutes' orders


def reconcile(desk: Desk, deadline: Deadline, after_close: bool = False) -> Report:
    """One run. `after_close` says that the book is final now. Raises NotNow where the ledger does not answer."""
    run = Run(desk, deadline)
    if run.orders or desk.calendar.is_trading_day(ist_day(desk.clock.now())):
        _look(run, after_close)  # on other days there is no login, and nothing to ask the broker
    run.report.notices_sent, run.report.notices_waiting = drain(desk.ledger, desk.notifier, deadline)
    return run.report


def _look(run: Run, after_close: bool) -> None:
    try:
        book = run.desk.broker.order_book(run.deadline)
    except NotNow as problem:
        run.report.book = problem.message
        evidence.in_the_dark(run)
    else:
        evidence.reached(run)
        evidence.follow(run, book)
        evidence.audit(run, book)
        is_over = run.desk.calendar.is_over(run.now(), FINAL_AFTER, run.desk.symbols.session)
        evidence.absences(run, book, final=after_close or is_over)
        protect(run, book)
    evidence.lapse(run)
    evidence.unsent(run)
    evidence.doubts(run)
