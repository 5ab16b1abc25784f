"""Fyers behind the broker port: reads that are tried again, and orders that are sent once."""

import logging
import random
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from app.adapters.fyers import rows
from app.adapters.fyers.classify import PLACE, TOKEN_CODES, OrderCall, cancelling, classify, exiting, modifying
from app.adapters.fyers.json_text import Body, read_object, whole
from app.adapters.fyers.pace import NoTurn
from app.adapters.fyers.payload import order_payload, resize_payload
from app.adapters.fyers.sdk import Model, Wire
from app.adapters.fyers.shared import Shared
from app.adapters.fyers.transport import MOST_BYTES, CallFailed, Reply, Transport
from app.adapters.fyers.words import clean
from app.contract import BookRow, Position, Quote
from app.deadline import CONNECT, MARKET_READ, PLACE_TAIL, RECORD, SEND_WINDOW, Deadline
from app.errors import NotNow, Reason
from app.order import NotSent, Order, Outcome, Refusal, Rejected, Unresolved
from app.ports import TokenSource
from app.steps import count_broker_call
from app.token import Token

log = logging.getLogger("gateway.fyers")

API_URL = "https://api-t1.fyers.in/api/v3"
DATA_URL = "https://api-t1.fyers.in/data"
MOST_SYMBOLS = 50

# Seconds. A caller in a hurry hands down a shorter deadline; reconcile is in none, and Fyers is slow at times.
BOOK_READ = 3.0
CANCEL = 3.0
MOST_BOOK_BYTES = 4 * 1024 * 1024  # a day's book of a busy account; a row is about 800 bytes

RETRIES = 2
BACK_OFF = 0.1  # seconds, doubled with each try; the pause is anything up to it (full jitter)
_TELL = 0.5

Ask = Callable[[Model], Reply]
_Result = TypeVar("_Result")


@dataclass(frozen=True, slots=True)
class _Fault:
    """A read that brought nothing: why, and whether and when it may be tried again."""

    reason: Reason
    why: str
    again: bool
    retry_after: float | None = None


