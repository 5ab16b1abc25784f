"""What TradingView sent, once it is checked: the Alert and the types of its fields."""

import re
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from enum import StrEnum

from app.domain.money import plain

MAX_BODY_BYTES = 64 * 1024

# TradingView's and the exchanges' names of the indices: a chart of NSE:CNXFINANCE trades FINNIFTY options.
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
    """An expiry by its place in the list: the nearest, the nearest that ends its month, and the next ones."""

    WEEKLY = "WEEKLY"
    MONTHLY = "MONTHLY"
    NEXT_WEEKLY = "NEXT_WEEKLY"
    NEXT_MONTHLY = "NEXT_MONTHLY"


Expiry = ExpiryRule | date


@dataclass(frozen=True, slots=True)
class Moneyness:
    """A strike by its place: `steps` listed strikes out of the money (+), in the money (-) or at the money (0)."""

    steps: int

    def __str__(self) -> str:
        if self.steps == 0:
            return "ATM"
        return f"{'OTM' if self.steps > 0 else 'ITM'}{abs(self.steps)}"


Strike = Decimal | Moneyness


class LevelKind(StrEnum):
    """By what is written behind the number."""

    PRICE = ""
    PERCENT = "%"
    POINTS = "pt"


@dataclass(frozen=True, slots=True)
class Level:
    """A stop-loss or take-profit as an alert asks for it: rupees of premium, per cent of the LTP, or points from it."""

    kind: LevelKind
    value: Decimal

    def __str__(self) -> str:
        return f"{self.value.normalize():f}{self.kind}"


@dataclass(frozen=True, slots=True)
class Alert:
    """One checked alert. `quantity` is in units, `lots` in lots; at most one of them is set.

    `exchange` is BSE where the symbol names it and the underlying could be on either; `delayed` means that the chart's
    data is. `bar` is the length of the chart's bars; `bar_time` is when the bar that fired opened.
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
        """When the alert fired: its own time, else its arrival, but no later than the close of the bar it names."""
        if self.fired_at is not None:
            return self.fired_at
        if self.bar_time is None or arrived - self.bar_time <= self.bar:
            return arrived
        return self.bar_time + self.bar

    def asked(self) -> dict[str, str]:
        """The order that the alert asks for, under the webhook's names and in one canonical form.

        Two alerts with the same ones ask for the same order. Secret, identity and context are not among them.
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
    """The canonical text: 48400, 48400.0 and 48400.00 are one number and give one text."""
    return plain(number) if number != number.to_integral_value() else f"{number:.0f}"


def spelled(underlying: str) -> str:
    """The exchange's name as TradingView writes it: M_M for M&M, BAJAJ_AUTO for BAJAJ-AUTO."""
    return re.sub("[&-]", "_", underlying)
