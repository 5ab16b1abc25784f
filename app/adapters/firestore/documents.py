"""The fields of each document, written and read. `word` is the nonce of the call that writes.

Orders, controls and notices are JSON texts. These are ten times cheaper to encode than Firestore's maps, they hold any
string (a lone surrogate in a broker's message cannot be a Firestore string), and one field keeps them out of indexes.
"""

import secrets
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from google.cloud.firestore import DELETE_FIELD, DocumentReference

from app.adapters.controls_document import ControlsText
from app.adapters.firestore.known import Version
from app.adapters.firestore.store import Store, Stored
from app.adapters.stored_text import also_taken, read_notice, read_order, to_text, write_order
from app.domain.deadline import Deadline
from app.domain.errors import NotNow, Reason
from app.domain.notice import Notice
from app.domain.order import Order
from app.domain.risk import Controls
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
    return {"status": order.status.value, "order": write_order(order), "write": word}


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
    notice = also_taken(stored.get("notice"), by)
    return {"notice": notice, "waiting_since": datetime.now(UTC), "write": word}


def named(word: str) -> Fields:
    return {"write": word, "expire_at": _after(_NAMES_KEPT)}


def _after(kept: timedelta) -> datetime:
    return datetime.now(UTC) + kept


class Changes:
    """One batch of writes: all of them or nothing, each under the version of the document that it was made from."""

    def __init__(self, store: Store, word: str) -> None:
        self._store = store
        self._word = word
        self._batch = store.client.batch()

    def create(self, reference: DocumentReference, fields: Fields) -> None:
        self._batch.create(reference, fields)

    def put(self, basis: Stored | Version, fields: Fields) -> None:
        """Writes a document under the version that was read, or is known."""
        if basis.exists:
            version = self._store.client.write_option(last_update_time=basis.update_time)
            self._batch.update(basis.reference, fields, option=version)
        else:
            self._batch.create(basis.reference, fields)

    def put_order(self, basis: Stored | Version, order: Order) -> None:
        self.put(basis, stepped(order, self._word))

    def put_controls(self, basis: Stored | Version, controls: str) -> None:
        """Writes the controls, given as text, even unchanged: only so does the commit depend on the version read."""
        self.put(basis, shared(controls, self._word))

    def post(self, *notices: Notice | None) -> None:
        """Puts notices into the commit. A known id is written over: better sent twice than a lost commit."""
        for notice in notices:
            if notice is not None:
                self._batch.set(self._store.named("outbox", notice.id), waiting(notice, self._word))

    def take_out(self, notice_id: str) -> None:
        gone = {"waiting_since": DELETE_FIELD, "write": self._word}
        self._batch.update(self._store.named("outbox", notice_id), gone)

    def try_out(self) -> None:
        self._batch.set(self._store.named("names", "try out"), named(self._word))

    def commit(self, part: Deadline) -> list[datetime]:
        return self._store.commit(self._batch, part)
