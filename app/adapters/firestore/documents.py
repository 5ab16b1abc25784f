"""The fields of each document, written and read.

Orders, controls and notices are JSON texts. These are ten times cheaper to encode than Firestore's maps, they hold any
string (a lone surrogate in a broker's message cannot be a Firestore string), and one field keeps them out of indexes.
"""

import json
import secrets
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from app.adapters.controls_document import ControlsText
from app.adapters.firestore.store import Stored
from app.adapters.stored_text import read_notice, read_order, to_text
from app.domain.errors import NotNow, Reason
from app.domain.notice import Notice
from app.domain.order import Order
from app.domain.order.document import to_document
from app.domain.risk.controls import Controls
from app.flow.ports import Window

Fields = dict[str, Any]

_CONTROLS = "account"  # the name that the controls once had; a deployed ledger has to stay readable
_KEPT = timedelta(days=14)
_NAMES_KEPT = timedelta(days=8)


def new_word() -> str:
    return secrets.token_hex(8)


def wrote(word: str, stored: Stored) -> bool:
    """Whether the call with that word wrote the document last."""
    return stored.exists and stored.get("write") == word


def received(order: Order, word: str) -> Fields:
    lasting = {"day": order.day, "received_at": order.received_at, "expire_at": _after(_KEPT)}
    return stepped(order, word) | lasting


def stepped(order: Order, word: str) -> Fields:
    return {"status": order.status.value, "order": to_text(to_document(order)), "write": word}


def order_of(stored: Stored) -> Order:
    return read_order(stored.get("order"))


def expected(stored: Stored) -> Order:
    if not stored.exists:
        raise NotNow(Reason.LEDGER_DOWN, "the ledger has lost the order")
    return order_of(stored)


def opened(order: Order, word: str) -> Fields:
    return {"key": order.key, "opened_at": order.received_at, "write": word, "expire_at": _after(_KEPT)}


def holder(pointer: Stored, order: Order, window: Window) -> str | None:
    """The key of the order that holds an open window. It is this order's, if an earlier attempt stored it."""
    if not pointer.exists:
        return None
    key: str = pointer.get("key")
    open_for: timedelta = order.received_at - pointer.get("opened_at")
    return key if key == order.key or open_for < timedelta(seconds=window.seconds) else None


def shared(controls: str, word: str) -> Fields:
    """The document of the controls, given as text. Never expires."""
    return {_CONTROLS: controls, "write": word}


def controls_of(stored: Stored, texts: ControlsText) -> Controls:
    """The stored controls: new ones where none were stored yet, and HALTED ones where they cannot be read."""
    if not stored.exists:
        return Controls()
    try:
        return texts.read(stored.get(_CONTROLS))
    except KeyError:
        return texts.read(None)


def waiting(notice: Notice, word: str) -> Fields:
    now = datetime.now(UTC)
    return {"notice": to_text(notice.document()), "waiting_since": now, "write": word, "expire_at": now + _KEPT}


def notice_in(stored: Stored) -> Notice:
    return read_notice(stored.get("notice"))


def half_delivered(stored: Stored, by: Sequence[str], word: str) -> Fields | None:
    """A waiting notice that these sinks have, put at the end of the outbox. None where it waits no more."""
    if not stored.exists or "waiting_since" not in (stored.to_dict() or {}):
        return None
    document: Fields = json.loads(stored.get("notice"))
    document["taken"] = sorted({*document.get("taken", ()), *by})
    return {"notice": to_text(document), "waiting_since": datetime.now(UTC), "write": word}


def named(word: str) -> Fields:
    return {"write": word, "expire_at": _after(_NAMES_KEPT)}


def _after(kept: timedelta) -> datetime:
    return datetime.now(UTC) + kept
