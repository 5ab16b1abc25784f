"""Symbol masters as the exchange would list them, made row by row, for tests and the benchmark."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path

from app.domain.calendar import IST

_MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
_INDICES = ("NIFTY", "BANKNIFTY", "FINNIFTY", "MIDCPNIFTY", "NIFTYNXT50", "SENSEX", "BANKEX")
_CODES = {"NSE": 10, "BSE": 12}
_INSTRUMENTS = {("option", True): "14", ("option", False): "15", ("future", True): "11", ("future", False): "13"}


@dataclass(frozen=True, slots=True)
class Listed:
    """One row of the CSV, each cell as text where a test may want nonsense in it."""

    exchange: str = "NSE"
    underlying: str = "NIFTY"
    expiry: date = date(2026, 11, 24)
    strike: str = "26000.0"
    option_type: str = "CE"
    lot: str = "65"
    tick: str = "0.05"
    updated: str = "2026-11-20"
    monthly: bool = True
    ticker: str | None = None
    closes: time = time(15, 40)
    session: str = "0915-1540|1815-1915:"
    instrument: str | None = None

    @property
    def symbol(self) -> str:
        month = "123456789OND"[self.expiry.month - 1]
        day = f"{_MONTHS[self.expiry.month - 1]}" if self.monthly else f"{month}{self.expiry:%d}"
        end = "FUT" if self.option_type == "XX" else f"{plain(self.strike)}{self.option_type}"
        return self.ticker or f"{self.exchange}:{self.underlying}{self.expiry:%y}{day}{end}"

    def cells(self) -> list[str]:
        epoch = int(datetime.combine(self.expiry, self.closes, IST).timestamp())
        code = _CODES[self.exchange]
        kind = "future" if self.option_type == "XX" else "option"
        instrument = self.instrument or _INSTRUMENTS[kind, self.underlying in _INDICES]
        return [
            f"{code}11{self.expiry:%y%m%d}35086", f"{self.underlying} {self.expiry:%d %b %y} {self.option_type}",
            instrument,
            self.lot, self.tick, "", self.session, self.updated, str(epoch), self.symbol, str(code), "11",
            "35086", self.underlying, "26000", self.strike, self.option_type, "101000000026000", "None", "0", "0.0",
        ]  # fmt: skip


def share(name: str = "SBIN", exchange: str = "NSE", **changes: str) -> list[str]:
    """One row of a master of the cash segment; `changes` are cells by name."""
    row = {
        "token": "10100000003045", "description": "STATE BANK OF INDIA", "instrument": "0", "lot": "1", "tick": "0.1",
        "isin": "INE062A01020", "session": "0915-1530|1815-1915:", "updated": "2026-11-20", "expiry": "",
        "ticker": f"{exchange}:{name}-{'EQ' if exchange == 'NSE' else 'A'}", "exchange": str(_CODES[exchange]),
        "segment": "10", "scrip": "3045", "underlying": name, "of": "3045", "strike": "-1.0", "type": "XX",
        "of token": "10100000003045", "reserved": "None", "mtf": "1", "margin": "3.7",
    }  # fmt: skip
    return list((row | changes).values())


def plain(strike: str) -> str:
    number = Decimal(strike)
    return str(int(number)) if number == int(number) else f"{number.normalize():f}"


def csv_of(rows: Iterable[Listed | Sequence[str]]) -> bytes:
    lines = (",".join(row.cells() if isinstance(row, Listed) else row) for row in rows)
    return "".join(f"{line}\n" for line in lines).encode()


def write(path: Path, rows: Iterable[Listed | Sequence[str]]) -> str:
    """The master as a file; its path, to stand in SYMBOL_MASTER_URLS."""
    path.write_bytes(csv_of(rows))
    return str(path)


def chain(first: Listed, strikes: Iterable[object]) -> Iterator[Listed]:
    """Calls and puts at each strike."""
    for strike in strikes:
        for option_type in ("CE", "PE"):
            yield replace(first, strike=f"{Decimal(str(strike)):.2f}", option_type=option_type)


def exchange_list(day: date, stocks: int = 8) -> Iterator[Listed]:
    """What NSE would list on a day, in small: two indices with a ladder, their futures, some stocks."""
    dated = Listed(updated=day.isoformat())
    for expiry, monthly in nse_expiries(day, weeks=6):
        nifty = replace(dated, expiry=expiry, monthly=monthly)
        yield from chain(nifty, range(25000, 27001, 50))
        if monthly:
            yield replace(nifty, option_type="XX", strike="-1.0")
            yield from chain(replace(nifty, underlying="BANKNIFTY", lot="30"), range(46000, 51001, 100))
            for stock in range(stocks):
                yield from chain(replace(nifty, underlying=f"STOCK{stock}", lot="500"), range(1000, 1101, 10))


def large_master(day: date, rows: int = 100_000) -> Iterator[Listed]:
    """Exactly so many option rows, spread as on the exchange: some long index chains, many short stock chains."""
    return _first(_endless(day), rows)


def nse_expiries(day: date, weeks: int) -> list[tuple[date, bool]]:
    """The coming Tuesdays and the last Tuesdays of three months, each with whether it is its month's last."""
    first = day + timedelta(days=(1 - day.weekday()) % 7)
    found = {first + timedelta(weeks=week) for week in range(weeks)}
    months = [date(day.year + (day.month + ahead - 1) // 12, (day.month + ahead - 1) % 12 + 1, 1) for ahead in range(4)]
    lasts = {_last_tuesday(month) for month in months}
    found |= set(sorted(last for last in lasts if last >= day)[:3])
    return [(expiry, expiry in lasts) for expiry in sorted(found)]


def _last_tuesday(month: date) -> date:
    last = (month.replace(day=28) + timedelta(days=4)).replace(day=1) - timedelta(days=1)
    return last - timedelta(days=(last.weekday() - 1) % 7)


def _endless(day: date) -> Iterator[Listed]:
    dated = Listed(updated=day.isoformat())
    expiries = nse_expiries(day, weeks=6)
    for name, middle, step in (("NIFTY", 26000, 50), ("BANKNIFTY", 48400, 100), ("FINNIFTY", 27500, 50)):
        for expiry, monthly in expiries if name == "NIFTY" else [each for each in expiries if each[1]]:
            strikes = range(middle - 120 * step, middle + 121 * step, step)
            yield from chain(replace(dated, underlying=name, expiry=expiry, monthly=monthly), strikes)
    stock = 0
    while True:
        for expiry in (each for each, monthly in expiries if monthly):
            halves = (Decimal(1000) + Decimal("2.5") * step for step in range(60))
            yield from chain(replace(dated, underlying=f"STOCK{stock}", lot=str(100 + stock), expiry=expiry), halves)
        stock += 1


def _first(rows: Iterator[Listed], count: int) -> Iterator[Listed]:
    for _ in range(count):
        yield next(rows)
