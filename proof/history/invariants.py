"""The promises I1 to I15, each a function from a history to what broke it.

The tables are written down from the design, not taken from the code: the checker must not share the code's mistakes.
"""

import base64
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from itertools import pairwise
from urllib.parse import quote

from app.domain.order import Order, Transition
from proof.history.records import BrokerOrder, Delivery, History, Post

WITHIN = 75.0  # seconds to a known state, or to a notice
ANSWER_BY = 2.5
SEND_WINDOW = 1.2
SUBMIT = 0.5
BROKER_RATES = ((1.0, 10), (60.0, 200))
IST = timezone(timedelta(hours=5, minutes=30))

_AT_BROKER = {"REJECTED", "PARTIALLY_FILLED", "FILLED", "CANCELLED", "EXPIRED"}
_NEXT = {
    "RECEIVED": {"DENIED", "SUBMITTED", "LAPSED"},
    "SUBMITTED": {"SUBMITTED", "RECEIVED", "ACCEPTED", "NOT_PLACED"} | _AT_BROKER,
    "ACCEPTED": _AT_BROKER,
    "PARTIALLY_FILLED": {"PARTIALLY_FILLED", "FILLED", "CANCELLED", "EXPIRED"},
    "CANCELLED": {"FILLED"},
}
_KNOWN = {"ACCEPTED", "DENIED", "LAPSED", "NOT_PLACED"} | _AT_BROKER  # the order's state says what became of it
_PLACED = {"ACCEPTED"} | _AT_BROKER
_TOLD = {
    "DENIED",
    "LAPSED",
    "REJECTED",
    "CANCELLED",
    "EXPIRED",
    "NOT_PLACED",
}  # steps that publish a notice by themselves
_MAY_BE_FOLDED = {"DENIED", "LAPSED", "CANCELLED", "EXPIRED"}  # many of them may be told as one notice
_DOUBTS_TOLD = (1, 4)  # the first doubt, and the third valid reading of the book without the order


@dataclass(frozen=True, slots=True)
class Violation:
    """`promise` is I1 to I15; `key` the order's key, or what else it is about."""

    promise: str
    key: str
    text: str

    def __str__(self) -> str:
        return f"{self.promise} {self.key[:12]}: {self.text}"


Invariant = Callable[[History], Iterator[Violation]]


def check(history: History) -> list[Violation]:
    """Everything that a history breaks, in the order of the promises."""
    return [violation for invariant in INVARIANTS for violation in invariant(history)]


def at_most_one_order_lives_for_a_key(history: History) -> Iterator[Violation]:
    """I1, by the tag at the broker and, whatever the keys say, by the alert at the sender."""
    live = Counter(order.tag for order in history.broker_orders if order.live)
    for tag, count in live.items():
        if tag and count > 1:
            yield Violation("I1", tag, f"{count} orders live at the broker for one key")
    tags: dict[str, set[str]] = defaultdict(set)
    for delivery in history.deliveries:
        if delivery.answer.get("tag"):
            tags[delivery.alert].add(delivery.answer["tag"])
    for alert, known in tags.items():
        if len(known) > 1 and (count := sum(live[tag] for tag in known)) > 1:
            yield Violation("I1", alert, f"{count} orders live at the broker for one alert under {len(known)} tags")


def every_alert_ends_or_rings(history: History) -> Iterator[Violation]:
    """I2. An alert answered 2xx, refused, or in the ledger at all: a known state or a notice, within 75 s."""
    orders = {order.key: order for order in history.orders}
    for delivery in history.deliveries:
        if not delivery.genuine or delivery.status is None or delivery.answered_at is None:
            continue
        due = _due(delivery.answered_at, history)
        if due > history.ended_at:
            continue
        key = delivery.order_key or ""
        if delivery.status < 300:
            order = orders.get(key)
            if not (order and _known_by(order, due, history)) and not _rang(key, due, history):
                yield Violation("I2", key or delivery.alert, f"answered {delivery.status} and lost: {_state(order)}")
        elif delivery.status == 422 and not (_rang(key, due, history) or _folded_order(orders.get(key), due, history)):
            yield Violation("I2", key, "refused with 422 and no notice was published")
        elif delivery.status in (400, 409) and not _refusal_rang(delivery, due, history):
            yield Violation("I2", delivery.alert, f"refused with {delivery.status} and no notice was published")
    for order in history.orders:
        yield from _left_behind(order, history)


