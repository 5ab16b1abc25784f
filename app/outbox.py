"""Notices leave the ledger's outbox here: before the answer where time allows, by `reconcile` otherwise."""

import logging

from app.deadline import Deadline
from app.errors import NotNow
from app.notice import Notice
from app.ports import Ledger, Notifier

log = logging.getLogger("gateway.outbox")


def post(notice: Notice, ledger: Ledger, notifier: Notifier, deadline: Deadline) -> None:
    """Stores and delivers a notice that no step of an order carries; without a ledger it is delivered all the same."""
    try:
        if not ledger.notify(notice, deadline):
            return  # told before
    except NotNow:
        log.critical("the ledger does not take a notice; it is sent directly", extra={"notice": notice.id})
        notifier.send(notice, deadline)
        return
    deliver(notice, ledger, notifier, deadline)


def deliver(notice: Notice, ledger: Ledger, notifier: Notifier, deadline: Deadline) -> bool:
    """Sends a stored notice and takes it out of the outbox. What fails here is done by the next drain."""
    if not notifier.send(notice, deadline):
        return False
    try:
        ledger.delivered(notice.id, deadline)
    except NotNow:
        log.warning("a notice was sent but could not be taken out of the outbox", extra={"notice": notice.id})
    return True


def drain(ledger: Ledger, notifier: Notifier, deadline: Deadline) -> tuple[int, int]:
    """Sends what waits, oldest first, while there is time. Returns how many were delivered and how many still wait."""
    waiting = ledger.outbox(deadline)
    sent = 0
    for notice in waiting:
        if deadline.left() <= 0 or not deliver(notice, ledger, notifier, deadline):
            break
        sent += 1
    return sent, len(waiting) - sent
