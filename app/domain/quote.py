"""What an instrument trades at."""

from dataclasses import dataclass
from datetime import date
from decimal import Decimal


@dataclass(frozen=True, slots=True)
class Quote:
    """Last traded price, best bid, best ask, in rupees. An empty side is zero; `day` is None where it is not given."""

    symbol: str
    ltp: Decimal
    bid: Decimal
    ask: Decimal
    day: date | None = None
