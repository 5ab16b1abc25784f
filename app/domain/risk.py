"""The last word before the market: one pure check over the order, the account document and the limits.

The account document holds the trading state and the day's counters. A ledger's `submit` reads it, runs `decide`, and
commits order and account together, so a limit can not be passed by two orders at once and a halt holds for every commit
after it. Nothing is cached and no clock is read here.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum

from app.domain.calendar import ist_day, ist_time
from app.domain.errors import Denied, NotNow, Reason
from app.domain.exposure import Exposure, positions_ahead
from app.domain.legs import units_of_legs
from app.domain.money import plain
from app.domain.order import Order, OrderStatus, Ticket
from app.facts.fyers import ORDERS_PER_SECOND

SECOND, MINUTE = timedelta(seconds=1), timedelta(minutes=1)
BOOK_LAG = timedelta(seconds=90)  # for so long an order of ours may be missing from the broker's book
UNRESOLVED_AT_ONCE = 2
BREAKER_FAILURES = 3  # of the line to the broker within a minute
BREAKER_OPEN = timedelta(seconds=30)  # longer than any alert lives, so none of its reads is from before
EVERY_ONE = 1_000_000
FYERS_IN_LAG = 128  # orders; an alert makes three calls at least, and Fyers takes 300 within BOOK_LAG
SYSTEM = "gateway"
EXIT_TAG = "exit:"


class TradingState(StrEnum):
    """ACTIVE trades; REDUCING covers only; HALTED sends nothing. A state that cannot be read is HALTED."""

    ACTIVE = "ACTIVE"
    REDUCING = "REDUCING"
    HALTED = "HALTED"


@dataclass(frozen=True, slots=True)
class Limits:
    """Rupees, lots, counts and seconds; None means off. Counts are per IST day unless named otherwise."""

    lots_per_order: int
    lots_open: int
    orders_per_day: int
    orders_per_second: int | None
    orders_per_minute: int | None
    premium_per_order: Decimal | None
    premium_per_day: Decimal | None
    daily_loss: Decimal | None
    repeats: int | None
    cooldown: timedelta | None

    @property
    def within_fyers_rate(self) -> bool:
        return self.orders_per_second is not None and self.orders_per_second <= ORDERS_PER_SECOND

    def worst_loss(self, max_stop_percent: Decimal) -> Decimal | None:
        """The most, in rupees, that alerts with the right secret can lose in a day; None where no limit bounds it.

        Entries stop at `daily_loss`. Whatever is open then, at most `lots_open` lots of at most `premium_per_order`
        each, may still run to its stop-loss. Charges, and what a stop fills beyond its trigger, come on top.
        """
        if self.daily_loss is None or self.premium_per_order is None:
            return None
        return self.daily_loss + self.lots_open * self.premium_per_order * max_stop_percent / 100

    @property
    def remembered(self) -> int:
        """How many of the last orders any rule can ask for. A cooldown may ask for older ones, and makes them few."""
        if self.cooldown is not None:
            return EVERY_ONE
        return max(FYERS_IN_LAG, self.orders_per_minute or 0, self.repeats or 0)


@dataclass(frozen=True, slots=True)
class Sent:
    """One submitted order as the rate limits remember it; `quantity` is 0 once it is known not to be at the broker."""

    at: datetime
    tag: str
    symbol: str
    quantity: int
    lots: int
    side: str
    covers: bool
    underlying: str
    strategy: str | None

    def __hash__(self) -> int:
        """By the tag alone, which is nearly always enough: each submit looks up what each of them is stored as."""
        return hash(self.tag)

    @property
    def squares_off(self) -> bool:
        """True for the exit of a whole position, which the order book never shows by its tag."""
        return self.tag.startswith(EXIT_TAG)


@dataclass(frozen=True, slots=True)
class Account:
    """The shared document. `orders` and `premium` (rupees) are the day's; `recent` holds the last minutes.

    `failures` are those of the line within the last minute; until `open_until` the breaker keeps entries back.
    `damaged` says that the stored one cannot be read: it is HALTED, and only a new trading state replaces it.
    """

    state: TradingState = TradingState.ACTIVE
    reason: str = ""
    author: str = SYSTEM
    changed_at: datetime | None = None
    day: str = ""
    orders: int = 0
    premium: Decimal = Decimal(0)
    recent: tuple[Sent, ...] = ()
    failures: tuple[datetime, ...] = ()
    open_until: datetime | None = None
    damaged: bool = False

    def switched(self, state: TradingState, reason: str, author: str, at: datetime) -> "Account":
        return replace(self, state=state, reason=reason, author=author, changed_at=at, damaged=False)

    def on(self, day: str) -> "Account":
        """The document on a given day: counters start anew, the trading state stays. A late clock resets nothing."""
        return self if day <= self.day else replace(self, day=day, orders=0, premium=Decimal(0))

    def counted(self, order: Order, at: datetime, keep: timedelta, most: int) -> "Account":
        """One more order. Those of the last `keep` are remembered, and of these at most so many."""
        ticket = _ticket(order)
        sent = Sent(
            at=at,
            tag=order.tag,
            symbol=ticket.symbol,
            quantity=ticket.quantity,
            lots=ticket.lots,
            side=ticket.side,
            covers=ticket.covers,
            underlying=ticket.underlying,
            strategy=order.strategy,
        )
        since = at - keep
        recent = (*[one for one in self.recent if one.at > since], sent)[-most:]
        premium = self.premium if ticket.covers else self.premium + ticket.premium
        return replace(self, orders=self.orders + 1, premium=premium, recent=recent)

    def given_back(self, order: Order) -> "Account":
        """What `counted` took, for an order that definitively is not at the broker. The rates stay: it was sent."""
        recent = tuple(replace(sent, quantity=0, lots=0) if sent.tag == order.tag else sent for sent in self.recent)
        self = replace(self, recent=recent)
        if order.ticket is None or order.submitted_at is None or str(ist_day(order.submitted_at)) != self.day:
            return self
        premium = self.premium if order.ticket.covers else self.premium - order.ticket.premium
        return replace(self, orders=max(0, self.orders - 1), premium=max(Decimal(0), premium))

    def failed(self, at: datetime) -> "Account":
        """One more order that the line failed; the last one it takes opens the breaker."""
        failures = (*(one for one in self.failures if at - one < MINUTE), at)
        if len(failures) < BREAKER_FAILURES:
            return replace(self, failures=failures)
        return replace(self, failures=(), open_until=at + BREAKER_OPEN)

    def reached(self) -> "Account":
        """The broker has answered a read: the breaker is closed. An order never tries it out."""
        return self if self.damaged else replace(self, failures=(), open_until=None)


GIVES_BACK = frozenset({OrderStatus.RECEIVED, OrderStatus.REJECTED, OrderStatus.NOT_PLACED})


def teaches(order: Order) -> bool:
    """Whether the order's newest step changes the account document as well."""
    return order.status in GIVES_BACK or _line_failed(order)


