"""JSON read strictly from raw bytes, whatever the Content-Type says.

TradingView substitutes placeholders into the text without escaping, and at times sends `text/plain`, so bodies arrive
broken in many ways (Pine FAQ on alerts). What JSON forbids and Python's reader accepts becomes a `Poison` in its place,
so that the secret is checked first and the fault is then named with its field.

The time is linear in the length of the body, whatever it contains: other alerts wait for it.
"""

import json
import re
from dataclasses import dataclass

from app.domain.errors import Malformed
from app.domain.json_decoder import strict_decoder

MAX_DEPTH = 16
BODY = "body"

_LAST_KEY = re.compile(r'"([A-Za-z_][A-Za-z0-9_]{0,63})"\s*:')
# Possessive, so nothing is tried twice, and a text ends where the next `"token"` does: linear in the body's length.
_TEXT = rb'"([^"\\]*+(?:\\.[^"\\]*+)*+)"'
_ANY_TEXT = re.compile(_TEXT, re.DOTALL)
_VALUE = re.compile(rb"\s*+" + _TEXT, re.DOTALL)
_TOKEN = re.compile(rb'"token"\s*+:\s*+' + _TEXT, re.DOTALL)
_NAME = rb'"%b"\s*+:' % b"".join(rb"(?:%c|\\u00(?i:%02x))" % (letter, letter) for letter in b"token")  # also escaped
_TO_NAME = re.compile(rb'((?:[^"]++|(?!%b)%b)*+)%b' % (_NAME, _TEXT.replace(b"(", b"(?:", 1), _NAME), re.DOTALL)
_NAMES_SEEN = 512  # fields named `token` that are looked at in a body that is not decoded
_CURLY_QUOTES = "“”„‟‘’"


class Number(str):
    """A number as it was written, not converted: a huge one does no harm."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Poison:
    """A value that JSON does not allow, or that is ambiguous."""

    problem: str


# Made once: a body may have thousands of them.
_TWICE = Poison("stands twice in the message; send it once")
_NO_NUMBERS = {
    name: Poison(f"{name} is not a number in JSON; send a number or leave the field out")
    for name in ("NaN", "Infinity", "-Infinity")
}
_TOO_DEEP = "is nested too deeply; send a plain value"


def decode(body: bytes) -> dict[str, object]:
    """The body's top-level object.

    Raises Malformed, naming the field where it is known, for a body that is not UTF-8, not JSON, too deeply nested or
    not an object. Bad values stay in it: see `poison_in`.
    """
    try:
        text = body.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise Malformed(BODY, f"byte {error.start} is not UTF-8; send the message as UTF-8 text") from None
    try:
        document = _DECODER.decode(text)
    except json.JSONDecodeError as error:
        raise _not_json(text, error) from None
    except RecursionError:  # Python's reader counts its depth and stops before the stack overflows
        raise Malformed(BODY, _TOO_DEEP) from None
    if not isinstance(document, dict):
        raise Malformed(BODY, 'the message must be one JSON object: {"token": "…", "symbol": "NIFTY", …}')
    return document


def token_in(body: bytes) -> str | None:
    """The one `token` of a body that was not decoded, or cannot be.

    It is the one that `decode` would find at the top level, however name and value are escaped. Where there is none,
    as in a body with broken quotes, it is the first text that looks like one.
    """
    found = _top_level(body) or _TOKEN.search(body)
    if found is None:
        return None
    try:
        text: str = json.loads(b'"%b"' % found[1])
    except ValueError:  # not a JSON text: it is taken as it stands
        text = found[1].decode("utf-8", "replace")
    return text


def _top_level(body: bytes) -> re.Match[bytes] | None:
    """The first text that is the value of a `token` directly in the outermost object.

    The body is cut at every name `token`; between two cuts the brackets outside of texts are counted.
    """
    depth = at = 0
    for _ in range(_NAMES_SEEN):
        found = _TO_NAME.match(body, at)
        if found is None:
            break
        between, at = found[1], found.end()
        if b'"' in between:
            between = _ANY_TEXT.sub(b"", between)
        depth += between.count(b"{") + between.count(b"[") - between.count(b"}") - between.count(b"]")
        if depth == 1 and (value := _VALUE.match(body, at)):
            return value
    return None


def poison_in(value: object, depth: int = 1) -> str | None:
    """What is wrong anywhere inside a value: poison, a lone surrogate, or deep nesting. None where nothing is.

    `depth` is the number of objects and lists around the value.
    """
    match value:
        case Poison():
            return value.problem
        case str():
            return None if _encodes(value) else "has half of a character (a lone surrogate); send whole characters"
        case list() | dict() if depth >= MAX_DEPTH:
            return _TOO_DEEP
        case list():
            return next((found for item in value if (found := poison_in(item, depth + 1))), None)
        case dict():
            parts = (poison_in(part, depth + 1) for pair in value.items() for part in pair)
            return next((found for found in parts if found), None)
        case _:
            return None


_DECODER = strict_decoder(whole=Number, fraction=Number, no_number=_NO_NUMBERS.__getitem__, twice=lambda _: _TWICE)


def _encodes(text: str) -> bool:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


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
