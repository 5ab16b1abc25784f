"""What is listed: indices and shares, their futures and options, as the exchanges list them on one IST day.

Everything here is a pure function of the day and the holidays passed in. Contract sizes, expiry weekdays and ticker
grammar are those of NSE and BSE in November 2026 (NSE/FAOP/70616; rows of the broker's symbol master). Trading hours
and freeze quantities are those of the day (app/facts).
"""

from __future__ import annotations

import calendar
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from functools import lru_cache

from app.facts import hours, in_force
from app.facts.freeze import freeze_on

IST = timezone(timedelta(hours=5, minutes=30), "IST")

TUESDAY, THURSDAY = 1, 3
EXCHANGE_CODE = {"NSE": 10, "BSE": 12}
CASH, DERIVATIVES = 10, 11
EQUITY, INDEX, FUTIDX, FUTSTK, OPTIDX, OPTSTK = 0, 10, 11, 13, 14, 15
MONTH_LETTER = "123456789OND"
WEEKS_AHEAD, MONTHS_AHEAD = 6, 3


@dataclass(frozen=True, slots=True)
class Underlying:
    """An index or a stock that has derivatives. `spot` is the simulated level in rupees, not a real one."""

    name: str
    exchange: str
    quote_symbol: str
    token: int
    lot_size: int
    spot: Decimal
    strike_step: Decimal
    volatility: float
    future_tick: Decimal
    weekly: bool = False
    stock: bool = False

    @property
    def fytoken(self) -> str:
        return f"{EXCHANGE_CODE[self.exchange]}{CASH}000000{self.token}"  # a date of zeros: it does not expire

    @property
    def expiry_weekday(self) -> int:
        return TUESDAY if self.exchange == "NSE" else THURSDAY

    def freeze_on(self, day: date) -> int:
        """The most units of one order. The exchange sets them for each stock; here every stock has forty lots."""
        return freeze_on(self.name, day) or self.lot_size * 40


def _index(
    name: str, exchange: str, quote: str, token: int, lot: int, spot: int, step: int, **more: bool
) -> Underlying:
    tick = Decimal("0.20") if name == "BANKNIFTY" else Decimal("0.10") if exchange == "NSE" else Decimal("0.05")
    return Underlying(
        name,
        exchange,
        f"{exchange}:{quote}-INDEX",
        token,
        lot,
        Decimal(spot),
        Decimal(step),
        0.13,
        tick,
        **more,
    )


def _stock(name: str, token: int, lot: int, spot: str, step: str) -> Underlying:
    return Underlying(
        name,
        "NSE",
        f"NSE:{name}-EQ",
        token,
        lot,
        Decimal(spot),
        Decimal(step),
        0.24,
        Decimal("0.05"),
        stock=True,
    )


UNDERLYINGS: tuple[Underlying, ...] = (
    _index("NIFTY", "NSE", "NIFTY50", 26000, 65, 26000, 50, weekly=True),
    _index("BANKNIFTY", "NSE", "NIFTYBANK", 26009, 30, 48400, 100),
    _index("FINNIFTY", "NSE", "FINNIFTY", 26037, 60, 27500, 50),
    _index("MIDCPNIFTY", "NSE", "MIDCPNIFTY", 26074, 120, 14000, 25),
    _index("NIFTYNXT50", "NSE", "NIFTYNXT50", 26013, 25, 70000, 100),
    _index("SENSEX", "BSE", "SENSEX", 1, 20, 85000, 100, weekly=True),
    _index("BANKEX", "BSE", "BANKEX", 12, 30, 65000, 100),
    _stock("RELIANCE", 2885, 500, "1500", "10"),
    _stock("M&M", 2031, 200, "3700", "20"),
    _stock("BAJAJ-AUTO", 16669, 75, "9000", "50"),
    _stock("ITC", 1660, 1600, "405", "2.5"),  # strikes such as 402.5
)


