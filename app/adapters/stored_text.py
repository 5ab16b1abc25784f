"""What a ledger stores, as text, and read again.

One row that makes no sense (a later version's, a damaged one) stops no other.
"""

import json
import logging
from collections.abc import Callable, Iterable
from typing import TypeVar

from app.domain.errors import NotNow, Reason
from app.domain.notice import Notice
from app.domain.order import Order
from app.domain.order.document import from_document

log = logging.getLogger("gateway.ledger")

_Kind = TypeVar("_Kind")
_Row = TypeVar("_Row")
_SENSELESS = (KeyError, ValueError, TypeError, AttributeError, ArithmeticError)


to_text = json.JSONEncoder(separators=(",", ":")).encode


def read_order(text: str) -> Order:
    """One order. Raises NotNow: nobody may act on an order that cannot be read."""
    try:
        return from_document(json.loads(text))
    except _SENSELESS as problem:
        log.critical("an order in the ledger cannot be read", extra={"problem": type(problem).__name__})
        raise NotNow(Reason.LEDGER_DOWN, "this order's record cannot be read; a human has to look at it") from None


def read_notice(text: str) -> Notice:
    return Notice.from_document(json.loads(text))


def readable(rows: Iterable[_Row], read: Callable[[_Row], _Kind]) -> list[_Kind]:
    """Those that can be read, in their order; the others are left out and said so."""
    found = []
    for row in rows:
        try:
            found.append(read(row))
        except (NotNow, *_SENSELESS) as problem:
            log.critical(
                "a row of the ledger cannot be read and is left out", extra={"problem": type(problem).__name__}
            )
    return found
