"""Square off: closes what this gateway opened, and nothing else. Running it twice closes nothing twice.

The order book says which units the gateway opened (`Holding.gateway_units`). A position larger than that has trades by
hand in it: it is left alone and the owner is notified. Positions of earlier days are not in the book, so they are left
alone as well. It works in every trading state: the kill switch stops alerts, and this only closes.
"""

import hashlib
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial

from app.domain.book import BookRow
from app.domain.calendar import ist_day
from app.domain.deadline import Deadline
from app.domain.errors import NotNow, Reason
from app.domain.holding import Holding, Holdings, hold
from app.domain.notice import Notice, Severity
from app.domain.order import EXIT_TAG, Accepted, NotSent, Outcome, Rejected, Sent
from app.domain.protection import Trim, trimmed
from app.domain.risk.controls import Controls
from app.flow.desk import Desk
from app.flow.outbox import post
from app.flow.protection import cancel_all, holdings_after, trim


@dataclass(slots=True)
class SquareOff:
    """What one run did, by the position's id; `left` says why each of these was not closed."""

    closed: list[str] = field(default_factory=list)
    left: dict[str, str] = field(default_factory=dict)
    entries_cancelled: int = 0
    legs_cancelled: int = 0


def square_off(desk: Desk, deadline: Deadline) -> SquareOff:
    """Exits each position that the gateway opened. Raises NotNow where ledger, positions or book cannot be read."""
    return _Run(desk, deadline).square_off()


class _Run:
    def __init__(self, desk: Desk, deadline: Deadline) -> None:
        self.report = SquareOff()
        self._desk = desk
        self._deadline = deadline

    def square_off(self) -> SquareOff:
        holdings = holdings_after(self._without_entries(), self._desk, self._deadline)
        self._name_what_is_on_its_way(holdings)
        tried = [holding for holding in holdings if self._close(holding, holdings)]
        if tried:
            self._look_after(tried)
        for what, why in self.report.left.items():
            self._tell(what, why)
        return self.report

    def _without_entries(self) -> tuple[BookRow, ...]:
        """The book after the gateway's working entries are cancelled: one that fills later would open a position."""
        orders = self._desk.ledger.orders(self._deadline, day=str(ist_day(self._desk.clock.now())))
        covers = {order.tag for order in orders if order.ticket is not None and order.ticket.covers}
        book = self._desk.broker.order_book(self._deadline)
        if entries := _working_entries(book, covers):
            self.report.entries_cancelled = cancel_all(entries, self._desk, self._deadline)
            book = self._desk.broker.order_book(self._deadline)
        for row in _working_entries(book, covers):
            self.report.left[f"order {row.broker_order_id}"] = f"{row.working} {row.symbol} still work as an entry"
        return book

    def _name_what_is_on_its_way(self, holdings: Holdings) -> None:
        controls = self._desk.ledger.controls(self._deadline)
        since = self._desk.clock.now() - self._desk.limits.venue.book_lag
        for sent in holdings.with_sent(controls.sent_since(since)).unseen:
            if not sent.covers:
                self.report.left[sent.symbol] = "an entry was sent moments ago and the order book does not show it yet"

    def _close(self, holding: Holding, holdings: Holdings) -> bool:
        """Exits a position that the gateway opened; True where the exit was sent or may have been."""
        opened = holding.gateway_units
        if holding.net == 0 or opened is None:
            return False
        if abs(holding.net) > opened:
            self.report.left[holding.id] = f"{holding.net} units are open and the gateway opened {opened} of them"
        elif holding.being_closed:
            self.report.left[holding.id] = "an order that closes it is in the book already"
        else:
            return self._exit(holding, holdings)
        return False

    def _exit(self, holding: Holding, holdings: Holdings) -> bool:
        """Sends the exit once the controls have it: every instance sees it there, and sends no cover and no exit."""
        left, now = self.report.left, self._desk.clock.now()
        exit_ = _exit_as_sent(holding, now)
        try:
            noted = partial(_noted, exit_, holdings, now - self._desk.limits.venue.book_lag)
            self._desk.ledger.change_controls(noted, self._deadline)
        except NotNow as problem:
            left[holding.id] = problem.message
            return False
        match self._outcome(holding, holdings):
            case Accepted():
                self.report.closed.append(holding.id)
                return True
            case Rejected(message=message):
                left[holding.id] = f"the broker refused: {message}"
            case NotSent(why=why):
                left[holding.id] = f"it could not be sent: {why}"
            case _:
                left[holding.id] = "the outcome is not known; look at the positions before anything else"
                return True
        self._desk.ledger.change_controls(partial(_forgotten, exit_.tag), self._deadline)
        return False

    def _outcome(self, holding: Holding, holdings: Holdings) -> Outcome:
        """Cancels the legs and closes the position. A leg that is filled beside the exit would open a position.

        The rest of an exit that is filled in part stays in the book, without a tag, so no leg may stand there later.
        """
        try:
            if legs := _legs(holding):
                self.report.legs_cancelled += trim(legs, self._desk, self._deadline)
                after = hold(holdings.positions, self._desk.broker.order_book(self._deadline))
                if _legs(after.at(holding.symbol, holding.product)):
                    return NotSent("its protective legs could not be cancelled, and still stand")
        except NotNow as problem:
            return NotSent(problem.message)
        return self._desk.broker.exit_position(holding.id, self._deadline)

    def _look_after(self, tried: Sequence[Holding]) -> None:
        """Reports exits in doubt as closed where their position is gone. What cannot be read now, reconcile reads."""
        try:
            holdings = holdings_after(self._desk.broker.order_book(self._deadline), self._desk, self._deadline)
        except NotNow:
            return
        for holding in tried:
            if holding.id in self.report.left and holdings.at(holding.symbol, holding.product).net == 0:
                del self.report.left[holding.id]
                self.report.closed.append(holding.id)

    def _tell(self, what: str, why: str) -> None:
        """Notifies once a day and reason of a position or order that is left."""
        text = f"Not squared off, {what}: {why}. Close it by hand if it should be closed."
        day, words = ist_day(self._desk.clock.now()), hashlib.sha256(why.encode()).hexdigest()[:8]
        notice = Notice(f"square-off:{day}:{what}:{words}", "square-off", Severity.CRITICAL, text)
        post(notice, self._desk.ledger, self._desk.notifier, self._deadline)