@dataclass(frozen=True, slots=True)
class Instrument:
    """One symbol: an option, a future, a share or an index. Prices in rupees, quantities in units."""

    symbol: str
    fytoken: str
    token: int
    description: str
    instrument_type: int
    exchange: str
    segment: int
    underlying: Underlying
    lot_size: int
    tick_size: Decimal
    freeze_quantity: int | None = None
    expiry: date | None = None
    strike: Decimal | None = None
    option_type: str = "XX"
    expiry_flag: str = ""  # W or M

    @property
    def is_option(self) -> bool:
        return self.strike is not None

    @property
    def is_index(self) -> bool:
        return self.instrument_type == INDEX

    @property
    def is_derivative(self) -> bool:
        return self.expiry is not None

    def session_on(self, day: date) -> tuple[time, time]:
        """When it opens and when it stops trading on a trading day, IST."""
        row = in_force(hours.CASH if self.segment == CASH else hours.DERIVATIVES, day)
        return row.opens, row.until(on_index=not self.underlying.stock, expires=self.expiry == day)

    @property
    def expiry_epoch(self) -> int:
        """When a contract stops trading for good, in seconds since 1970 UTC. Raises ValueError for a share or index."""
        if self.expiry is None:
            raise ValueError(f"{self.symbol} does not expire")
        return int(datetime.combine(self.expiry, self.session_on(self.expiry)[1], IST).timestamp())


@dataclass(slots=True)
class Listing:
    """Everything listed on one IST day. The contracts of an underlying are built when they are first needed.

    Get it from `listing_of`, which builds the listing of a day once in a process.
    """

    day: date
    holidays: frozenset[date] = frozenset()
    strikes_each_side: int = 30
    masters: dict[tuple[str, int], bytes] = field(default_factory=dict)  # the CSV symbol masters, once made
    _series: dict[str, tuple[Instrument, ...]] = field(default_factory=dict)
    _by_symbol: dict[str, Instrument] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for underlying in UNDERLYINGS:
            cash = _cash(underlying)
            self._by_symbol[cash.symbol] = cash

    def find(self, symbol: str) -> Instrument | None:
        """The instrument, or None where no such symbol is listed today."""
        found = self._by_symbol.get(symbol)
        if found is None:
            for underlying in UNDERLYINGS:
                if underlying.name not in self._series and symbol.startswith(
                    f"{underlying.exchange}:{underlying.name}"
                ):
                    self.series(underlying)
            found = self._by_symbol.get(symbol)
        return found

    def series(self, underlying: Underlying) -> tuple[Instrument, ...]:
        """Futures and options on one underlying, nearest expiry first, lowest strike first."""
        known = self._series.get(underlying.name)
        if known is None:
            known = tuple(self._build(underlying))
            self._by_symbol.update((instrument.symbol, instrument) for instrument in known)
            self._series[underlying.name] = known
        return known

    def exchange(self, name: str) -> Iterator[Instrument]:
        """Every derivative listed at NSE or BSE."""
        for underlying in UNDERLYINGS:
            if underlying.exchange == name:
                yield from self.series(underlying)

    def cash(self, exchange: str) -> Iterator[Instrument]:
        """Every index and share of NSE or BSE."""
        for underlying in UNDERLYINGS:
            if underlying.exchange == exchange:
                yield self._by_symbol[underlying.quote_symbol]

    def _build(self, underlying: Underlying) -> Iterator[Instrument]:
        months = monthly_expiries(self.day, underlying.expiry_weekday, self.holidays)
        weeks = weekly_expiries(self.day, underlying.expiry_weekday, self.holidays) if underlying.weekly else []
        token = 30000 + 5000 * UNDERLYINGS.index(underlying)
        for expiry in months:
            token += 1
            yield _future(underlying, expiry, token, self.day)
        for expiry in sorted({*months, *weeks}):
            for strike in _ladder(underlying, self.strikes_each_side):
                for option_type in ("CE", "PE"):
                    token += 1
                    yield _option(underlying, expiry, expiry in months, strike, option_type, token, self.day)


@lru_cache(maxsize=16)
def listing_of(day: date, holidays: frozenset[date] = frozenset(), strikes_each_side: int = 30) -> Listing:
    """What is listed that day; `strikes_each_side` counts from the strike nearest the underlying's level."""
    return Listing(day, holidays, strikes_each_side)


def trading_day_on_or_before(day: date, holidays: frozenset[date]) -> date:
    """An expiry that falls on a holiday moves to the trading day before."""
    while day in holidays or day.weekday() > 4:
        day -= timedelta(days=1)
    return day


def monthly_expiries(today: date, weekday: int, holidays: frozenset[date]) -> list[date]:
    """The last expiries of three months, ascending from today, which counts."""
    found: list[date] = []
    year, month = today.year, today.month
    while len(found) < MONTHS_AHEAD:
        last = date(year, month, calendar.monthrange(year, month)[1])
        expiry = trading_day_on_or_before(last - timedelta(days=(last.weekday() - weekday) % 7), holidays)
        if expiry >= today:
            found.append(expiry)
        year, month = (year + 1, 1) if month == 12 else (year, month + 1)
    return found


