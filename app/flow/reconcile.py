"""Brings the ledger up to the broker's order book: what became of each order, and do the two know the same ones?

A row with our tag is evidence of presence, and moves any order that it can. Absence counts only from a reading that is
complete and holds every order id the ledger knows of today; and even then it only says so. NOT_PLACED is written from
the final book of the order's own day, after the session, or by a human. Nothing here ever sends an order.

Runs every minute from Cloud Scheduler and by hand (`python -m app reconcile`). It may run twice at once: each step is a
compare-and-set, and who comes second finds the work done.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from functools import partial

from app.domain.alert import Side
from app.domain.book import BookRow, Position
from app.domain.calendar import ist_day
from app.domain.deadline import SEND_WINDOW, Deadline
from app.domain.errors import NotNow, Reason
from app.domain.legs import naked, orphans, overbought, overnight, strays
from app.domain.notice import ABSENT_READS, Notice, Severity, facts_of, what
from app.domain.order import MOVES, Order, OrderStatus
from app.domain.risk import UNRESOLVED_AT_ONCE, Controls, doubt_reduces
from app.flow.desk import Desk
from app.flow.outbox import drain, post
from app.flow.ports import Overtaken
from app.flow.protection import cancel_all, positions_after, trim

SETTLE = timedelta(seconds=SEND_WINDOW + 3.8)  # a request that still lives records its own outcome within this
ABSENCE_TAKES = timedelta(seconds=60)
FINAL_AFTER = timedelta(minutes=10)  # after the session's end; the closing minutes' orders are in the book by then

_S = OrderStatus
_STANDS = frozenset({_S.ACCEPTED, _S.PARTIALLY_FILLED, _S.FILLED})
_NEVER_PLACED = frozenset({_S.DENIED, _S.LAPSED, _S.NOT_PLACED})


@dataclass(slots=True)
class Report:
    """What one run did; `book` and `positions` say why these could not be read, None where they were."""

    book: str | None = None
    looked_at: int = 0
    moved: dict[str, int] = field(default_factory=dict)
    lapsed: int = 0
    in_doubt: int = 0
    strangers: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)
    positions: str | None = None
    naked: list[str] = field(default_factory=list)
    overnight: list[str] = field(default_factory=list)
    overbought: list[str] = field(default_factory=list)
    legs_cancelled: int = 0
    covers_cancelled: int = 0
    notices_sent: int = 0
    notices_waiting: int = 0

    @property
    def clean(self) -> bool:
        """True where ledger and book agree, nothing is in doubt and nothing stands unprotected."""
        read = self.book is None and self.positions is None
        bare = self.naked or self.overnight or self.overbought
        return read and not (self.in_doubt or self.strangers or self.missing or self.doubled or bare)

    def document(self) -> dict[str, object]:
        return asdict(self) | {"clean": self.clean}


def reconcile(desk: Desk, deadline: Deadline, after_close: bool = False) -> Report:
    """One run. `after_close` says that the book is final now. Raises NotNow where the ledger does not answer."""
    run = _Run(desk, deadline)
    if run.report.looked_at == 0 and not desk.calendar.is_trading_day(ist_day(desk.clock.now())):
        run.report.notices_sent, run.report.notices_waiting = drain(desk.ledger, desk.notifier, deadline)
        return run.report  # a day without session and orders: nobody has logged in, and there is nothing to ask Fyers
    try:
        book = desk.broker.order_book(deadline)
    except NotNow as problem:
        run.report.book = problem.message
        run.in_the_dark()
    else:
        run.reached()
        run.follow(book)
        run.audit(book)
        run.absences(book, final=after_close or _is_final(desk))
        run.protect(book)
    run.lapse()
    run.unsent()
    run.doubts()
    run.report.notices_sent, run.report.notices_waiting = drain(desk.ledger, desk.notifier, deadline)
    return run.report


def _is_final(desk: Desk) -> bool:
    """Whether the day's book changes no more: so long after the last contract stopped, by whoever says it latest."""
    return desk.calendar.is_over(desk.clock.now(), FINAL_AFTER, desk.symbols.session)


def after_row(order: Order, row: BookRow, at: datetime) -> Order | None:
    """The order as a row of the book shows it; None where that is no news.

    A row whose status we do not know is still proof that the order is there.
    """
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


