"""The flow: one alert becomes at most one order.

    claimed -> read and priced -> (checked and submitted, one atomic commit) -> placed -> recorded

`claim` inserts unless the alert is known, so an alert that comes twice is one order. `submit` is a compare-and-set that
one request wins, and it is on disk before the call leaves. `place` runs once for each submit. Whatever happens after
submit leaves an order that says "it may be there", and the order book tells the rest (`reconcile`).
"""

import logging
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import partial

from app.domain.alert import Alert, Side
from app.domain.alert.identity import Identity, identify, tag_of
from app.domain.calendar import ist_day
from app.domain.deadline import SEND_WINDOW, SUBMIT_NEEDS_LEFT, Deadline
from app.domain.errors import Denied, NotNow, Reason, SameIdOtherOrder
from app.domain.holding import Holdings
from app.domain.notice import Notice, Severity, duplicate_notice, facts_of, hour_of, notice_of, what
from app.domain.order import Accepted, NotSent, Order, Outcome, Ticket, Unresolved
from app.domain.order.status import OrderStatus
from app.domain.protection import trimmed
from app.domain.risk.check import NeedsBook, NeedsRoom, decide
from app.domain.risk.controls import Controls, Decision, ticket_of
from app.domain.ticket import BuyMode, write_ticket
from app.flow.desk import Desk
from app.flow.hours import closed
from app.flow.market import Market, MarketReads
from app.flow.outbox import deliver, post
from app.flow.ports import Overtaken, Window
from app.flow.protection import trim
from app.flow.timings import step

log = logging.getLogger("gateway.execution")

ATTEMPTS = 2  # of one request; the second only after proof that not a byte of the first left
CLOCKS_DIFFER = timedelta(seconds=10)  # an alert may seem to come from the future by so much


@dataclass(frozen=True, slots=True)
class Receipt:
    """What the sender is answered. `problem` says why an order is still RECEIVED, or could not be recorded."""

    order: Order
    duplicate: bool = False
    problem: NotNow | None = None


def execute(alert: Alert, desk: Desk, deadline: Deadline, request_id: str) -> Receipt:
    """One alert, from claim to record. Raises SameIdOtherOrder, and NotNow where not even the claim was possible."""
    identity = identify(alert, desk.account)
    received = _received(alert, identity, desk, request_id)
    begun = _refusal(alert, received, desk) or MarketReads(alert, received.alert_at, desk, deadline)
    order = _claim(received, identity, desk, deadline)
    if isinstance(begun, MarketReads) and order.alert_at != received.alert_at:  # an earlier delivery's, without a time
        begun = MarketReads(alert, order.alert_at, desk, deadline)
    if order.fingerprint != received.fingerprint:
        raise _same_id(order, received, desk, deadline)
    if order.status is not OrderStatus.RECEIVED:
        return _seen_before(order, desk, deadline)
    try:
        receipt = _advance(order, alert, begun, desk, deadline)
    except NotNow as problem:
        return Receipt(order, problem=problem)
    except Overtaken as overtaken:  # by another delivery at the same moment
        if overtaken.current.status is OrderStatus.RECEIVED:  # whose attempt was not sent, so neither is suppressed
            return Receipt(overtaken.current, duplicate=True)
        return _seen_before(overtaken.current, desk, deadline)
    _tell(receipt.order, desk, deadline)
    return receipt


def _received(alert: Alert, identity: Identity, desk: Desk, request_id: str) -> Order:
    now = desk.clock.now()
    key = identity.key(window_opened=now)
    return Order(
        key=key,
        tag=tag_of(key),
        fingerprint=identity.fingerprint,
        day=str(ist_day(now)),
        asked=alert.asked(),
        received_at=now,
        alert_at=alert.fired(now),
        request_id=request_id,
        strategy=alert.strategy,
    )


def _refusal(alert: Alert, order: Order, desk: Desk) -> Denied | None:
    """What the alert and the clock alone forbid: too old, from the future, delayed data, market closed."""
    now = desk.clock.now()
    age = now - order.alert_at
    covers = alert.side is Side.BUY and desk.tickets.buy_mode is BuyMode.COVER
    allowed = desk.ages.exit if covers else desk.ages.entry
    if age > allowed:
        seconds = f"{age.total_seconds():.0f} s old; {allowed.total_seconds():.0f} s are allowed"
        return Denied(Reason.TOO_OLD, f"the alert is {seconds}, so it was not sent")
    if age < -CLOCKS_DIFFER:
        return Denied(Reason.TOO_OLD, "timenow lies in the future, so its age cannot be told and it was not sent")
    if alert.delayed:
        return Denied(Reason.DELAYED_DATA)
    if not desk.calendar.is_open(now, desk.symbols.session):  # the contract's own hours count once it is known
        return Denied(Reason.MARKET_CLOSED)
    return None


