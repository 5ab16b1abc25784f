"""Prices are Decimal rupees. The name of each rounding says its direction."""

from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal


def tick_down(price: Decimal, tick_size: Decimal) -> Decimal:
    """The highest multiple of the tick that is not above the price, both in rupees."""
    return (price / tick_size).to_integral_value(ROUND_FLOOR) * tick_size


def tick_up(price: Decimal, tick_size: Decimal) -> Decimal:
    """The lowest multiple of the tick that is not below the price, both in rupees."""
    return (price / tick_size).to_integral_value(ROUND_CEILING) * tick_size


def plain(amount: Decimal) -> str:
    """The amount without exponent, with at least two decimals ("165.15", "120.00")."""
    whole, _, fraction = f"{amount:f}".partition(".")
    return f"{whole}.{fraction.rstrip('0'):0<2}"
