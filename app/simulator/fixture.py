"""The fixture market: what demo, tests, proofs and benchmark trade. It is the same at every moment of every day.

An ordinary market follows the wall clock: an hour before its expiry a call is worth a tick, WEEKLY changes its meaning
at the close, and midnight clears the order book. Here a NIFTY call costs 165.15 (165.00 by 165.30) at all times.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from app.simulator.exchange import Exchange
from app.simulator.instruments import (
    IST,
    UNDERLYINGS,
    Instrument,
    Underlying,
    monthly_expiries,
    option_symbol,
    plain,
    utc_now,
)
from app.simulator.market import Market

_NIFTY = next(underlying for underlying in UNDERLYINGS if underlying.name == "NIFTY")
_YEARS_LEFT = 5.476 / 365  # at a volatility of 13 % this makes the call at the money 165.15


class FixtureMarket(Market):
    """Spot prices stand still, every option stays as far from its expiry, and the day never ends."""

    def refresh(self) -> tuple[date, int, int]:
        return self.listing.day, self._step, self._changes

    def open_spot(self, underlying: Underlying) -> Decimal:
        return underlying.spot

    def _spot(self, underlying: Underlying, step: int) -> float:  # noqa: ARG002 -- at every step
        return float(underlying.spot)

    def _years_left(self, instrument: Instrument, step: int) -> float:  # noqa: ARG002 -- for every expiry
        return _YEARS_LEFT


class FixtureExchange(Exchange):
    """An account in the fixture market. The arguments are those of Exchange. Prices move only by `set_quote`."""

    market_type = FixtureMarket

    def __init__(self, **options: Any) -> None:
        super().__init__(**{"volatile": False} | options)


@dataclass(frozen=True, slots=True)
class FixtureContract:
    """A NIFTY option that the fixture market lists; `strike` is in rupees, 26000 is at the money."""

    expiry: date
    strike: Decimal = Decimal(26000)
    option_type: str = "CE"

    @classmethod
    def of(cls, now: Callable[[], datetime] = utc_now, **changes: Any) -> FixtureContract:
        """The contract to trade: 28 to 63 days before its expiry, so it is listed the day before and after."""
        return cls(monthly_expiries(now().astimezone(IST).date(), _NIFTY.expiry_weekday, frozenset())[1], **changes)

    @property
    def symbol(self) -> str:
        """The broker's symbol: `NSE:NIFTY26DEC26000CE`."""
        return option_symbol(_NIFTY, self.expiry, True, self.strike, self.option_type)

    def fields(self) -> dict[str, str]:
        """The fields of an alert that asks for it."""
        return {
            "symbol": _NIFTY.name,
            "strikeprice": plain(self.strike),
            "optionType": self.option_type,
            "expiry": self.expiry.isoformat(),
        }
