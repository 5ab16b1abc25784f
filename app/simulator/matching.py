"""Orders meet quotes: triggers, fills, protective legs. The rules of admission and the lock are the exchange's."""

from __future__ import annotations

import time
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

from app.simulator.instruments import IST, Instrument
from app.simulator.market import Market, Quote
from app.simulator.orders import (
    BUY,
    ZERO,
    Book,
    LegPrices,
    Order,
    OrderType,
    Position,
    Status,
    Ticket,
    leg_prices,
    protected_limit,
)
from app.simulator.rules import Rules

UNTAGGED = "2:Untagged"


class Matching:
    """One account's book and positions. `sweep` brings them up to the market."""

    def __init__(self, market: Market, rules: Rules) -> None:
        self.market = market
        self.rules = rules
        self.book = Book()
        self.positions: dict[tuple[str, str], Position] = {}
        self.blocked = ZERO  # rupees of margin held for open orders
        self.liquidity: int | None = None  # units each order can trade per step; None: all it wants
        self._number = 0
        self._seen: object = None

    def new_day(self, positions: dict[tuple[str, str], Position]) -> None:
        """Drops yesterday's book; `positions` are those still open. Order ids start again."""
        self.book = Book()
        self.positions = positions
        self._number = 0
        for position in positions.values():
            position.carry()

    # -- orders in and out

    def write(self, ticket: Ticket, instrument: Instrument, *, parent: Order | None = None, group: str = "") -> Order:
        """A new row of the book, in transit. Its id is YYMMDD and eight digits."""
        now = self.market.now()
        self._number += 1
        order = Order(
            id=f"{now.astimezone(IST):%y%m%d}{self._number:08d}",
            number=self._number,
            instrument=instrument,
            side=ticket.side,
            quantity=ticket.quantity,
            order_type=ticket.order_type,
            product=ticket.product,
            validity=ticket.validity,
            limit_price=ticket.limit_price,
            stop_price=ticket.stop_price,
            tag=f"1:{ticket.tag}" if ticket.tag else UNTAGGED,
            placed_at=now,
            created=time.monotonic(),
            stop_loss=ticket.stop_loss,
            take_profit=ticket.take_profit,
            leg_type=ticket.leg_type,
            parent_id=parent.id if parent else None,
            group=group,
        )
        self.book.add(order)
        return order

    def submit(self, order: Order, blocked_per_unit: Decimal = ZERO) -> None:
        """Hands an admitted order to the market, at once or after the transit time."""
        order.margin_per_unit = blocked_per_unit
        self.blocked += blocked_per_unit * order.remaining
        if self.rules.transit_seconds <= 0:
            self._arrive(order)

    def close(self, order: Order, status: Status, message: str = "") -> None:
        """Ends an order that is still open, and frees its margin."""
        self.blocked -= order.margin_per_unit * order.remaining
        order.margin_per_unit = ZERO
        order.status = status
        order.message = message or order.message
        self.book.open.pop(order.id, None)

    def reject(self, order: Order, message: str) -> None:
        self.close(order, Status.REJECTED, message)

    def cancel(self, order: Order, message: str = "") -> None:
        """Cancels an order, and its legs where the rules say so."""
        self.close(order, Status.CANCELLED, message)
        if not order.is_leg and self.rules.cancel_takes_legs:
            for leg in self.book.open_legs(order.id):
                self.close(leg, Status.CANCELLED)

    def amend(self, order: Order, quantity: int) -> None:
        """Changes the total quantity of an open order, and the margin held for it."""
        self.blocked += order.margin_per_unit * (quantity - order.quantity)
        order.quantity = quantity

    # -- the market moves

    def sweep(self) -> None:
        """Matches every open order with the quotes where any of them may have changed."""
        version = self.market.refresh()
        moved, self._seen = version != self._seen, version
        if moved or self.rules.transit_seconds > 0:
            for order in list(self.book.open.values()):
                if order.status is Status.TRANSIT:
                    self._land(order)
                elif moved:
                    self.match(order)

    def match(self, order: Order) -> None:
        """Triggers and fills one pending order as far as its price and the liquidity allow."""
        if order.status is not Status.PENDING:
            return
        quote = self.market.quote(order.instrument)
        if order.waits_for_trigger and not self._trigger(order, quote):
            return
        touch = quote.ask if order.side == BUY else quote.bid
        if touch and (touch - order.limit_price) * order.side <= 0:
            allowed = order.remaining if self.liquidity is None else min(order.remaining, self.liquidity)
            if allowed:
                self.fill(order, allowed, touch)

    def fill(self, order: Order, quantity: int, price: Decimal) -> None:
        """Trades so many units at that price, whatever the quotes are."""
        order.filled += quantity
        order.traded_value += price * quantity
        self.blocked -= order.margin_per_unit * quantity
        if order.filled == order.quantity:
            order.status = Status.FILLED
            self.book.open.pop(order.id, None)
        self.book.trade(order, quantity, price, self.market.now())
        self.position(order.instrument, order.product).trade(order.side, quantity, price)
        if order.is_leg:
            self._reduce_siblings(order, quantity)
        else:
            self._protect(order)

    def position(self, instrument: Instrument, product: str) -> Position:
        key = instrument.symbol, product
        if key not in self.positions:
            self.positions[key] = Position(instrument, product)
        return self.positions[key]

    def _land(self, order: Order) -> None:
        if self.market.now() - order.placed_at >= timedelta(seconds=self.rules.transit_seconds):
            self._arrive(order)

    def _arrive(self, order: Order) -> None:
        order.status = Status.PENDING
        order.exchange_id = f"11000000{order.number:08d}"
        self.match(order)
        if order.validity == "IOC" and order.is_open:
            self.close(order, Status.CANCELLED, "IOC unfilled quantity cancelled")

    def _trigger(self, order: Order, quote: Quote) -> bool:
        order.triggered = (quote.ltp - order.stop_price) * order.side >= 0
        if order.triggered and order.order_type is OrderType.SL_M:
            order.limit_price = protected_limit(order.instrument, order.side, quote.ltp)
        return order.triggered

    # -- protective legs

    def _protect(self, order: Order) -> None:
        """Adds legs for the filled quantity. Where both still stand they grow with it."""
        if not (order.stop_loss or order.take_profit):
            return
        legs = self.book.open_legs(order.id)
        wanted = (order.stop_loss > 0) + (order.take_profit > 0)
        if len(legs) == wanted:
            for leg in legs:
                leg.quantity += order.filled - order.protected
        else:
            self.add_legs(order, order.filled - order.protected)
        order.protected = order.filled

    def add_legs(self, parent: Order, quantity: int) -> None:
        """Adds a stop and a target for `quantity` units of a filled entry."""
        prices = leg_prices(
            parent.instrument, parent.side, parent.average, parent.stop_loss, parent.take_profit, parent.leg_type
        )
        tag = parent.tag.removeprefix("1:") if self.rules.legs_carry_tag and parent.tag != UNTAGGED else None
        self.place_legs(parent.instrument, parent.product, -parent.side, quantity, prices, parent.id, parent, tag)

    def place_legs(
        self,
        instrument: Instrument,
        product: str,
        side: int,
        quantity: int,
        prices: LegPrices,
        group: str,
        parent: Order | None = None,
        tag: str | None = None,
    ) -> None:
        """The stop goes first: where both could trade in one step, the loss counts."""
        leg = Ticket(instrument.symbol, side, quantity, OrderType.LIMIT, product, tag=tag)
        if prices.trigger is not None and prices.stop_limit is not None:
            stop = replace(leg, order_type=OrderType.SL_L, limit_price=prices.stop_limit, stop_price=prices.trigger)
            self._arrive(self.write(stop, instrument, parent=parent, group=group))
        if prices.target is not None and self._still_needed(group, prices):
            target = replace(leg, limit_price=prices.target)
            self._arrive(self.write(target, instrument, parent=parent, group=group))

    def _still_needed(self, group: str, prices: LegPrices) -> bool:
        return prices.trigger is None or bool(self.book.open_legs(group))

    def _reduce_siblings(self, leg: Order, quantity: int) -> None:
        """One cancels the other. A partial fill reduces the other by as much."""
        for sibling in self.book.open_legs(leg.group):
            if sibling is leg or sibling.order_type is leg.order_type:
                continue
            if sibling.quantity - quantity <= sibling.filled:
                self.close(sibling, Status.CANCELLED, "OCO")
            else:
                sibling.quantity -= quantity
