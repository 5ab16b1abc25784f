"""Reads Fyers' symbol master in CSV: 21 columns without a header (API v3 documentation, Symbol Master).

Every column that an option needs is checked, so a file that is truncated, reordered or no CSV at all is refused, and
the message names the row and its text. The gateway does not trade futures and shares yet: a faulty row of theirs is
left out and costs the file nothing. pandas is imported here alone, and only while a master is built.
"""

import csv
import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, TypeVar

from app.adapters.symbols import cells
from app.adapters.symbols.refused import Refused
from app.adapters.symbols.row import Row, units
from app.facts.fyers import CASH, DERIVATIVES, EXCHANGES, FUTURES, OPTIONS, SHARE

if TYPE_CHECKING:
    import pandas

COLUMNS = 21

_INSTRUMENT, _LOT, _TICK, _SESSION, _UPDATED, _EXPIRY, _TICKER = 2, 3, 4, 6, 7, 8, 9
_EXCHANGE, _SEGMENT, _UNDERLYING, _STRIKE, _TYPE = 10, 11, 13, 15, 16
_CASH, _DERIVATIVES, _SHARE = str(CASH), str(DERIVATIVES), str(SHARE)
_EXCHANGE_CODES = {str(code): exchange for code, exchange in EXCHANGES.items()}
_OPTIONS = {str(code): code for code in OPTIONS}
_FUTURES = {str(code): code for code in FUTURES}
_OPTION_TYPES = ["CE", "PE"]
_DATE_CODE = 5  # characters after the underlying in a ticker: 26NOV, 26D01

_Value = TypeVar("_Value")

# A row whose own columns contradict each other is left out. More than this share of them means a scrambled file.
_MAX_CONTRADICTIONS = 0.1


@dataclass(frozen=True, slots=True)
class Contents:
    """The NSE and BSE rows of one file. `dated` is the newest last update of an option, or else of a share.

    `set_aside` counts the options, and `others_set_aside` the futures and shares, that contradict their own ticker or
    make no sense; they are in neither list.
    """

    options: list[Row]
    others: list[Row]
    dated: date
    set_aside: int = 0
    others_set_aside: int = 0


def read_master(body: bytes, name: str) -> Contents:
    """What the file lists. Raises Refused, saying where, for a file that is not as documented.

    A file of the cash segment lists shares. Any other file has to list options.
    """
    _check_shape(body, name)
    frame = _frame(body, name)
    others = _Others(frame)
    columns = _columns(_Check(name, _without_cash(frame)))
    if columns is None:
        if others.dated is None:
            raise Refused(f"{name} has no option rows")
        return Contents([], others.rows, others.dated, others_set_aside=others.set_aside)
    found = [row for row in columns.rows() if row is not None]
    set_aside = columns.count - len(found)
    if set_aside > columns.count * _MAX_CONTRADICTIONS:
        raise Refused(f"{name}: {set_aside} of {columns.count} option rows contradict their own ticker")
    return Contents(found, others.rows, columns.dated, set_aside, others.set_aside)


def _check_shape(body: bytes, name: str) -> None:
    start = body[:512].lstrip(b"\xef\xbb\xbf \t\r\n")
    if not start:
        raise Refused(f"{name} is empty")
    if start.startswith(b"<"):
        raise Refused(f"{name} is a web page, not a symbol master")
    if start.startswith((b"{", b"[")):
        raise Refused(f"{name} is JSON, not CSV")
    if b"\0" in body:
        raise Refused(f"{name} has bytes that are no text")
    for number, line in enumerate(io.BytesIO(body), 1):
        if line.count(b",") < COLUMNS - 1 and line.strip():
            raise Refused(
                f"{name}, row {number} has {line.count(b',') + 1} columns, not {COLUMNS}: cut off or another file"
            )


@dataclass(frozen=True, slots=True)
class _Columns:
    """The columns of the option rows, converted; of equal length."""

    dated: date
    tickers: list[str]
    exchanges: list[str]
    underlyings: list[str]
    expiries: list[int]
    option_types: list[str]
    strikes: list[int]
    lots: list[int]
    ticks: list[int]
    sessions: list[tuple[int, int]]
    instruments: list[int]

    @property
    def count(self) -> int:
        return len(self.tickers)

    def rows(self) -> Iterator[Row | None]:
        """The rows; None in place of a row that contradicts itself."""
        columns = (self.exchanges, self.underlyings, self.expiries, self.option_types, self.strikes)
        terms = (self.lots, self.ticks, self.sessions, self.instruments)
        for values in zip(*columns, self.tickers, *terms, strict=True):
            row = Row(*values)
            yield row if _agrees(row) else None


def _agrees(row: Row) -> bool:
    """True where the ticker gives the same underlying, strike and type as the columns, and about the same expiry.

    No contract is ever found by parsing its ticker; this only detects columns that have moved against each other.
    """
    prefix = f"{row.exchange}:{row.underlying}"
    if not (row.symbol.startswith(prefix) and row.symbol.endswith(row.option_type)):
        return False
    rest = row.symbol[len(prefix) : -len(row.option_type)]
    return units(rest[_DATE_CODE:]) == row.strike and cells.is_near(rest[:_DATE_CODE], row.expiry)


def _other_agrees(row: Row) -> bool:
    """The same of a future (NIFTY26NOVFUT) or a share (SBIN-EQ, whatever its series)."""
    rest = row.symbol.removeprefix(f"{row.exchange}:{row.underlying}")
    if not row.expiry:
        return rest.startswith("-")
    return rest[_DATE_CODE:] == "FUT" and cells.is_near(rest[:_DATE_CODE], row.expiry)