def ledger_and_book_agree(history: History) -> Iterator[Violation]:
    """I3, both ways, once reconcile has read the whole book."""
    if not history.reconciled:
        return
    by_tag = _by_tag(history.orders)
    at_broker = _at_broker(history)
    for tag, row in at_broker.items():
        order = by_tag.get(tag)
        if order is None:
            yield Violation("I3", tag, f"the broker has {row.broker_order_id} and the ledger does not know it")
        elif str(order.status) != row.status:
            yield Violation("I3", order.key, f"the ledger says {order.status}, the broker {row.status}")
    for order in history.orders:
        if order.status in _PLACED and order.broker_order_id is not None and order.tag not in at_broker:
            yield Violation("I3", order.key, f"the ledger says {order.status} and the broker has no such order")


def no_secret_comes_out(history: History) -> Iterator[Violation]:
    """I4: the planted canaries, as they are, in base64 at any offset, in hex and url-encoded."""
    places = {
        "the output": history.output,
        "the notifications": "\n".join(f"{notice.id} {notice.kind} {notice.text}" for notice in history.notifications),
        "the answers": "\n".join(str(dict(delivery.answer)) for delivery in history.deliveries),
        "the ledger": "\n".join(repr(order) for order in history.orders) if history.secrets else "",
    }
    for number, secret in enumerate(history.secrets):
        forms = _forms(secret)
        for place, text in places.items():
            if any(form in text for form in forms):
                yield Violation("I4", f"secret {number}", f"it stands in {place}")


def no_post_without_a_durable_submit(history: History) -> Iterator[Violation]:
    """I5."""
    by_tag = _by_tag(history.orders)
    for post in history.posts:
        order = by_tag.get(post.tag)
        if order is None or not any(
            _stored_at(order, step, history) <= _late(post, history) for step in attempts(order)
        ):
            yield Violation(
                "I5", order.key if order else post.tag, f"sent at {post.at.time()} with no SUBMITTED before it"
            )


def one_post_for_each_attempt(history: History) -> Iterator[Violation]:
    """I6: never more POSTs than attempts, and another one only after the broker turned the last one away unread."""
    posts: dict[str, list[Post]] = defaultdict(list)
    for post in history.posts:
        posts[post.tag].append(post)
    for tag, order in _by_tag(history.orders).items():
        sent = sorted(posts[tag], key=lambda post: post.at)
        if len(sent) > (allowed := len(attempts(order))):
            yield Violation("I6", order.key, f"{len(sent)} POSTs in {allowed} attempts")
        for first, second in pairwise(sent):
            if first.turned_away and first.request_id is not None and first.request_id == second.request_id:
                yield Violation("I6", order.key, "turned away, and sent again by the same request")
            if not first.turned_away:
                yield Violation(
                    "I6", order.key, f"sent again at {second.at.time()} with no proof that nothing was sent"
                )


