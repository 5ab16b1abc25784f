"""One batch of writes: all of them or nothing, each under the version of the document that it was made from."""

from datetime import datetime

from google.cloud.firestore import DELETE_FIELD, DocumentReference

from app.adapters.firestore.documents import Fields, named, shared, stepped, waiting
from app.adapters.firestore.known import Version
from app.adapters.firestore.store import Store, Stored
from app.domain.deadline import Deadline
from app.domain.notice import Notice, notice_of, state_notice
from app.domain.order import Order
from app.domain.risk.controls import Controls


class Changes:
    """`word` is the nonce of the call that writes."""

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
        """As `Store.commit`."""
        return self._store.commit(self._batch, part)


def told_by(order: Order, before: Controls, after: Controls) -> tuple[Notice | None, Notice | None]:
    """The notices that a step of the order, and one of the controls, calls for."""
    return notice_of(order), state_notice(before, after)
