"""Delivers the notices in the ledger's outbox: before the answer where time allows, by `reconcile` otherwise."""

import logging
from collections import Counter

from app.domain.deadline import Deadline
from app.domain.errors import NotNow
from app.domain.notice import Notice, Severity, summary_of
from app.flow.ports import Ledger, Notifier

log = logging.getLogger("gateway.outbox")

TOGETHER = 20  # waiting notices of one kind that become one


def post(notice: Notice, ledger: Ledger, notifier: Notifier, deadline: Deadline) -> None:
    """Stores and delivers a notice that no step of an order carries; without a ledger it is delivered all the same."""
    try:
        if not ledger.notify(notice, deadline):
            return  # published before
    except NotNow as problem:
        facts = {"notice": notice.id, "why": problem.message}
        log.critical("the ledger does not take a notice; it is sent directly", extra=facts)
        notifier.send(notice, deadline)
    else:
        deliver(notice, ledger, notifier, deadline)


def deliver(notice: Notice, ledger: Ledger, notifier: Notifier, deadline: Deadline) -> bool:
    """Sends a stored notice and takes it out of the outbox. The next drain retries what fails here."""
    if not notifier.send(notice, deadline):
        return False
    try:
        ledger.delivered(notice.id, deadline)
    except NotNow:
        log.warning("a notice was sent but could not be taken out of the outbox", extra={"notice": notice.id})
    return True


def drain(ledger: Ledger, notifier: Notifier, deadline: Deadline) -> tuple[int, int]:
    """Sends what waits, oldest first, while there is time. Returns how many were delivered and how many still wait."""
    waiting = _folded(ledger.outbox(deadline), ledger, deadline)
    sent = sum(deadline.left() > 0 and deliver(notice, ledger, notifier, deadline) for notice in waiting)
    return sent, len(waiting) - sent


def _folded(waiting: list[Notice], ledger: Ledger, deadline: Deadline) -> list[Notice]:
    """Replaces many of one kind by one that says how many, so that the operator does not mute the phone."""
    minor = [notice for notice in waiting if notice.severity is not Severity.CRITICAL]
    kinds = Counter(notice.kind for notice in minor)
    for kind in (kind for kind, count in kinds.items() if count >= TOGETHER):
        many = [notice for notice in minor if notice.kind == kind]
        summary = summary_of(many)
        try:
            ledger.notify(summary, deadline)
            for notice in many:
                ledger.delivered(notice.id, deadline)
        except NotNow:
            log.warning("notices could not be put together", extra={"kind": kind})
            continue
        log.warning("notices are told as one", extra={"summary": summary.id, "notices": [one.id for one in many]})
        waiting = [notice for notice in waiting if notice not in many] + [summary]
    return waiting