def learned(account: Account, order: Order) -> Account:
    """The account document after the order's newest step; a ledger stores both in one commit."""
    if account.damaged:
        return account
    if order.status in GIVES_BACK:
        account = account.given_back(order)
    return account.failed(order.transitions[-1].at) if _line_failed(order) else account


def _line_failed(order: Order) -> bool:
    """Not sent, or sent and no word of it: what is wrong is the line or the broker, not the order."""
    return order.reason is Reason.NOT_SENT or (order.reason is Reason.OUTCOME_UNKNOWN and order.absent_reads == 0)


class NeedsBook(Exception):
    """Whether the limit of open lots is reached can only be told from the order book, which was not read yet.

    Without it every order of the last minutes counts as open beside the positions, filled or not: enough to let an
    order through, and not enough to deny one.
    """


class NeedsRoom(Exception):
    """A cover may go out, once its protective legs are taken down to `units`.

    Until then covers and legs together could buy more than is short, and open a long. It is asked for last, inside the
    commit: an order that is denied, or kept back, costs no position its stop-loss.
    """

    def __init__(self, units: int) -> None:
        super().__init__(f"legs may close {units} units beside this cover")
        self.units = units


Decision = tuple[Order, Account]
Decide = Callable[[Account], Decision]


def decide(order: Order, account: Account, limits: Limits, exposure: Exposure, now: datetime) -> Decision:
    """The order SUBMITTED and counted, or DENIED with its reason; and the account document as it is afterwards."""
    if account.damaged:  # nothing is written over it: what it counted may still be read by a human
        return order.denied(now, Reason.TRADING_HALTED, f"trading is halted: {account.reason}"), account
    account = doubt_reduces(account.on(str(ist_day(now))), exposure.unresolved, now)
    if account.open_until is not None and now >= account.open_until:
        account = account.reached()  # by the reads that `exposure` comes from
    try:
        check(order, account, limits, exposure, now)
    except Denied as denied:
        if denied.reason is Reason.REPEATED_ORDER:
            account = account.switched(TradingState.REDUCING, denied.message, SYSTEM, now)
        return order.denied(now, denied.reason, denied.message), account
    keep = max(BOOK_LAG, limits.cooldown or BOOK_LAG)
    return order.submitted(now), account.counted(order, now, keep, limits.remembered)


