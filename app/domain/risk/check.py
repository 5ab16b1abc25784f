"""The last check before an order is sent: one pure function of the order, the controls and the limits.

The controls hold the trading state and the day's counters. A ledger's `submit` reads them, runs `decide`, and commits
order and controls together, so two orders at once cannot pass a limit, and a halt holds for every commit after it.
Nothing is cached and no clock is read here.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from app.domain.calendar import ist_day, ist_time
from app.domain.errors import Denied, NotNow, Reason
from app.domain.holding import Holdings
from app.domain.order import Order, Sent, Ticket
from app.domain.risk.controls import SYSTEM, Controls, Decision, TradingState, doubt_reduces, ticket_of
from app.domain.risk.limits import Limits, check_entry, check_rates


class NeedsBook(Exception):
    """Only the order book, which was not read yet, can tell whether the limit of open lots is reached.

    Without it every order of the last minutes counts as open beside the positions, filled or not. That is enough to
    let an order through, and not enough to deny one.
    """


class NeedsRoom(Exception):
    """A cover may go out, once its protective legs are taken down to `units`.

    Until then covers and legs together could buy more than is short, and open a long. It is asked for last, inside the
    commit: an order that is denied, or kept back, costs no position its stop-loss.
    """

    def __init__(self, units: int) -> None:
        super().__init__(f"legs may close {units} units beside this cover")
        self.units = units


def decide(order: Order, controls: Controls, limits: Limits, holdings: Holdings, now: datetime) -> Decision:
    """The order SUBMITTED and counted, or DENIED with its reason; and the controls after it."""
    if controls.damaged:  # it is not overwritten: the operator may still be able to read what it counted
        return order.denied(now, Reason.TRADING_HALTED, f"trading is halted: {controls.reason}"), controls
    controls = doubt_reduces(controls.on(str(ist_day(now))), holdings.unresolved, now)
    if controls.open_until is not None and now >= controls.open_until:
        controls = controls.reached()  # the reads behind `holdings` succeeded
    try:
        check(order, controls, limits, holdings, now)
    except Denied as denied:
        if denied.reason is Reason.REPEATED_ORDER:
            controls = controls.switched(TradingState.REDUCING, denied.message, SYSTEM, now)
        return order.denied(now, denied.reason, denied.message), controls
    keep = max(limits.venue.book_lag, limits.cooldown or timedelta())
    return order.submitted(now), controls.counted(order, now, keep, limits.remembered)


def check(order: Order, controls: Controls, limits: Limits, holdings: Holdings, now: datetime) -> None:
    """Raises Denied, with the numbers, where a rule forbids the order, and NotNow where the order has to wait."""
    ticket = ticket_of(order)
    if order.attempt:  # an earlier attempt of this order is proven unsent, and must not count against this one
        controls = replace(controls, recent=tuple(sent for sent in controls.recent if sent.tag != order.tag))
    _check_state(ticket, controls)
    _check_breaker(ticket, controls, now)
    check_rates(ticket, controls, limits, now)
    holdings = holdings.with_sent(controls.sent_since(now - limits.venue.book_lag))
    if ticket.covers:
        _check_cover(ticket, holdings)
    else:
        _check_not_leaving(ticket, holdings)
        unseen = holdings.unseen
        lots_open = holdings.lots_open + sum(sent.lots for sent in unseen if not sent.covers)
        if holdings.book is None and lots_open + _may_rest(controls, limits, unseen) + ticket.lots > limits.lots_open:
            raise NeedsBook
        check_entry(ticket, order.strategy, controls, limits, lots_open, holdings, now)


def _may_rest(controls: Controls, limits: Limits, unseen: Sequence[Sent]) -> int:
    """The most lots that older orders of today may still open: those that rest show in the order book alone.

    It was not read, so all of the young ones are unseen.
    """
    return max(0, controls.orders - len(unseen)) * limits.lots_per_order


def _check_state(ticket: Ticket, controls: Controls) -> None:
    if controls.state is TradingState.HALTED:
        raise Denied(Reason.TRADING_HALTED, f"trading is halted: {controls.reason or 'no reason given'}")
    if controls.state is TradingState.REDUCING and not ticket.covers:
        raise Denied(Reason.EXITS_ONLY, f"entries are stopped, covers pass: {controls.reason or 'no reason given'}")


def _check_breaker(ticket: Ticket, controls: Controls, now: datetime) -> None:
    """A cover passes: it risks one more order in doubt, and waiting would risk the open position."""
    if controls.open_until is not None and now < controls.open_until and not ticket.covers:
        until = ist_time(controls.open_until)
        raise NotNow(Reason.BROKER_DOWN, f"orders did not reach the broker; entries wait until {until}")


def _check_cover(ticket: Ticket, holdings: Holdings) -> None:
    """A cover must not buy more than is short, and a cover sent a moment ago may show in neither book nor position.

    Nor may what works at the broker, covers and legs together, ever be more than the position (`NeedsRoom`).
    (Where BUY opens longs, a SELL that closes one is such a cover, the other way round.)
    """
    holding = holdings.at(ticket.symbol, ticket.product)
    if holding.entry_unseen and holdings.ahead(ticket.symbol):  # its legs stand at the broker, and cannot be seen yet
        raise NotNow(
            Reason.POSITION_UNKNOWN,
            f"an entry of {ticket.symbol} is filled and not in the order book yet, so its legs are not known",
        )
    room = holding.left(ticket.side) - ticket.quantity
    if room < 0:
        raise NotNow(
            Reason.POSITION_UNKNOWN,
            f"a cover of {holding.covers_unseen} {ticket.symbol} was sent moments ago"
            " and the order book does not show it yet",
        )
    if holding.units_of_legs(ticket.side) > room:
        raise NeedsRoom(room)


def _check_not_leaving(ticket: Ticket, holdings: Holdings) -> None:
    """The broker closes whatever is open when the exit gets there: an entry would be closed, and its legs not."""
    if holdings.at(ticket.symbol, ticket.product).squared_off:
        raise NotNow(Reason.POSITION_UNKNOWN, f"{ticket.symbol} is being squared off since moments ago")