class _Run:
    """The orders of today and those still in flight, as they become known."""

    def __init__(self, desk: Desk, deadline: Deadline) -> None:
        self.report = Report()
        self._desk = desk
        self._deadline = deadline
        self._today = str(ist_day(desk.clock.now()))
        orders = desk.ledger.orders(deadline, in_flight=True) + desk.ledger.orders(deadline, day=self._today)
        self._orders = {order.key: order for order in orders}
        self.report.looked_at = len(self._orders)

    def reached(self) -> None:
        """Fyers has just answered a read, so the breaker need not wait any longer."""
        if self._desk.ledger.controls(self._deadline).open_until is not None:
            self._desk.ledger.change_controls(Controls.reached, self._deadline)

    def follow(self, book: Sequence[BookRow]) -> None:
        """Evidence of presence moves any record, once the request that sent the order has had its time to speak."""
        rows = {row.tag: row for row in book if row.parent_id is None}
        for order in list(self._orders.values()):
            if (row := rows.get(order.tag)) is None or (order.reason is None and self._is_young(order)):
                continue
            if order.status is _S.RECEIVED:  # it was called not sent, and there it is: nobody may send it again
                self._record(order.submitted(self._now()))
            current = self._orders[order.key]
            if (step := after_row(current, row, self._now())) is not None:
                self._record(step)

    def in_the_dark(self) -> None:
        """Without a book: an order that no request speaks for any more is in doubt all the same, and rings."""
        for order in list(self._orders.values()):
            if order.status is _S.SUBMITTED and order.reason is None and not self._is_young(order):
                why = "the request that sent it ended without an answer, and the order book cannot be read"
                self._record(order.unresolved(self._now(), why))

    def absences(self, book: Sequence[BookRow], final: bool) -> None:
        """What the book's silence says about orders in doubt, where the reading is valid."""
        tags = {row.tag for row in book}
        valid = not self._not_shown(book)
        for order in list(self._orders.values()):
            now = self._now()
            if order.status is not _S.SUBMITTED or order.tag in tags or self._is_young(order):
                continue
            if (step := _step_of_absence(order, valid and order.day == self._today, final, now)) is not None:
                self._record(step)

    def audit(self, book: Sequence[BookRow]) -> None:
        """Both ways: rows the ledger does not know, orders the book does not show, and two rows of one order.

        A row of an order that was never placed, as the ledger has it, is as strange as one that it does not know.
        """
        orders = {order.tag: order for order in self._orders.values()}
        ours = [row for row in book if row.ours]
        if any(row.tag not in orders for row in ours):  # claimed after the ledger was read and before the book was
            orders |= {order.tag: order for order in self._desk.ledger.orders(self._deadline, day=self._today)}
        for row in ours:
            order = orders.get(row.tag)
            if order is None or (order.status in _NEVER_PLACED and row.status is not _S.REJECTED):
                self.report.strangers.append(row.broker_order_id)
                known = f"has it as {order.status}" if order else "does not know it"
                text = f"{_said(row)} has a tag of this gateway, and the ledger {known}. Check it at once."
                self._tell(f"stranger:{row.broker_order_id}", text, order)
        live = Counter(row.tag for row in ours if row.status is not _S.REJECTED)
        for tag in (tag for tag, count in live.items() if count > 1):
            self.report.doubled.append(tag)
            self._tell(f"doubled:{tag}", f"{live[tag]} orders at Fyers have the one tag {tag}. Check them at once.")
        for order in self._not_shown(book):
            if self._now() - _submitted_at(order) < self._desk.limits.venue.book_lag:
                continue  # a book may be late
            self.report.missing.append(order.key)
            text = f"{what(order)}, order {order.broker_order_id}, is not in Fyers' order book. Check it at once."
            self._tell(f"missing:{order.key}", text, order)

    def protect(self, book: Sequence[BookRow]) -> None:
        """Cancels legs and covers that outlived their position; an entry without its stop-loss rings the phone."""
        covers = {order.tag for order in self._orders.values() if order.ticket is not None and order.ticket.covers}
        try:
            positions = positions_after(book, self._desk, self._deadline)
            self.report.covers_cancelled = cancel_all(strays(positions, book, covers), self._desk, self._deadline)
            self.report.legs_cancelled = trim(orphans(positions, book, covers), self._desk, self._deadline)
        except NotNow as problem:
            self.report.positions = problem.message
            return
        for (symbol, product), units in overbought(positions, book, covers).items():
            self.report.overbought.append(f"{symbol}-{product}")
            text = (
                f"{units} {symbol} ({product}) are long: covers and legs closed more than was open. Look at it at once."
            )
            self._tell(f"overbought:{self._today}:{symbol}-{product}:{units}", text)
        leaving = self._leaving()
        orders = [
            order for order in self._orders.values() if order.ticket is None or order.ticket.symbol not in leaving
        ]
        settled = [order for order in orders if self._now() - _submitted_at(order) >= SETTLE]
        for entry in naked(settled, positions, book):
            self.report.naked.append(entry.order.key)
            text = f"{entry.units} units of {what(entry.order)} stand open without a stop-loss. Protect or close them."
            self._tell(f"naked:{entry.order.key}:{entry.units}:{entry.stops}", text, entry.order)

        self._watch_overnight(positions, book)

    def _watch_overnight(self, positions: Sequence[Position], book: Sequence[BookRow]) -> None:
        """Rings once a day and size for a position of ours that came over from an earlier day and has no stop-loss."""
        bare = overnight(positions, book)
        if not bare:
            return
        ours = {one.ticket.symbol for one in self._desk.ledger.orders(self._deadline) if one.ticket and _opened(one)}
        for one in bare:
            if one.symbol in ours:
                self.report.overnight.append(f"{one.symbol}-{one.product}")
                text = (
                    f"{one.units} {one.symbol} ({one.product}) of an earlier day stand open without a stop-loss: "
                    "legs end with the day they were placed on. Protect or close them."
                )
                self._tell(f"overnight:{self._today}:{one.symbol}-{one.product}:{one.units}", text)

    def _leaving(self) -> set[str]:
        """What is being closed at this moment: its legs went first, and the next run judges what is left of it."""
        recent = self._desk.ledger.controls(self._deadline).recent
        return {sent.symbol for sent in recent if sent.covers and self._now() - sent.at < SETTLE}

    def lapse(self) -> None:
        """Time alone may do this and no more: an alert that nobody sent in time is never sent late."""
        for order in list(self._orders.values()):
            if order.status is not _S.RECEIVED:
                continue
            covers = order.asked["action"] == Side.BUY
            allowed = max(self._desk.ages.exit, self._desk.ages.entry) if covers else self._desk.ages.entry
            if self._now() - order.alert_at > allowed + SETTLE:
                self._record(order.lapsed(self._now(), "nobody could send it in time, so it was not sent"))
                self.report.lapsed += 1

    def unsent(self) -> None:
        """Rings for an order that was taken up, proven unsent, and is still waiting.

        Whoever sent the alert twice may have been answered 202 by the one that came second, and never hear of it again.
        """
        for order in self._orders.values():
            if order.status is _S.RECEIVED and order.attempt and self._now() - order.transitions[-1].at >= SETTLE:
                text = f"Not sent yet, {what(order)}: {order.message}. If no resent alert takes it up, it never is."
                self._tell(f"unsent:{order.key}:{order.sequence}", text, order)

    def doubts(self) -> None:
        """Counts them, and stops entries where there are two at once."""
        doubted = [
            order
            for order in self._orders.values()
            if order.status is _S.SUBMITTED and self._now() - _submitted_at(order) >= SETTLE
        ]
        self.report.in_doubt = len(doubted)
        if len(doubted) >= UNRESOLVED_AT_ONCE:
            reduce = partial(doubt_reduces, unresolved=len(doubted), now=self._now())
            self._desk.ledger.change_controls(reduce, self._deadline)

    def _is_young(self, order: Order) -> bool:
        """True while the request that sent the order may be at it."""
        return order.status is _S.SUBMITTED and self._now() - _submitted_at(order) < SETTLE

    def _not_shown(self, book: Sequence[BookRow]) -> list[Order]:
        """Orders of today that Fyers gave an id and that this reading does not have: then it is not a valid one."""
        ids = {row.broker_order_id for row in book}
        return [
            order
            for order in self._orders.values()
            if order.day == self._today and order.broker_order_id is not None and order.broker_order_id not in ids
        ]

    def _record(self, step: Order) -> None:
        """Stores a step; where somebody else was first, theirs counts."""
        before = self._orders[step.key].status
        try:
            current = self._desk.ledger.record(step, self._deadline)
        except Overtaken as overtaken:
            current = overtaken.current
        self._orders[step.key] = current
        if current is step and step.status is not before:
            move = f"{before} to {step.status}"
            self.report.moved[move] = self.report.moved.get(move, 0) + 1

    def _tell(self, notice_id: str, text: str, order: Order | None = None) -> None:
        facts = facts_of(order) if order else {}
        notice = Notice(notice_id, notice_id.partition(":")[0], Severity.CRITICAL, text, facts)
        post(notice, self._desk.ledger, self._desk.notifier, self._deadline)

    def _now(self) -> datetime:
        return self._desk.clock.now()


def _step_of_absence(order: Order, valid: bool, final: bool, now: datetime) -> Order | None:
    if valid and final:
        return order.moved(_S.NOT_PLACED, now, message="it is not in the final order book of its day")
    if order.reason is None:
        return order.unresolved(now, "the request that sent it ended without an answer")
    if not valid or order.absent_reads >= ABSENT_READS:
        return None
    if order.absent_reads == ABSENT_READS - 1 and now - _submitted_at(order) < ABSENCE_TAKES:
        return None  # readings in quick succession prove less than a minute does
    return order.absent(now, f"not found in {order.absent_reads + 1} readings of the order book")


def _opened(order: Order) -> bool:
    """Whether it opened something, or may have: at the end of its day nobody may have looked any more."""
    return order.ticket is not None and not order.ticket.covers and (order.filled_quantity > 0 or order.in_flight)


def _submitted_at(order: Order) -> datetime:
    return order.submitted_at or order.received_at


def _said(row: BookRow) -> str:
    return f"{row.side} {row.quantity} {row.symbol}, order {row.broker_order_id},"