def _frame(body: bytes, name: str) -> "pandas.DataFrame":
    """The columns in use, each cell as text."""
    import pandas

    wanted = [_INSTRUMENT, _LOT, _TICK, _SESSION, _UPDATED, _EXPIRY, _TICKER]
    wanted += [_EXCHANGE, _SEGMENT, _UNDERLYING, _STRIKE, _TYPE]
    try:
        return pandas.read_csv(
            io.BytesIO(body),
            header=None,
            usecols=wanted,
            dtype="str",  # prices stay as written; a float would already be another number
            na_filter=False,  # an empty cell stays empty, a stock called NA stays a stock
            quoting=csv.QUOTE_NONE,  # Fyers quotes nothing, and a stray quote must not swallow rows
            encoding="utf-8-sig",
        )
    except ValueError as error:
        raise Refused(f"{name} is no CSV as documented: {str(error).strip().splitlines()[0]}") from error


def _without_cash(frame: "pandas.DataFrame") -> "pandas.DataFrame":
    """The frame without rows of the cash segment, unless they claim to be options."""
    cash = (frame[_SEGMENT] == _CASH) & ~frame[_TYPE].isin(_OPTION_TYPES)
    return frame[~cash] if cash.any() else frame


class _Others:
    """Futures and shares. `dated` is the newest last update of a share; None where the file lists no share.

    What trades in larger lots in the cash segment (small companies) is not taken for a share.
    """

    def __init__(self, frame: "pandas.DataFrame") -> None:
        futures = (frame[_SEGMENT] == _DERIVATIVES) & frame[_INSTRUMENT].isin(list(_FUTURES))
        shares = (frame[_SEGMENT] == _CASH) & (frame[_INSTRUMENT] == _SHARE) & (frame[_LOT] == "1")
        read = [_other(*row) for row in frame[futures | shares].itertuples(index=False, name=None)]
        updated = (cells.iso_date(text) for text in frame[shares][_UPDATED].unique())
        self.rows = [row for row in read if row is not None]
        self.set_aside = len(read) - len(self.rows)
        self.dated = max((day for day in updated if day is not None), default=None)


def _other(*row: str) -> Row | None:
    """A future or share; None where the row contradicts its own ticker or makes no sense."""
    instrument, lot, tick, session, _, expiry, ticker, exchange, _, underlying, _, _ = row
    place, lot_size, tick_size = _EXCHANGE_CODES.get(exchange), cells.positive_whole(lot), cells.positive_units(tick)
    expires = 0 if instrument == _SHARE else cells.expiry(expiry)
    if place is None or expires is None or lot_size is None or tick_size is None:
        return None
    if not cells.TICKER.fullmatch(ticker) or not cells.NAME.fullmatch(underlying):
        return None
    found = Row(place, underlying, expires, "", 0, ticker, lot_size, tick_size, cells.session(session), int(instrument))
    return found if _other_agrees(found) else None


def _columns(check: "_Check") -> _Columns | None:
    """The columns of the option rows; None where there are none. Raises Refused for a cell that makes no sense."""
    check.each(_TICKER, "the ticker", lambda text: cells.TICKER.fullmatch(text) is not None)
    check.each(_STRIKE, "the strike", lambda text: cells.NUMBER_OR_BLANK.fullmatch(text) is not None)
    check.each(_TYPE, "the option type", lambda text: text in (*_OPTION_TYPES, "XX", ""))
    check.each(_EXCHANGE, "the exchange", lambda text: text in _EXCHANGE_CODES)
    frame = check.frame
    check.frame = frame[frame[_TYPE].isin(_OPTION_TYPES) & (frame[_SEGMENT] == _DERIVATIVES)]
    if check.frame.empty:
        return None
    return _Columns(
        dated=max(set(check.converted(_UPDATED, "the last update", cells.iso_date))),
        tickers=check.frame[_TICKER].tolist(),
        exchanges=check.converted(_EXCHANGE, "the exchange", _EXCHANGE_CODES.get),
        underlyings=check.converted(
            _UNDERLYING, "the underlying", lambda text: text if cells.NAME.fullmatch(text) else None
        ),
        expiries=check.converted(_EXPIRY, "the expiry", cells.expiry),
        option_types=check.converted(_TYPE, "the option type", str),
        strikes=check.converted(_STRIKE, "the strike", cells.positive_units),
        lots=check.converted(_LOT, "the lot", cells.positive_whole),
        ticks=check.converted(_TICK, "the tick", cells.positive_units),
        sessions=check.converted(_SESSION, "the session", cells.session),
        instruments=check.converted(_INSTRUMENT, "the instrument", lambda text: _OPTIONS.get(text, 0)),
    )


class _Check:
    """Checks each distinct value of a column once, and names the first row with a bad one."""

    def __init__(self, name: str, frame: "pandas.DataFrame") -> None:
        self.name = name
        self.frame = frame

    def each(self, column: int, what: str, good: Callable[[str], bool]) -> None:
        for value in self.frame[column].unique():
            if not good(value):
                self._refuse(column, what, value)

    def converted(self, column: int, what: str, convert: Callable[[str], _Value | None]) -> list[_Value]:
        """The column's values, converted. Raises Refused where `convert` gives None for one."""
        known: dict[str, _Value] = {}
        for value in self.frame[column].unique():
            converted = convert(value)
            if converted is None:
                self._refuse(column, what, value)
            else:
                known[value] = converted
        return [known[value] for value in self.frame[column].tolist()]

    def _refuse(self, column: int, what: str, value: str) -> None:
        row = int(self.frame.index[self.frame[column] == value][0]) + 1
        raise Refused(f"{self.name}, row {row}, column {column + 1}: {what} cannot be {value[:40]!r}")
