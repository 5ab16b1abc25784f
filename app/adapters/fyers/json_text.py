"""The broker's JSON, read so that nothing in it can be taken for what it is not, and ours, with exact prices."""

import json
from decimal import Decimal
from typing import Any

Body = dict[str, Any]


def read_object(content: bytes) -> Body | None:
    """The JSON object that the content is; None for anything else.

    Not trusted, hence None: a key that stands twice, NaN and the infinities, numbers of absurd size, nesting beyond
    Python's limit, anything but UTF-8. Fractions become Decimal.
    """
    try:
        value = _DECODER.decode(content.decode())
    except (ValueError, ArithmeticError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def write(value: Any) -> bytes:
    """Raises ValueError for a float that JSON has no word for, TypeError for what is no JSON value."""
    return json.dumps(value, allow_nan=False).encode()


def number(amount: Decimal) -> int | float:
    """The amount as a number whose JSON text reads back as exactly the same amount; whole ones without a point.

    Raises ValueError where there is none: more than the 15 digits that a float surely keeps, or not finite.
    """
    if not amount.is_finite():
        raise ValueError(f"{amount} is not an amount")
    if amount == amount.to_integral_value():
        return int(amount)
    nearest = float(amount)
    if Decimal(repr(nearest)) != amount:
        raise ValueError(f"{amount} has more digits than JSON numbers keep")
    return nearest


def whole(value: object) -> int | None:
    """The integer that a JSON value is (65 and 65.0), else None. `true` is not 1."""
    if isinstance(value, bool):
        return None
    if isinstance(value, Decimal) and value == value.to_integral_value():
        return int(value)
    return value if isinstance(value, int) else None


def amount(value: object) -> Decimal | None:
    """The number that a JSON value is, as rupees; else None."""
    if isinstance(value, bool) or not isinstance(value, int | Decimal):
        return None
    return Decimal(value)


def _decimal(text: str) -> Decimal:
    if len(text) > 40:
        raise ValueError("a number of absurd length")
    read = Decimal(text)
    if read and not -20 < read.adjusted() < 20:
        raise ValueError("a number of absurd size")
    return read


def _refuse(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def _without_doubles(pairs: list[tuple[str, Any]]) -> Body:
    read = dict(pairs)
    if len(read) != len(pairs):
        raise ValueError("a key stands twice")
    return read


_DECODER = json.JSONDecoder(parse_float=_decimal, parse_constant=_refuse, object_pairs_hook=_without_doubles)
