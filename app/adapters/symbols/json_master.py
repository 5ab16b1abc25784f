"""Reads Fyers' JSON symbol master for the two things the CSV lacks: freeze quantity and the day's price band.

The file is one object keyed by ticker, 84 MB for NSE_FO (September 2026). It is read entry by entry as it arrives.
"""

import codecs
import json
import re
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

from app.adapters.symbols.row import Refused, units

_MAX_ENTRY = 64 * 1024  # characters; a real entry has about a thousand
_SEPARATOR = re.compile(r"[\s,]*")
_COLON = re.compile(r"\s*:\s*")
_WHOLE = re.compile(r"(?a:(\d{1,9})(?:\.0+)?)")


class Extra(NamedTuple):
    """What the JSON master adds to a row; 0 where it is silent. Bands are in ten-thousandths of a rupee."""

    freeze_quantity: int
    lower_band: int
    upper_band: int


NOTHING = Extra(0, 0, 0)


def read_extras(chunks: Iterable[bytes], wanted: Collection[str], name: str) -> dict[str, Extra]:
    """What the file adds for the wanted tickers. Raises Refused where it is not as documented."""
    try:
        entries = ((ticker, entry) for ticker, entry in _entries(chunks) if ticker in wanted)
        return {ticker: _extra(entry) for ticker, entry in entries if isinstance(entry, dict)}
    except (ValueError, RecursionError) as error:
        raise Refused(f"{name} is no JSON master as documented: {error}") from error


@dataclass(slots=True)
class _Window:
    """The part of the text that was read and is not used yet."""

    source: Iterator[str]
    text: str = ""
    at: int = 0

    def more(self) -> bool:
        """Reads on and drops what is used. False at the end of the file."""
        chunk = next(self.source, None)
        if chunk is None:
            return False
        if len(self.text) - self.at > _MAX_ENTRY:
            raise ValueError("an entry is too long")
        self.text, self.at = self.text[self.at :] + chunk, 0
        return True

    def skip(self, pattern: re.Pattern[str]) -> str:
        """Skips the pattern. Returns the character after it, or an empty text at the end of the file."""
        while True:
            match = pattern.match(self.text, self.at)
            end = match.end() if match else self.at
            if end < len(self.text) or not self.more():
                self.at = end
                return self.text[end : end + 1]

    def value(self) -> object:
        """The JSON value that starts here. Numbers stay as written."""
        while True:
            try:
                value, self.at = _DECODER.raw_decode(self.text, self.at)
            except json.JSONDecodeError:
                if not self.more():
                    raise
            else:
                return value


_DECODER = json.JSONDecoder(parse_float=str, parse_int=str)


def _entries(chunks: Iterable[bytes]) -> Iterator[tuple[str, object]]:
    window = _Window(codecs.iterdecode(chunks, "utf-8-sig"))
    if window.skip(_SEPARATOR) != "{":
        raise ValueError("it is not one object")
    window.at += 1
    while (mark := window.skip(_SEPARATOR)) == '"':
        ticker = str(window.value())
        window.skip(_COLON)
        yield ticker, window.value()
    if mark != "}":
        raise ValueError("it ends in the middle")


def _extra(entry: dict[str, object]) -> Extra:
    freeze = _WHOLE.fullmatch(str(entry.get("qtyFreeze", "")))
    lower, upper = (units(str(entry.get(name, ""))) or 0 for name in ("lowerPrice", "upperPrice"))
    return Extra(int(freeze[1]) if freeze else 0, *((lower, upper) if 0 <= lower < upper else (0, 0)))