def nothing_is_sent_late(history: History) -> Iterator[Violation]:
    """I7: no POST after the send window, nor for an alert that is too old, by what its sender knows of its age."""
    by_tag = _by_tag(history.orders)
    fired = {delivery.order_key: delivery.fired_at for delivery in history.deliveries if delivery.fired_at}
    stopped = {_tag(delivery, history) for delivery in history.deliveries if delivery.paused}
    for post in history.posts:
        if (order := by_tag.get(post.tag)) is None:
            continue
        before = [step.at for step in attempts(order) if step.at <= _late(post, history)]
        # Where a process stood still, the window may have begun late; but it ends with the request's own time.
        window = (ANSWER_BY if None in stopped or post.tag in stopped else SUBMIT + SEND_WINDOW) + history.slack
        if before and (late := _seconds(max(before), post.at)) > window:
            yield Violation("I7", order.key, f"sent {late:.2f} s after it was submitted")
        allowed = history.exit_age if _covers(order) else history.entry_age
        age = _seconds(fired.get(order.key) or order.alert_at, post.at)
        if age > allowed + ANSWER_BY + history.slack:
            yield Violation("I7", order.key, f"sent when the alert was {age:.1f} s old; {allowed:.0f} s are allowed")


def nothing_is_submitted_after_a_halt(history: History) -> Iterator[Violation]:
    """I8, in the order of the store."""
    for order in history.orders:
        for step in attempts(order):
            stored = _stored_at(order, step, history)
            for halt in history.halts:
                if halt.holds(stored) and not (halt.covers_allowed and _covers(order)):
                    yield Violation("I8", order.key, f"submitted at {stored.time()}, halted since {halt.began.time()}")


def no_limit_is_passed(history: History) -> Iterator[Violation]:
    """I9: the broker's rates, what was held at any moment, and the limits."""
    for seconds, most in BROKER_RATES:
        yield from _rate([post.at for post in history.posts], seconds, most, "POSTs reached the broker")
    for holding in history.holdings:
        if holding.bought_beyond > 0:
            yield Violation("I9", "position", f"{holding.bought_beyond} units bought beyond the short")
    if history.limits is None:
        return
    for holding in history.holdings:
        if holding.lots_open > history.limits.lots_open:
            yield Violation("I9", "position", f"{holding.lots_open} lots open; {history.limits.lots_open} are allowed")
    submitted = [step.at for order in history.orders for step in _sent_for_all_we_know(order)]
    for seconds, limit in ((1.0, history.limits.orders_per_second), (60.0, history.limits.orders_per_minute)):
        if limit is not None:
            yield from _rate(submitted, seconds, limit, "orders were submitted")
    yield from _day_limits(history)


def every_answer_is_in_time_and_right(history: History) -> Iterator[Violation]:
    """I10: within 2.5 s, never 504, 429 only to strangers, and no 5xx once a byte of this request's order left."""
    for delivery in history.deliveries:
        if delivery.status is None or delivery.answered_at is None:
            continue
        took = _seconds(delivery.sent_at, delivery.answered_at)
        if not delivery.paused and took > ANSWER_BY + history.slack:
            yield Violation("I10", delivery.alert, f"answered after {took:.2f} s")
        if delivery.status == 504 or (delivery.status == 429 and delivery.genuine):
            yield Violation("I10", delivery.alert, f"answered {delivery.status}")
        if delivery.status >= 500 and any(_is_its_own(post, delivery, history) for post in history.posts):
            yield Violation(
                "I10", delivery.order_key or delivery.alert, f"answered {delivery.status} with its order sent"
            )


def every_step_is_legal(history: History) -> Iterator[Violation]:
    """I11: from RECEIVED, by the table, each step one sequence number on."""
    for order in history.orders:
        first = order.transitions[0]
        if (first.sequence, str(first.status)) != (0, "RECEIVED"):
            yield Violation("I11", order.key, f"began as {first.status} with sequence {first.sequence}")
        for old, new in pairwise(order.transitions):
            if str(new.status) not in _NEXT.get(str(old.status), set()):
                yield Violation("I11", order.key, f"went from {old.status} to {new.status}")
            if new.sequence != old.sequence + 1:
                yield Violation("I11", order.key, f"sequence {new.sequence} after {old.sequence}")
        last = order.transitions[-1]
        if (last.status, last.sequence) != (order.status, order.sequence):
            yield Violation("I11", order.key, f"is {order.status}:{order.sequence}, its last step {last.status}")


