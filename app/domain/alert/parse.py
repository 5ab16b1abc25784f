"""From a decoded body to an Alert: who sent it, then field by field what it says.

Every fault names the field and says what to change. Fields that the gateway does not know are ignored and named.
"""

import re
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import TypeVar

from app.domain.alert.alert import (
    INDICES,
    Alert,
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
from app.domain.alert.secrets import Secrets
from app.domain.alert.strict_json import poison_in
from app.domain.errors import Malformed

_ID_FIELDS = ("alert_id", "id", "idempotency_key")
_CONTEXT = ("strategy", "ticker", "exchange", "interval", "price", "comment")
_ORDER_FIELDS = ("symbol", "strikeprice", "optionType", "expiry", "action", "qty", "lots", "sl", "tp", "productType")
_NUMBERS = ("strikeprice", "qty", "lots", "sl", "tp")
FIELDS = frozenset(("token", *_ORDER_FIELDS, *_ID_FIELDS, "timenow", "time", "order_id", *_CONTEXT))
# Of these fields the words are kept; of the others what they mean, or a message that is looked at before it is shown.
_HEADER = "Idempotency-Key"
_KEPT = frozenset(("symbol", *_ID_FIELDS, _HEADER, "order_id", *_CONTEXT))
_NONE = Secrets()
_Word = TypeVar("_Word", OptionType, Side)

_MAX_TEXT = 128
_MAX_CONTEXT = 1024

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
    """The exchange's name of what an alert's `symbol` means: NIFTY of NIFTY50 or NIFTY1!. Raises Malformed."""
    return _symbol(symbol)[2]


def parse(
    document: Mapping[str, object],
    idempotency_key: str | None = None,
    needs_timenow: bool = False,
    secrets: Secrets = _NONE,
) -> Alert:
    """The alert that an authenticated document describes; `idempotency_key` is the header's, if one came.

    `secrets` are all that are in force: none of them may stand in a field but token, and no part of one in a text that
    is kept. Raises Malformed, naming the field, for anything that is missing, poisoned or makes no sense, and for an
    alert without `timenow` where it is needed.
    """
    _refuse_secret_elsewhere(document, idempotency_key, secrets)
    _refuse_poison(document)
    fields = {name: value for name, value in document.items() if name in FIELDS and value is not None}
    _refuse_placeholders(fields)
    exchange, delayed, underlying = _symbol(_required(fields, "symbol"))
    if needs_timenow and "timenow" not in fields:
        raise Malformed("timenow", 'is missing, so the alert\'s age cannot be told; add "timenow": "{{timenow}}"')
    quantity, lots = _whole(fields, "qty"), _whole(fields, "lots")
    if quantity is not None and lots is not None:
        raise Malformed("lots", "qty and lots are both given; send one of them")
    return Alert(
        underlying=underlying,
        exchange=exchange,
        strike=_strike(_required(fields, "strikeprice")),
        option_type=_one_of(fields, "optionType", OptionType),
        expiry=_expiry(_required(fields, "expiry")),
        side=_one_of(fields, "action", Side),
        product=_product(fields),
        quantity=quantity,
        lots=lots,
        stop_loss=_level(fields, "sl"),
        take_profit=_level(fields, "tp"),
        client_id=_client_id(fields, idempotency_key),
        fired_at=_moment(fields, "timenow"),
        bar_time=_moment(fields, "time"),
        bar=_bar(fields),
        order_id=_text(fields, "order_id", _MAX_TEXT),
        strategy=_text(fields, "strategy", _MAX_TEXT),
        delayed=delayed or _says_delayed(fields),
        context=tuple((name, text) for name in _CONTEXT if (text := _text(fields, name, _MAX_CONTEXT))),
        unknown=tuple(sorted(name[:64] for name in document if name not in FIELDS)),
    )


def _refuse_poison(document: Mapping[str, object]) -> None:
    for name, value in document.items():
        if poison_in(name):
            raise Malformed("body", "a field's name has half of a character (a lone surrogate); send whole characters")
        if (problem := poison_in(value)) is not None:
            raise Malformed(name[:64], problem)


def _refuse_secret_elsewhere(document: Mapping[str, object], header: str | None, secrets: Secrets) -> None:
    """Every other field may end in an answer, a log line, the ledger or a notification."""
    fields = {**document, _HEADER: header} if header is not None else {**document}
    fields.pop("token", None)
    texts = [value for value in fields.values() if isinstance(value, str)]
    if not secrets.may_show("\n".join([*fields, *texts])):
        return
    if any(map(secrets.whole_in, fields.keys() - FIELDS)):
        raise Malformed("body", "a field's name holds the secret; it belongs in token alone")
    for name, text in fields.items():
        if not isinstance(text, str):
            continue
        if secrets.whole_in(text):
            raise Malformed("body" if poison_in(name) else name[:64], "holds the secret; it belongs in token alone")
        if name in _KEPT and secrets.part_in(text):
            raise Malformed(name, "holds part of the secret, which belongs in token alone; use another text, or secret")


def _refuse_placeholders(fields: Mapping[str, object]) -> None:
    for name, value in fields.items():
        if isinstance(value, str) and ("{{" in value or "}}" in value):
            raise Malformed(
                name,
                "holds a placeholder that TradingView did not fill in; placeholders work in the alert's Message field "
                "only, and {{strategy.…}} only in alerts of a strategy",
            )


def _required(fields: Mapping[str, object], name: str) -> str:
    value = fields.get(name)
    if value is None:
        raise Malformed(name, "is missing; every alert needs it")
    return _plain_text(name, value, _MAX_TEXT) or _refuse_empty(name)


def _refuse_empty(name: str) -> str:
    raise Malformed(name, "is empty; give it a value")


def _plain_text(name: str, value: object, limit: int) -> str:
    if not isinstance(value, str):
        kind = {bool: "true or false", list: "a list", dict: "an object"}.get(type(value), "no text")
        raise Malformed(name, f"is {kind}; send a text or a number")
    text = value.strip()
    if len(text) > limit:
        raise Malformed(name, f"is {len(text)} characters long; {limit} are allowed")
    if name in _NUMBERS and text != value:
        raise Malformed(name, "has blanks around its value; send it without them")
    return text


def _text(fields: Mapping[str, object], name: str, limit: int) -> str | None:
    """Context: an empty text is what a placeholder without a value renders to, so it counts as absent."""
    return _plain_text(name, fields[name], limit) or None if name in fields else None


def _client_id(fields: Mapping[str, object], header: str | None) -> str | None:
    for name in _ID_FIELDS:
        if name in fields:
            return _plain_text(name, fields[name], _MAX_TEXT) or _refuse_empty(name)
    if header is None:
        return None
    if poison_in(header):
        raise Malformed(_HEADER, "has characters that are not text; send letters and digits")
    return _plain_text(_HEADER, header, _MAX_TEXT) or _refuse_empty(_HEADER)


def _symbol(text: str) -> tuple[str | None, bool, str]:
    """Exchange (where it tells anything), whether the chart's data is delayed, underlying."""
    match = _SYMBOL.fullmatch(_upper(text))
    if match is None:
        raise Malformed("symbol", "is no underlying; send NIFTY, NSE:BANKNIFTY, BANKNIFTY1!, SENSEX or a stock's name")
    prefix, delayed, name = match.groups()
    if prefix is not None and prefix not in _EXCHANGES:
        raise Malformed("symbol", f"the exchange {prefix} is not served; options of NSE and BSE are")
    if name in INDICES:
        return None, bool(delayed), INDICES[name]
    exchange = _EXCHANGES[prefix] if prefix else None
    return (exchange if exchange == "BSE" else None), bool(delayed), name


def _says_delayed(fields: Mapping[str, object]) -> bool:
    exchange = _text(fields, "exchange", _MAX_CONTEXT) or ""
    ticker = (_text(fields, "ticker", _MAX_CONTEXT) or "").partition(":")
    return any(name.upper().endswith(("_DL", "_DLY")) for name in (exchange, ticker[0] if ticker[1] else ""))


def _decimal(name: str, text: str, example: str) -> Decimal:
    if _DECIMAL.fullmatch(text) is None:
        raise Malformed(name, f"{_shown(text)} is not a plain number; send one such as {example}")
    return Decimal(text)


def _strike(text: str) -> Strike:
    upper = _upper(text)
    if upper == "ATM":
        return Moneyness(0)
    if match := _MONEYNESS.fullmatch(upper):
        return Moneyness(int(match[2]) * (1 if match[1] == "OTM" else -1))
    if upper.startswith(("ITM", "OTM", "ATM")):
        raise Malformed("strikeprice", f"{_shown(text)} is no strike; send ATM, ITM1 to ITM20 or OTM1 to OTM20")
    strike = _decimal("strikeprice", text, "48400, or ATM, ITM1, OTM2")
    if strike <= 0:
        raise Malformed("strikeprice", "must be above zero")
    return strike


def _expiry(text: str) -> Expiry:
    try:
        return date.fromisoformat(text) if _DATE.fullmatch(text) else ExpiryRule(_upper(text).replace("-", "_"))
    except ValueError:
        raise Malformed(
            "expiry",
            f"{_shown(text)} is no expiry; send WEEKLY, MONTHLY, NEXT_WEEKLY, NEXT_MONTHLY or a date as 2026-11-24",
        ) from None


def _one_of(fields: Mapping[str, object], name: str, words: type[_Word]) -> _Word:
    text = _required(fields, name)
    try:
        return words(_upper(text))
    except ValueError:
        raise Malformed(name, f"{_shown(text)} is unknown; send {' or '.join(words)}") from None


def _product(fields: Mapping[str, object]) -> Product:
    if "productType" not in fields:
        return Product.INTRADAY
    text = _upper(_required(fields, "productType"))
    if text in ("BO", "CO"):  # Fyers refuses both since 2 August 2026; the overlay legs do their work
        return Product.INTRADAY
    try:
        return Product(text)
    except ValueError:
        raise Malformed("productType", f"{_shown(text)} is unknown; send INTRADAY or MARGIN") from None


def _whole(fields: Mapping[str, object], name: str) -> int | None:
    if name not in fields:
        return None
    number = _decimal(name, _required(fields, name), "65")
    if number != number.to_integral_value() or number <= 0:
        raise Malformed(name, f"{_shown(str(number))} must be a whole number above zero")
    return int(number)


def _level(fields: Mapping[str, object], name: str) -> Level | None:
    if name not in fields:
        return None
    text = _required(fields, name)
    match = _LEVEL.fullmatch(_upper(text))
    if match is None:
        raise Malformed(
            name, f'{_shown(text)} is no level; send a premium (172.5), per cent ("15%") or points ("10pt")'
        )
    value = Decimal(match[1])
    if value <= 0:
        raise Malformed(name, "must be above zero")
    kinds: dict[str, LevelKind] = {"%": LevelKind.PERCENT, "": LevelKind.PRICE}
    return Level(kinds.get(match[2] or "", LevelKind.POINTS), value)


def _moment(fields: Mapping[str, object], name: str) -> datetime | None:
    """TradingView renders `yyyy-MM-ddTHH:mm:ssZ`; Pine's own `timenow` is milliseconds since 1970. Both in UTC."""
    if name not in fields:
        return None
    text = _required(fields, name)
    try:
        if _EPOCH_MS.fullmatch(text):
            return _EPOCH + timedelta(milliseconds=int(text))
        if _MOMENT.fullmatch(_upper(text)):
            return datetime.fromisoformat(_upper(text)).astimezone(UTC)
    except (ValueError, OverflowError):
        pass  # a 31st of February and the like: the same answer
    raise Malformed(name, f"{_shown(text)} is no time; send {{{{{name}}}}} or 2026-11-20T04:00:00Z")


def _bar(fields: Mapping[str, object]) -> timedelta:
    """How long a bar of the chart is, by TradingView's `{{interval}}`: "15" (minutes), "30S", "1D", "W", "3M".

    A day where it does not say; a month's bar lasts 31 days at the most.
    """
    match = _INTERVAL.fullmatch(_upper(_text(fields, "interval", _MAX_CONTEXT) or "D"))
    return int(match[1] or 1) * _BARS[match[2]] if match else _BARS["D"]


def _upper(text: str) -> str:
    """Upper case for plain letters only: Python's own makes SELL of "ſell" and NIFTY of "nıfty"."""
    return text.upper() if text.isascii() else text


def _shown(text: str) -> str:
    """A value of the sender's as it may stand in an answer or a log: short and printable."""
    shown = "".join(mark if mark.isprintable() else "?" for mark in text[:40])
    return f'"{shown}{"…" if len(text) > 40 else ""}"'
