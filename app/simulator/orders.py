"""What an account holds: orders, trades, positions, and what they cost in margin."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from enum import IntEnum

from app.simulator.instruments import FUTIDX, Instrument

ZERO = Decimal(0)
BUY, SELL = 1, -1


class Status(IntEnum):
    """The numbers of the broker's order book. A partial fill is PENDING with a filled quantity."""

    CANCELLED = 1
    FILLED = 2
    TRANSIT = 4
    REJECTED = 5
    PENDING = 6
    EXPIRED = 7


class OrderType(IntEnum):
    LIMIT = 1
    MARKET = 2
    SL_M = 3
    SL_L = 4


@dataclass(frozen=True, slots=True)
class Ticket:
    """A valid order as the caller asked for it. Rupees, units; offsets in points or percent (leg_type)."""

    symbol: str
    side: int
    quantity: int
    order_type: OrderType
    product: str
    validity: str = "DAY"
    limit_price: Decimal = ZERO
    stop_price: Decimal = ZERO
    tag: str | None = None
    stop_loss: Decimal = ZERO
    take_profit: Decimal = ZERO
    leg_type: int = 1
    offline: bool = False


@dataclass(slots=True)
class Order:
    """One row of the order book."""

    id: str
    number: int
    instrument: Instrument
    side: int
    quantity: int
    order_type: OrderType
    product: str
    validity: str
    limit_price: Decimal
    stop_price: Decimal
    tag: str  # as the book shows it: `1:…` the caller's, `2:…` the broker's
    placed_at: datetime
    created: float  # monotonic seconds, for a book that shows orders late
    stop_loss: Decimal = ZERO
    take_profit: Decimal = ZERO
    leg_type: int = 1
    parent_id: str | None = None
    group: str = ""  # protective legs of one entry or position cancel one another
    status: Status = Status.TRANSIT
    filled: int = 0
    traded_value: Decimal = ZERO
    message: str = ""
    exchange_id: str = ""
    triggered: bool = False
    margin_per_unit: Decimal = ZERO
    protected: int = 0  # units of the filled quantity that have legs

    @property
    def remaining(self) -> int:
        return 0 if self.status is Status.REJECTED else self.quantity - self.filled

    @property
    def is_open(self) -> bool:
        return self.status in (Status.PENDING, Status.TRANSIT)

    @property
    def average(self) -> Decimal:
        """Rupees a unit; zero before the first fill."""
        return self.traded_value / self.filled if self.filled else ZERO

    @property
    def waits_for_trigger(self) -> bool:
        return self.order_type in (OrderType.SL_M, OrderType.SL_L) and not self.triggered

    @property
    def is_leg(self) -> bool:
        return bool(self.group)


@dataclass(frozen=True, slots=True)
class Trade:
    number: str
    order: Order
    quantity: int
    price: Decimal
    at: datetime


@dataclass(slots=True)
class Position:
    """The net quantity of one symbol in one product. Values in rupees."""

    instrument: Instrument
    product: str
    net: int = 0
    net_average: Decimal = ZERO
    buy_quantity: int = 0
    buy_value: Decimal = ZERO
    sell_quantity: int = 0
    sell_value: Decimal = ZERO
    realized: Decimal = ZERO
    carried: int = 0  # net quantity of an earlier day

    @property
    def id(self) -> str:
        return f"{self.instrument.symbol}-{self.product}"

    def trade(self, side: int, quantity: int, price: Decimal) -> None:
        """Books a fill. It averages where it adds, realises where it reduces, and does both where it reverses."""
        if side == BUY:
            self.buy_quantity += quantity
            self.buy_value += price * quantity
        else:
            self.sell_quantity += quantity
            self.sell_value += price * quantity
        closing = min(quantity, abs(self.net)) if self.net * side < 0 else 0
        if closing:
            self.realized += (price - self.net_average) * closing * (1 if self.net > 0 else -1)
            self.net += side * closing
        opening = quantity - closing
        if opening:
            worth = self.net_average * abs(self.net) + price * opening
            self.net += side * opening
            self.net_average = worth / abs(self.net)
        elif self.net == 0:
            self.net_average = ZERO

    def carry(self) -> None:
        """Begins a new day: the net quantity is carried forward, and the day's figures start at zero."""
        self.carried = self.net
        self.realized = ZERO
        self.buy_quantity, self.sell_quantity = max(self.net, 0), max(-self.net, 0)
        self.buy_value = self.net_average * self.buy_quantity
        self.sell_value = self.net_average * self.sell_quantity