def check(order: Order, account: Account, limits: Limits, exposure: Exposure, now: datetime) -> None:
    """Raises Denied, with the numbers, where a rule forbids the order; NotNow where a cover has to wait."""
    ticket = _ticket(order)
    if order.attempt:  # an earlier one of this very order was proven unsent; it must not stand in the way of the next
        account = replace(account, recent=tuple(sent for sent in account.recent if sent.tag != order.tag))
    _check_state(ticket, account)
    _check_breaker(ticket, account, now)
    _check_rates(ticket, account, limits, now)
    unseen = _unseen(account, exposure, now)
    if ticket.covers:
        _check_cover(ticket, unseen, exposure)
    else:
        _check_not_leaving(ticket, unseen)
        lots_open = exposure.lots_open + sum(sent.lots for sent in unseen if not sent.covers)
        if exposure.book is None and lots_open + _may_rest(account, limits, unseen) + ticket.lots > limits.lots_open:
            raise NeedsBook
        _check_entry(ticket, order.strategy, account, limits, lots_open, exposure, now)


def entry_unseen(account: Account, symbol: str, exposure: Exposure, now: datetime) -> bool:
    """Whether an entry of that contract went out a moment ago and the order book does not show it yet."""
    unseen = _unseen(account, exposure, now)
    return any(one.symbol == symbol and not one.covers and one.quantity for one in unseen)


def _unseen(account: Account, exposure: Exposure, now: datetime) -> list[Sent]:
    """What was sent so lately that the order book may not show it yet, and does not."""
    since, shown = now - BOOK_LAG, exposure.tags
    return [sent for sent in account.recent if sent.at > since and sent.tag not in shown]


def _may_rest(account: Account, limits: Limits, unseen: list[Sent]) -> int:
    """The most lots that older orders of today may still open: those that rest show in the order book alone.

    It was not read, so all of the young ones are unseen.
    """
    young = sum(sent.quantity > 0 for sent in unseen)
    return max(0, account.orders - young) * limits.lots_per_order


def _check_state(ticket: Ticket, account: Account) -> None:
    if account.state is TradingState.HALTED:
        raise Denied(Reason.TRADING_HALTED, f"trading is halted: {account.reason or 'no reason given'}")
    if account.state is TradingState.REDUCING and not ticket.covers:
        raise Denied(Reason.EXITS_ONLY, f"only covers are let through: {account.reason or 'no reason given'}")


