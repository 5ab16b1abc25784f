"""From the text of one field to its value. Every fault names the field and says what to change."""

import re
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import TypeVar

from app.domain.alert import (
    INDICES,
    Expiry,
    ExpiryRule,
    Level,
    LevelKind,
    Moneyness,
    OptionType,
    Product,
    Side,
    Strike,
)
from app.domain.errors import Malformed

MAX_TEXT = 128  # characters
MAX_CONTEXT = 1024

_NUMBERS = ("strikeprice", "qty", "lots", "sl", "tp")
_Word = TypeVar("_Word", OptionType, Product, Side)

_PLAIN = r"(?:0|[1-9]\d{0,8})(?:\.\d{1,8})?"
_DECIMAL = re.compile(rf"(?a:{_PLAIN})")
_SYMBOL = re.compile(r"(?a:(?:([A-Z]{2,6}?)(_DLY?)?:)?([A-Z0-9][A-Z0-9&_-]{0,29}?)(?:[1-9]!)?)")
_MONEYNESS = re.compile(r"(?a:(ITM|OTM)([1-9]|1\d|20))")
_LEVEL = re.compile(rf"(?a:({_PLAIN}) ?(%|PTS?)?)")
_DATE = re.compile(r"(?a:\d{4}-\d{2}-\d{2})")
_MOMENT = re.compile(r"(?a:(\d{4}-\d{2}-\d{2})T(\d{2}:\d{2}:\d{2})(\.\d{1,6})?(Z|[+-]\d{2}:\d{2}))")
_INTERVAL = re.compile(r"(?a:([1-9]\d{0,3})?([SDWM]?))")
_BARS = {
    "S": timedelta(seconds=1),
    "": timedelta(minutes=1),
    "D": timedelta(days=1),
    "W": timedelta(days=7),
    "M": timedelta(days=31),
}
_EPOCH_MS = re.compile(r"(?a:\d{13})")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

_EXCHANGES = {"NSE": "NSE", "NFO": "NSE", "BSE": "BSE", "BFO": "BSE"}


def underlying_of(symbol: str) -> str:
    """The exchange's name of the underlying in an alert's `symbol`: NIFTY for NIFTY50 or NIFTY1!. Raises Malformed."""
    return symbol_of(symbol)[2]


def required(fields: Mapping[str, object], name: str) -> str:
    value = fields.get(name)
    if value is None:
        raise Malformed(name, "is missing; every alert needs it")
    return filled(name, value)


def filled(name: str, value: object) -> str:
    """The value as a text, which may not be empty."""
    text = _plain_text(name, value, MAX_TEXT)
    if not text:
        raise Malformed(name, "is empty; give it a value")
    return text


def _plain_text(name: str, value: object, limit: int) -> str:
    if not isinstance(value, str):
        kind = {bool: "true or false", list: "a list", dict: "an object"}.get(type(value), "not a text")
        raise Malformed(name, f"is {kind}; send a text or a number")
    text = value.strip()
    if len(text) > limit:
        raise Malformed(name, f"is {len(text)} characters long; {limit} are allowed")
    if name in _NUMBERS and text != value:
        raise Malformed(name, "has blanks around its value; remove them")
    return text


def optional_text(fields: Mapping[str, object], name: str, limit: int) -> str | None:
    """Context. A placeholder without a value renders to an empty text, so an empty text counts as absent."""
    return _plain_text(name, fields[name], limit) or None if name in fields else None


def symbol_of(text: str) -> tuple[str | None, bool, str]:
    """The exchange where it matters, whether the chart's data is delayed, and the underlying."""
    match = _SYMBOL.fullmatch(_upper(text))
    if match is None:
        raise Malformed(
            "symbol", "is not an underlying; send NIFTY, NSE:BANKNIFTY, BANKNIFTY1!, SENSEX or a stock's name"
        )
    prefix, delayed, name = match.groups()
    if prefix is not None and prefix not in _EXCHANGES:
        raise Malformed("symbol", f"the exchange {prefix} is not served; options of NSE and BSE are")
    if name in INDICES:
        return None, bool(delayed), INDICES[name]
    exchange = _EXCHANGES[prefix] if prefix else None
    return (exchange if exchange == "BSE" else None), bool(delayed), name


