"""JSON to and from Fyers: replies read strictly, and requests written with exact prices."""

import json
from decimal import Decimal
from typing import Any

from app.domain.json_decoder import strict_decoder

Body = dict[str, Any]


def read_object(content: bytes) -> Body | None:
    """The JSON object that the content is; None for anything else.

    Not trusted, hence None: a key that stands twice, NaN and the infinities, numbers of absurd size, nesting beyond
    Python's limit, any text but UTF-8. Fractions become Decimal.
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
    raise ValueError(name)


_DECODER = strict_decoder(fraction=_decimal, no_number=_refuse, twice=_refuse)
