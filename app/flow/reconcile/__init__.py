"""Brings the ledger up to the broker's order book: what became of each order, and do the two know the same ones?

A row with the gateway's tag is evidence of presence, and moves any order that it can. Absence counts only from a
reading that is complete and holds every order id the ledger knows of today; and even then it only says so. NOT_PLACED
is written from the final book of the order's own day, after the session, or by a human. Nothing here ever sends an
order.

Runs every minute from Cloud Scheduler and by hand (`python -m app reconcile`). It may run twice at once: each step is a
compare-and-set, and the later run finds the work done.
"""

from datetime import timedelta

from app.domain.calendar import ist_day
from app.domain.deadline import Deadline
from app.domain.errors import NotNow
from app.flow.desk import Desk
from app.flow.outbox import drain
from app.flow.reconcile import evidence
from app.flow.reconcile.audit import audit
from app.flow.reconcile.evidence import after_row
from app.flow.reconcile.protection import protect
from app.flow.reconcile.report import SETTLE, Report, Run

__all__ = ["SETTLE", "Report", "after_row", "reconcile"]

FINAL_AFTER = timedelta(minutes=10)  # after the session's end; the closing minutes' orders are in the book by then


def reconcile(desk: Desk, deadline: Deadline, after_close: bool = False) -> Report:
    """One run. `after_close` says that the book is final now. Raises NotNow where the ledger does not answer."""
    run = Run(desk, deadline)
    if run.orders or desk.calendar.is_trading_day(ist_day(desk.clock.now())):
        _look(run, after_close)
    # Else a day without session and orders: there is no login, and nothing to ask the broker.
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
        audit(run, book)
        evidence.absences(run, book, final=after_close or _is_final(run.desk))
        protect(run, book)
    evidence.lapse(run)
    evidence.unsent(run)
    evidence.doubts(run)


def _is_final(desk: Desk) -> bool:
    """Whether the day's book changes no more: so long after the last contract stopped, by what says it latest."""
    return desk.calendar.is_over(desk.clock.now(), FINAL_AFTER, desk.symbols.session)
