"""What was seen of a run, gathered into one history: sender, broker, ledger, notices and output."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime
from itertools import pairwise
from pathlib import Path

from app.domain.calendar import ist_day
from app.domain.order import Order
from app.simulator import Simulator
from proof.history import Delivery, History, Notification, broker_orders_of, check, posts_of
from proof.processes.lab import SECRET, Office

_FINAL = {"DENIED", "LAPSED", "REJECTED", "FILLED", "CANCELLED", "EXPIRED", "NOT_PLACED", "ACCEPTED"}
_ITS_REQUEST_LIVES = 3.0  # seconds; reconcile leaves an order alone for longer


def history_of(
    account: Simulator,
    office: Office,
    deliveries: Iterable[Delivery],
    outputs: Iterable[Path],
    *,
    reconciled: bool,
    slack: float,
) -> History:
    """`slack`: seconds that scheduling, and pauses of a process, may have added to any time.

    Left out are orders that a proof placed by hand, and POSTs that were cut short by a kill while they were written.
    """
    output = "".join(path.read_text(encoding="utf-8", errors="replace") for path in outputs if path.exists())
    return History(
        ended_at=office.clock.now(),
        deliveries=_with_keys(tuple(deliveries)),
        posts=posts_of(entry for entry in account.log if entry.orders or isinstance(entry.body, dict)),
        broker_orders=[order for order in broker_orders_of(account.exchange) if order.tag.startswith("tv")],
        orders=office.desk.ledger.orders(office.deadline()),
        notifications=(*office.recorder.notifications, *notices_in(output)),
        reconciled=reconciled,
        slack=slack,
        secrets=(SECRET,),
        output=output,
    )


def _with_keys(deliveries: Sequence[Delivery]) -> list[Delivery]:
    """A delivery that was never answered was of the same order as the others of its alert."""
    keys = {one.alert: one.answer["key"] for one in deliveries if one.answer.get("key")}
    return [one if one.order_key else replace(one, key=keys.get(one.alert)) for one in deliveries]


def wrong_in(history: History, account: Simulator, but: str = "") -> list[str]:
    """All that is wrong with a history at whose end every order has to be final; `but` names a promise to leave out."""
    found = [str(violation) for violation in check(history) if violation.promise != but] + unheard_of(history)
    open_ends = [one for one in history.orders if one.status not in _FINAL and not stays_in_doubt(one, history)]
    found += [f"{one.key[:12]} ends as {one.status}" for one in open_ends]
    return found + [f"the simulator failed: {error!r}" for error in account.errors]


def stays_in_doubt(order: Order, history: History) -> bool:
    """Whether the day of an order in doubt is over: another day's book says nothing of it. `check` sees it told."""
    return order.status == "SUBMITTED" and order.day < str(ist_day(history.ended_at))


def unheard_of(history: History) -> list[str]:
    """Orders at the broker without a record: no answer, no notice, and no ledger step by the request that sent them.

    A process that dies between writing down that its order was accepted and saying so leaves a ledger that is right.
    """
    heard = {delivery.order_key for delivery in history.deliveries if delivery.status == 200}
    told = " ".join(notice.id for notice in history.notifications if ":duplicate" not in notice.id)
    at_broker = {row.tag for row in history.broker_orders}
    unrecorded = [order for order in history.orders if order.tag in at_broker and not _written_down(order)]
    lost = [order for order in unrecorded if order.key not in heard]
    return [
        f"{order.key[:12]} is {order.status} and no notice was published" for order in lost if order.key not in told
    ]


def _written_down(order: Order) -> bool:
    """Whether the request that sent the order lived to record what came of it; reconcile did not have to find it."""
    return any(
        old.status == "SUBMITTED" != new.status and (new.at - old.at).total_seconds() < _ITS_REQUEST_LIVES
        for old, new in pairwise(order.transitions)
    )


def notices_in(output: str) -> list[Notification]:
    """The notices that gateways put into their log, which is their sink here."""
    found = []
    for line in output.splitlines():
        if not line.startswith("{"):
            continue
        try:
            said = json.loads(line)
        except ValueError:
            continue  # cut off where its process was killed
        at = datetime.fromisoformat(said["time"])
        if said.get("logger") == "gateway.notice":
            found.append(Notification(at, said["notice"], said["kind"], said["message"]))
        found.extend(Notification(at, folded, "folded") for folded in said.get("notices", ()))  # told as one
    return found
