"""One run of reconcile: its report, and today's orders and those in flight as they become known."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta

from app.domain.book import BookRow
from app.domain.calendar import ist_day
from app.domain.deadline import SEND_WINDOW, Deadline
from app.domain.notice import Notice, Severity, facts_of
from app.domain.order import Order
from app.domain.order.status import OrderStatus
from app.flow.desk import Desk
from app.flow.outbox import post
from app.flow.ports import Overtaken

SETTLE = timedelta(seconds=SEND_WINDOW + 3.8)  # a live request records its outcome within this


@dataclass(slots=True)
class Report:
    """What one run did; `book` and `positions` say why these could not be read, None where they were."""

    book: str | None = None
    looked_at: int = 0
    moved: dict[str, int] = field(default_factory=dict)
    lapsed: int = 0
    in_doubt: int = 0
    strangers: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)
    positions: str | None = None
    naked: list[str] = field(default_factory=list)
    overnight: list[str] = field(default_factory=list)
    overbought: list[str] = field(default_factory=list)
    legs_cancelled: int = 0
    covers_cancelled: int = 0
    notices_sent: int = 0
    notices_waiting: int = 0

    @property
    def clean(self) -> bool:
        """True where ledger and book agree, nothing is in doubt and nothing stands unprotected."""
        read = self.book is None and self.positions is None
        bare = self.naked or self.overnight or self.overbought
        return read and not (self.in_doubt or self.strangers or self.missing or self.doubled or bare)

    def document(self) -> dict[str, object]:
        return asdict(self) | {"clean": self.clean}


class Run:
    """The orders by key, the report, and how a step is recorded and the operator notified."""

    def __init__(self, desk: Desk, deadline: Deadline) -> None:
        self.desk = desk
        self.deadline = deadline
        self.today = str(ist_day(desk.clock.now()))
        orders = desk.ledger.orders(deadline, in_flight=True) + desk.ledger.orders(deadline, day=self.today)
        self.orders = {order.key: order for order in orders}
        self.report = Report(looked_at=len(self.orders))

    def now(self) -> datetime:
        return self.desk.clock.now()

    def settled(self, order: Order) -> bool:
        """Whether the request that sent the order has had its time to record the outcome itself."""
        return self.now() - submitted_at(order) >= SETTLE

    def is_young(self, order: Order) -> bool:
        """Whether the request that sent the order may still be under way."""
        return order.status is OrderStatus.SUBMITTED and not self.settled(order)

    def not_shown(self, book: Iterable[BookRow]) -> list[Order]:
        """Orders of today with a broker's id that this reading lacks: with any, the reading is not valid."""
        ids = {row.broker_order_id for row in book}
        known = [order for order in self.orders.values() if order.broker_order_id is not None]
        return [order for order in known if order.day == self.today and order.broker_order_id not in ids]

    def record(self, step: Order) -> None:
        """Stores a step. Where another request or run was first, its step counts."""
        before = self.orders[step.key].status
        try:
            current = self.desk.ledger.record(step, self.deadline)
        except Overtaken as overtaken:
            current = overtaken.current
        self.orders[step.key] = current
        if current is step and step.status is not before:
            move = f"{before} to {step.status}"
            self.report.moved[move] = self.report.moved.get(move, 0) + 1

    def notify(self, notice_id: str, text: str, order: Order | None = None) -> None:
        facts = facts_of(order) if order else {}
        notice = Notice(notice_id, notice_id.partition(":")[0], Severity.CRITICAL, text, facts)
        post(notice, self.desk.ledger, self.desk.notifier, self.deadline)


def submitted_at(order: Order) -> datetime:
    return order.submitted_at or order.received_at
