"""What is traded, as the symbol master lists it."""

from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from app.domain.alert import OptionType
from app.domain.calendar import Session


@dataclass(frozen=True, slots=True)
class Instrument:
    """One option series as the symbol master lists it. Nothing in it is ever made up by us.

    `lot_size` and `freeze_quantity` are units, `tick_size` and `strike` rupees; `lower_band` and `upper_band` are the
    day's price band in rupees; `session` are its hours. What the master does not say is None (the CSV has neither
    freeze quantity nor bands).
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
    on_index: bool = True
    session: Session | None = None


@dataclass(frozen=True, slots=True)
class ListedKind:
    """Contracts that trade at the same hours: those of one expiry, on an index or on stocks, of one session."""

    expiry: date
    on_index: bool
    session: Session | None
