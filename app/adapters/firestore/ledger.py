"""The ledger in Firestore, shared by all instances.

    orders/{key}                status, day, received_at, order     order: JSON, as in every ledger
    windows/{sha256(digest)}    key, opened_at                      the order that holds the window
    account/shared              account                             the controls: trading state and day's counters
    outbox/{sha256(id)}         notice, waiting_since               without waiting_since once it is delivered
    names/{sha256(name)}                                            the names that `once` was asked

The controls stand under the name that they once had: a deployed ledger has to stay readable.

Each document also has `write`, a random word of the call that wrote it last. After a lost reply it tells the gateway's
own commit from another's, and it makes every write a change, so the update time always moves. `expire_at` is for
Firestore's TTL policy alone, which deletes up to a day late: nothing here goes by it.

A change is one batch under the versions (update times) of what it was made from. No transactions: they hold locks and
cost a round trip more. The loser of a race reads again and decides again. Versions that this instance knows already
(`known`) save the reading before: then claim, submit and record are one round trip each.

Queries need only the automatic single-field indexes of orders.status, orders.day, orders.received_at and
outbox.waiting_since; deploy/firestore.indexes.json switches off all others and sets the TTL policies.
"""

import contextlib
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime

from google.cloud.firestore import DocumentReference, FieldFilter, Query

from app.adapters.controls_document import ControlsText
from app.adapters.firestore import documents
from app.adapters.firestore.documents import Changes, Fields, controls_of, expected, new_word, order_of, wrote
from app.adapters.firestore.known import Basis, Known, Version
from app.adapters.firestore.store import Again, Store, Stored
from app.adapters.stored_text import readable
from app.domain.deadline import CLAIM, RECORD, SUBMIT, SWITCH, Deadline, Sleep
from app.domain.errors import NotNow, Reason
from app.domain.notice import Notice, notice_of, state_notice
from app.domain.order import Order
from app.domain.order.status import OPEN, OrderStatus
from app.domain.risk.check import NeedsBook, NeedsRoom
from app.domain.risk.controls import Controls, Decide, Decision, learned, teaches
from app.flow.ports import Overtaken, Window

_READ = 1.0
_LATEST = 500
_LOOKS = 8  # reads of the controls at once
_OPEN = [status.value for status in OPEN]


