"""Square off: closes what this gateway opened, and nothing else. Running it twice closes nothing twice.

Which units are ours is told by the order book: what entries with our tag filled today, less everything that was closed
since, by whom ever. A position larger than that is mixed with somebody's own trades; on doubt it is left alone and the
owner is told. Positions of earlier days are not in the book, so they are left alone as well.

It works in every trading state: the kill switch is against alerts, and this only takes away.
"""

import hashlib
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial

from app.domain.alert import Side
from app.domain.book import BookRow, Position
from app.domain.calendar import ist_day
from app.domain.deadline import Deadline
from app.domain.errors import NotNow, Reason
from app.domain.legs import Trim, trimmed
from app.domain.notice import Notice, Severity
from app.domain.order import Accepted, NotSent, Outcome, Rejected
from app.domain.risk import EXIT_TAG, Controls, Sent
from app.flow.desk import Desk
from app.flow.outbox import post
from app.flow.protection import cancel_all, positions_after, trim


@dataclass(slots=True)
class SquareOff:
    """What one run did, by position ("SYMBOL-PRODUCT"); `left` says why each of those was not closed."""

    closed: list[str] = field(default_factory=list)
    left: dict[str, str] = field(default_factory=dict)
    entries_cancelled: int = 0
    legs_cancelled: int = 0


def square_off(desk: Desk, deadline: Deadline) -> SquareOff:
    """Exits each position of ours. Raises NotNow where ledger, positions or order book cannot be read."""
    return _Run(desk, deadline).square_off()


class _Run:
    def __init__(self, desk: Desk, deadline: Deadline) -> None:
        self.report = SquareOff()
        self._desk = desk
        self._deadline = deadline

    def square_off(self) -> SquareOff:
        book = self._without_entries()
        positions = positions_after(book, self._desk, self._deadline)
        self._name_what_is_on_its_way(book)
        tried = [position for position in positions if self._close(position, book)]
        if tried:
            self._look_after(tried)
        for what, why in self.report.left.items():
            self._tell(what, why)
        return self.report

    def _without_entries(self) -> tuple[BookRow, ...]:
        """The book after our working entries were cancelled: one that fills later would open a position again."""
        orders = self._desk.ledger.orders(self._deadline, day=str(ist_day(self._desk.clock.now())))
        covers = {order.tag for order in orders if order.ticket is not None and order.ticket.covers}
        book = self._desk.broker.order_book(self._deadline)
        if entries := _working_entries(book, covers):
            self.report.entries_cancelled = cancel_all(entries, self._desk, self._deadline)
            book = self._desk.broker.order_book(self._deadline)
        for row in _working_entries(book, covers):
            self.report.left[f"order {row.broker_order_id}"] = f"{row.working} {row.symbol} still work as an entry"
        return book

    def _name_what_is_on_its_way(self, book: Sequence[BookRow]) -> None:
        since = self._desk.clock.now() - self._desk.limits.venue.book_lag
        for sent in _not_shown(self._desk.ledger.controls(self._deadline), book, since):
            if not sent.covers:
                self.report.left[sent.symbol] = "an entry was sent moments ago and the order book does not show it yet"

    def _close(self, position: Position, book: Sequence[BookRow]) -> bool:
        """Exits a position of ours; True where an exit was sent, whatever came of it."""
        place = f"{position.symbol}-{position.product}"
        opened = _open_of_ours(book, position)
        if position.net_quantity == 0 or opened is None:
            return False
        if abs(position.net_quantity) > opened:
            self.report.left[place] = f"{position.net_quantity} units are open and the gateway opened {opened} of them"
        elif _being_closed(book, position):
            self.report.left[place] = "an order that closes it is in the book already"
        else:
            return self._exit(place, position, book)
        return False

    def _exit(self, place: str, position: Position, book: Sequence[BookRow]) -> bool:
        """Once it is written down where every instance sees it, so that neither a cover nor another exit joins in."""
        now = self._desk.clock.now()
        exit_ = _exit_as_sent(place, position, now)
        try:
            self._desk.ledger.change_controls(
                partial(_noted, exit_, book, now - self._desk.limits.venue.book_lag), self._deadline
            )
        except NotNow as problem:
            self.report.left[place] = problem.message
            return False
        outcome = self._outcome(place, position, book)
        match outcome:
            case Accepted():
                self.report.closed.append(place)
            case Rejected():
                self.report.left[place] = f"Fyers refused: {outcome.message}"
            case NotSent():
                self.report.left[place] = f"it could not be sent: {outcome.why}"
            case _:
                self.report.left[place] = "the outcome is not known; look at the positions before anything else"
        if isinstance(outcome, Rejected | NotSent):
            self._desk.ledger.change_controls(partial(_forgotten, exit_.tag), self._deadline)
            return False
        return True

    def _outcome(self, place: str, position: Position, book: Sequence[BookRow]) -> Outcome:
        """Takes the legs away and closes the position. What is left of an exit that fills in part rests in the book,
        without a tag, and a leg that was filled beside it would open a position: so no leg may stand there any more.
        """
        try:
            if legs := _legs(position, book):
                self.report.legs_cancelled += trim(legs, self._desk, self._deadline)
                if _legs(position, self._desk.broker.order_book(self._deadline)):
                    return NotSent("its protective legs could not be cancelled, and still stand")
        except NotNow as problem:
            return NotSent(problem.message)
        return self._desk.broker.exit_position(place, self._deadline)

    def _look_after(self, tried: Sequence[Position]) -> None:
        """What became of the exits. What cannot be read now, reconcile will."""
        try:
            positions = positions_after(self._desk.broker.order_book(self._deadline), self._desk, self._deadline)
        except NotNow:
            return
        open_places = {(row.symbol, row.product) for row in positions if row.net_quantity != 0}
        for position in tried:
            place = f"{position.symbol}-{position.product}"
            if place in self.report.left and (position.symbol, position.product) not in open_places:
                del self.report.left[place]
                self.report.closed.append(place)

    def _tell(self, what: str, why: str) -> None:
        """Once a day for each thing that is left, and once more when the reason is another."""
        text = f"Not squared off, {what}: {why}. Close it by hand if it should be closed."
        day, words = ist_day(self._desk.clock.now()), hashlib.sha256(why.encode()).hexdigest()[:8]
        notice = Notice(f"square-off:{day}:{what}:{words}", "square-off", Severity.CRITICAL, text)
        post(notice, self._desk.ledger, self._desk.notifier, self._deadline)


