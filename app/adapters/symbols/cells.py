"""Single cells of the CSV master, each a text: the form it must have, and the value it gives."""

import re
from datetime import date, datetime, time
from functools import lru_cache

from app.adapters.symbols.row import units
from app.domain.calendar import CORE, IST, Session

_MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
_MONTH_LETTERS = "123456789OND"
_MOVED_AT_MOST = 5  # days
_DATE_FORM = re.compile(rf"(?a:(\d\d)(?:({'|'.join(_MONTHS)})|([{_MONTH_LETTERS}])([0-3]\d)))")
TICKER = re.compile(r"(?a:(?:NSE|BSE):[A-Z0-9&._-]{1,64})")
NAME = re.compile(r"(?a:[A-Z0-9][A-Z0-9&._-]{0,29})")
NUMBER_OR_BLANK = re.compile(r"(?a:-?\d{1,9}(?:\.\d{1,8})?|)")
_WHOLE = re.compile(r"(?a:\d{1,9}(?:\.0+)?)")
_EPOCH = re.compile(r"(?a:\d{9,10}(?:\.0+)?)")
_HOURS = re.compile(r"(?a:([01]\d|2[0-3])([0-5]\d)-([01]\d|2[0-3])([0-5]\d))")
_ISO_DATE = re.compile(r"(?a:\d{4}-\d{2}-\d{2})")


@lru_cache(4096)
def is_near(code: str, expiry: int) -> bool:
    """Whether 26NOV or 26D01 can name this expiry: a holiday moves an expiry by days, not by weeks."""
    match = _DATE_FORM.fullmatch(code)
    if match is None:
        return False
    year, month, letter, day = match.groups()
    of_month = _MONTHS.index(month) + 1 if month else _MONTH_LETTERS.index(letter) + 1
    first = date(2000 + int(year), of_month, 1).toordinal()
    first, last = (first, first + 30) if month else (first + int(day) - 1, first + int(day) - 1)
    return first - _MOVED_AT_MOST <= expiry <= last + _MOVED_AT_MOST


def positive_units(text: str) -> int | None:
    """Rupees above zero, in ten-thousandths; None for any other text."""
    return units(text) or None


def positive_whole(text: str) -> int | None:
    """A whole number above zero; None for any other text."""
    return (int(text.partition(".")[0]) or None) if _WHOLE.fullmatch(text) else None


def session(text: str) -> tuple[int, int]:
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


def iso_date(text: str) -> date | None:
    """The date; None for any other text."""
    try:
        return date.fromisoformat(text) if _ISO_DATE.fullmatch(text) else None
    except ValueError:
        return None


def expiry(text: str) -> int | None:
    """The ordinal of the epoch's IST calendar date; None for any other text.

    The epoch's time of day has changed over the years and means nothing.
    """
    if not _EPOCH.fullmatch(text):
        return None
    return datetime.fromtimestamp(int(text.partition(".")[0]), IST).date().toordinal()
