"""JSON read strictly from raw bytes, whatever the Content-Type says.

TradingView substitutes placeholders into the text without escaping and sends `text/plain` at times, so bodies arrive
broken in many ways (Pine FAQ on alerts). Python's own reader takes several of them for good: the last of two equal
keys, NaN, 1e999 as infinity. Here every such thing becomes `Poison` in its place, so that the sender's secret can be
judged first and the rest be reported by the name of its field.
"""

import json
import re
from dataclasses import dataclass

from app.errors import Malformed

MAX_DEPTH = 16
BODY = "body"

_LAST_KEY = re.compile(r'"([A-Za-z_][A-Za-z0-9_]{0,63})"\s*:')
# A text that never ends is taken up to the end, so that the whole search stays linear in the body's length.
_TEXTS_AND_BRACKETS = re.compile(r'"(?:[^"\\]|\\.)*"?|[\[{]|[\]}]', re.DOTALL)
_TOKENS = re.compile(r'"token"\s*:\s*"((?:[^"\\]|\\.){1,512})"')
_CURLY_QUOTES = "“”„‟‘’"


class Number(str):
    """A number as it was written, not yet converted: huge and endless ones do no harm."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Poison:
    """A value that JSON does not allow or that means two things; `values` are what stood there."""

    problem: str
    values: tuple[object, ...] = ()


def decode(body: bytes) -> dict[str, object]:
    """The body's top-level object.

    Raises Malformed, naming the field where it can be told, for a body that is not UTF-8, not JSON, too deep or not
    an object. Values that are no good stay in it as Poison.
    """
    try:
        text = body.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise Malformed(BODY, f"byte {error.start} is not UTF-8; send the message as UTF-8 text") from None
    _refuse_depth(text)
    try:
        document = _DECODER.decode(text)
    except json.JSONDecodeError as error:
        raise _not_json(text, error) from None
    if not isinstance(document, dict):
        raise Malformed(BODY, 'the message must be one JSON object: {"token": "…", "symbol": "NIFTY", …}')
    return document


def tokens_in_broken(body: bytes) -> list[str]:
    """What looks like the `token` in a body that is not JSON, so that its owner can be told about it."""
    return _TOKENS.findall(body[:65536].decode("utf-8", "replace"))


def poison_in(value: object) -> str | None:
    """What is wrong anywhere inside a value: poison or a lone surrogate; None when nothing is."""
    match value:
        case Poison():
            return value.problem
        case str():
            return None if _encodes(value) else "has half of a character (a lone surrogate); send whole characters"
        case list():
            return next((found for item in value if (found := poison_in(item))), None)
        case dict():
            parts = (poison_in(part) for pair in value.items() for part in pair)
            return next((found for found in parts if found), None)
        case _:
            return None


def _object(pairs: list[tuple[str, object]]) -> dict[str, object]:
    document: dict[str, object] = {}
    for name, value in pairs:
        if name in document:
            first = document[name]
            seen = first.values if isinstance(first, Poison) and first.values else (first,)
            value = Poison("stands twice in the message; send it once", (*seen, value))
        document[name] = value
    return document


_DECODER = json.JSONDecoder(
    parse_int=Number,
    parse_float=Number,
    parse_constant=lambda name: Poison(f"{name} is not a number in JSON; send a number or leave the field out"),
    object_pairs_hook=_object,
)


def _encodes(text: str) -> bool:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def _refuse_depth(text: str) -> None:
    """Deep nesting exhausts the reader's stack; no alert needs it. Braces inside strings do not count."""
    if text.count("{") + text.count("[") <= MAX_DEPTH:
        return
    depth = 0
    for match in _TEXTS_AND_BRACKETS.finditer(text):
        mark = match.group()
        depth += (mark in "[{") - (mark in "]}")
        if depth > MAX_DEPTH:
            raise Malformed(_last_key(text[: match.start()]), "is nested too deeply; send a plain value")


def _not_json(text: str, error: json.JSONDecodeError) -> Malformed:
    field = _last_key(text[: error.pos])
    where = f"line {error.lineno}, column {error.colno}"
    here, before = text[error.pos : error.pos + 1], text[: error.pos][-1:]
    if error.msg.startswith("Extra data"):
        field, hint = BODY, "remove what follows the closing brace"
    elif any(mark in text for mark in _CURLY_QUOTES):
        hint = 'it has curly quotes; retype them as straight ones (")'
    elif here == "'":
        hint = 'JSON wants double quotes (") around names and texts'
    elif here in ("}", "]") or error.msg.startswith("Illegal trailing comma"):  # the latter from Python 3.13 on
        hint = "a value is missing here, or a comma is left over"
    elif before == "0" and here.isdigit():
        hint = "a number must not begin with a zero"
    elif error.msg.startswith("Invalid control"):
        hint = "a text runs over the end of the line; keep it on one line"
    else:
        hint = "check quotes and commas; a placeholder's text is pasted in as it is, quotes included"
    return Malformed(field, f"the message is not JSON at {where}: {hint}")


def _last_key(text: str) -> str:
    found = _LAST_KEY.findall(text[-4096:])
    return found[-1] if found else BODY