class FyersBroker:
    """Implements `app.ports.Broker`. Safe to use from many threads; holds no state but the transport's connections."""

    def __init__(
        self,
        app_id: str,
        tokens: TokenSource,
        transport: Transport,
        api_url: str = API_URL,
        data_url: str = DATA_URL,
    ) -> None:
        self._app_id = app_id
        self._tokens = tokens
        self._transport = transport
        self._api_url = api_url
        self._data_url = data_url
        self._shared_positions: Shared[tuple[Position, ...]] = Shared()

    # -- reads

    def quotes(self, symbols: Sequence[str], deadline: Deadline) -> dict[str, Quote]:
        if len(symbols) > MOST_SYMBOLS:
            raise ValueError(f"{len(symbols)} symbols at once; Fyers quotes {MOST_SYMBOLS}")
        if not symbols:
            return {}
        names = {"symbols": ",".join(symbols)}
        return self._read(lambda model: model.quotes(names), lambda body, _: rows.quotes(body, symbols), deadline)

    def positions(self, deadline: Deadline) -> tuple[Position, ...]:
        """Alerts that come together share one reading: a basket would use up the rate of calls with the same answer."""
        return self._shared_positions.read(lambda: self._read_positions(deadline), deadline)

    def _read_positions(self, deadline: Deadline) -> tuple[Position, ...]:
        return self._read(lambda model: model.positions(), lambda body, _: rows.positions(body), deadline)

    def order_book(self, deadline: Deadline) -> tuple[BookRow, ...]:
        return self._read(lambda model: model.orderbook(), rows.order_book, deadline, BOOK_READ, MOST_BOOK_BYTES)

    # -- orders

    def place(self, order: Order, window: Deadline, deadline: Deadline) -> Outcome:
        """Sends the order, once. Never raises, and never tries again: only the caller knows whether that is allowed."""
        try:
            token = self._tokens.token(window)
            payload = order_payload(order)
        except NotNow as problem:
            return NotSent(problem.message, again=False)
        except Exception:
            log.exception("an order could not be made ready to send", extra={"key": order.key})
            return NotSent("a fault of ours before anything was sent", again=False)
        total = deadline.cap(SEND_WINDOW, PLACE_TAIL)
        result = self._ask(lambda model: model.place_order(payload), token, total, window=window)
        outcome = classify(result, self._secrets(token), PLACE)
        log.info("place", extra={"key": order.key, "outcome": type(outcome).__name__, "reply": repr(result)})
        self._tell(outcome, token, deadline)
        return outcome

    def cancel(self, broker_order_id: str, deadline: Deadline) -> Outcome:
        """Cancels a pending order; tried up to three times, since a second cancellation does no harm.

        Accepted: Fyers took the cancellation. Rejected: there is nothing left to cancel, its code and text say why.
        Raises NotNow where there is no token.
        """
        _require(broker_order_id, "an order id")
        call = cancelling(broker_order_id)
        return self._change_until_known(lambda model: model.cancel_order({"id": broker_order_id}), call, deadline)

    def resize(self, row: BookRow, quantity: int, deadline: Deadline) -> Outcome:
        """Gives a pending order another quantity; tried up to three times, since the same quantity again is no harm.

        For an order that nothing was filled of: what Fyers means by the quantity of another is not documented.
        """
        _require(row.broker_order_id, "an order id")
        if quantity <= 0 or row.filled_quantity:
            raise ValueError(f"{row.broker_order_id} cannot be made {quantity} units, {row.filled_quantity} are filled")
        change, call = resize_payload(row, quantity), modifying(row.broker_order_id)
        return self._change_until_known(lambda model: model.modify_order(change), call, deadline)

    def exit_position(self, position_id: str, deadline: Deadline) -> Outcome:
        """Closes one position at the market; sent once: a second exit could open the opposite position.

        Unresolved also where the counter-order is placed but not filled (code 201): read the positions before anything
        else. Raises NotNow where there is no token.
        """
        # The SDK turns an empty request into "exit everything".
        _require(position_id, "a position id")
        call, token = exiting(position_id), self._tokens.token(deadline)
        return self._change(lambda model: model.exit_positions({"id": position_id}), call, token, deadline)

    def _change_until_known(self, ask: Ask, call: OrderCall, deadline: Deadline) -> Outcome:
        token = self._tokens.token(deadline)
        for attempt in range(1 + RETRIES):
            outcome = self._change(ask, call, token, deadline)
            again = isinstance(outcome, Unresolved) or (isinstance(outcome, NotSent) and outcome.again)
            if not again or attempt == RETRIES or not _pause(attempt, None, deadline):
                break
        return outcome

    def _change(self, ask: Ask, call: OrderCall, token: Token, deadline: Deadline) -> Outcome:
        outcome = classify(self._ask(ask, token, deadline.cap(CANCEL)), self._secrets(token), call)
        self._tell(outcome, token, deadline)
        return outcome

    def _tell(self, outcome: Outcome, token: Token, deadline: Deadline) -> None:
        """Hands a refusal on that is not about the order alone. The outcome stands, whatever comes of it."""
        if not isinstance(outcome, Rejected) or outcome.about is Refusal.ORDER:
            return
        time_for_it = deadline.within(_TELL, tail=RECORD)  # recording the outcome comes first
        try:
            if outcome.about is Refusal.LOGIN:
                self._tokens.refused(token, outcome.message, time_for_it)
            else:
                self._tokens.forbidden(outcome.message, time_for_it)
        except Exception:
            log.exception("a refusal by Fyers could not be passed on", extra={"about": outcome.about})

    # -- one call

    def _ask(
        self, ask: Ask, token: Token, total: float, *, window: Deadline | None = None, most: int = MOST_BYTES
    ) -> Reply | CallFailed:
        count_broker_call()
        wire = Wire(self._transport, self._api_url, self._data_url, min(CONNECT, total), total, window, most)
        try:
            return ask(Model(self._app_id, token.access_token, wire))
        except CallFailed as failed:
            return failed

    def _read(
        self,
        ask: Ask,
        parse: Callable[[Body, Iterable[str]], _Result],
        deadline: Deadline,
        cap: float = MARKET_READ,
        most: int = MOST_BYTES,
    ) -> _Result:
        """Asks up to three times, each within its cap and all within the deadline. Raises NotNow."""
        token = self._tokens.token(deadline)
        renewed = False
        attempt = 0
        while True:
            reply = self._ask(ask, token, deadline.cap(cap), most=most)
            body = self._body(reply, token)
            if not isinstance(body, _Fault):
                try:
                    return parse(body, self._secrets(token))
                except rows.Incomplete as incomplete:
                    raise NotNow(Reason.BROKER_DOWN, f"Fyers' answer is incomplete: {incomplete}") from None
            if body.reason is Reason.NEEDS_LOGIN:
                if renewed or not self._tokens.refused(token, body.why, deadline):
                    raise NotNow(Reason.NEEDS_LOGIN)
                token, renewed = self._tokens.token(deadline), True
                continue
            if not body.again or attempt == RETRIES or not _pause(attempt, body.retry_after, deadline):
                raise NotNow(body.reason, f"Fyers could not be read: {body.why}")
            attempt += 1

    def _body(self, reply: Reply | CallFailed, token: Token) -> Body | _Fault:
        if isinstance(reply, CallFailed):
            reason = Reason.BROKER_BUSY if isinstance(reply, NoTurn) else Reason.BROKER_DOWN
            return _Fault(reason, reply.why, again=True)
        body = read_object(reply.body) or {}
        if reply.status == 200 and body.get("s") == "ok":
            return body
        said = clean(body.get("message"), self._secrets(token)) or f"HTTP {reply.status}"
        if body.get("s") == "error" and whole(body.get("code")) in TOKEN_CODES:
            return _Fault(Reason.NEEDS_LOGIN, said, again=False)
        if reply.status == 429:
            return _Fault(Reason.BROKER_BUSY, said, reply.retry_after is not None, reply.retry_after)
        return _Fault(Reason.BROKER_DOWN, said, reply.status >= 500, reply.retry_after)

    def _secrets(self, token: Token) -> tuple[str, ...]:
        return token.access_token, self._app_id


def _pause(attempt: int, retry_after: float | None, deadline: Deadline) -> bool:
    """Waits before another try; False, at once, where the deadline leaves no time for it."""
    jitter = random.uniform(0, BACK_OFF * 2**attempt)  # noqa: S311 - spreads load, guards nothing
    seconds = max(jitter, retry_after or 0.0)
    if seconds >= deadline.left():
        return False
    time.sleep(seconds)
    return True


def _require(identifier: str, name: str) -> None:
    if not identifier.strip():
        raise ValueError(f"{name} is needed")