def _check_breaker(ticket: Ticket, account: Account, now: datetime) -> None:
    """A cover is let through: what it risks is one more order in doubt, and waiting risks the open position."""
    if account.open_until is not None and now < account.open_until and not ticket.covers:
        until = ist_time(account.open_until)
        raise NotNow(Reason.BROKER_DOWN, f"orders did not reach Fyers; entries wait until {until}")


def _check_rates(ticket: Ticket, account: Account, limits: Limits, now: datetime) -> None:
    """The broker counts covers too; but a cover is worth another try, so it is put off, never denied."""
    refuse = NotNow if ticket.covers else Denied
    if limits.orders_per_second is not None:
        per_second = sum(now - sent.at < SECOND for sent in account.recent)
        if per_second >= limits.orders_per_second:
            raise refuse(Reason.MAX_ORDERS_PER_SECOND, f"{per_second} orders in the last second; that is the limit")
    if limits.orders_per_minute is not None:
        per_minute = sum(now - sent.at < MINUTE for sent in account.recent)
        if per_minute >= limits.orders_per_minute:
            raise refuse(Reason.MAX_ORDERS_PER_MINUTE, f"{per_minute} orders in the last minute; that is the limit")


def _check_cover(ticket: Ticket, unseen: list[Sent], exposure: Exposure) -> None:
    """A cover must not buy more than is short, and a cover sent a moment ago may show in neither book nor position.

    Nor may what works at the broker, covers and legs together, ever be more than the position (`NeedsRoom`).
    (Where BUY opens longs, a SELL that closes one is such a cover, the other way round.)
    """
    _check_book_has_entries(ticket, unseen, exposure)
    covering = sum(sent.quantity for sent in unseen if sent.covers and sent.symbol == ticket.symbol)
    closable = exposure.closable(ticket.symbol, ticket.product, ticket.side)
    units = closable[1] if closable and closable[0] is ticket.product else 0  # not another product's
    left = units - exposure.covers_working(ticket.symbol, ticket.product, ticket.side) - covering
    if ticket.quantity > left:
        raise NotNow(
            Reason.POSITION_UNKNOWN,
            f"a cover of {covering} {ticket.symbol} was sent moments ago and the order book does not show it yet",
        )
    room = max(0, left - ticket.quantity)
    if units_of_legs(exposure.book or (), ticket.symbol, ticket.product, ticket.side) > room:
        raise NeedsRoom(room)


def _check_not_leaving(ticket: Ticket, unseen: list[Sent]) -> None:
    """Fyers closes whatever it finds open when the exit gets there: an entry would be closed, and its legs not."""
    if any(sent.covers and sent.squares_off and sent.quantity and sent.symbol == ticket.symbol for sent in unseen):
        raise NotNow(Reason.POSITION_UNKNOWN, f"{ticket.symbol} is being squared off since moments ago")


def _check_book_has_entries(ticket: Ticket, unseen: list[Sent], exposure: Exposure) -> None:
    """An entry that the positions have and the book has not is there with its legs, and nobody can see these yet."""
    entries = any(not sent.covers and sent.symbol == ticket.symbol and sent.quantity for sent in unseen)
    if entries and positions_ahead(exposure.positions, exposure.book or (), ticket.symbol):
        raise NotNow(
            Reason.POSITION_UNKNOWN,
            f"an entry of {ticket.symbol} is filled and not in the order book yet, so its legs are not known",
        )


