"""The records of one history. All times are aware; a part that a proof cannot see is left out and not checked."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from app.domain.order import Order
from app.domain.risk.limits import Limits


@dataclass(frozen=True, slots=True)
class Delivery:
    """One POST to the webhook as its sender saw it.

    `alert` is the sender's own name for what it sent: the same name, the same body. `status` None: no answer came (the
    process died, or the sender hung up). `key` is the order's key where the sender can tell it without the answer.
    `fired_at` is when the alert fired, where it says so. `genuine`: it had the right secret. `paused`: the process was
    stopped or killed under it, so its time says nothing.
    """

    alert: str
    sent_at: datetime
    answered_at: datetime | None = None
    status: int | None = None
    answer: Mapping[str, Any] = field(default_factory=dict)
    key: str | None = None
    fired_at: datetime | None = None
    genuine: bool = True
    paused: bool = False

    @property
    def order_key(self) -> str | None:
        return self.key or self.answer.get("key")

    @property
    def request_id(self) -> str | None:
        return self.answer.get("request_id")


@dataclass(frozen=True, slots=True)
class Post:
    """One order POST that reached the broker, with the moment its first byte did.

    `turned_away`: answered 429 by the broker itself, so nothing was placed. `request_id`: whose it was, where known.
    """

    at: datetime
    tag: str
    turned_away: bool = False
    request_id: str | None = None


@dataclass(frozen=True, slots=True)
class BrokerOrder:
    """An order in the broker's own book, protective legs left out. `status` is an OrderStatus by name.

    `live`: the broker took it (it may be cancelled or expired since); False for one that it rejected.
    `protected`: its filled quantity has its legs, or is closed again; None where it was not looked at.
    """

    broker_order_id: str
    tag: str
    at: datetime
    status: str
    live: bool = True
    side: str = "SELL"
    lots: int = 1
    filled_quantity: int = 0
    premium: float = 0.0
    protected: bool | None = None


@dataclass(frozen=True, slots=True)
class Notification:
    """One notice that came out of the sink, with the id that consumers tell it by."""

    at: datetime
    id: str
    kind: str = ""
    text: str = ""


@dataclass(frozen=True, slots=True)
class Halt:
    """From when the store held HALTED (or REDUCING) for certain, until the state began to be lifted."""

    began: datetime
    ended: datetime | None = None
    covers_allowed: bool = False

    def holds(self, moment: datetime) -> bool:
        return self.began < moment and (self.ended is None or moment < self.ended)


@dataclass(frozen=True, slots=True)
class Pause:
    """A time in which ledger, book, sink or reconcile were kept from working: 75 seconds do not run in it."""

    began: datetime
    ended: datetime


@dataclass(frozen=True, slots=True)
class Holding:
    """What the account held right after a change: lots open or still working, and units bought beyond any short."""

    at: datetime
    lots_open: int
    bought_beyond: int = 0


@dataclass(frozen=True, slots=True)
class History:
    """One history, whole. A part that is not given is not checked.

    `reconciled`: a last reconcile read the whole book, so ledger and book must agree. `committed` says when a step,
    (key, sequence), was in the store, where that is known better than by the step's own time. `entry_age`, `exit_age`
    are seconds an alert may be old when it is sent; `slack` is what clocks and scheduling may add to any time.
    `secrets` are the planted canaries, `output` all that was logged or printed.
    """

    ended_at: datetime
    deliveries: Sequence[Delivery] = ()
    posts: Sequence[Post] = ()
    broker_orders: Sequence[BrokerOrder] = ()
    orders: Sequence[Order] = ()
    notifications: Sequence[Notification] = ()
    holdings: Sequence[Holding] = ()
    halts: Sequence[Halt] = ()
    pauses: Sequence[Pause] = ()
    committed: Mapping[tuple[str, int], datetime] = field(default_factory=dict)
    limits: Limits | None = None
    entry_age: float = 60.0
    exit_age: float = 300.0
    reconciled: bool = False
    slack: float = 0.0
    secrets: Sequence[str] = ()
    output: str = ""