def _working_entries(book: Sequence[BookRow], covers: Collection[str]) -> list[BookRow]:
    return [row for row in book if row.ours and row.working > 0 and row.tag not in covers]


def _open_of_ours(book: Sequence[BookRow], position: Position) -> int | None:
    """Units that entries of ours opened today and that nothing has closed since; None where we opened nothing."""
    rows = [row for row in book if (row.symbol, row.product) == (position.symbol, position.product)]
    closing = _closing(position)
    opened = sum(row.filled_quantity for row in rows if row.ours and row.side != closing)
    closed = sum(row.filled_quantity for row in rows if row.side == closing)
    return max(0, opened - closed) if opened else None


def _being_closed(book: Sequence[BookRow], position: Position) -> bool:
    place = (position.symbol, position.product, _closing(position))
    return any((row.symbol, row.product, row.side) == place and row.parent_id is None and row.working for row in book)


def _exit_as_sent(place: str, position: Position, now: datetime) -> Sent:
    """The exit as the account document remembers it: a cover that the book never shows by its tag."""
    return Sent(
        at=now,
        tag=f"{EXIT_TAG}{place}:{now.isoformat()}",
        symbol=position.symbol,
        quantity=abs(position.net_quantity),
        lots=0,
        side=_closing(position),
        covers=True,
        underlying=position.symbol,
        strategy=None,
    )


def _noted(exit_: Sent, book: Sequence[BookRow], since: datetime, controls: Controls) -> Controls:
    """The account document with the exit in it. Raises NotNow where an order of that contract is on its way.

    Another exit would close too much; and an entry would be closed with the rest, but its legs would not.
    """
    for sent in _not_shown(controls, book, since):
        if sent.symbol == exit_.symbol:
            does = "close" if sent.covers else "open"
            words = (
                f"an order was sent moments ago to {does} {sent.quantity} units of it, and the book does not show it"
            )
            raise NotNow(Reason.POSITION_UNKNOWN, words)
    return replace(controls, recent=(*controls.recent, exit_))


def _forgotten(tag: str, controls: Controls) -> Controls:
    recent = (replace(sent, quantity=0) if sent.tag == tag else sent for sent in controls.recent)
    return replace(controls, recent=tuple(recent))


def _not_shown(controls: Controls, book: Sequence[BookRow], since: datetime) -> list[Sent]:
    shown = {row.tag for row in book}
    return [sent for sent in controls.recent if sent.quantity and sent.at > since and sent.tag not in shown]


def _legs(position: Position, book: Sequence[BookRow]) -> Trim:
    """All legs of ours that close the position."""
    return trimmed(book, position.symbol, position.product, _closing(position), 0)


def _closing(position: Position) -> Side:
    return Side.BUY if position.net_quantity < 0 else Side.SELL
