"""One option series on its way from the exchange's file into the artifact."""

import re
from decimal import Decimal
from typing import NamedTuple

# Prices are kept as whole ten-thousandths of a rupee: exact for every tick and strike that NSE and BSE list, and
# comparable as integers.
UNIT = 10_000

_PLAIN = re.compile(r"(?a:\d{1,9}(?:\.\d{1,8})?)")


class Row(NamedTuple):
    """Ordered as the artifact is sorted. `expiry` is a date's ordinal; prices are ten-thousandths of a rupee.

    `session` is when it opens and closes, in minutes since midnight in India; zeros where the file does not say it.
    `instrument` is 14 for an option on an index, 15 for one on a stock, 0 where the file says neither.
    """

    exchange: str
    underlying: str
    expiry: int
    option_type: str
    strike: int
    symbol: str
    lot_size: int
    tick_size: int
    session: tuple[int, int] = (0, 0)
    instrument: int = 0


def units(text: str) -> int | None:
    """Rupees as they are written, in ten-thousandths; None for what is no such number. No float on the way."""
    if _PLAIN.fullmatch(text) is None:
        return None
    exact = Decimal(text) * UNIT
    return int(exact) if exact == exact.to_integral_value() else None


def rupees(amount: int) -> Decimal:
    """Ten-thousandths back in rupees, without needless zeros: 500 is 0.05, 260000000 is 26000."""
    return Decimal(amount) / UNIT
