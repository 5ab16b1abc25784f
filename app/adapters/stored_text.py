"""Orders and notices as the text that a ledger stores.

A row that cannot be read (damaged, or of a later version) does not keep others from being read.
"""

import json
import logging
from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

from app.domain.errors import NotNow, Reason
from app.domain.notice import Notice
from app.domain.order import Order
from app.domain.order.document import from_document, to_document

log = logging.getLogger("gateway.ledger")

_Kind = TypeVar("_Kind")
_Row = TypeVar("_Row")
_SENSELESS = (KeyError, ValueError, TypeError, AttributeError, ArithmeticError)

to_text = json.JSONEncoder(separators=(",", ":")).encode


def write_order(order: Order) -> str:
    return to_text(to_document(order))


def read_order(text: str) -> Order:
    """One order. Raises NotNow where it cannot be read: such an order may not be acted on."""
    try:
        return from_document(json.loads(text))
    except _SENSELESS as problem:
        log.critical("an order in the ledger cannot be read", extra={"problem": type(problem).__name__})
        raise NotNow(Reason.LEDGER_DOWN, "this order's record cannot be read; an operator has to look at it") from None


def read_notice(text: str) -> Notice:
    return Notice.from_document(json.loads(text))


def also_taken(text: str, by: Sequence[str]) -> str:
    """The notice with these sinks among those that have it."""
    document = json.loads(text)
    document["taken"] = sorted({*document.get("taken", ()), *by})
    return to_text(document)


def readable(rows: Iterable[_Row], read: Callable[[_Row], _Kind]) -> list[_Kind]:
    """The rows that can be read, in their order. The others are left out, and logged."""
    found = []
    for row in rows:
        try:
            found.append(read(row))
        except (NotNow, *_SENSELESS) as problem:
            unreadable = {"problem": type(problem).__name__}
            log.critical("a row of the ledger cannot be read and is left out", extra=unreadable)
    return found