def _working_entries(book: Sequence[BookRow], covers: Collection[str]) -> list[BookRow]:
    return [row for row in book if row.own and row.working > 0 and row.tag not in covers]


def _exit_as_sent(holding: Holding, now: datetime) -> Sent:
    """The exit as the controls keep it: a cover that the book never shows by its tag."""
    return Sent(
        at=now,
        tag=f"{EXIT_TAG}{holding.id}:{now.isoformat()}",
        symbol=holding.symbol,
        quantity=abs(holding.net),
        lots=0,
        side=holding.closing,
        covers=True,
        underlying=holding.symbol,
        strategy=None,
    )


def _noted(exit_: Sent, holdings: Holdings, since: datetime, controls: Controls) -> Controls:
    """The controls with the exit. Raises NotNow where an order of that contract is on its way.

    Beside another exit this one would close too much. Beside an entry it would leave the entry's legs.
    """
    for sent in holdings.with_sent(controls.sent_since(since)).unseen:
        if sent.symbol == exit_.symbol:
            does = "close" if sent.covers else "open"
            text = f"an order was sent moments ago to {does} {sent.quantity} units of it, and the book does not show it"
            raise NotNow(Reason.POSITION_UNKNOWN, text)
    return replace(controls, recent=(*controls.recent, exit_))


def _forgotten(tag: str, controls: Controls) -> Controls:
    recent = (replace(sent, quantity=0) if sent.tag == tag else sent for sent in controls.recent)
    return replace(controls, recent=tuple(recent))


def _legs(holding: Holding) -> Trim:
    """All legs of the gateway's entries that close the position."""
    return trimmed(holding, holding.closing, 0)
