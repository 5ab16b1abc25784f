"""The controls in the form every ledger stores: JSON text.

Each submit reads and writes it, so what was sent lately stands in it as lists without names; the dictionaries that were
written before are still read.
"""

import json
from datetime import date, datetime
from decimal import Decimal
from functools import lru_cache
from typing import Any

from app.adapters import stored_text
from app.domain.money import plain
from app.domain.risk import Controls, Sent, TradingState

_last: tuple[str, Controls] | None = None  # the text read or written last, for who reads it again unchanged


def to_text(controls: Controls) -> str:
    global _last
    recent = ",".join(map(_sent_text, controls.recent))  # most of it was written before, word by word
    text = f'{stored_text.to_text(_day_and_state(controls))[:-1]},"recent":[{recent}]}}'
    _last = text, controls
    return text


def from_text(text: Any) -> Controls:
    """The controls again; ones that cannot be read are HALTED: on doubt nothing trades."""
    global _last
    last = _last  # both halves of one pair, whatever other threads do
    if last is not None and text == last[0]:
        return last[1]
    try:
        controls = from_document(json.loads(text))
    except (ValueError, TypeError):
        return from_document({})
    _last = text, controls
    return controls


def to_document(controls: Controls) -> dict[str, Any]:
    return _day_and_state(controls) | {"recent": [_sent(sent) for sent in controls.recent]}


def _day_and_state(controls: Controls) -> dict[str, Any]:
    return {
        "state": controls.state.value,
        "reason": controls.reason,
        "author": controls.author,
        "changed_at": controls.changed_at.isoformat() if controls.changed_at else None,
        "day": controls.day,
        "orders": controls.orders,
        "premium": plain(controls.premium),
        "failures": [at.isoformat() for at in controls.failures],
        "open_until": controls.open_until.isoformat() if controls.open_until else None,
    }


def from_document(document: dict[str, Any]) -> Controls:
    """The controls again; ones that cannot be read are HALTED: on doubt nothing trades."""
    try:
        changed_at, premium = document["changed_at"], Decimal(document["premium"])
        open_until = document.get("open_until")  # the breaker came later than the rest
        if not premium.is_finite():
            raise ValueError("premium")
        return Controls(
            state=TradingState(document["state"]),
            reason=document["reason"],
            author=document["author"],
            changed_at=_moment(changed_at) if changed_at else None,
            day=_day(document["day"]),
            orders=_count(document["orders"]),
            premium=premium,
            recent=tuple(_read_sent(sent) for sent in document["recent"]),
            failures=tuple(_moment(at) for at in document.get("failures", [])),
            open_until=_moment(open_until) if open_until is not None else None,
        )
    except (KeyError, ValueError, TypeError, ArithmeticError):
        return Controls(state=TradingState.HALTED, reason="the stored controls cannot be read", damaged=True)


def _sent(sent: Sent) -> list[Any]:
    return [
        sent.at.isoformat(),
        sent.tag,
        sent.symbol,
        sent.quantity,
        sent.lots,
        str(sent.side),
        sent.covers,
        sent.underlying,
        sent.strategy,
    ]


@lru_cache(maxsize=1024)
def _sent_text(sent: Sent) -> str:
    return stored_text.to_text(_sent(sent))


def _read_sent(stored: list[Any] | dict[str, Any]) -> Sent:
    values = [stored[name] for name in Sent.__slots__] if isinstance(stored, dict) else stored
    at, tag, symbol, quantity, lots, side, covers, underlying, strategy = values
    if not all(isinstance(text, str) for text in (tag, symbol, side, underlying)) or type(covers) is not bool:
        raise ValueError(values)
    return Sent(_moment(at), tag, symbol, _count(quantity), _count(lots), side, covers, underlying, strategy)


def _count(value: Any) -> int:
    if type(value) is not int or value < 0:
        raise ValueError(value)
    return value


def _day(text: Any) -> str:
    """An IST day, or nothing where no order was counted yet; what is neither would start the counters anew."""
    return "" if text == "" else str(date.fromisoformat(text))


def _moment(text: Any) -> datetime:
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError(text)
    return moment