@step("claim")
def _claim(received: Order, identity: Identity, desk: Desk, deadline: Deadline) -> Order:
    """Without a ledger nothing is written down, so the operator is notified directly: this alert may be lost."""
    window = Window(identity.digest, desk.ages.dedupe_window.total_seconds()) if identity.windowed else None
    try:
        return desk.ledger.claim(received, window, deadline)
    except NotNow as problem:
        text = f"Not written down, {what(received)}: {problem.message}. If its resends fail as well, the alert is lost."
        notice = Notice(f"unclaimed:{identity.digest}", "unclaimed", Severity.CRITICAL, text)
        desk.notifier.send(notice, deadline)
        raise


def _seen_before(order: Order, desk: Desk, deadline: Deadline) -> Receipt:
    """TradingView resends only after a 5xx, so a second alert for an order that went on is a second firing."""
    post(duplicate_notice(order, desk.clock.now()), desk.ledger, desk.notifier, deadline)
    return Receipt(order, duplicate=True)


def _same_id(order: Order, received: Order, desk: Desk, deadline: Deadline) -> SameIdOtherOrder:
    text = f"The id of {what(order)} came again with another order, {what(received)}. The second was refused."
    notice_id = f"{order.key}:other:{received.fingerprint[:16]}:{hour_of(received.received_at)}"
    post(Notice(notice_id, "same-id", Severity.CRITICAL, text, facts_of(order)), desk.ledger, desk.notifier, deadline)
    return SameIdOtherOrder()


def _advance(order: Order, alert: Alert, begun: MarketReads | Denied, desk: Desk, deadline: Deadline) -> Receipt:
    try:
        if isinstance(begun, Denied):
            raise begun
        if (refusal := _refusal(alert, order, desk)) is not None:  # the age counts from the first delivery
            raise refusal
        return _send(order, alert, begun, desk, deadline)
    except Denied as denied:
        now, why = desk.clock.now(), denied.message
        too_old = denied.reason is Reason.TOO_OLD
        refused = order.lapsed(now, why) if too_old else order.denied(now, denied.reason, why)
        return _recorded(refused, desk, deadline)


def _send(order: Order, alert: Alert, reads: MarketReads, desk: Desk, deadline: Deadline) -> Receipt:
    """Prices, submits, places and records. Raises only before anything was sent."""
    with step("read"):
        market = reads.result()
    if order.attempt:  # an earlier attempt counts as not sent; before another one the order book has to agree
        market = reads.with_book(market)
        if any(row.tag == order.tag for row in market.holdings.book or ()):
            raise NotNow(Reason.OUTCOME_UNKNOWN, "an order with this alert's tag is in the order book after all")
    with step("price"):
        ticket = _ticket(alert, market, desk, deadline)
    if not ticket.covers:
        reads.require_open()
    _check_master(ticket, desk)
    receipt = Receipt(order.priced(ticket))
    for _ in range(ATTEMPTS):
        deadline.require(SUBMIT_NEEDS_LEFT)
        submitted = _submit(receipt.order, market, reads, desk, deadline)
        if submitted.status is OrderStatus.DENIED:
            return Receipt(submitted)
        outcome = _place(submitted, desk, deadline)
        receipt = _recorded_outcome(submitted, outcome, desk, deadline)
        again = isinstance(outcome, NotSent) and outcome.again and receipt.order.status is OrderStatus.RECEIVED
        if not again or deadline.left() < SUBMIT_NEEDS_LEFT:
            break
    return receipt


def _ticket(alert: Alert, market: Market, desk: Desk, deadline: Deadline) -> Ticket:
    """Raises Denied. For an exit whose entry was sent moments ago, or still rests, raises NotNow instead."""
    try:
        return write_ticket(alert, market.contract, market.quote, market.holdings, desk.tickets)
    except Denied as denied:
        if denied.reason is not Reason.NO_SHORT_TO_COVER:
            raise
        _check_not_stopped(market, desk)
        controls = desk.ledger.controls(deadline)
        holdings = market.holdings.with_sent(controls.sent_since(desk.clock.now() - desk.limits.venue.book_lag))
        for symbol in {one.symbol for one in (market.contract, market.todays) if one is not None}:
            if holdings.entry_on_its_way(symbol):
                text = f"an entry of {symbol} is on its way and not filled yet"
                raise NotNow(Reason.POSITION_UNKNOWN, text) from denied
        raise


def _check_not_stopped(market: Market, desk: Desk) -> None:
    """Raises Denied where the cover was for a short of today's contract, which has stopped trading."""
    stopped = market.todays
    if stopped is None or not any(holding.net < 0 for holding in market.holdings.of(stopped.symbol)):
        return
    if (denied := closed(stopped, desk.calendar, desk.clock.now(), entering=False)) is not None:
        raise denied


def _check_master(ticket: Ticket, desk: Desk) -> None:
    """A cover may resolve by an old master: its contract was listed when the short was opened."""
    oldest = desk.calendar.trading_day_before(desk.calendar.latest_trading_day(ist_day(desk.clock.now())))
    if not ticket.covers and desk.symbols.as_of < oldest:
        text = f"the symbol master is of {desk.symbols.as_of}; entries need one of {oldest}"
        raise Denied(Reason.SYMBOLS_STALE, text)


