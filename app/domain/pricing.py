"""From a quote to the prices of an order: limit, stop-loss and take-profit, each on the tick and on its right side."""

from dataclasses import dataclass
from decimal import Decimal

from app.domain.alert import Alert, Level, LevelKind, Side
from app.domain.book import Quote
from app.domain.errors import Denied, Reason
from app.domain.instrument import Instrument
from app.domain.money import plain, tick_down, tick_up
from app.domain.order import OrderType

_HUNDRED = Decimal(100)
_BASIS_POINTS = Decimal(10_000)


@dataclass(frozen=True, slots=True)
class PriceRules:
    """`stop_loss_percent` and `take_profit_percent`, of the LTP, hold where an alert names no level.

    `slippage_bps` is in basis points beyond best bid or ask; `max_spread_percent` None means no limit. A stop-loss may
    be `max_stop_percent` of the LTP away from it: at 100 the stop of a short is at twice the premium.
    """

    order_type: OrderType
    slippage_bps: Decimal
    stop_loss_percent: Decimal
    take_profit_percent: Decimal
    max_spread_percent: Decimal | None
    max_stop_percent: Decimal


@dataclass(frozen=True, slots=True)
class Legs:
    """Protective levels in rupees, and as points from the LTP, which is how the broker takes them."""

    stop_loss: Decimal
    take_profit: Decimal
    stop_loss_points: Decimal
    take_profit_points: Decimal


def limit_price(side: Side, quote: Quote, contract: Instrument, rules: PriceRules) -> Decimal:
    """The marketable limit: best ask or bid with the slippage beyond it, on the tick, inside the day's band.

    Raises Denied for a quote that makes no sense, too wide a spread, or a price outside the band.
    """
    check_quote(side, quote, contract.tick_size, rules)
    slip, tick = rules.slippage_bps / _BASIS_POINTS, contract.tick_size
    if side is Side.BUY:
        price = tick_up(quote.ask * (1 + slip), tick)
        if contract.upper_band is not None:
            price = min(price, tick_down(contract.upper_band, tick))
    else:
        price = max(tick_down(quote.bid * (1 - slip), tick), tick)
        if contract.lower_band is not None:
            price = max(price, tick_up(contract.lower_band, tick))
    _check_band("last price", quote.ltp, contract)
    _check_band("limit price", price, contract)
    if price < tick:
        raise Denied(Reason.OUTSIDE_PRICE_BAND, f"the day's band leaves no price of one tick, {plain(tick)}")
    return price


def check_quote(side: Side, quote: Quote, tick_size: Decimal, rules: PriceRules) -> None:
    """Raises Denied for a quote that is empty, crossed or too wide.

    An option about to expire worthless has no bid, and its short must still be bought back: for BUY the last price
    stands in for a missing bid.
    """
    shown = f"bid {plain(quote.bid)}, ask {plain(quote.ask)}, last {plain(quote.ltp)}"
    bid = quote.ltp if side is Side.BUY and quote.bid == 0 else quote.bid
    if min(bid, quote.ask, quote.ltp) <= 0:
        raise Denied(Reason.BAD_QUOTE, f"one side of the quote is empty: {shown}")
    if quote.bid > quote.ask:
        raise Denied(Reason.BAD_QUOTE, f"the quote is crossed: {shown}")
    spread = quote.ask - bid
    # Near the tick a spread is wide in per cent and harmless in rupees.
    if rules.max_spread_percent is not None and spread > 2 * tick_size:
        percent = spread / ((quote.ask + bid) / 2) * _HUNDRED
        if percent > rules.max_spread_percent:
            allowed = plain(rules.max_spread_percent)
            raise Denied(
                Reason.SPREAD_TOO_WIDE, f"the spread is {percent:.2f}% ({shown}); MAX_SPREAD_PERCENT allows {allowed}%"
            )


