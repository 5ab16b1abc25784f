"""The Alert and the words it is made of."""

import re
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from enum import StrEnum

from app.domain.money import plain

MAX_BODY_BYTES = 64 * 1024

# TradingView's own names of the indices beside the exchanges' (charts of NSE:CNXFINANCE trade FINNIFTY options).
INDICES = {
    "NIFTY": "NIFTY",
    "NIFTY50": "NIFTY",
    "BANKNIFTY": "BANKNIFTY",
    "NIFTYBANK": "BANKNIFTY",
    "FINNIFTY": "FINNIFTY",
    "CNXFINANCE": "FINNIFTY",
    "MIDCPNIFTY": "MIDCPNIFTY",
    "NIFTY_MID_SELECT": "MIDCPNIFTY",
    "NIFTYNXT50": "NIFTYNXT50",
    "NIFTYJR": "NIFTYNXT50",
    "SENSEX": "SENSEX",
    "BANKEX": "BANKEX",
}


class Side(StrEnum):
    """SELL opens a short; BUY covers one (or opens a long, where BUY_MODE=open)."""

    BUY = "BUY"
    SELL = "SELL"


class OptionType(StrEnum):
    CE = "CE"
    PE = "PE"


class Product(StrEnum):
    """INTRADAY is closed by the broker before the session ends; MARGIN stays open overnight."""

    INTRADAY = "INTRADAY"
    MARGIN = "MARGIN"


class ExpiryRule(StrEnum):
    """An expiry said by its place in the list: the nearest, the nearest last-of-month, and the ones after."""

    WEEKLY = "WEEKLY"
    MONTHLY = "MONTHLY"
    NEXT_WEEKLY = "NEXT_WEEKLY"
    NEXT_MONTHLY = "NEXT_MONTHLY"


Expiry = ExpiryRule | date


@dataclass(frozen=True, slots=True)
class Moneyness:
    """A strike said by its place: `steps` listed strikes out of the money (+), in it (-), or at it (0)."""

    steps: int

    def __str__(self) -> str:
        if self.steps == 0:
            return "ATM"
        return f"{'OTM' if self.steps > 0 else 'ITM'}{abs(self.steps)}"


Strike = Decimal | Moneyness


class LevelKind(StrEnum):
    PRICE = "PRICE"
    PERCENT = "PERCENT"
    POINTS = "POINTS"


@dataclass(frozen=True, slots=True)
class Level:
    """A stop-loss or take-profit as it was asked for: a premium in rupees, per cent of the LTP, or points from it."""

    kind: LevelKind
    value: Decimal

    def __str__(self) -> str:
        number = f"{self.value.normalize():f}"
        match self.kind:
            case LevelKind.PRICE:
                return number
            case LevelKind.PERCENT:
                return f"{number}%"
            case LevelKind.POINTS:
                return f"{number}pt"


@dataclass(frozen=True, slots=True)
class Alert:
    """One alert, checked. `quantity` is in units, `lots` in lots; at most one of them is set.

    `exchange` is NSE or BSE where the symbol said so and it matters; `delayed` says that the chart's data was.
    `bar` is how long a bar of the chart is; `bar_time` is when the one that fired opened.
    """

    underlying: str
    exchange: str | None
    strike: Strike
    option_type: OptionType
    expiry: Expiry
    side: Side
    product: Product
    quantity: int | None = None
    lots: int | None = None
    stop_loss: Level | None = None
    take_profit: Level | None = None
    client_id: str | None = None
    fired_at: datetime | None = None
    bar_time: datetime | None = None
    bar: timedelta = timedelta(days=1)
    order_id: str | None = None
    strategy: str | None = None
    delayed: bool = False
    context: tuple[tuple[str, str], ...] = ()
    unknown: tuple[str, ...] = ()

    def fired(self, arrived: datetime) -> datetime:
        """When it fired: what it says, else when it arrived, but no later than the bar closed that it names."""
        if self.fired_at is not None:
            return self.fired_at
        if self.bar_time is None or arrived - self.bar_time <= self.bar:
            return arrived
        return self.bar_time + self.bar

    def asked(self) -> dict[str, str]:
        """The order that was asked for, under the webhook's own names and in one canonical form.

        What makes two alerts the same order: no secret, no identity, no context.
        """
        asked = {
            "symbol": f"{self.exchange}:{self.underlying}" if self.exchange else self.underlying,
            "strikeprice": plain_number(self.strike) if isinstance(self.strike, Decimal) else str(self.strike),
            "optionType": self.option_type,
            "expiry": str(self.expiry),
            "action": self.side,
            "productType": self.product,
        }
        optional = {"qty": self.quantity, "lots": self.lots, "sl": self.stop_loss, "tp": self.take_profit}
        return asked | {name: str(value) for name, value in optional.items() if value is not None}


def plain_number(number: Decimal) -> str:
    """48400, 48400.0 and 48400.00 are one number and one text."""
    return plain(number) if number != number.to_integral_value() else f"{number:.0f}"


def spelled(underlying: str) -> str:
    """As TradingView writes the exchange's name: M_M for M&M, BAJAJ_AUTO for BAJAJ-AUTO."""
    return re.sub("[&-]", "_", underlying)
