"""The controls in the form that every ledger stores: JSON text.

Each submit reads it and writes it, so the orders sent lately stand in it as lists without names. Dictionaries, which an
earlier version wrote in their place, are still read.
"""

import json
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from app.adapters import stored_text
from app.domain.money import plain
from app.domain.risk import Controls, Sent, TradingState

_REMEMBERED = 1024  # orders whose text is kept


class ControlsText:
    """Reads and writes the text for one ledger. Safe for many threads.

    Most submits read the text that the submit before them wrote, and write most of it again. What was written or read
    last is therefore remembered, and so is the text of each order in it.
    """

    def __init__(self) -> None:
        self._last: tuple[str, Controls] | None = None
        self._sent: dict[str, tuple[Sent, str]] = {}  # by tag

    def write(self, controls: Controls) -> str:
        recent = ",".join([self._text_of(sent) for sent in controls.recent])
        text = f'{stored_text.to_text(_day_and_state(controls))[:-1]},"recent":[{recent}]}}'
        self._last = text, controls
        return text

    def read(self, text: Any) -> Controls:
        """The stored controls. A text that cannot be read gives HALTED ones: in doubt nothing trades."""
        last = self._last  # read once: another thread may replace it meanwhile
        if last is not None and text == last[0]:
            return last[1]
        try:
            controls = from_document(json.loads(text))
        except (ValueError, TypeError):
            return from_document({})
        self._last = text, controls
        return controls

    def _text_of(self, sent: Sent) -> str:
        known = self._sent.get(sent.tag)
        if known is not None and (known[0] is sent or known[0] == sent):
            return known[1]
        if len(self._sent) >= _REMEMBERED:
            self._sent.clear()
        text = stored_text.to_text(_sent(sent))
        self._sent[sent.tag] = sent, text
        return text


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
    """The stored controls. A document that cannot be read gives HALTED ones: in doubt nothing trades."""
    try:
        changed_at, premium = document["changed_at"], Decimal(document["premium"])
        open_until = document.get("open_until")  # documents from before the breaker lack it
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
    """An IST day, or "" before the first order. Anything else is refused: it would reset the day's counters."""
    return "" if text == "" else str(date.fromisoformat(text))


def _moment(text: Any) -> datetime:
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError(text)
    return moment