class FirestoreLedger:
    """Implements `ports.Ledger`. To be made after a fork, never before: gRPC does not survive one."""

    def __init__(self, project: str, database: str = "(default)", sleep: Sleep = time.sleep) -> None:
        self._store = Store(project, database, sleep)
        self._controls = self._store.collection("account").document("shared")
        self._lock = threading.Lock()
        self._known = Known()
        self._texts = ControlsText()
        self._looks = ThreadPoolExecutor(_LOOKS, thread_name_prefix="controls")

    def warm(self, deadline: Deadline) -> None:
        """Connects and signs in before the first alert: no other call has the time for that. Raises NotNow."""
        self._store.retried(lambda: self._store.read([self._controls], deadline), deadline)

    def close(self) -> None:
        self._looks.shutdown(cancel_futures=True)  # each of them ends by its deadline
        self._store.close()

    def claim(self, order: Order, window: Window | None, deadline: Deadline) -> Order:
        part = deadline.within(CLAIM)
        self._looks.submit(self._look_at_controls, part)  # for the submit to come
        if window is not None:
            return self._store.retried(lambda: self._claim_windowed(order, window, part), part)
        stored = self._create(self._store.order(order.key), documents.received(order, new_word()), part)
        if isinstance(stored, Version):
            self._known.keep_order(order, stored)
            return order
        found = order_of(stored)
        self._known.keep_order(found, Version.of(stored))
        return found

    def _look_at_controls(self, part: Deadline) -> None:
        with contextlib.suppress(Again, NotNow):  # then the submit reads them
            [stored] = self._store.read([self._controls], part)
            if stored.exists:
                self._known.keep_controls(controls_of(stored, self._texts), Version.of(stored))

    def _claim_windowed(self, order: Order, window: Window, part: Deadline) -> Order:
        """One attempt. The window's document decides the race: the commit that stores the order takes it over."""
        [pointer] = self._store.read([self._store.named("windows", window.digest)], part)
        if (key := documents.holder(pointer, order, window)) is not None:
            [stored] = self._store.read([self._store.order(key)], part)
            if stored.exists:
                return order_of(stored)
        word, reference = new_word(), self._store.order(order.key)
        changes = Changes(self._store, word)
        changes.create(reference, documents.received(order, word))
        changes.put(pointer, documents.opened(order, word))
        [version, _] = changes.commit(part)
        self._known.keep_order(order, Version(reference, version))
        return order

    def submit(self, order: Order, decide: Decide, deadline: Deadline) -> Order:
        part, word = deadline.within(SUBMIT), new_word()
        with self._alone(part):
            return self._store.retried(lambda: self._submit(order, decide, word, part), part)

    def _submit(self, order: Order, decide: Decide, word: str, part: Deadline) -> Order:
        """One attempt: on what is known, or on what it reads first. So the next attempt finds what this one wrote."""
        if (known := self._known.take_basis(order)) is not None and (decision := self._foresee(order, known, decide)):
            return self._submitted(known, decision, word, part)
        [stored, controls] = self._store.read([self._store.order(order.key), self._controls], part)
        current = expected(stored)
        if wrote(word, stored):
            return current
        if (current.status, current.sequence) != (OrderStatus.RECEIVED, order.sequence):
            raise Overtaken(current)
        basis = Basis(stored, controls_of(controls, self._texts), controls)
        return self._submitted(basis, decide(basis.before), word, part)

    def _foresee(self, order: Order, known: Basis[Version], decide: Decide) -> Decision | None:
        """The decision on what is known, for the commit to confirm; None where it would put the order off.

        No commit confirms a refusal, so a refusal is decided on what is read. So is an order that needs protective legs
        taken away first, since it may be denied after all. Reading the order book in vain does no harm.
        """
        try:
            return decide(known.before)
        except NeedsBook:
            self._known.give_back(order, known)
            raise
        except (NotNow, NeedsRoom):
            return None

    def _submitted(self, basis: Basis[Stored] | Basis[Version], decision: Decision, word: str, part: Deadline) -> Order:
        """Commits order and controls on the versions they were decided on."""
        (order, controls), changes = decision, Changes(self._store, word)
        changes.put_order(basis.order, order)
        changes.put_controls(basis.controls, self._texts.write(controls))
        changes.post(notice_of(order), state_notice(basis.before, controls))
        versions = changes.commit(part)
        self._known.keep_order(order, Version(basis.order.reference, versions[0]))
        self._known.keep_controls(controls, Version(basis.controls.reference, versions[1]))
        return order

    def record(self, order: Order, deadline: Deadline) -> Order:
        part, word = deadline.within(RECORD), new_word()
        if not teaches(order):
            return self._store.retried(lambda: self._record(order, word, part), part)
        with self._alone(part):
            return self._store.retried(lambda: self._record_with_controls(order, word, part), part)

    def _record(self, order: Order, word: str, part: Deadline) -> Order:
        """One attempt, as in `_submit`."""
        before: Stored | Version | None = self._known.take_before(order)
        if before is None:
            [stored] = self._store.read([self._store.order(order.key)], part)
            if wrote(word, stored):
                return order
            before = _step_before(order, stored)
        changes = Changes(self._store, word)
        changes.put_order(before, order)
        changes.post(notice_of(order))
        changes.commit(part)
        return order

    def _record_with_controls(self, order: Order, word: str, part: Deadline) -> Order:
        """One attempt, as in `_submit`."""
        [stored, controls] = self._store.read([self._store.order(order.key), self._controls], part)
        if not wrote(word, stored):
            changes, before = Changes(self._store, word), controls_of(controls, self._texts)
            after = learned(before, order)
            changes.put_order(_step_before(order, stored), order)
            changes.put_controls(controls, self._texts.write(after))
            changes.post(notice_of(order), state_notice(before, after))
            changes.commit(part)
        return order

    def notify(self, notice: Notice, deadline: Deadline) -> bool:
        fields = documents.waiting(notice, new_word())
        return self._is_new(self._store.named("outbox", notice.id), fields, deadline)

    def once(self, name: str, deadline: Deadline) -> bool:
        return self._is_new(self._store.named("names", name), documents.named(new_word()), deadline)

    def try_out(self, deadline: Deadline, whole: bool = False) -> None:  # noqa: ARG002 -- Google looks for damage
        """One document, written over each time."""
        part, changes = deadline.within(RECORD), Changes(self._store, new_word())
        changes.try_out()
        self._store.retried(lambda: changes.commit(part), part)

    def get(self, key: str, deadline: Deadline) -> Order | None:
        stored = self._read(self._store.order(key), deadline)
        return order_of(stored) if stored.exists else None

    def orders(self, deadline: Deadline, day: str | None = None, in_flight: bool = False) -> list[Order]:
        orders = self._store.collection("orders")
        if in_flight:
            found = self._find(orders.where(filter=FieldFilter("status", "in", _OPEN)), deadline)
        elif day is not None:
            found = self._find(orders.where(filter=FieldFilter("day", "==", day)), deadline)
        else:
            newest = orders.order_by("received_at", direction=Query.DESCENDING)
            found = self._find(newest.limit(_LATEST), deadline)
        # Sorted here and, where both are asked for, filtered by day: the query would need a composite index.
        wanted = [order for order in readable(found, order_of) if day in (None, order.day)]
        return sorted(wanted, key=lambda order: order.received_at, reverse=True)

    def unresolved(self, before: datetime, deadline: Deadline) -> int:
        is_submitted = FieldFilter("status", "==", OrderStatus.SUBMITTED.value)
        submitted = self._store.collection("orders").where(filter=is_submitted)
        orders = readable(self._find(submitted, deadline), order_of)
        return sum(order.submitted_at is None or order.submitted_at < before for order in orders)

    def controls(self, deadline: Deadline) -> Controls:
        return controls_of(self._read(self._controls, deadline), self._texts)

    def change_controls(self, change: Callable[[Controls], Controls], deadline: Deadline) -> Controls:
        part, word = deadline.within(SWITCH), new_word()
        with self._alone(part):
            return self._store.retried(lambda: self._change_controls(change, word, part), part)

    def _change_controls(self, change: Callable[[Controls], Controls], word: str, part: Deadline) -> Controls:
        """One attempt, as in `_submit`."""
        [controls] = self._store.read([self._controls], part)
        before = controls_of(controls, self._texts)
        if wrote(word, controls):
            return before
        after = change(before)
        changes = Changes(self._store, word)
        changes.put_controls(controls, self._texts.write(after))
        changes.post(state_notice(before, after))
        changes.commit(part)
        return after

    def outbox(self, deadline: Deadline) -> list[Notice]:
        found = self._find(self._store.collection("outbox").order_by("waiting_since").limit(100), deadline)
        return readable(found, documents.notice_in)

    def taken(self, notice_id: str, by: Sequence[str], deadline: Deadline) -> None:
        part, reference = deadline.within(RECORD), self._store.named("outbox", notice_id)

        def attempt() -> None:
            [stored] = self._store.read([reference], part)
            if (fields := documents.half_delivered(stored, by, new_word())) is not None:
                changes = Changes(self._store, fields["write"])
                changes.put(stored, fields)
                changes.commit(part)

        self._store.retried(attempt, part)

    def delivered(self, notice_id: str, deadline: Deadline) -> None:
        part = deadline.within(RECORD)
        changes = Changes(self._store, new_word())
        changes.take_out(notice_id)
        self._store.retried(lambda: changes.commit(part), part)

    def _is_new(self, reference: DocumentReference, fields: Fields, deadline: Deadline) -> bool:
        stored = self._create(reference, fields, deadline.within(RECORD))
        return isinstance(stored, Version) or wrote(fields["write"], stored)

    def _create(self, reference: DocumentReference, fields: Fields, part: Deadline) -> Stored | Version:
        """The version of the new document. Where there is one already, perhaps this call's own, that document."""

        def attempt() -> Stored | Version:
            changes = Changes(self._store, fields["write"])
            changes.create(reference, fields)
            try:
                [version] = changes.commit(part)
            except Again:
                [stored] = self._store.read([reference], part)
                if not stored.exists:
                    raise
                return stored
            return Version(reference, version)

        return self._store.retried(attempt, part)

    def _read(self, reference: DocumentReference, deadline: Deadline) -> Stored:
        part = deadline.within(_READ)
        return self._store.retried(lambda: self._store.read([reference], part), part)[0]

    def _find(self, query: Query, deadline: Deadline) -> list[Stored]:
        part = deadline.within(_READ)
        return self._store.retried(lambda: self._store.find(query, part), part)

    @contextlib.contextmanager
    def _alone(self, part: Deadline) -> Iterator[None]:
        """Changes of the controls by one instance wait for each other here, so only instances race for them."""
        if not self._lock.acquire(timeout=max(0.0, part.left())):
            raise NotNow(Reason.LEDGER_CONTENDED)
        try:
            yield
        finally:
            self._lock.release()


def _step_before(order: Order, stored: Stored) -> Stored:
    current = expected(stored)
    if current.sequence != order.sequence - 1:
        raise Overtaken(current)
    return stored