def _decimal(name: str, text: str, example: str) -> Decimal:
    if _DECIMAL.fullmatch(text) is None:
        raise Malformed(name, f"{_shown(text)} is not a plain number; send one such as {example}")
    return Decimal(text)


def strike(text: str) -> Strike:
    upper = _upper(text)
    if upper == "ATM":
        return Moneyness(0)
    if match := _MONEYNESS.fullmatch(upper):
        return Moneyness(int(match[2]) * (1 if match[1] == "OTM" else -1))
    if upper.startswith(("ITM", "OTM", "ATM")):
        raise Malformed("strikeprice", f"{_shown(text)} is not a strike; send ATM, ITM1 to ITM20 or OTM1 to OTM20")
    strike = _decimal("strikeprice", text, "48400, or ATM, ITM1, OTM2")
    if strike <= 0:
        raise Malformed("strikeprice", "must be above zero")
    return strike


def expiry(text: str) -> Expiry:
    try:
        return date.fromisoformat(text) if _DATE.fullmatch(text) else ExpiryRule(_upper(text).replace("-", "_"))
    except ValueError:
        raise Malformed(
            "expiry",
            f"{_shown(text)} is not an expiry; send WEEKLY, MONTHLY, NEXT_WEEKLY, NEXT_MONTHLY or a date as 2026-11-24",
        ) from None


def one_of(fields: Mapping[str, object], name: str, words: type[_Word]) -> _Word:
    text = required(fields, name)
    try:
        return words(_upper(text))
    except ValueError:
        raise Malformed(name, f"{_shown(text)} is unknown; send {' or '.join(words)}") from None


def product(fields: Mapping[str, object]) -> Product:
    # Bracket and cover orders are no longer taken, and every entry has legs.
    if "productType" not in fields or _upper(required(fields, "productType")) in ("BO", "CO"):
        return Product.INTRADAY
    return one_of(fields, "productType", Product)


def whole(fields: Mapping[str, object], name: str) -> int | None:
    if name not in fields:
        return None
    number = _decimal(name, required(fields, name), "65")
    if number != number.to_integral_value() or number <= 0:
        raise Malformed(name, f"{_shown(str(number))} must be a whole number above zero")
    return int(number)


def level(fields: Mapping[str, object], name: str) -> Level | None:
    if name not in fields:
        return None
    text = required(fields, name)
    match = _LEVEL.fullmatch(_upper(text))
    if match is None:
        raise Malformed(
            name, f'{_shown(text)} is not a level; send a premium (172.5), per cent ("15%") or points ("10pt")'
        )
    value = Decimal(match[1])
    if value <= 0:
        raise Malformed(name, "must be above zero")
    return Level(LevelKind((match[2] or "").lower().removesuffix("s")), value)


def moment(fields: Mapping[str, object], name: str) -> datetime | None:
    """TradingView renders `yyyy-MM-ddTHH:mm:ssZ`; Pine's own `timenow` is milliseconds since 1970. Both in UTC."""
    if name not in fields:
        return None
    text = required(fields, name)
    try:
        if _EPOCH_MS.fullmatch(text):
            return _EPOCH + timedelta(milliseconds=int(text))
        if _MOMENT.fullmatch(_upper(text)):
            return datetime.fromisoformat(_upper(text)).astimezone(UTC)
    except (ValueError, OverflowError):
        pass  # a 31st of February, for example: the same answer
    raise Malformed(name, f"{_shown(text)} is not a time; send {{{{{name}}}}} or 2026-11-20T04:00:00Z")


def bar(fields: Mapping[str, object]) -> timedelta:
    """The length of the chart's bars, from TradingView's `{{interval}}`: "15" (minutes), "30S", "1D", "W", "3M".

    A day where the alert gives none. A month counts as 31 days, its most.
    """
    match = _INTERVAL.fullmatch(_upper(optional_text(fields, "interval", MAX_CONTEXT) or "D"))
    return int(match[1] or 1) * _BARS[match[2]] if match else _BARS["D"]


def _upper(text: str) -> str:
    """Upper case for ASCII only: Python's `upper` makes SELL of "ſell" and NIFTY of "nıfty"."""
    return text.upper() if text.isascii() else text


def _shown(text: str) -> str:
    """The sender's value, short and printable, for an answer or a log."""
    shown = "".join(mark if mark.isprintable() else "?" for mark in text[:40])
    return f'"{shown}{"…" if len(text) > 40 else ""}"'