def _check_entry(
    ticket: Ticket,
    strategy: str | None,
    account: Account,
    limits: Limits,
    lots_open: int,
    exposure: Exposure,
    now: datetime,
) -> None:
    if account.orders >= limits.orders_per_day:
        raise Denied(Reason.MAX_ORDERS_PER_DAY, f"{account.orders} orders today; {limits.orders_per_day} are allowed")
    if ticket.lots > limits.lots_per_order:
        raise Denied(
            Reason.MAX_LOTS_PER_ORDER, f"{ticket.lots} lots; WEBHOOK_MAX_QTY allows {limits.lots_per_order} per order"
        )
    if lots_open + ticket.lots > limits.lots_open:
        raise Denied(
            Reason.MAX_LOTS_OPEN, f"{lots_open} lots open and {ticket.lots} more; {limits.lots_open} are allowed"
        )
    _check_loss(limits, exposure)
    _check_premium(ticket, account, limits)
    _check_repeats(ticket, strategy, account, limits, now)


def _check_loss(limits: Limits, exposure: Exposure) -> None:
    """What is open counts while it loses; a profit that is not realised yet makes no room for more losses."""
    if limits.daily_loss is None:
        return
    if exposure.unrealised is None:
        raise NotNow(Reason.POSITION_UNKNOWN, "the positions do not say what is lost so far, and MAX_DAILY_LOSS is set")
    lost = -exposure.realised - min(exposure.unrealised, Decimal(0))
    if lost >= limits.daily_loss:
        shown = f"₹{plain(lost)} lost today (realised ₹{plain(exposure.realised)}, open ₹{plain(exposure.unrealised)})"
        raise Denied(Reason.MAX_DAILY_LOSS, f"{shown}; entries stop at ₹{plain(limits.daily_loss)}")


def _check_premium(ticket: Ticket, account: Account, limits: Limits) -> None:
    # An order's own at the last price where that is higher: its stop-loss is as far away as that price says.
    dearest = max(ticket.premium, ticket.ltp * ticket.quantity)
    if limits.premium_per_order is not None and dearest > limits.premium_per_order:
        asked, allowed = plain(dearest), plain(limits.premium_per_order)
        raise Denied(Reason.MAX_PREMIUM_PER_ORDER, f"a premium of ₹{asked}; one order may have ₹{allowed}")
    if limits.premium_per_day is not None and account.premium + ticket.premium > limits.premium_per_day:
        total, allowed = plain(account.premium + ticket.premium), plain(limits.premium_per_day)
        raise Denied(Reason.MAX_PREMIUM_PER_DAY, f"a premium of ₹{total} today; the day may have ₹{allowed}")


def _check_repeats(ticket: Ticket, strategy: str | None, account: Account, limits: Limits, now: datetime) -> None:
    entries = [sent for sent in account.recent if not sent.covers]
    if limits.repeats is not None:
        same = [sent for sent in entries if (sent.symbol, sent.side) == (ticket.symbol, ticket.side)]
        repeats = sum(now - sent.at < MINUTE for sent in same)
        if repeats >= limits.repeats:
            raise Denied(
                Reason.REPEATED_ORDER,
                f"{ticket.side} {ticket.symbol} went out {repeats} times in a minute; entries stop until a human looks",
            )
    if limits.cooldown is not None:
        young = [sent for sent in entries if now - sent.at < limits.cooldown]
        if any(one.underlying == ticket.underlying or (strategy and one.strategy == strategy) for one in young):
            seconds = int(limits.cooldown.total_seconds())
            raise Denied(
                Reason.COOLING_DOWN, f"the last entry of this underlying or strategy is less than {seconds} s ago"
            )


def doubt_reduces(account: Account, unresolved: int, now: datetime) -> Account:
    """Two orders in doubt at once: entries stop until somebody has looked and says `trading-state active`."""
    if unresolved < UNRESOLVED_AT_ONCE or account.state is not TradingState.ACTIVE:
        return account
    why = f"{unresolved} orders with an unknown outcome at once; check the order book"
    return account.switched(TradingState.REDUCING, why, SYSTEM, now)


def _ticket(order: Order) -> Ticket:
    if order.ticket is None:
        raise ValueError("the order is not priced")
    return order.ticket
