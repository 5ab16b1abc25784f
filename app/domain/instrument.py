"""What is traded, as the symbol master lists it: options, futures, shares."""

from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from typing import NamedTuple

from app.domain.alert import Expiry, OptionType, Strike
from app.domain.calendar import Listing


@dataclass(frozen=True, slots=True, kw_only=True)
class Instrument(Listing):
    """What an order needs to know of any instrument. Every value comes from the symbol master.

    `symbol` is the broker's string. `lot_size` and `freeze_quantity` are units, `tick_size` is in rupees; `lower_band`
    and `upper_band` are the day's price band in rupees. A field is None where the master is silent: the CSV has neither
    freeze quantity nor bands.
    """

    symbol: str
    underlying: str
    lot_size: int
    tick_size: Decimal
    freeze_quantity: int | None = None
    lower_band: Decimal | None = None
    upper_band: Decimal | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Option(Instrument):
    """One option series; `strike` is in rupees."""

    expiry: date
    strike: Decimal
    option_type: OptionType


@dataclass(frozen=True, slots=True, kw_only=True)
class Future(Instrument):
    """One futures contract."""

    expiry: date


@dataclass(frozen=True, slots=True, kw_only=True)
class Share(Instrument):
    """A share: it does not expire and trades in single units."""

    expiry: None = field(default=None, init=False)
    lot_size: int = field(default=1, init=False)
    on_index: bool = field(default=False, init=False)


class Wanted(NamedTuple):
    """An option as an alert names it; `exchange` is None where any may list it."""

    underlying: str
    exchange: str | None
    expiry: Expiry
    strike: Strike
    option_type: OptionType
