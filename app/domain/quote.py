"""What the market says of an instrument."""

from dataclasses import dataclass
from datetime import date
from decimal import Decimal


@dataclass(frozen=True, slots=True)
class Quote:
    """Last traded price and touch, in rupees. A side with nobody on it is zero; `day` None: the broker does not say."""

    symbol: str
    ltp: Decimal
    bid: Decimal
    ask: Decimal
    day: date | None = None
