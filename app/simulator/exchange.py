"""A Fyers account without the wire: what it accepts, refuses and rejects, what it holds, and what that costs.

Every public method takes the one lock, brings the book up to the market, acts, and returns. Prices are Decimal rupees.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping
from datetime import date, datetime
from decimal import Decimal
from typing import Any, ClassVar

from app.simulator.instruments import Instrument, utc_now
from app.simulator.market import Market, Quote
from app.simulator.matching import Matching
from app.simulator.orders import (
    BUY,
    SELL,
    ZERO,
    Order,
    OrderType,
    Position,
    Status,
    Ticket,
    Trade,
    leg_prices,
    protected_limit,
)
from app.simulator.rms import RiskSystem
from app.simulator.rules import (
    Refused,
    Rules,
    check_offsets,
    check_prices,
    check_quantity,
    check_ticket,
    decimal_field,
    integer_field,
    read_ticket,
)

# The answer to a change or cancellation of a closed order (the broker's error list of 2023).
_CLOSED = {
    Status.CANCELLED: (-161, "Order is already cancelled"),
    Status.FILLED: (-162, "Order is already traded"),
    Status.REJECTED: (-164, "Order is already rejected"),
    Status.EXPIRED: (-159, "Order is not open"),
}
NOTHING_TO_EXIT = -352
BAD_ORDER_ID, BAD_POSITION_ID = -51, -53


class Exchange:
    """One account at the broker.

    seed: decides every quote; now: gives the time with its zone, UTC by default; capital: rupees of cash at the start
    of the day; volatile: False keeps the quotes where they are; client_id: the account's id.
    """

    market_type: ClassVar[type[Market]] = Market

    def __init__(
        self,
        seed: int = 1,
        now: Callable[[], datetime] = utc_now,
        capital: Decimal = Decimal(1_000_000),
        *,
        volatile: bool = True,
        holidays: frozenset[date] = frozenset(),
        strikes_each_side: int = 30,
        rules: Rules | None = None,
        client_id: str = "F12345",
    ) -> None:
        self.seed = seed
        self.client_id = client_id
        self.rules = rules or Rules()
        self.lock = threading.RLock()
        self.market = self.market_type(
            seed, now, volatile=volatile, holidays=holidays, strikes_each_side=strikes_each_side
        )
        self.desk = Matching(self.market, self.rules)
        self.rms = RiskSystem(self.market, self.desk, self.rules, client_id, capital)
        self._day = self.market.listing.day

    # -- orders

    def place(self, payload: Mapping[str, Any], *, reject: str | None = None) -> Order:
        """Places one order from the fields of POST /orders/sync. It may come back REJECTED.

        reject: rejects the order with this text, whatever it is. Raises Refused, which leaves no order.
        """
        with self.lock:
            self._advance()
            ticket = read_ticket(payload, self.rules, self.client_id)
            instrument = self._tradable(ticket.symbol)
            check_ticket(ticket, instrument, self.rules)
            return self.rms.admit(ticket, instrument, reject)

    def place_slices(self, payload: Mapping[str, Any]) -> list[Order]:
        """`isSliceOrder`: splits what is above the freeze quantity into at most ten orders."""
        with self.lock:
            instrument = self._tradable(str(payload.get("symbol")))
            parts = _slices(instrument, integer_field(payload, "qty"))
            if len(parts) > 10:
                raise Refused("Quantity exceeds the allowable slice limit.")
            return [self.place({**payload, "qty": part}) for part in parts]

    def modify(self, payload: Mapping[str, Any]) -> Order:
        """PATCH /orders/sync: changes prices, quantity, type or protective offsets of an open order."""
        with self.lock:
            self._advance()
            order = self._open_order(payload.get("id"))
            if self.rules.modify_needs_all and "limitPrice" not in payload:
                raise Refused("limitPrice does not match: 0")
            kind = (
                OrderType(integer_field(payload, "type"))
                if payload.get("type") in tuple(OrderType)
                else order.order_type
            )
            limit = decimal_field(payload, "limitPrice") if "limitPrice" in payload else order.limit_price
            stop = decimal_field(payload, "stopPrice") if "stopPrice" in payload else order.stop_price
            # Not documented: whether qty is the total or the remainder of a partly filled order. Here it is the total.
            quantity = integer_field(payload, "qty") if "qty" in payload else order.quantity
            check_quantity(order.instrument, quantity, self.rules)
            if quantity <= order.filled:
                raise Refused("Quantity should be greater than the traded quantity.")
            if kind is OrderType.MARKET:
                limit = protected_limit(order.instrument, order.side, self.market.quote(order.instrument).ltp)
            check_prices(order.instrument, order.side, kind, limit, stop)
            self._amend_offsets(order, payload)
            self.desk.amend(order, quantity)
            order.order_type, order.limit_price, order.stop_price = kind, limit, stop
            self.desk.match(order)
            return order

    def cancel(self, order_id: object) -> Order:
        with self.lock:
            self._advance()
            order = self._open_order(order_id)
            self.desk.cancel(order)
            return order

    # -- positions

    def exit(self, payload: Mapping[str, Any]) -> bool:
        """DELETE /positions: squares off by market orders. True where all closed, False where something is pending.

        Raises Refused with -352 where there is nothing to exit, -53 for an unknown position id.
        """
        with self.lock:
            self._advance()
            chosen = self._chosen(payload)
            if payload.get("pending_orders_cancel") == 1:
                self._cancel_pending(chosen, everything=payload.get("exit_all") == 1)
            leaving = [position for position in chosen if position.net]
            if not leaving:
                raise Refused("Looks like you have no open positions.", NOTHING_TO_EXIT)
            orders = [order for position in leaving for order in self._square_off(position)]
            return all(order.status is Status.FILLED for order in orders)

    def attach(self, payload: Mapping[str, Any]) -> Position:
        """PATCH /positions: sets a stop and a target on an open position; null or 0 removes one."""
        with self.lock:
            self._advance()
            position = self._position(payload.get("positionId"))
            if not position.net:
                raise Refused("Position is closed", BAD_POSITION_ID)
            quantity = integer_field(payload, "qty") if "qty" in payload else abs(position.net)
            if not 0 < quantity <= abs(position.net):
                raise Refused("Quantity should not exceed the position.")
            offsets = decimal_field(payload, "stopLoss"), decimal_field(payload, "takeProfit")
            leg_type = payload.get("legType", 1)
            check_offsets(position.instrument, *offsets, leg_type)
            for leg in self.desk.book.open_legs(position.id):
                self.desk.close(leg, Status.CANCELLED)
            side = 1 if position.net > 0 else -1
            prices = leg_prices(position.instrument, side, position.net_average, *offsets, leg_type)
            self.desk.place_legs(position.instrument, position.product, -side, quantity, prices, position.id)
            return position

    # -- reading

    def refresh(self) -> None:
        """Brings the market and the book up to the present."""
        with self.lock:
            self._advance()

    def orders(self) -> list[Order]:
        """The day's book, oldest first."""
        with self.lock:
            self._advance()
            return list(self.desk.book.orders.values())

    def find_orders(self, ids: Iterable[str] = (), tag: str | None = None) -> list[Order]:
        """Orders by id, or by tag as the book shows it (`1:…`)."""
        with self.lock:
            self._advance()
            if tag is not None:
                return list(self.desk.book.by_tag.get(tag, ()))
            return [found for order_id in ids if (found := self.desk.book.orders.get(order_id))]

    def order(self, order_id: str) -> Order:
        """Raises KeyError for an unknown id."""
        with self.lock:
            self._advance()
            return self.desk.book.orders[order_id]

    def positions(self) -> list[Position]:
        with self.lock:
            self._advance()
            return list(self.desk.positions.values())

    def trades(self) -> list[Trade]:
        with self.lock:
            self._advance()
            return list(self.desk.book.trades)

    def instrument(self, symbol: str) -> Instrument | None:
        with self.lock:
            return self.market.find(symbol)

    def quote(self, symbol: str) -> Quote:
        """Raises KeyError for an unknown symbol."""
        with self.lock:
            self._advance()
            return self.market.quote(self._known(symbol))

    def margin(self, payload: Mapping[str, Any]) -> tuple[Decimal, Decimal]:
        """Rupees that the orders in `data` need alone, and together with what the account holds already."""
        with self.lock:
            self._advance()
            total = ZERO
            for item in payload["data"]:
                instrument, side = self._tradable(str(item.get("symbol"))), integer_field(item, "side")
                price = decimal_field(item, "limitPrice") or self.market.quote(instrument).ltp
                unit = self.rms.margin_unit(instrument, side, str(item.get("productType")), price)
                total += unit * integer_field(item, "qty")
            return total, total + self.rms.utilized()

    def available(self) -> Decimal:
        """Rupees left for new orders."""
        with self.lock:
            return self.rms.available()

    def market_is_open(self) -> bool:
        """Whether orders in derivatives are accepted now."""
        return self.rms.market_is_open()

    # -- the market, by hand

    def set_quote(self, symbol: str, ltp: Decimal, bid: Decimal | None = None, ask: Decimal | None = None) -> None:
        """Pins a quote and lets resting orders meet it. A pinned index moves its options.

        Raises KeyError for an unknown symbol.
        """
        with self.lock:
            self._advance()
            self.market.set_quote(self._known(symbol), ltp, bid, ask)
            self._advance()

    def freeze(self) -> None:
        """Keeps all quotes where they are."""
        with self.lock:
            self._advance()
            self.market.freeze()

    def release(self, symbol: str | None = None) -> None:
        """Lets a pinned symbol, or the whole market, move again."""
        with self.lock:
            self.market.release(symbol)

    def set_liquidity(self, units: int | None) -> None:
        """Sets how many units each order can trade at every step; 0: none; None: no limit."""
        with self.lock:
            self.desk.liquidity = units

    def tick(self) -> None:
        """Lets every resting order meet the present quotes once more."""
        with self.lock:
            self.market.count()
            self._advance()

    def fill(self, order_id: str, quantity: int | None = None, price: Decimal | None = None) -> Order:
        """Fills an open order by hand: all that remains, at its own limit, unless the arguments say otherwise."""
        with self.lock:
            self._advance()
            order = self._open_order(order_id)
            order.status = Status.PENDING
            self.desk.fill(order, quantity or order.remaining, price or order.limit_price)
            return order

    def reject(self, order_id: str, message: str) -> Order:
        """The exchange rejects an order after the broker accepted it."""
        with self.lock:
            self._advance()
            order = self._open_order(order_id)
            self.desk.reject(order, message)
            return order

    def close_session(self) -> None:
        """Ends the day: what is still pending expires."""
        with self.lock:
            self._expire()

    # -- inside

    def _advance(self) -> None:
        self.market.refresh()
        if self.market.listing.day != self._day:
            self._new_day()
        self.desk.sweep()

    def _new_day(self) -> None:
        self._day = self.market.listing.day
        self._expire()
        self.rms.capital += self.rms.realized()
        kept = (position for position in self.desk.positions.values() if position.net and not self._expired(position))
        self.desk.new_day({(position.instrument.symbol, position.product): position for position in kept})

    def _expired(self, position: Position) -> bool:
        """Settles a contract past its expiry, outside the day's figures. True where it did."""
        expiry = position.instrument.expiry
        if expiry is None or expiry >= self._day:
            return False
        last = self.market.settlement(position.instrument)
        self.rms.capital += (last - position.net_average) * position.net
        return True

    def _expire(self) -> None:
        for order in list(self.desk.book.open.values()):
            self.desk.close(order, Status.EXPIRED, "Order expired")

    def _known(self, symbol: str) -> Instrument:
        instrument = self.market.find(symbol)
        if instrument is None:
            raise KeyError(f"{symbol} is not listed on {self.market.listing.day}")
        return instrument

    def _tradable(self, symbol: str) -> Instrument:
        instrument = self.market.find(symbol)
        if instrument is None or instrument.is_index:
            raise Refused("The input symbol is invalid.")
        return instrument

    def _open_order(self, order_id: object) -> Order:
        order = self.desk.book.orders.get(order_id) if isinstance(order_id, str) else None
        if order is None:
            raise Refused(f"invalid order id: {order_id}", BAD_ORDER_ID)
        if not order.is_open:
            code, message = _CLOSED[order.status]
            raise Refused(message, code)
        return order

    def _amend_offsets(self, order: Order, payload: Mapping[str, Any]) -> None:
        """A missing offset is kept, above zero it is set, zero or null removes it (SDK docstring)."""
        if "stopLoss" not in payload and "takeProfit" not in payload:
            return
        stop_loss = decimal_field(payload, "stopLoss") if "stopLoss" in payload else order.stop_loss
        take_profit = decimal_field(payload, "takeProfit") if "takeProfit" in payload else order.take_profit
        legs = self.desk.book.open_legs(order.id)
        leg_type = order.leg_type if legs else payload.get("legType", order.leg_type)
        check_offsets(order.instrument, stop_loss, take_profit, leg_type)
        order.stop_loss, order.take_profit, order.leg_type = stop_loss, take_profit, leg_type
        if legs:
            for leg in legs:
                self.desk.close(leg, Status.CANCELLED)
            self.desk.add_legs(order, max(leg.remaining for leg in legs))

    def _position(self, position_id: object) -> Position:
        for position in self.desk.positions.values():
            if position.id == position_id:
                return position
        raise Refused(f"invalid position id: {position_id}", BAD_POSITION_ID)

    def _chosen(self, payload: Mapping[str, Any]) -> list[Position]:
        everything = list(self.desk.positions.values())
        if payload.get("exit_all") == 1:
            return everything
        if "id" in payload:
            ids = payload["id"] if isinstance(payload["id"], list) else [payload["id"]]
            return [self._position(position_id) for position_id in ids]
        filters = [name for name in ("segment", "side", "productType") if name in payload]
        if not filters:
            raise Refused("Invalid input")  # an empty filter never exits everything
        return [position for position in everything if _selected(position, payload, filters)]

    def _cancel_pending(self, chosen: list[Position], *, everything: bool) -> None:
        keys = {(position.instrument.symbol, position.product) for position in chosen}
        for order in list(self.desk.book.open.values()):
            if order.is_open and (everything or (order.instrument.symbol, order.product) in keys):
                self.desk.cancel(order)

    def _square_off(self, position: Position) -> list[Order]:
        side = SELL if position.net > 0 else BUY
        orders = []
        for quantity in _slices(position.instrument, abs(position.net)):
            ticket = Ticket(position.instrument.symbol, side, quantity, OrderType.MARKET, position.product)
            orders.append(self.rms.admit(ticket, position.instrument))
        return orders


def _slices(instrument: Instrument, quantity: int) -> list[int]:
    """Quantities in whole lots, none above the freeze quantity."""
    most = quantity
    if instrument.freeze_quantity is not None:
        most = instrument.freeze_quantity - instrument.freeze_quantity % instrument.lot_size
    full, rest = divmod(quantity, most) if most > 0 else (0, quantity)
    return [most] * full + ([rest] if rest else [])


def _selected(position: Position, payload: Mapping[str, Any], filters: list[str]) -> bool:
    side = (position.net > 0) - (position.net < 0)
    values = {"segment": position.instrument.segment, "side": side, "productType": position.product}
    return all(
        values[name] in (payload[name] if isinstance(payload[name], list) else [payload[name]]) for name in filters
    )
