"""Notices to the operator's phone, and which transition of an order publishes which.

A notice is stored in the same commit as the transition that needs it, so it cannot be lost. Its id is made from the
transition, so a consumer can tell a second delivery from a second event.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from app.domain.calendar import ist_time
from app.domain.errors import Reason
from app.domain.order import Order
from app.domain.order.status import OrderStatus
from app.domain.risk.controls import Controls, TradingState

ABSENT_READS = 3  # valid readings of the order book without the order, over a minute, before a notice says so


class Severity(StrEnum):
    INFO = "INFO"
    WARNING = "WARNING"
    CRITICAL = "CRITICAL"


@dataclass(frozen=True, slots=True)
class Notice:
    """One message, with its facts beside it. `id` is the same at each delivery.

    `taken` names the sinks that have it already, while others still lack it.
    """

    id: str
    kind: str
    severity: Severity
    text: str
    facts: Mapping[str, str] = field(default_factory=dict)
    taken: tuple[str, ...] = ()

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> "Notice":
        """The stored notice. Fields of a later version are ignored. Raises KeyError, TypeError or ValueError."""
        texts = [document[name] for name in ("id", "kind", "severity", "text")]
        if not all(isinstance(text, str) for text in texts):
            raise TypeError("a notice's id, kind, severity and text are texts")
        facts = {str(name): str(value) for name, value in dict(document.get("facts", {})).items()}
        return cls(texts[0], texts[1], Severity(texts[2]), texts[3], facts, tuple(document.get("taken", ())))

    def document(self) -> dict[str, Any]:
        """The notice as plain JSON values, as a sink sends it. A ledger stores `taken` beside it."""
        return {
            "id": self.id,
            "kind": self.kind,
            "severity": str(self.severity),
            "text": self.text,
            "facts": dict(self.facts),
        }


_SEVERITY = {
    OrderStatus.DENIED: Severity.WARNING,
    OrderStatus.LAPSED: Severity.WARNING,
    OrderStatus.REJECTED: Severity.CRITICAL,
    OrderStatus.CANCELLED: Severity.WARNING,
    OrderStatus.EXPIRED: Severity.WARNING,
    OrderStatus.NOT_PLACED: Severity.CRITICAL,
    OrderStatus.SUBMITTED: Severity.CRITICAL,
}


def notice_of(order: Order) -> Notice | None:
    """The notice of the order's newest transition; None where there is none to publish."""
    if order.reason is Reason.FOUND_IN_BOOK:
        text = f"Found in the order book as {order.status}, {what(order)}. The sender of the alert was not told."
        return Notice(f"{order.key}:{order.sequence}", "found", Severity.WARNING, text, facts_of(order))
    if order.status not in _SEVERITY:
        return None
    if order.status is OrderStatus.SUBMITTED and not _doubt_is_news(order):
        return None
    kind = "unresolved" if order.status is OrderStatus.SUBMITTED else order.status.lower()
    return Notice(f"{order.key}:{order.sequence}", kind, _SEVERITY[order.status], _sentence(order), facts_of(order))


def state_notice(before: Controls, after: Controls) -> Notice | None:
    """The notice of a new trading state, or of a breaker that opened."""
    if after.state is before.state:
        return _breaker_notice(before, after)
    severity = Severity.INFO if after.state is TradingState.ACTIVE else Severity.CRITICAL
    text = f"Trading is {after.state} (was {before.state}), by {after.author}: {after.reason or 'no reason given'}."
    at = after.changed_at.isoformat() if after.changed_at else ""
    return Notice(f"trading-state:{at}:{after.state}", "trading-state", severity, text)


def _breaker_notice(before: Controls, after: Controls) -> Notice | None:
    if after.open_until is None or after.open_until == before.open_until:
        return None
    text = f"Several orders did not reach the broker in one minute. Entries wait until {ist_time(after.open_until)}."
    return Notice(f"breaker:{after.open_until.isoformat()}", "breaker", Severity.CRITICAL, text)


def duplicate_notice(order: Order, at: datetime) -> Notice:
    """The same alert came again after it was answered, and was suppressed; published once an hour."""
    text = f"Suppressed a repeated alert, {what(order)}: its order is {order.status}. Nothing was sent again."
    return Notice(f"{order.key}:duplicate:{hour_of(at)}", "duplicate", Severity.WARNING, text, facts_of(order))


def summary_of(many: Sequence[Notice]) -> Notice:
    """One notice in place of many of one kind. The same notices always give the same id."""
    kind, ids = many[0].kind, "\n".join(notice.id for notice in many)
    text = (
        f"{len(many)} notices of the kind {kind} were held back; this one stands for them. The first: {many[0].text} "
        f"The last: {many[-1].text} The orders command lists each order."
    )
    notice_id = f"summary:{kind}:{hashlib.sha256(ids.encode('utf-8', 'replace')).hexdigest()[:16]}"
    return Notice(notice_id, "summary", Severity.WARNING, text, {"kind": kind, "held_back": str(len(many))})


def hour_of(at: datetime) -> str:
    """The hour (UTC) for a notice's id: what lasts for days is published once an hour, not at every run."""
    return at.astimezone(UTC).strftime("%Y%m%d%H")


def what(order: Order) -> str:
    """The order in a few words, as part of a sentence."""
    if order.ticket is not None:
        return f"{order.ticket.side} {order.ticket.quantity} {order.ticket.symbol}"
    names = ("action", "symbol", "strikeprice", "optionType", "expiry")
    return " ".join(order.asked[name] for name in names if name in order.asked)


def facts_of(order: Order) -> dict[str, str]:
    facts = {
        "key": order.key,
        "tag": order.tag,
        "status": order.status,
        "reason": order.reason,
        "broker_order_id": order.broker_order_id,
        "symbol": order.ticket.symbol if order.ticket else None,
    }
    return {name: str(value) for name, value in facts.items() if value is not None}


def _doubt_is_news(order: Order) -> bool:
    """True for the first doubt, and for the last reading of the order book that is counted."""
    return order.reason is Reason.OUTCOME_UNKNOWN and order.absent_reads in (0, ABSENT_READS)


def _sentence(order: Order) -> str:
    about = f"{what(order)}: {order.message or order.status}"
    match order.status:
        case OrderStatus.SUBMITTED if order.absent_reads:
            return f"Not in the order book, {about}. It may still appear; do not re-enter before checking."
        case OrderStatus.SUBMITTED:
            return f"Outcome unknown for {about}. It may be live; do not re-enter before checking the order book."
        case OrderStatus.NOT_PLACED:
            return f"Not placed, {about}."
        case _:
            return f"{order.status.capitalize()}, {about}"
