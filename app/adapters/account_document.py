"""The account document in the form every ledger stores: plain JSON values."""

from datetime import date, datetime
from decimal import Decimal
from typing import Any

from app.money import plain
from app.risk import Account, Sent, TradingState


def to_document(account: Account) -> dict[str, Any]:
    return {
        "state": account.state.value,
        "reason": account.reason,
        "author": account.author,
        "changed_at": account.changed_at.isoformat() if account.changed_at else None,
        "day": account.day,
        "orders": account.orders,
        "premium": plain(account.premium),
        "recent": [_sent(sent) for sent in account.recent],
        "failures": [at.isoformat() for at in account.failures],
        "open_until": account.open_until.isoformat() if account.open_until else None,
    }


def from_document(document: dict[str, Any]) -> Account:
    """The account again; one that cannot be read is HALTED: on doubt nothing trades."""
    try:
        changed_at, premium = document["changed_at"], Decimal(document["premium"])
        open_until = document.get("open_until")  # the breaker came later than the rest
        if not premium.is_finite():
            raise ValueError("premium")
        return Account(
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
        return Account(state=TradingState.HALTED, reason="the account document cannot be read")


def _sent(sent: Sent) -> dict[str, Any]:
    return {name: getattr(sent, name) for name in Sent.__slots__} | {"at": sent.at.isoformat(), "side": str(sent.side)}


def _read_sent(document: dict[str, Any]) -> Sent:
    counts = {name: _count(document[name]) for name in ("quantity", "lots")}
    return Sent(**document | counts | {"at": _moment(document["at"])})


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
