"""What the operator allows: rupees, lots, counts and seconds; and the rule of each limit."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from app.domain.errors import Denied, NotNow, Reason
from app.domain.holding import Holdings
from app.domain.money import plain
from app.domain.order import Ticket
from app.domain.risk.controls import MINUTE, Controls

EVERY_ONE = 1_000_000
SECOND = timedelta(seconds=1)


@dataclass(frozen=True, slots=True)
class VenueRules:
    """One broker's rates and lags; its adapter has the values.

    `orders_per_second` is the most that the broker takes. An order may be missing from the broker's order book for
    `book_lag` after it was sent; within that time the broker's rates let at most `orders_in_lag` orders through.
    """

    orders_per_second: int
    orders_in_lag: int
    book_lag: timedelta


@dataclass(frozen=True, slots=True)
class Limits:
    """None means that a limit is off. Counts are per IST day unless the name says otherwise."""

    venue: VenueRules
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

    def worst_loss(self, max_stop_percent: Decimal) -> Decimal | None:
        """The most, in rupees, that alerts with the right secret can lose in a day; None where no limit bounds it.

        Entries stop at `daily_loss`. What is open then, at most `lots_open` lots of at most `premium_per_order` each,
        may still run to its stop-loss. Charges, and fills beyond a stop's trigger, come on top.
        """
        if self.daily_loss is None or self.premium_per_order is None:
            return None
        return self.daily_loss + self.lots_open * self.premium_per_order * max_stop_percent / 100

    @property
    def remembered(self) -> int:
        """How many of the last orders any rule can need. A cooldown needs older ones, and keeps their number small."""
        if self.cooldown is not None:
            return EVERY_ONE
        return max(self.venue.orders_in_lag, self.orders_per_minute or 0, self.repeats or 0)


def check_rates(ticket: Ticket, controls: Controls, limits: Limits, now: datetime) -> None:
    """The broker counts covers too. A cover over the rate has to wait, and is never denied."""
    refuse = NotNow if ticket.covers else Denied
    for word, span, most, reason in (
        ("second", SECOND, limits.orders_per_second, Reason.MAX_ORDERS_PER_SECOND),
        ("minute", MINUTE, limits.orders_per_minute, Reason.MAX_ORDERS_PER_MINUTE),
    ):
        if most is not None and (sent := sum(now - one.at < span for one in controls.recent)) >= most:
            raise refuse(reason, f"{sent} orders in the last {word}; {reason} allows {most}")


def check_entry(
    ticket: Ticket,
    strategy: str | None,
    controls: Controls,
    limits: Limits,
    lots_open: int,
    holdings: Holdings,
    now: datetime,
) -> None:
    if controls.orders >= limits.orders_per_day:
        raise Denied(
            Reason.MAX_ORDERS_PER_DAY,
            f"{controls.orders} orders today; MAX_ORDERS_PER_DAY allows {limits.orders_per_day}",
        )
    if ticket.lots > limits.lots_per_order:
        raise Denied(
            Reason.MAX_LOTS_PER_ORDER, f"{ticket.lots} lots; WEBHOOK_MAX_QTY allows {limits.lots_per_order} per order"
        )
    if lots_open + ticket.lots > limits.lots_open:
        raise Denied(
            Reason.MAX_LOTS_OPEN,
            f"{lots_open} lots open and {ticket.lots} more; MAX_LOTS_OPEN allows {limits.lots_open}",
        )
    _check_loss(limits, holdings)
    _check_premium(ticket, controls, limits)
    _check_repeats(ticket, strategy, controls, limits, now)


def _check_loss(limits: Limits, holdings: Holdings) -> None:
    """An open loss counts. An open profit does not: until it is realised it makes no room for more losses."""
    if limits.daily_loss is None:
        return
    realised, unrealised = holdings.realised, holdings.unrealised
    if unrealised is None:
        raise NotNow(Reason.POSITION_UNKNOWN, "the positions do not show the day's loss, and MAX_DAILY_LOSS needs it")
    lost = -realised - min(unrealised, Decimal(0))
    if lost >= limits.daily_loss:
        shown = f"₹{plain(lost)} lost today (realised ₹{plain(realised)}, open ₹{plain(unrealised)})"
        raise Denied(Reason.MAX_DAILY_LOSS, f"{shown}; MAX_DAILY_LOSS stops entries at ₹{plain(limits.daily_loss)}")


def _check_premium(ticket: Ticket, controls: Controls, limits: Limits) -> None:
    # Of one order at the last price where that is higher: the distance of its stop-loss goes by that price.
    dearest = max(ticket.premium, ticket.ltp * ticket.quantity)
    if limits.premium_per_order is not None and dearest > limits.premium_per_order:
        asked, allowed = plain(dearest), plain(limits.premium_per_order)
        raise Denied(Reason.MAX_PREMIUM_PER_ORDER, f"a premium of ₹{asked}; MAX_PREMIUM_PER_ORDER allows ₹{allowed}")
    if limits.premium_per_day is not None and controls.premium + ticket.premium > limits.premium_per_day:
        total, allowed = plain(controls.premium + ticket.premium), plain(limits.premium_per_day)
        raise Denied(Reason.MAX_PREMIUM_PER_DAY, f"a premium of ₹{total} today; MAX_PREMIUM_PER_DAY allows ₹{allowed}")


def _check_repeats(ticket: Ticket, strategy: str | None, controls: Controls, limits: Limits, now: datetime) -> None:
    entries = [sent for sent in controls.recent if not sent.covers]
    if limits.repeats is not None:
        same = [sent for sent in entries if (sent.symbol, sent.side) == (ticket.symbol, ticket.side)]
        repeats = sum(now - sent.at < MINUTE for sent in same)
        if repeats >= limits.repeats:
            sent = f"{ticket.side} {ticket.symbol} went out {repeats} times in a minute"
            raise Denied(Reason.REPEATED_ORDER, f"{sent}; entries stop until the operator looks")
    if limits.cooldown is not None:
        young = [sent for sent in entries if now - sent.at < limits.cooldown]
        if any(one.underlying == ticket.underlying or (strategy and one.strategy == strategy) for one in young):
            seconds = int(limits.cooldown.total_seconds())
            raise Denied(
                Reason.COOLING_DOWN,
                f"an entry of this underlying or strategy is younger than COOLDOWN_SECONDS, {seconds} s",
            )
