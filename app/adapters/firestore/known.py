"""The versions of documents that this instance has just written or read.

A commit on such a version needs no read before it. It is as safe: the store takes it only where the document still has
that version, and after a failure the ledger reads.
"""

import threading
from collections import OrderedDict
from dataclasses import dataclass
from datetime import datetime
from typing import Generic, TypeVar

from google.cloud.firestore import DocumentReference

from app.adapters.firestore.store import Stored
from app.domain.order import Order
from app.domain.order.status import OrderStatus
from app.domain.risk.controls import Controls

_ORDERS = 256  # under way at once in one instance, including orders that were never finished


@dataclass(frozen=True, slots=True)
class Version:
    """A document that is there, for a write made on it."""

    reference: DocumentReference
    update_time: datetime
    exists: bool = True

    @classmethod
    def of(cls, stored: Stored) -> "Version":
        return cls(stored.reference, stored.update_time)


_Document = TypeVar("_Document", Stored, Version)


@dataclass(frozen=True, slots=True)
class Basis(Generic[_Document]):
    """What a submit is decided and committed on."""

    order: _Document
    before: Controls
    controls: _Document


class Known:
    """Safe for many threads. A version is taken once: a commit on it keeps the next one, a failure has to read."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._orders: OrderedDict[str, tuple[Order, Version]] = OrderedDict()
        self._controls: tuple[Controls, Version] | None = None

    def keep_order(self, order: Order, version: Version) -> None:
        with self._lock:
            self._orders[order.key] = order, version
            while len(self._orders) > _ORDERS:
                self._orders.popitem(last=False)

    def keep_controls(self, controls: Controls, version: Version) -> None:
        """Unless a newer one is known: replies to calls made side by side come in any order."""
        with self._lock:
            if self._controls is None or version.update_time > self._controls[1].update_time:
                self._controls = controls, version

    def take_before(self, order: Order) -> Version | None:
        """The version that has the step before the order's newest one."""
        with self._lock:
            known = self._orders.pop(order.key, None)
        return known[1] if known is not None and known[0].sequence == order.sequence - 1 else None

    def take_basis(self, order: Order) -> Basis[Version] | None:
        """Both versions, where the order's stands at the very step that is to be submitted."""
        with self._lock:
            known, controls = self._orders.get(order.key), self._controls
            if known is None or controls is None:
                return None
            if (known[0].status, known[0].sequence) != (OrderStatus.RECEIVED, order.sequence):
                return None
            del self._orders[order.key]
            self._controls = None
        return Basis(known[1], *controls)

    def give_back(self, order: Order, basis: Basis[Version]) -> None:
        """Keeps versions that were taken and not used."""
        self.keep_order(order, basis.order)
        self.keep_controls(basis.before, basis.controls)