def weekly_expiries(today: date, weekday: int, holidays: frozenset[date]) -> list[date]:
    """The expiries of the coming six weeks, monthly ones included."""
    first = today + timedelta(days=(weekday - today.weekday()) % 7)
    days = (trading_day_on_or_before(first + timedelta(weeks=week), holidays) for week in range(WEEKS_AHEAD + 1))
    return [day for day in days if day >= today][:WEEKS_AHEAD]


def plain(strike: Decimal) -> str:
    """26000 and 402.5, as tickers write strikes."""
    return str(int(strike)) if strike == strike.to_integral_value() else str(strike.normalize())


def _ladder(underlying: Underlying, each_side: int) -> Iterator[Decimal]:
    middle = round(underlying.spot / underlying.strike_step)
    for offset in range(-each_side, each_side + 1):
        if (strike := (middle + offset) * underlying.strike_step) > 0:
            yield strike


def _cash(underlying: Underlying) -> Instrument:
    return Instrument(
        symbol=underlying.quote_symbol,
        fytoken=underlying.fytoken,
        token=underlying.token,
        description=underlying.name,
        instrument_type=EQUITY if underlying.stock else INDEX,
        exchange=underlying.exchange,
        segment=CASH,
        underlying=underlying,
        lot_size=1,
        tick_size=Decimal("0.05"),
    )


def _future(underlying: Underlying, expiry: date, token: int, day: date) -> Instrument:
    return Instrument(
        symbol=f"{underlying.exchange}:{underlying.name}{expiry:%y}{_month(expiry)}FUT",
        fytoken=_fytoken(underlying, expiry, token),
        token=token,
        description=f"{underlying.name} {_day(expiry)} FUT",
        instrument_type=FUTSTK if underlying.stock else FUTIDX,
        exchange=underlying.exchange,
        segment=DERIVATIVES,
        underlying=underlying,
        lot_size=underlying.lot_size,
        tick_size=underlying.future_tick,
        freeze_quantity=underlying.freeze_on(day),
        expiry=expiry,
        option_type="" if underlying.name == "BANKEX" else "XX",  # some rows of BSE have a blank
        expiry_flag="M",
    )


def option_symbol(underlying: Underlying, expiry: date, monthly: bool, strike: Decimal, option_type: str) -> str:
    """The broker's symbol of an option: a monthly expiry by its month, a weekly one by month letter and day."""
    when = f"{expiry:%y}{_month(expiry)}" if monthly else f"{expiry:%y}{MONTH_LETTER[expiry.month - 1]}{expiry:%d}"
    return f"{underlying.exchange}:{underlying.name}{when}{plain(strike)}{option_type}"


def _option(
    underlying: Underlying, expiry: date, monthly: bool, strike: Decimal, option_type: str, token: int, day: date
) -> Instrument:
    return Instrument(
        symbol=option_symbol(underlying, expiry, monthly, strike, option_type),
        fytoken=_fytoken(underlying, expiry, token),
        token=token,
        description=f"{underlying.name} {_day(expiry)} {plain(strike)} {option_type}",
        instrument_type=OPTSTK if underlying.stock else OPTIDX,
        exchange=underlying.exchange,
        segment=DERIVATIVES,
        underlying=underlying,
        lot_size=underlying.lot_size,
        tick_size=Decimal("0.05"),
        freeze_quantity=underlying.freeze_on(day),
        expiry=expiry,
        strike=strike,
        option_type=option_type,
        expiry_flag="M" if monthly else "W",
    )


def _fytoken(underlying: Underlying, expiry: date, token: int) -> str:
    return f"{EXCHANGE_CODE[underlying.exchange]}{DERIVATIVES}{expiry:%y%m%d}{token}"


# strftime("%b") follows the locale; tickers and descriptions are English.
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def _month(day: date) -> str:
    return _MONTHS[day.month - 1].upper()


def _day(day: date) -> str:
    return f"{day:%d} {_MONTHS[day.month - 1]} {day:%y}"


def stamp(moment: datetime) -> str:
    """`20-Nov-2026 09:31:21`, IST: the form of times in the broker's rows."""
    local = moment.astimezone(IST)
    return f"{local:%d}-{_MONTHS[local.month - 1]}-{local:%Y %H:%M:%S}"


def utc_now() -> datetime:
    return datetime.now(UTC)