def legs(alert: Alert, quote: Quote, contract: Instrument, rules: PriceRules) -> Legs:
    """Stop-loss and take-profit of an entry: above and below the LTP for SELL, the other way round for BUY.

    Both are rounded away from the LTP, so never to its wrong side. Raises Denied for a level that the alert asks for on
    the wrong side, and for a stop-loss too far away to limit the loss.
    """
    stop = alert.stop_loss or Level(LevelKind.PERCENT, rules.stop_loss_percent)
    take = alert.take_profit or Level(LevelKind.PERCENT, rules.take_profit_percent)
    up, down = (stop, take) if alert.side is Side.SELL else (take, stop)
    tick = contract.tick_size
    above, below = tick_up(_level(up, quote.ltp, 1), tick), tick_down(_level(down, quote.ltp, -1), tick)
    stop_price, take_price = (above, below) if alert.side is Side.SELL else (below, above)
    _check_sides(alert.side, stop_price, take_price, quote.ltp, tick)
    _check_distance(_level(stop, quote.ltp, 1 if alert.side is Side.SELL else -1), quote.ltp, rules)
    protection = Legs(
        stop_loss=stop_price,
        take_profit=take_price,
        stop_loss_points=tick_up(abs(stop_price - quote.ltp), tick),
        take_profit_points=tick_up(abs(take_price - quote.ltp), tick),
    )
    _check_room(alert.side, protection, quote, tick)
    return protection


def _level(level: Level, ltp: Decimal, sign: int) -> Decimal:
    match level.kind:
        case LevelKind.PRICE:
            return level.value
        case LevelKind.PERCENT:
            return ltp * (1 + sign * level.value / _HUNDRED)
        case LevelKind.POINTS:
            return ltp + sign * level.value


def _check_sides(side: Side, stop: Decimal, take: Decimal, ltp: Decimal, tick: Decimal) -> None:
    sign = 1 if side is Side.SELL else -1
    for name, level, away, reason in (
        ("stop-loss", stop, sign, Reason.WRONG_SIDE_STOP_LOSS),
        ("take-profit", take, -sign, Reason.WRONG_SIDE_TAKE_PROFIT),
    ):
        if (level - ltp) * away < tick or level < tick:
            where = f"one tick or more {'above' if away > 0 else 'below'} the last price {plain(ltp)}"
            raise Denied(reason, f"{name} {plain(level)} of a {side} must be {where}, and not under one tick")


def _check_distance(stop: Decimal, ltp: Decimal, rules: PriceRules) -> None:
    """Raises Denied. Takes the stop-loss before rounding, which adds less than a tick."""
    if abs(stop - ltp) * _HUNDRED > ltp * rules.max_stop_percent:
        percent, allowed = abs(stop - ltp) / ltp * _HUNDRED, plain(rules.max_stop_percent)
        raise Denied(
            Reason.STOP_TOO_FAR,
            f"stop-loss {plain(stop)} is {percent:.2f}% from the last price {plain(ltp)}; MAX_STOP_PERCENT allows "
            f"{allowed}%; send a nearer sl",
        )


def _check_room(side: Side, legs: Legs, quote: Quote, tick: Decimal) -> None:
    """The broker counts both levels from the fill, at best bid or ask, and not from the last price.

    Raises Denied for a stop-loss that the next trade on the other side of the spread would trigger, and for a
    take-profit under one tick.
    """
    sign = 1 if side is Side.SELL else -1
    fill = quote.bid if side is Side.SELL else quote.ask
    bid = quote.bid or quote.ltp
    nearest = max(quote.ltp, quote.ask) if side is Side.SELL else min(quote.ltp, bid)
    shown = f"bid {plain(quote.bid)}, ask {plain(quote.ask)}, last {plain(quote.ltp)}"
    stop = fill + sign * legs.stop_loss_points
    if (stop - nearest) * sign < tick:
        text = f"stop-loss {plain(legs.stop_loss)}, {plain(legs.stop_loss_points)} from a fill at {plain(fill)}"
        raise Denied(Reason.WRONG_SIDE_STOP_LOSS, f"{text}, would be triggered at once: {shown}")
    if fill - sign * legs.take_profit_points < tick:
        text = f"take-profit {plain(legs.take_profit)}, {plain(legs.take_profit_points)} from a fill at {plain(fill)}"
        raise Denied(Reason.WRONG_SIDE_TAKE_PROFIT, f"{text}, is under one tick: {shown}")


def _check_band(name: str, price: Decimal, contract: Instrument) -> None:
    low, high = contract.lower_band, contract.upper_band
    if (low is not None and price < low) or (high is not None and price > high):
        band = f"{plain(low) if low is not None else '…'} to {plain(high) if high is not None else '…'}"
        raise Denied(Reason.OUTSIDE_PRICE_BAND, f"the {name} {plain(price)} is outside the day's band {band}")
