"""From an alert, its contract, a quote and the holdings to the ticket: what exactly would be sent."""

from dataclasses import dataclass
from enum import StrEnum

from app.domain.alert import Alert, Product, Side, spelled
from app.domain.book import Quote
from app.domain.errors import Denied, Reason
from app.domain.holding import Holdings
from app.domain.instrument import Instrument
from app.domain.order import Ticket
from app.domain.pricing import PriceRules, legs, limit_price


class BuyMode(StrEnum):
    """What BUY does where there is no short: `cover` denies it, `open` opens a long."""

    COVER = "cover"
    OPEN = "open"


@dataclass(frozen=True, slots=True)
class TicketRules:
    """`underlyings` and `products` are what an entry may be in; an empty `underlyings` allows all. Covers go on."""

    prices: PriceRules
    buy_mode: BuyMode
    underlyings: frozenset[str] = frozenset()
    products: frozenset[Product] = frozenset(Product)


def write_ticket(alert: Alert, contract: Instrument, quote: Quote, holdings: Holdings, rules: TicketRules) -> Ticket:
    """The ticket for an alert. Raises Denied, saying why, where none can be written."""
    wanted = _quantity(alert, contract)
    product, quantity, covers = _intent(alert, contract, wanted, holdings, rules.buy_mode)
    if not covers:
        _check_allowed(contract.underlying, product, rules)
    quantity = _within_freeze(quantity, contract, covers=covers)
    price = limit_price(alert.side, quote, contract, rules.prices)
    protection = None if covers else legs(alert, quote, contract, rules.prices)
    return Ticket(
        symbol=contract.symbol,
        underlying=contract.underlying,
        side=alert.side,
        product=product,
        order_type=rules.prices.order_type,
        quantity=quantity,
        lot_size=contract.lot_size,
        tick_size=contract.tick_size,
        ltp=quote.ltp,
        limit_price=price,
        covers=covers,
        stop_loss=protection.stop_loss if protection else None,
        take_profit=protection.take_profit if protection else None,
        stop_loss_points=protection.stop_loss_points if protection else None,
        take_profit_points=protection.take_profit_points if protection else None,
    )


def _quantity(alert: Alert, contract: Instrument) -> int:
    lot = contract.lot_size
    if alert.quantity is None:
        return (alert.lots or 1) * lot
    if alert.quantity % lot:
        below = alert.quantity - alert.quantity % lot
        near = f"{below} or {below + lot}" if below else str(lot)
        raise Denied(
            Reason.NOT_A_LOT_MULTIPLE,
            f"qty {alert.quantity} is not a multiple of the lot {lot} of {contract.symbol}; send {near}, or lots",
        )
    return alert.quantity


def _intent(
    alert: Alert, contract: Instrument, wanted: int, holdings: Holdings, buy_mode: BuyMode
) -> tuple[Product, int, bool]:
    """Product, units, and whether it covers. A cover never buys more than what is left of the short.

    Where BUY opens longs, SELL closes one that is open, by the same rule.
    """
    if alert.side is Side.SELL and buy_mode is BuyMode.COVER:
        return alert.product, wanted, False
    holding = holdings.to_close(contract.symbol, alert.product, alert.side)
    if holding is None:
        if buy_mode is BuyMode.OPEN:
            return alert.product, wanted, False
        raise Denied(Reason.NO_SHORT_TO_COVER, f"BUY covers a short, and {contract.symbol} has none open")
    left = holding.left(alert.side)
    if left <= 0:
        raise Denied(
            Reason.NO_SHORT_TO_COVER,
            f"the {abs(holding.net)} {contract.symbol} that are open are being closed already by orders in the book",
        )
    return Product(holding.product), min(wanted, left), True


def _check_allowed(underlying: str, product: Product, rules: TicketRules) -> None:
    if rules.underlyings and spelled(underlying) not in map(spelled, rules.underlyings):
        allowed = ", ".join(sorted(rules.underlyings))
        raise Denied(
            Reason.UNDERLYING_NOT_ALLOWED, f"entries in {underlying} are not allowed; ALLOWED_UNDERLYINGS has {allowed}"
        )
    if product not in rules.products:
        allowed = ", ".join(sorted(rules.products))
        raise Denied(Reason.PRODUCT_NOT_ALLOWED, f"{product} entries are not allowed; ALLOWED_PRODUCTS has {allowed}")


def _within_freeze(quantity: int, contract: Instrument, *, covers: bool) -> int:
    """The units of one order. A cover is cut to the most whole lots that the exchange takes; an entry is denied."""
    freeze = contract.freeze_quantity
    if freeze is None or quantity <= freeze:
        return quantity
    lots = freeze // contract.lot_size
    if covers and lots:
        return lots * contract.lot_size
    text = f"{quantity} units; the exchange takes at most {freeze} of {contract.symbol} in one order"
    raise Denied(Reason.OVER_FREEZE_QUANTITY, f"{text}; send at most {lots} lot{'' if lots == 1 else 's'}")