# Fractions of the contract value, near SPAN and exposure margins of 2026. This is no SPAN calculation.
_INDEX_MARGIN, _STOCK_MARGIN, _INTRADAY_EQUITY = Decimal("0.11"), Decimal("0.20"), Decimal("0.20")


def margin_per_unit(instrument: Instrument, side: int, product: str, price: Decimal, spot: Decimal) -> Decimal:
    """Rupees blocked for each unit of an order or position that opens exposure. Delivery is paid in full."""
    if instrument.is_option and side == BUY:
        return price
    if instrument.is_derivative:
        return spot * (_STOCK_MARGIN if instrument.underlying.stock else _INDEX_MARGIN)
    return price if product == "CNC" else price * _INTRADAY_EQUITY


def round_to(tick: Decimal, price: Decimal) -> Decimal:
    """The price on the nearest tick, never below one tick."""
    return max(1, round(price / tick)) * tick


def protected_limit(instrument: Instrument, side: int, ltp: Decimal) -> Decimal:
    """The limit of a market order: the LTP plus or minus the market-protection slab (broker's table of 31-Mar-2026).

    The table has no slab for shares; those of stock futures stand for them.
    """
    if instrument.is_option:
        width = Decimal("1.5") if ltp <= 10 else ltp * Decimal("0.15") if ltp <= 20 else ltp * Decimal("0.10")
    elif instrument.instrument_type == FUTIDX:
        width = Decimal(50) if ltp <= 10000 else ltp * Decimal("0.005")
    else:
        width = Decimal("0.75") if ltp <= 50 else ltp * Decimal("0.015")
    lower, upper = price_band(instrument, ltp)
    return round_to(instrument.tick_size, min(max(ltp + side * width, lower), upper))


def price_band(instrument: Instrument, reference: Decimal) -> tuple[Decimal, Decimal]:
    """The lowest and the highest limit accepted: options within 40 % of a reference above 50, or else within 20 rupees;
    futures and shares within 10 %.
    """
    if instrument.is_option:
        width = reference * Decimal("0.4") if reference > 50 else Decimal(20)
    else:
        width = reference * Decimal("0.1")
    tick = instrument.tick_size
    return max(tick, round_to(tick, reference - width)) if reference > width else tick, round_to(
        tick, reference + width
    )


@dataclass(frozen=True, slots=True)
class LegPrices:
    """Prices of the protective legs of an entry; None for a leg that is not wanted."""

    trigger: Decimal | None
    stop_limit: Decimal | None
    target: Decimal | None


def leg_prices(
    instrument: Instrument, side: int, entry: Decimal, stop_loss: Decimal, take_profit: Decimal, leg_type: int
) -> LegPrices:
    """The prices of the legs from offsets (leg_type 1: points, 2: percent of the entry).

    The stop leg is an SL-L whose limit is the market-protection slab beyond the trigger. The broker does not document
    the type it uses for options. SL-M is banned there, so SL-L is the likely one.
    """
    tick = instrument.tick_size
    scale = Decimal(1) if leg_type == 1 else entry / 100
    trigger = round_to(tick, entry - side * stop_loss * scale) if stop_loss else None
    limit = protected_limit(instrument, -side, trigger) if trigger is not None else None
    target = round_to(tick, entry + side * take_profit * scale) if take_profit else None
    return LegPrices(trigger, limit, target)


@dataclass(slots=True)
class Book:
    """The day's orders and trades, indexed for lookups."""

    orders: dict[str, Order] = field(default_factory=dict)
    open: dict[str, Order] = field(default_factory=dict)
    by_tag: dict[str, list[Order]] = field(default_factory=dict)
    groups: dict[str, list[Order]] = field(default_factory=dict)
    trades: list[Trade] = field(default_factory=list)

    def add(self, order: Order) -> None:
        self.orders[order.id] = order
        self.by_tag.setdefault(order.tag, []).append(order)
        if order.is_open:
            self.open[order.id] = order
        if order.group:
            self.groups.setdefault(order.group, []).append(order)

    def trade(self, order: Order, quantity: int, price: Decimal, at: datetime) -> None:
        self.trades.append(Trade(f"{order.id}-{len(self.trades) + 1}", order, quantity, price, at))

    def open_legs(self, group: str) -> list[Order]:
        return [leg for leg in self.groups.get(group, ()) if leg.is_open]
