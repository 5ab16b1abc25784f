"""The account document in the form every ledger stores: plain JSON values."""

from datetime import datetime
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
    }


def from_document(document: dict[str, Any]) -> Account:
    """The account again; one that cannot be read is HALTED: on doubt nothing trades."""
    try:
        changed_at = document["changed_at"]
        return Account(
            state=TradingState(document["state"]),
            reason=document["reason"],
            author=document["author"],
            changed_at=datetime.fromisoformat(changed_at) if changed_at else None,
            day=document["day"],
            orders=int(document["orders"]),
            premium=Decimal(document["premium"]),
            recent=tuple(Sent(**sent | {"at": datetime.fromisoformat(sent["at"])}) for sent in document["recent"]),
        )
    except (KeyError, ValueError, TypeError, ArithmeticError):
        return Account(state=TradingState.HALTED, reason="the account document cannot be read")


def _sent(sent: Sent) -> dict[str, Any]:
    return {name: getattr(sent, name) for name in Sent.__slots__} | {"at": sent.at.isoformat(), "side": str(sent.side)}
