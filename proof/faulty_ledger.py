"""Any ledger, with what can go wrong between a caller and a store put around it."""

from collections.abc import Callable, Sequence
from datetime import datetime
from enum import StrEnum
from typing import TypeVar

from app.domain.deadline import CLAIM, RECORD, SUBMIT, Deadline
from app.domain.errors import NotNow, Reason
from app.domain.notice import Notice
from app.domain.order import Order
from app.domain.risk.controls import Controls, Decide
from app.flow.ports import Ledger, Overtaken, Window

READ = 1.0
WRITES = ("claim", "submit", "record", "notify", "once", "change_controls", "taken", "delivered", "try_out")
READS = ("get", "orders", "unresolved", "controls", "outbox")


class Fate(StrEnum):
    """What becomes of one call."""

    FINE = "fine"
    SLOW = "slow"  # done, with most of its time used up
    REFUSED = "refused"  # not done, and said so at once (a store that only reads, a lost connection)
    DOWN = "down"  # not done, and said so when the time was over
    LOST = "lost"  # done, and nothing was heard of it until the time was over
    CONTENDED = "contended"  # not done: others were always faster


class Faults:
    """Decides over each call, and how long it takes. This one lets everything through at once."""

    def fate(self, name: str) -> Fate:  # noqa: ARG002 -- for those that look
        return Fate.FINE

    def times(self, patience: float) -> tuple[float, float]:  # noqa: ARG002
        """Seconds before and after the effect of a call that goes well."""
        return 0.0, 0.0

    def sleep(self, seconds: float) -> None:
        """Lets time pass."""

    def step(self) -> None:
        """Called right before and right after each effect: here a process may die, or a rival may run."""

    def applied(self, name: str, result: object) -> None:
        """Called with what the store answered, whether the caller hears it or not."""


_Result = TypeVar("_Result")


class FaultyLedger:
    """Implements `ports.Ledger` around another one. A call takes no longer than the real adapters let it."""

    def __init__(self, inner: Ledger, faults: Faults) -> None:
        self.inner = inner
        self.faults = faults

    def claim(self, order: Order, window: Window | None, deadline: Deadline) -> Order:
        return self._call("claim", CLAIM, deadline, lambda: self.inner.claim(order, window, deadline))

    def submit(self, order: Order, decide: Decide, deadline: Deadline) -> Order:
        return self._call("submit", SUBMIT, deadline, lambda: self.inner.submit(order, decide, deadline))

    def record(self, order: Order, deadline: Deadline) -> Order:
        return self._call("record", RECORD, deadline, lambda: self.inner.record(order, deadline))

    def notify(self, notice: Notice, deadline: Deadline) -> bool:
        return self._call("notify", RECORD, deadline, lambda: self.inner.notify(notice, deadline))

    def once(self, name: str, deadline: Deadline) -> bool:
        return self._call("once", RECORD, deadline, lambda: self.inner.once(name, deadline))

    def try_out(self, deadline: Deadline, whole: bool = False) -> None:
        self._call("try_out", RECORD, deadline, lambda: self.inner.try_out(deadline, whole))

    def get(self, key: str, deadline: Deadline) -> Order | None:
        return self._call("get", READ, deadline, lambda: self.inner.get(key, deadline))

    def orders(self, deadline: Deadline, day: str | None = None, in_flight: bool = False) -> list[Order]:
        return self._call("orders", READ, deadline, lambda: self.inner.orders(deadline, day, in_flight))

    def unresolved(self, before: datetime, deadline: Deadline) -> int:
        return self._call("unresolved", READ, deadline, lambda: self.inner.unresolved(before, deadline))

    def controls(self, deadline: Deadline) -> Controls:
        return self._call("controls", READ, deadline, lambda: self.inner.controls(deadline))

    def change_controls(self, change: Callable[[Controls], Controls], deadline: Deadline) -> Controls:
        return self._call("change_controls", SUBMIT, deadline, lambda: self.inner.change_controls(change, deadline))

    def outbox(self, deadline: Deadline) -> list[Notice]:
        return self._call("outbox", READ, deadline, lambda: self.inner.outbox(deadline))

    def taken(self, notice_id: str, by: Sequence[str], deadline: Deadline) -> None:
        self._call("taken", RECORD, deadline, lambda: self.inner.taken(notice_id, by, deadline))

    def delivered(self, notice_id: str, deadline: Deadline) -> None:
        self._call("delivered", RECORD, deadline, lambda: self.inner.delivered(notice_id, deadline))

    def _call(self, name: str, cap: float, deadline: Deadline, act: Callable[[], _Result]) -> _Result:
        faults = self.faults
        if (patience := deadline.cap(cap)) <= 0:
            raise NotNow(Reason.LEDGER_DOWN)  # no adapter begins what its caller has no time for any more
        match faults.fate(name):
            case Fate.REFUSED:
                raise NotNow(Reason.LEDGER_DOWN)
            case Fate.DOWN:
                faults.sleep(patience)
                raise NotNow(Reason.LEDGER_DOWN)
            case Fate.CONTENDED:
                faults.sleep(patience)
                raise NotNow(Reason.LEDGER_CONTENDED)
            case Fate.LOST:
                self._lose(name, patience, act)
                raise NotNow(Reason.LEDGER_DOWN)
            case Fate.SLOW:
                before, after = 0.6 * patience, 0.3 * patience
            case _:
                before, after = faults.times(patience)
        faults.sleep(before)
        result = self._applied(name, act)
        faults.sleep(after)
        return result

    def _lose(self, name: str, patience: float, act: Callable[[], object]) -> None:
        before, _ = self.faults.times(patience)
        self.faults.sleep(before)
        try:
            self._applied(name, act)
        except Overtaken:
            pass  # that answer is lost as well
        self.faults.sleep(max(0.0, patience - before))

    def _applied(self, name: str, act: Callable[[], _Result]) -> _Result:
        self.faults.step()
        result = act()
        self.faults.applied(name, result)
        self.faults.step()
        return result
