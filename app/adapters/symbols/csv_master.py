"""Reads Fyers' symbol master in CSV: 21 columns without a header (API v3 documentation, Symbol Master).

Every column that an option needs is checked: a file that is truncated, reordered or no CSV is refused, and the message
names the row and its text. The gateway does not trade futures and shares yet, so a faulty row of theirs is left out.
pandas is imported only while a master is built.
"""

import csv
import io
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime, time
from functools import lru_cache
from typing import TYPE_CHECKING, TypeVar

from app.adapters.symbols.row import Refused, Row, units
from app.domain.calendar import CORE, IST, Session
from app.facts.fyers import CASH, DERIVATIVES, EXCHANGES, FUTURES, OPTIONS, SHARE

if TYPE_CHECKING:
    import pandas

COLUMNS = 21

_INSTRUMENT, _LOT, _TICK, _SESSION, _UPDATED, _EXPIRY, _TICKER = 2, 3, 4, 6, 7, 8, 9
_EXCHANGE, _SEGMENT, _UNDERLYING, _STRIKE, _TYPE = 10, 11, 13, 15, 16
_CASH, _DERIVATIVES, _SHARE = str(CASH), str(DERIVATIVES), str(SHARE)
_EXCHANGE_CODES = {str(code): exchange for code, exchange in EXCHANGES.items()}
_OPTIONS = {str(code): code for code in OPTIONS}
_FUTURES = [str(code) for code in FUTURES]
_OPTION_TYPES = ["CE", "PE"]
_DATE_CODE = 5  # characters after the underlying in a ticker: 26NOV, 26D01

_MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
_MONTH_LETTERS = "123456789OND"
_MOVED_AT_MOST = 5  # days
_DATE_FORM = re.compile(rf"(?a:(\d\d)(?:({'|'.join(_MONTHS)})|([{_MONTH_LETTERS}])([0-3]\d)))")
_TICKER_FORM = re.compile(r"(?a:(?:NSE|BSE):[A-Z0-9&._-]{1,64})")
_NAME = re.compile(r"(?a:[A-Z0-9][A-Z0-9&._-]{0,29})")
_NUMBER_OR_BLANK = re.compile(r"(?a:-?\d{1,9}(?:\.\d{1,8})?|)")
_WHOLE = re.compile(r"(?a:\d{1,9}(?:\.0+)?)")
_EPOCH = re.compile(r"(?a:\d{9,10}(?:\.0+)?)")
_HOURS = re.compile(r"(?a:([01]\d|2[0-3])([0-5]\d)-([01]\d|2[0-3])([0-5]\d))")
_ISO_DATE = re.compile(r"(?a:\d{4}-\d{2}-\d{2})")

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
    set_aside: int
    others_set_aside: int


def read_master(body: bytes, name: str) -> Contents:
    """What the file lists. Raises Refused, saying where, for a file that is not as documented.

    A file of the cash segment lists shares. Any other file has to list options.
    """
    _check_shape(body, name)
    frame = _frame(body, name)
    others, others_set_aside, dated = _others(frame)
    columns = _option_columns(name, frame)
    if columns is None:
        if dated is None:
            raise Refused(f"{name} has no option rows")
        return Contents([], others, dated, 0, others_set_aside)
    dated = max(columns.converted(_UPDATED, "the last update", _iso_date))
    rows = _options(columns)
    options = [row for row in rows if _agrees(row)]
    set_aside = len(rows) - len(options)
    if set_aside > len(rows) * _MAX_CONTRADICTIONS:
        raise Refused(f"{name}: {set_aside} of {len(rows)} option rows contradict their own ticker")
    return Contents(options, others, dated, set_aside, others_set_aside)


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


def _agrees(row: Row) -> bool:
    """Whether the ticker says what the columns say: NIFTY26NOV26000CE, NIFTY26NOVFUT, or SBIN-EQ, whatever its series.

    No contract is ever found by parsing its ticker; this only detects columns that have moved against each other.
    """
    rest = row.symbol.removeprefix(f"{row.exchange}:{row.underlying}")
    if not row.expiry:
        return rest.startswith("-")
    code, end = rest[:_DATE_CODE], rest[_DATE_CODE:]
    named = units(end.removesuffix(row.option_type)) == row.strike if row.option_type else end == "FUT"
    return named and _is_near(code, row.expiry)


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


def _others(frame: "pandas.DataFrame") -> tuple[list[Row], int, date | None]:
    """Futures and shares, how many are left out, and the newest last update of a share; None where there is no share.

    What trades in larger lots in the cash segment (small companies) is not taken for a share.
    """
    futures = (frame[_SEGMENT] == _DERIVATIVES) & frame[_INSTRUMENT].isin(_FUTURES)
    shares = (frame[_SEGMENT] == _CASH) & (frame[_INSTRUMENT] == _SHARE) & (frame[_LOT] == "1")
    read = [_other(*row) for row in frame[futures | shares].itertuples(index=False, name=None)]
    rows = [row for row in read if row is not None]
    updated = (_iso_date(text) for text in frame[shares][_UPDATED].unique())
    return rows, len(read) - len(rows), max((day for day in updated if day is not None), default=None)


