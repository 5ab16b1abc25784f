"""A ledger in memory: each call is one atomic step, by the rules that every ledger keeps (`ports.Ledger`)."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from app.domain.deadline import Deadline
from app.domain.notice import Notice, notice_of, state_notice
from app.domain.order import Order
from app.domain.order.status import FINAL, OrderStatus
from app.domain.risk.controls import Controls, Decide, learned, teaches
from app.flow.ports import Overtaken, Window


class MemoryLedger:
    """Implements `ports.Ledger`. It is never down; what goes wrong with a store is put around it."""

    def __init__(self) -> None:
        self._orders: dict[str, Order] = {}
        self._windows: dict[str, tuple[str, datetime]] = {}
        self._controls = Controls()
        self._outbox: dict[str, Notice] = {}
        self._known: set[str] = set()

    def claim(self, order: Order, window: Window | None, deadline: Deadline) -> Order:  # noqa: ARG002 -- atomic
        if window is None:
            return self._orders.setdefault(order.key, order)
        key, opened = self._windows.get(window.digest, ("", order.received_at))
        if key and order.received_at - opened < timedelta(seconds=window.seconds):
            return self._orders[key]
        self._windows[window.digest] = (order.key, order.received_at)
        return self._orders.setdefault(order.key, order)

    def submit(self, order: Order, decide: Decide, deadline: Deadline) -> Order:  # noqa: ARG002
        stored = self._orders[order.key]
        if (stored.status, stored.sequence) != (OrderStatus.RECEIVED, order.sequence):
            raise Overtaken(stored)
        decided, controls = decide(self._controls)
        self._store(decided)
        self._switch(controls)
        return decided

    def record(self, order: Order, deadline: Deadline) -> Order:  # noqa: ARG002
        stored = self._orders[order.key]
        if stored.sequence != order.sequence - 1:
            raise Overtaken(stored)
        self._store(order)
        if teaches(order):
            self._switch(learned(self._controls, order))
        return order

    def notify(self, notice: Notice, deadline: Deadline) -> bool:  # noqa: ARG002
        return self._post(notice)

    def once(self, name: str, deadline: Deadline) -> bool:  # noqa: ARG002
        return self._first(f"once {name}")

    def try_out(self, deadline: Deadline, whole: bool = False) -> None:
        """Memory can always be written."""

    def get(self, key: str, deadline: Deadline) -> Order | None:  # noqa: ARG002
        return self._orders.get(key)

    def orders(self, deadline: Deadline, day: str | None = None, in_flight: bool = False) -> list[Order]:  # noqa: ARG002
        wanted = [
            order
            for order in self._orders.values()
            if (day is None or order.day == day) and not (in_flight and order.status in FINAL)
        ]
        return sorted(wanted, key=lambda order: order.received_at, reverse=True)

    def unresolved(self, before: datetime, deadline: Deadline) -> int:  # noqa: ARG002
        return sum(
            order.status is OrderStatus.SUBMITTED and order.submitted_at is not None and order.submitted_at < before
            for order in self._orders.values()
        )

    def controls(self, deadline: Deadline) -> Controls:  # noqa: ARG002
        return self._controls

    def change_controls(self, change: Callable[[Controls], Controls], deadline: Deadline) -> Controls:  # noqa: ARG002
        self._switch(change(self._controls))
        return self._controls

    def outbox(self, deadline: Deadline) -> list[Notice]:  # noqa: ARG002
        return list(self._outbox.values())[:100]

    def taken(self, notice_id: str, by: Sequence[str], deadline: Deadline) -> None:  # noqa: ARG002
        if (notice := self._outbox.pop(notice_id, None)) is not None:
            self._outbox[notice_id] = replace(notice, taken=tuple(sorted({*notice.taken, *by})))

    def delivered(self, notice_id: str, deadline: Deadline) -> None:  # noqa: ARG002
        self._outbox.pop(notice_id, None)

    def _store(self, order: Order) -> None:
        self._orders[order.key] = order
        if (notice := notice_of(order)) is not None:
            self._post(notice)

    def _switch(self, controls: Controls) -> None:
        if (notice := state_notice(self._controls, controls)) is not None:
            self._post(notice)
        self._controls = controls

    def _post(self, notice: Notice) -> bool:
        if not self._first(f"notice {notice.id}"):
            return False
        self._outbox[notice.id] = notice
        return True

    def _first(self, name: str) -> bool:
        if name in self._known:
            return False
        self._known.add(name)
        return True
