"""What is traded and what the market says of it: Contract, Quote, Position."""

from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from app.alert import OptionType


@dataclass(frozen=True, slots=True)
class Contract:
    """One option series as the symbol master lists it. Nothing in it is ever made up by us.

    `lot_size` and `freeze_quantity` are units, `tick_size` and `strike` rupees; `lower_band` and `upper_band` are the
    day's price band in rupees. What the master does not say is None (the CSV has neither freeze quantity nor bands).
    """

    symbol: str
    underlying: str
    expiry: date
    strike: Decimal
    option_type: OptionType
    lot_size: int
    tick_size: Decimal
    freeze_quantity: int | None = None
    lower_band: Decimal | None = None
    upper_band: Decimal | None = None


@dataclass(frozen=True, slots=True)
class Quote:
    """Last traded price and touch, in rupees. A side with nobody on it is zero."""

    symbol: str
    ltp: Decimal
    bid: Decimal
    ask: Decimal


@dataclass(frozen=True, slots=True)
class Position:
    """One row of the broker's net positions: units, negative when short; `realised` is the day's profit in rupees."""

    symbol: str
    product: str
    net_quantity: int
    realised: Decimal = Decimal(0)