@step("submit")
def _submit(order: Order, market: Market, reads: MarketReads, desk: Desk, deadline: Deadline) -> Order:
    """Commits. Where the check needs the order book, or fewer legs, it gets them and is asked once more."""
    try:
        return _commit(order, market, desk, deadline)
    except NeedsBook:
        market = reads.with_book(market)
    except NeedsRoom as room:
        _make_room(order, market.holdings, room.units, desk, deadline)
        market = reads.with_book(market)
    deadline.require(SUBMIT_NEEDS_LEFT)
    try:
        return _commit(order, market, desk, deadline)
    except NeedsRoom as room:
        why = f"the legs beside this cover may close {room.units} units, and could not be brought down to that yet"
        raise NotNow(Reason.POSITION_UNKNOWN, why) from None


def _commit(order: Order, market: Market, desk: Desk, deadline: Deadline) -> Order:
    return desk.ledger.submit(order, partial(_decide, order, market, desk), deadline)


@step("legs")
def _make_room(order: Order, holdings: Holdings, units: int, desk: Desk, deadline: Deadline) -> None:
    """Legs go before the cover does: a leg that is filled beside it would open a position."""
    ticket = ticket_of(order)
    trim(trimmed(holdings.at(ticket.symbol, ticket.product), ticket.side, units), desk, deadline)


def _decide(order: Order, market: Market, desk: Desk, controls: Controls) -> Decision:
    """Runs inside the ledger's commit and reads the clock there: rates and hours count from when orders go out."""
    now = desk.clock.now()
    entering = order.ticket is not None and not order.ticket.covers
    if (denied := closed(market.contract, desk.calendar, now, entering=entering)) is not None:
        return order.denied(now, denied.reason, denied.message), controls
    return decide(order, controls, desk.limits, market.holdings, now)


@step("place")
def _place(order: Order, desk: Desk, deadline: Deadline) -> Outcome:
    """Sends the order, once. A fault of the gateway in here proves nothing."""
    try:
        return desk.broker.place(order, deadline.within(SEND_WINDOW), deadline)
    except Exception:
        log.exception("placing an order failed unexpectedly", extra={"key": order.key})
        return Unresolved("a fault in the gateway while the order was being sent")


def _recorded_outcome(submitted: Order, outcome: Outcome, desk: Desk, deadline: Deadline) -> Receipt:
    """Never raises: the order may be at the broker."""
    try:
        receipt = _recorded(submitted.after(outcome, desk.clock.now()), desk, deadline)
        if _only_doubted(receipt.order, submitted) and not isinstance(outcome, Unresolved):
            receipt = _recorded(receipt.order.after(outcome, desk.clock.now()), desk, deadline)
    except Exception:  # the sender may not be asked to try again
        log.exception("recording the outcome of an order failed", extra={"key": submitted.key})
        return _not_recorded(submitted, outcome, desk, deadline)
    if receipt.order.status is OrderStatus.RECEIVED and isinstance(outcome, NotSent):
        return replace(receipt, problem=NotNow(Reason.NOT_SENT, f"the order was not sent: {outcome.why}"))
    return receipt


def _only_doubted(current: Order, submitted: Order) -> bool:
    """Whether reconcile called this attempt unknown while it was under way: the broker's reply says more."""
    same = current.status is OrderStatus.SUBMITTED and current.attempt == submitted.attempt
    return same and current.sequence > submitted.sequence


@step("record")
def _recorded(order: Order, desk: Desk, deadline: Deadline) -> Receipt:
    try:
        return Receipt(desk.ledger.record(order, deadline))
    except Overtaken as overtaken:  # reconcile or another delivery knew more first
        return Receipt(overtaken.current)


def _not_recorded(submitted: Order, outcome: Outcome, desk: Desk, deadline: Deadline) -> Receipt:
    """The ledger still says SUBMITTED, and so does the answer, with the broker's order id where it is known."""
    text = f"{what(submitted)} was sent and its outcome could not be written down: {outcome}"
    facts = facts_of(submitted) | {"outcome": str(outcome)}
    notice = Notice(f"{submitted.key}:not-recorded", "not-recorded", Severity.CRITICAL, text, facts)
    desk.notifier.send(notice, deadline)
    known = outcome.broker_order_id if isinstance(outcome, Accepted) else None
    return Receipt(replace(submitted, broker_order_id=known), problem=NotNow(Reason.NOT_RECORDED))


@step("tell")
def _tell(order: Order, desk: Desk, deadline: Deadline) -> None:
    """Delivers the newest step's notice where time allows; it is in the outbox already. Never raises."""
    try:
        if (notice := notice_of(order)) is not None and deadline.left() > 0:
            deliver(notice, desk.ledger, desk.notifier, deadline)
    except Exception:
        log.exception("a notice could not be delivered; reconcile does it", extra={"key": order.key})
