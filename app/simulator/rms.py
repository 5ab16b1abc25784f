"""The broker's risk system: what it passes on to the exchange, what it rejects, and the margin behind both."""

from __future__ import annotations

from decimal import Decimal

from app.facts import in_force
from app.facts.hours import DERIVATIVES
from app.simulator.instruments import IST, Instrument
from app.simulator.market import Market, Quote
from app.simulator.matching import Matching
from app.simulator.orders import (
    BUY,
    SELL,
    ZERO,
    Order,
    OrderType,
    Position,
    Ticket,
    margin_per_unit,
    price_band,
    protected_limit,
)
from app.simulator.rules import DELIVERY, Rules, rupees


class RiskSystem:
    """Admits orders to one account. It is not thread-safe by itself: the exchange calls it under its lock."""

    def __init__(self, market: Market, desk: Matching, rules: Rules, client_id: str, capital: Decimal) -> None:
        self.capital = capital  # rupees of cash at the start of the day
        self._market = market
        self._desk = desk
        self._rules = rules
        self._client_id = client_id

    def admit(self, ticket: Ticket, instrument: Instrument, reject: str | None = None) -> Order:
        """Writes the order into the book and sends it on, or rejects it there, with the text of `reject` if given."""
        order = self._desk.write(ticket, instrument)
        quote = self._market.quote(instrument)
        if order.order_type is OrderType.MARKET:
            order.limit_price = protected_limit(instrument, order.side, quote.ltp)
        needed = self.margin_unit(instrument, order.side, order.product, order.limit_price or order.stop_price)
        opening = self._opening(order)
        reason = reject or self._rejection(order, ticket, quote) or self._unheld(order, opening)
        reason = reason or self._shortfall(needed * opening)
        if reason:
            self._desk.reject(order, reason)
        else:
            self._desk.submit(order, needed * opening / order.quantity)
        return order

    def realized(self) -> Decimal:
        """Rupees of profit or loss that today's closing trades realised."""
        return sum((position.realized for position in self._desk.positions.values()), ZERO)

    def utilized(self) -> Decimal:
        """Rupees of margin and premium that positions and open orders use."""
        held = (self._margin_of(position) for position in self._desk.positions.values() if position.net)
        return sum(held, self._desk.blocked)

    def available(self) -> Decimal:
        """Rupees left for new orders."""
        return self.capital + self.realized() - self.utilized()

    def margin_unit(self, instrument: Instrument, side: int, product: str, price: Decimal) -> Decimal:
        """Rupees for each unit that opens exposure, at the day's opening level of the underlying."""
        return margin_per_unit(instrument, side, product, price, self._market.open_spot(instrument.underlying))

    def market_is_open(self, instrument: Instrument | None = None) -> bool:
        """Whether orders in that instrument are accepted now, or else in derivatives that do not expire today.

        Never on a holiday. Weekends and trading hours count only where the rules say so.
        """
        local = self._market.now().astimezone(IST)
        hours = in_force(DERIVATIVES, local.date())
        opens, stops = instrument.session_on(local.date()) if instrument else (hours.opens, hours.closes)
        in_session = local.weekday() < 5 and opens <= local.time() < stops
        return not self._market.is_holiday(local.date()) and (self._rules.always_open or in_session)

    def _rejection(self, order: Order, ticket: Ticket, quote: Quote) -> str | None:
        """Why the risk system or the exchange rejects the order, in their words. Such a rejection has an order id."""
        instrument = order.instrument
        if order.order_type is OrderType.SL_M and instrument.is_option:
            return "16052 Function not available"
        if ticket.offline:
            return "ORA:AMO is stopped"
        if not self.market_is_open():
            return "16447 : Order entry not allowed in Pre-open"
        if not self.market_is_open(instrument):
            return "Trading in this symbol has stopped"  # wording not recorded
        if instrument.freeze_quantity is not None and order.quantity > instrument.freeze_quantity:
            return f"RED:RULE:{{Check Freeze qty}}Current:{order.quantity} Set:{instrument.freeze_quantity + 1}"
        if order.waits_for_trigger and (quote.ltp - order.stop_price) * order.side > 0:
            return "Trigger price should be beyond the last traded price"  # wording not recorded
        return self._outside_band(order, quote) if self._rules.price_bands else None

    def _outside_band(self, order: Order, quote: Quote) -> str | None:
        lower, upper = price_band(order.instrument, quote.ltp)
        if not order.limit_price or lower <= order.limit_price <= upper:
            return None
        return (
            "RED:RULE:{Check circuit limit including square off order}"
            f"Current:{order.limit_price} LowerCircuit:{lower} UpperCircuit:{upper}"
        )

    def _opening(self, order: Order) -> int:
        """Units that open exposure: those beyond the position, less what other open orders will close of it."""
        position = self._desk.positions.get((order.instrument.symbol, order.product))
        closable = -order.side * position.net if position else 0
        if closable <= 0:
            return order.quantity
        for other in self._desk.book.open.values():
            same = other.instrument.symbol == order.instrument.symbol and other.product == order.product
            if same and other.side == order.side and other is not order and not other.is_leg:
                closable -= other.remaining
        return max(0, order.quantity - max(0, closable))

    def _unheld(self, order: Order, opening: int) -> str | None:
        """Shares for delivery cannot be sold short. Holdings of earlier days are positions here."""
        if opening and order.side == SELL and order.product in DELIVERY:
            return "RED:RULE:{Check holdings} Sell quantity exceeds the holdings"  # wording not recorded
        return None

    def _shortfall(self, needed: Decimal) -> str | None:
        available = self.available()
        if not needed or needed <= available:
            return None
        return (
            f"RED:Margin Shortfall:INR {rupees(needed - available)} Available:INR {rupees(available)} "
            f"for C-{self._client_id} [FYERS_RISK_CUG]"
        )

    def _margin_of(self, position: Position) -> Decimal:
        side = BUY if position.net > 0 else SELL
        unit = self.margin_unit(position.instrument, side, position.product, position.net_average)
        return unit * abs(position.net)