def every_alerting_step_is_published(history: History) -> Iterator[Violation]:
    """I12: a notice for each step that needs one, and for an alert that came again after its 2xx."""
    noticed = {notice.id for notice in history.notifications}
    for order in history.orders:
        for step in _alerting(order):
            published = f"{order.key}:{step.sequence}" in noticed or _folded(step, history.ended_at, history)
            if not published and _due(step.at, history) <= history.ended_at:
                yield Violation("I12", order.key, f"step {step.sequence}, {step.status}, published no notice")
    for delivery in history.deliveries:
        told = f"{delivery.order_key}:duplicate"
        if not delivery.answer.get("duplicate") or not _came_after_2xx(delivery, history):
            continue
        if _due(delivery.answered_at or delivery.sent_at, history) > history.ended_at:
            continue  # the process that suppressed it may have died before it published; reconcile does it
        was_told = any(notice.id.startswith(told) for notice in history.notifications)
        if not was_told and not _summed_up("duplicate", delivery.sent_at, history.ended_at, history):
            yield Violation(
                "I12", delivery.order_key or "", "a second firing was suppressed and no notice was published"
            )


def what_was_filled_is_known(history: History) -> Iterator[Violation]:
    """I13."""
    if not history.reconciled:
        return
    by_tag = _by_tag(history.orders)
    for tag, row in _at_broker(history).items():
        order = by_tag.get(tag)
        if order is not None and order.filled_quantity != row.filled_quantity:
            text = f"the ledger says {order.filled_quantity} units, the broker {row.filled_quantity}"
            yield Violation("I13", order.key, text)


def every_fill_is_protected_or_published(history: History) -> Iterator[Violation]:
    """I14. An entry without its legs has a notice, or another entry in the same contract has one for as many units.

    Where one of several entries was covered, the records do not say which entry the missing legs belonged to.
    """
    by_tag, by_key = _by_tag(history.orders), {order.key: order for order in history.orders}
    bare = [row for row in history.broker_orders if row.protected is False]
    bare_keys = {by_tag[row.tag].key for row in bare if row.tag in by_tag}
    told = [notice.id.split(":") for notice in history.notifications if notice.kind == "naked"]
    told_keys = {key for _, key, _, _ in told}
    spare: dict[str, int] = defaultdict(int)  # units with a notice in a contract, of entries that have their legs
    for key, units in {key: int(units) for _, key, units, _ in told if key not in bare_keys}.items():
        spare[_symbol(by_key.get(key))] += units
    for row in bare:
        order = by_tag.get(row.tag)
        if order is not None and order.key not in told_keys and spare[_symbol(order)] >= row.filled_quantity:
            spare[_symbol(order)] -= row.filled_quantity
        elif order is None or order.key not in told_keys:
            yield Violation(
                "I14", row.tag, f"{row.broker_order_id} is filled and has no protection, and no notice was published"
            )


def _symbol(order: Order | None) -> str:
    return order.ticket.symbol if order is not None and order.ticket is not None else ""


def the_same_alert_has_the_same_key(history: History) -> Iterator[Violation]:
    """I15, and two alerts never share one."""
    keys: dict[str, set[str]] = defaultdict(set)
    alerts: dict[str, set[str]] = defaultdict(set)
    for delivery in history.deliveries:
        for key in {delivery.key, delivery.answer.get("key")} - {None}:
            keys[delivery.alert].add(str(key))
            alerts[str(key)].add(delivery.alert)
    for alert, its in keys.items():
        if len(its) > 1:
            yield Violation("I15", alert, f"one alert, {len(its)} keys")
    for key, its in alerts.items():
        if len(its) > 1:
            yield Violation("I15", key, f"one key for {len(its)} alerts: {', '.join(sorted(its))}")


