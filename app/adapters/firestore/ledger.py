"""The ledger in Firestore, shared by all instances.

    orders/{key}                status, day, received_at, order     order: JSON, as in every ledger
    windows/{sha256(digest)}    key, opened_at                      the order that the window belongs to
    account/shared              account                             trading state and the day's counters
    outbox/{sha256(id)}         notice, waiting_since               without waiting_since once it is delivered
    names/{sha256(name)}                                            what `once` was asked

Each document also has `write`, a random word of the call that wrote it last. Reading it back tells our own commit from
another's where the reply was lost, and it makes every write a change, so that the update time always moves. `expire_at`
is for Firestore's TTL policy alone: that deletes up to a day late, so nothing here ever judges by it.

A change is one batch under the versions (update times) of what it was made from. No transactions: they hold locks and
cost a round trip more. Whoever loses a race reads again and decides again.

Queries need only the automatic single-field indexes of orders.status, orders.day, orders.received_at and
outbox.waiting_since; deploy/firestore.indexes.json switches off all others and sets the TTL policies.
"""

import contextlib
import hashlib
import threading
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime

from google.cloud.firestore import (
    DELETE_FIELD,
    CollectionReference,
    DocumentReference,
    FieldFilter,
    Query,
    WriteBatch,
)

from app.adapters.firestore.documents import (
    Fields,
    account_of,
    expected,
    half_delivered,
    holder,
    named,
    new_word,
    notice_in,
    opened,
    order_of,
    received,
    shared,
    stepped,
    waiting,
    wrote,
)
from app.adapters.firestore.store import Again, Store, Stored, persevere
from app.adapters.stored_text import readable
from app.deadline import CLAIM, RECORD, SUBMIT, SWITCH, Deadline
from app.errors import NotNow, Reason
from app.notice import Notice, notice_of, state_notice
from app.order import Order, OrderStatus
from app.ports import Overtaken, Window
from app.risk import Account, Decide, learned, teaches

_READ = 1.0
_LATEST = 500
_OPEN = ("RECEIVED", "SUBMITTED", "ACCEPTED", "PARTIALLY_FILLED")


