"""What the tests of the Fyers adapter share: an order that is ready to send, and a token source that remembers."""

import time
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from app.domain.alert import Product, Side
from app.domain.deadline import Deadline
from app.domain.errors import NotNow, Reason
from app.domain.order import Accepted, Order, OrderType, Outcome, Rejected, Ticket
from app.login.token import Token

APP_ID = "ABCDE12345-200"
TAG = "tvabcdefgh234567ijkl"


class Tokens:
    """`others` are the tokens that the store holds by the time Fyers refuses one."""

    def __init__(self, access_token: str, *others: str, problem: RuntimeError | None = None) -> None:
        self.current = Token(access_token)
        self.logged_out = False
        self._others = list(others)
        self._problem = problem
        self.refusals: list[tuple[Token, str, float]] = []
        self.forbidden_because: list[tuple[str, float]] = []

    def token(self, deadline: Deadline) -> Token:
        if self.logged_out:
            raise NotNow(Reason.NEEDS_LOGIN)
        return self.current

    def refused(self, token: Token, message: str, deadline: Deadline) -> bool:
        self.refusals.append((token, message, deadline.left()))
        if self._problem:
            raise self._problem
        if self._others:
            self.current = Token(self._others.pop(0))
            return True
        return False

    def forbidden(self, message: str, deadline: Deadline) -> None:
        self.forbidden_because.append((message, deadline.left()))
        if self._problem:
            raise self._problem


def rejection(outcome: Outcome) -> Rejected:
    assert isinstance(outcome, Rejected)
    return outcome


def acceptance(outcome: Outcome) -> Accepted:
    assert isinstance(outcome, Accepted)
    return outcome


def within(seconds: float) -> Deadline:
    return Deadline(time.monotonic, seconds)


def order_for(symbol: str, **ticket: Any) -> Order:
    made = Ticket(
        symbol=symbol,
        underlying="NIFTY",
        side=Side.SELL,
        product=Product.INTRADAY,
        order_type=OrderType.LIMIT,
        quantity=65,
        lot_size=65,
        tick_size=Decimal("0.05"),
        ltp=Decimal("165.15"),
        limit_price=Decimal("164.90"),
        covers=False,
        stop_loss=Decimal("189.95"),
        take_profit=Decimal("123.85"),
        stop_loss_points=Decimal("25.05"),
        take_profit_points=Decimal("41.05"),
    )
    now = datetime(2026, 11, 20, 5, 0, tzinfo=UTC)
    received = Order("ab" * 32, TAG, "f", "2026-11-20", {}, now, now, "request-1")
    return received.priced(replace(made, **ticket)).submitted(now)