INVARIANTS: tuple[Invariant, ...] = (
    at_most_one_order_lives_for_a_key,
    every_alert_ends_or_rings,
    ledger_and_book_agree,
    no_secret_comes_out,
    no_post_without_a_durable_submit,
    one_post_for_each_attempt,
    nothing_is_sent_late,
    nothing_is_submitted_after_a_halt,
    no_limit_is_passed,
    every_answer_is_in_time_and_right,
    every_step_is_legal,
    every_alerting_step_is_published,
    what_was_filled_is_known,
    every_fill_is_protected_or_published,
    the_same_alert_has_the_same_key,
)


def attempts(order: Order) -> list[Transition]:
    """The steps that gave leave to send: RECEIVED to SUBMITTED."""
    return [new for old, new in pairwise(order.transitions) if (old.status, new.status) == ("RECEIVED", "SUBMITTED")]


def _sent_for_all_we_know(order: Order) -> list[Transition]:
    """Attempts that were not proven unsent."""
    unsent = {old.sequence for old, new in pairwise(order.transitions) if new.status == "RECEIVED"}
    return [step for step in attempts(order) if step.sequence not in unsent]


def _due(moment: datetime, history: History) -> datetime:
    """75 s after a moment, not counting pauses."""
    left = WITHIN + history.slack
    for pause in sorted(history.pauses, key=lambda pause: pause.began):
        if pause.ended <= moment:
            continue
        running = max(0.0, _seconds(moment, pause.began))
        if running >= left:
            break
        left -= running
        moment = pause.ended
    return moment + timedelta(seconds=left)


def _rang(key: str, due: datetime, history: History) -> bool:
    """A notice was published for this order, other than a duplicate's."""
    return bool(key) and any(
        key in notice.id and not notice.id.startswith(f"{key}:duplicate") and notice.at <= due
        for notice in history.notifications
    )


def _refusal_rang(delivery: Delivery, due: datetime, history: History) -> bool:
    kind = "refused" if delivery.status == 400 else "same-id"
    told = any(notice.kind == kind and notice.at <= due for notice in history.notifications)
    return told or _summed_up(kind, delivery.sent_at, due, history)


def _summed_up(kind: str, since: datetime, due: datetime, history: History) -> bool:
    """Whether many notices of a kind, this one perhaps among them, were told as one."""
    return any(
        notice.kind == "summary" and f"of the kind {kind} " in notice.text and since <= notice.at <= due
        for notice in history.notifications
    )


def _folded(step: Transition, due: datetime, history: History) -> bool:
    return step.status in _MAY_BE_FOLDED and _summed_up(step.status.lower(), step.at, due, history)


def _folded_order(order: Order | None, due: datetime, history: History) -> bool:
    return order is not None and any(_folded(step, due, history) for step in order.transitions)


def _known_by(order: Order, due: datetime, history: History) -> bool:
    return any(step.status in _KNOWN and _stored_at(order, step, history) <= due for step in order.transitions)


def _state(order: Order | None) -> str:
    return f"the ledger says {order.status}" if order else "the ledger does not know it"


def _left_behind(order: Order, history: History) -> Iterator[Violation]:
    """Orders whose sender waits for no answer: the request died, or was told to come again and never did."""
    if order.status == "RECEIVED":
        allowed = history.exit_age if _covers(order) else history.entry_age
        since = order.alert_at + timedelta(seconds=allowed)
        if _due(max(since, order.received_at), history) < history.ended_at:
            yield Violation("I2", order.key, "is still RECEIVED, long after it was too old to send")
    elif order.status == "SUBMITTED":
        due = _due(attempts(order)[-1].at, history)
        if due < history.ended_at and not _rang(order.key, due, history):
            yield Violation("I2", order.key, "is SUBMITTED for more than 75 s and no notice was published")


def _by_tag(orders: Sequence[Order]) -> dict[str, Order]:
    return {order.tag: order for order in orders}


def _at_broker(history: History) -> dict[str, BrokerOrder]:
    """One row for each tag: the live one, where there is one."""
    rows = sorted(history.broker_orders, key=lambda row: row.live)
    return {row.tag: row for row in rows if row.tag.startswith("tv")}