class FirestoreLedger:
    """Implements `ports.Ledger`. To be made after a fork, never before: gRPC does not survive one."""

    def __init__(self, project: str, database: str = "(default)") -> None:
        self._store = Store(project, database)
        self._account = self._collection("account").document("shared")
        self._lock = threading.Lock()

    def warm(self, deadline: Deadline) -> None:
        """Connects and signs in before the first alert: the slice of no other call is long enough. Raises NotNow."""
        persevere(lambda: self._store.read([self._account], deadline), deadline)

    def close(self) -> None:
        self._store.close()

    def claim(self, order: Order, window: Window | None, deadline: Deadline) -> Order:
        part = deadline.within(CLAIM)
        if window is not None:
            return persevere(lambda: self._claim_windowed(order, window, part), part)
        stored = self._create(self._order(order.key), received(order, new_word()), part)
        return order if stored is None else order_of(stored)

    def _claim_windowed(self, order: Order, window: Window, part: Deadline) -> Order:
        """One attempt. The window's document decides the race: it changes hands in the commit that stores the order."""
        [pointer] = self._store.read([self._named("windows", window.digest)], part)
        if (key := holder(pointer, order, window)) is not None:
            [stored] = self._store.read([self._order(key)], part)
            if stored.exists:
                return order_of(stored)
        word = new_word()
        batch = self._store.batch()
        batch.create(self._order(order.key), received(order, word))
        self._put(batch, pointer, opened(order, word))
        self._store.commit(batch, part)
        return order

    def submit(self, order: Order, decide: Decide, deadline: Deadline) -> Order:
        part, word = deadline.within(SUBMIT), new_word()
        with self._alone(part):
            return persevere(lambda: self._submit(order, decide, word, part), part)

    def _submit(self, order: Order, decide: Decide, word: str, part: Deadline) -> Order:
        """One attempt. It begins by reading, and so finds what an earlier one may have left behind."""
        [stored, account] = self._store.read([self._order(order.key), self._account], part)
        current = expected(stored)
        if wrote(word, stored):
            return current
        if (current.status, current.sequence) != (OrderStatus.RECEIVED, order.sequence):
            raise Overtaken(current)
        before = account_of(account)
        decided, after = decide(before)
        batch = self._store.batch()
        self._put_order(batch, stored, decided, word)
        self._put_account(batch, account, before, after, word)
        self._store.commit(batch, part)
        return decided

    def record(self, order: Order, deadline: Deadline) -> Order:
        part, word = deadline.within(RECORD), new_word()
        if not teaches(order):
            return persevere(lambda: self._record(order, word, part), part)
        with self._alone(part):
            return persevere(lambda: self._record_with_account(order, word, part), part)

    def _record(self, order: Order, word: str, part: Deadline) -> Order:
        """One attempt, as in `_submit`."""
        [stored] = self._store.read([self._order(order.key)], part)
        if not wrote(word, stored):
            batch = self._store.batch()
            self._put_order(batch, _step_before(order, stored), order, word)
            self._store.commit(batch, part)
        return order

    def _record_with_account(self, order: Order, word: str, part: Deadline) -> Order:
        """One attempt, as in `_submit`."""
        [stored, account] = self._store.read([self._order(order.key), self._account], part)
        if not wrote(word, stored):
            batch, before = self._store.batch(), account_of(account)
            self._put_order(batch, _step_before(order, stored), order, word)
            self._put_account(batch, account, before, learned(before, order), word)
            self._store.commit(batch, part)
        return order

    def notify(self, notice: Notice, deadline: Deadline) -> bool:
        word = new_word()
        stored = self._create(self._named("outbox", notice.id), waiting(notice, word), deadline.within(RECORD))
        return stored is None or wrote(word, stored)

    def once(self, name: str, deadline: Deadline) -> bool:
        word = new_word()
        stored = self._create(self._named("names", name), named(word), deadline.within(RECORD))
        return stored is None or wrote(word, stored)

    def get(self, key: str, deadline: Deadline) -> Order | None:
        stored = self._read(self._order(key), deadline)
        return order_of(stored) if stored.exists else None

    def orders(self, deadline: Deadline, day: str | None = None, in_flight: bool = False) -> list[Order]:
        orders = self._collection("orders")
        if in_flight:
            found = self._find(orders.where(filter=FieldFilter("status", "in", _OPEN)), deadline)
        elif day is not None:
            found = self._find(orders.where(filter=FieldFilter("day", "==", day)), deadline)
        else:
            newest = orders.order_by("received_at", direction=Query.DESCENDING)
            found = self._find(newest.limit(_LATEST), deadline)
        # Sorted and, where both are asked for, sifted by day here: in the query that would need a composite index.
        wanted = [order for order in readable(found, order_of) if day in (None, order.day)]
        return sorted(wanted, key=lambda order: order.received_at, reverse=True)

    def unresolved(self, before: datetime, deadline: Deadline) -> int:
        submitted = self._collection("orders").where(filter=FieldFilter("status", "==", OrderStatus.SUBMITTED.value))
        orders = readable(self._find(submitted, deadline), order_of)
        return sum(order.submitted_at is None or order.submitted_at < before for order in orders)

    def account(self, deadline: Deadline) -> Account:
        return account_of(self._read(self._account, deadline))

    def change_account(self, change: Callable[[Account], Account], deadline: Deadline) -> Account:
        part, word = deadline.within(SWITCH), new_word()
        with self._alone(part):
            return persevere(lambda: self._change_account(change, word, part), part)

    def _change_account(self, change: Callable[[Account], Account], word: str, part: Deadline) -> Account:
        """One attempt, as in `_submit`."""
        [account] = self._store.read([self._account], part)
        before = account_of(account)
        if wrote(word, account):
            return before
        after = change(before)
        batch = self._store.batch()
        self._put_account(batch, account, before, after, word)
        self._store.commit(batch, part)
        return after

    def outbox(self, deadline: Deadline) -> list[Notice]:
        found = self._find(self._collection("outbox").order_by("waiting_since").limit(100), deadline)
        return readable(found, notice_in)

    def taken(self, notice_id: str, by: Sequence[str], deadline: Deadline) -> None:
        part, reference = deadline.within(RECORD), self._named("outbox", notice_id)

        def attempt() -> None:
            [stored] = self._store.read([reference], part)
            if (fields := half_delivered(stored, by, new_word())) is not None:
                batch = self._store.batch()
                self._put(batch, stored, fields)
                self._store.commit(batch, part)

        persevere(attempt, part)

    def delivered(self, notice_id: str, deadline: Deadline) -> None:
        part = deadline.within(RECORD)
        batch = self._store.batch()
        batch.update(self._named("outbox", notice_id), {"waiting_since": DELETE_FIELD, "write": new_word()})
        persevere(lambda: self._store.commit(batch, part), part)

    def _create(self, reference: DocumentReference, fields: Fields, part: Deadline) -> Stored | None:
        """Creates a document; where one was there, or may be after all, it is returned as it stands."""

        def attempt() -> Stored | None:
            batch = self._store.batch()
            batch.create(reference, fields)
            try:
                self._store.commit(batch, part)
            except Again:
                [stored] = self._store.read([reference], part)
                if not stored.exists:
                    raise
                return stored
            return None

        return persevere(attempt, part)

    def _put(self, batch: WriteBatch, stored: Stored, fields: Fields) -> None:
        """Writes a document under the version that was read."""
        if stored.exists:
            version = self._store.client.write_option(last_update_time=stored.update_time)
            batch.update(stored.reference, fields, option=version)
        else:
            batch.create(stored.reference, fields)

    def _put_order(self, batch: WriteBatch, stored: Stored, order: Order, word: str) -> None:
        self._put(batch, stored, stepped(order, word))
        self._post(batch, notice_of(order), word)

    def _put_account(self, batch: WriteBatch, stored: Stored, before: Account, after: Account, word: str) -> None:
        """Written even where it stays the same: only so does the commit depend on the version that was read."""
        self._put(batch, stored, shared(after, word))
        self._post(batch, state_notice(before, after), word)

    def _post(self, batch: WriteBatch, notice: Notice | None, word: str) -> None:
        """Puts a notice into the commit. One with the same id is written over: better told twice than a commit lost."""
        if notice is not None:
            batch.set(self._named("outbox", notice.id), waiting(notice, word))

    def _read(self, reference: DocumentReference, deadline: Deadline) -> Stored:
        part = deadline.within(_READ)
        return persevere(lambda: self._store.read([reference], part), part)[0]

    def _find(self, query: Query, deadline: Deadline) -> list[Stored]:
        part = deadline.within(_READ)
        return persevere(lambda: self._store.find(query, part), part)

    @contextlib.contextmanager
    def _alone(self, part: Deadline) -> Iterator[None]:
        """This instance's changes of the account document wait for each other here: only instances race for it."""
        if not self._lock.acquire(timeout=max(0.0, part.left())):
            raise NotNow(Reason.LEDGER_CONTENDED)
        try:
            yield
        finally:
            self._lock.release()

    def _collection(self, name: str) -> CollectionReference:
        return self._store.client.collection(name)

    def _order(self, key: str) -> DocumentReference:
        return self._collection("orders").document(key)

    def _named(self, collection: str, name: str) -> DocumentReference:
        return self._collection(collection).document(hashlib.sha256(name.encode()).hexdigest())


def _step_before(order: Order, stored: Stored) -> Stored:
    current = expected(stored)
    if current.sequence != order.sequence - 1:
        raise Overtaken(current)
    return stored