def _other(*row: str) -> Row | None:
    """A future or share; None where the row contradicts its own ticker or makes no sense."""
    instrument, lot, tick, session, _, expiry, ticker, exchange, _, underlying, _, _ = row
    place, lot_size, tick_size = _EXCHANGE_CODES.get(exchange), _positive_whole(lot), units(tick)
    expires = 0 if instrument == _SHARE else _expiry(expiry)
    if place is None or expires is None or lot_size is None or tick_size is None:
        return None
    if not _TICKER_FORM.fullmatch(ticker) or not _NAME.fullmatch(underlying):
        return None
    found = Row(place, underlying, expires, "", 0, ticker, lot_size, tick_size, _minutes(session), int(instrument))
    return found if _agrees(found) else None


def _option_columns(name: str, frame: "pandas.DataFrame") -> "_Columns | None":
    """The rows of options; None where there are none. Raises Refused where a cell leaves open whether a row is one."""
    cash = (frame[_SEGMENT] == _CASH) & ~frame[_TYPE].isin(_OPTION_TYPES)
    rows = _Columns(name, frame[~cash] if cash.any() else frame)
    rows.check(_TICKER, "the ticker", _TICKER_FORM.fullmatch)
    rows.check(_STRIKE, "the strike", _NUMBER_OR_BLANK.fullmatch)
    rows.check(_TYPE, "the option type", lambda text: text in (*_OPTION_TYPES, "XX", ""))
    rows.check(_EXCHANGE, "the exchange", lambda text: text in _EXCHANGE_CODES)
    options = frame[frame[_TYPE].isin(_OPTION_TYPES) & (frame[_SEGMENT] == _DERIVATIVES)]
    return None if options.empty else _Columns(name, options)


def _options(columns: "_Columns") -> list[Row]:
    """The options, whether or not they contradict themselves. Raises Refused for a cell that makes no sense."""
    values = (
        columns.converted(_EXCHANGE, "the exchange", _EXCHANGE_CODES.get),
        columns.converted(_UNDERLYING, "the underlying", lambda text: text if _NAME.fullmatch(text) else None),
        columns.converted(_EXPIRY, "the expiry", _expiry),
        columns.converted(_TYPE, "the option type", str),
        columns.converted(_STRIKE, "the strike", units),
        columns.converted(_TICKER, "the ticker", str),
        columns.converted(_LOT, "the lot", _positive_whole),
        columns.converted(_TICK, "the tick", units),
        columns.converted(_SESSION, "the session", _minutes),
        columns.converted(_INSTRUMENT, "the instrument", lambda text: _OPTIONS.get(text, 0)),
    )
    return [Row(*row) for row in zip(*values, strict=True)]


class _Columns:
    """Looks at each distinct value of a column once, and names the first row with a bad one."""

    def __init__(self, name: str, frame: "pandas.DataFrame") -> None:
        self.name = name
        self.frame = frame

    def check(self, column: int, what: str, good: Callable[[str], object]) -> None:
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


@lru_cache(4096)
def _is_near(code: str, expiry: int) -> bool:
    """Whether 26NOV or 26D01 can name this expiry: a holiday moves an expiry by days, not by weeks."""
    match = _DATE_FORM.fullmatch(code)
    if match is None:
        return False
    year, month, letter, day = match.groups()
    of_month = _MONTHS.index(month) + 1 if month else _MONTH_LETTERS.index(letter) + 1
    first = date(2000 + int(year), of_month, 1).toordinal()
    first, last = (first, first + 30) if month else (first + int(day) - 1, first + int(day) - 1)
    return first - _MOVED_AT_MOST <= expiry <= last + _MOVED_AT_MOST


def _positive_whole(text: str) -> int | None:
    """A whole number above zero; None for any other text."""
    return (int(text.partition(".")[0]) or None) if _WHOLE.fullmatch(text) else None


def _minutes(text: str) -> tuple[int, int]:
    """The hours in `0900-0908|0915-1540|1815-1915:`, in minutes since midnight.

    From the first opening to the last close of the sessions that overlap the usual day; where none does, the first
    session's. The session of special days follows the colon. Any other text gives (0, 0): the dated table works
    without it, while a refused file would stop entries.
    """
    found = (_HOURS.fullmatch(part) for part in text.partition(":")[0].split("|"))
    said = [Session(time(int(at[1]), int(at[2])), time(int(at[3]), int(at[4]))) for at in found if at is not None]
    said = [hours for hours in said if not hours.is_empty]
    usual = [hours for hours in said if hours.overlaps(CORE)] or said[:1]
    if not usual:
        return 0, 0
    opens, closes = min(hours.opens for hours in usual), max(hours.closes for hours in usual)
    return 60 * opens.hour + opens.minute, 60 * closes.hour + closes.minute


def _iso_date(text: str) -> date | None:
    """The date; None for any other text."""
    try:
        return date.fromisoformat(text) if _ISO_DATE.fullmatch(text) else None
    except ValueError:
        return None


def _expiry(text: str) -> int | None:
    """The ordinal of the epoch's IST calendar date; None for any other text.

    The epoch's time of day has changed over the years and means nothing.
    """
    if not _EPOCH.fullmatch(text):
        return None
    return datetime.fromtimestamp(int(text.partition(".")[0]), IST).date().toordinal()