def _forms(secret: str) -> list[str]:
    """The ways in which a secret may come out. Base64 depends on where in a text it stands: three ways to start."""
    raw = secret.encode()
    encoded = [
        base64.b64encode(b" " * offset + raw)[4 * (offset > 0) :].rstrip(b"=")[:-2].decode() for offset in range(3)
    ]
    return [secret, quote(secret, safe=""), raw.hex(), *encoded]


def _stored_at(order: Order, step: Transition, history: History) -> datetime:
    return history.committed.get((order.key, step.sequence), step.at)


def _late(post: Post, history: History) -> datetime:
    return post.at + timedelta(seconds=history.slack)


def _seconds(earlier: datetime, later: datetime) -> float:
    return (later - earlier).total_seconds()


def _covers(order: Order) -> bool:
    return order.asked.get("action") == "BUY"


def _rate(times: Sequence[datetime], seconds: float, most: int, what: str) -> Iterator[Violation]:
    """More than so many in any span of so many seconds."""
    ordered = sorted(times)
    for first, last in zip(ordered, ordered[most:], strict=False):
        if _seconds(first, last) < seconds:
            yield Violation("I9", "rate", f"more than {most} {what} within {seconds:.0f} s, from {first.time()}")
            return


def _day_limits(history: History) -> Iterator[Violation]:
    limits = history.limits
    assert limits is not None  # noqa: S101 - the caller looked
    entries = [row for row in history.broker_orders if row.live and row.side == "SELL"]
    for row in entries:
        if row.lots > limits.lots_per_order:
            yield Violation("I9", row.tag, f"{row.lots} lots in one order; {limits.lots_per_order} are allowed")
        if limits.premium_per_order is not None and row.premium > limits.premium_per_order:
            yield Violation("I9", row.tag, f"a premium of {row.premium} in one order")
    days = Counter(row.at.astimezone(IST).date() for row in entries)
    for day, count in days.items():
        if count > limits.orders_per_day:
            yield Violation("I9", str(day), f"{count} entries; {limits.orders_per_day} orders are allowed")
        premium = sum(row.premium for row in entries if row.at.astimezone(IST).date() == day)
        if limits.premium_per_day is not None and premium > limits.premium_per_day:
            yield Violation("I9", str(day), f"a premium of {premium} in one day")


def _is_its_own(post: Post, delivery: Delivery, history: History) -> bool:
    """Whether a POST was made by this very delivery. Without request ids: whether no other can have made it."""
    if post.turned_away or post.tag != _tag(delivery, history):
        return False
    if post.request_id is not None and delivery.request_id is not None:
        return post.request_id == delivery.request_id
    inside = [
        other for other in history.deliveries if _tag(other, history) == post.tag and _spans(other, post, history)
    ]
    return delivery in inside and all(other.status is not None and other.status >= 500 for other in inside)


def _tag(delivery: Delivery, history: History) -> str | None:
    if delivery.answer.get("tag"):
        return str(delivery.answer["tag"])
    return next((order.tag for order in history.orders if order.key == delivery.key), None)


def _spans(delivery: Delivery, post: Post, history: History) -> bool:
    ended = delivery.answered_at or history.ended_at
    return delivery.sent_at <= post.at <= ended


def _alerting(order: Order) -> Iterator[Transition]:
    """The steps that have to publish a notice."""
    doubts = 0
    for old, new in pairwise(order.transitions):
        doubts = doubts + 1 if (old.status, new.status) == ("SUBMITTED", "SUBMITTED") else 0
        if new.status in _TOLD or doubts in _DOUBTS_TOLD:
            yield new


def _came_after_2xx(delivery: Delivery, history: History) -> bool:
    return any(
        other.order_key == delivery.order_key
        and other.status is not None
        and other.status < 300
        and other.answered_at is not None
        and other.answered_at < delivery.sent_at
        for other in history.deliveries
    )
