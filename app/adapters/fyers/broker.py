"""Fyers behind the broker port: reads are retried, orders are sent once."""

import logging
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from typing import TypeVar

from app.adapters.fyers import rows
from app.adapters.fyers.classify import PLACE, OrderCall, cancelling, classify, exiting, modifying
from app.adapters.fyers.line import Ask, Line
from app.adapters.fyers.payload import order_payload, resize_payload
from app.adapters.fyers.read import Read
from app.adapters.fyers.shared import Shared, Waits
from app.adapters.http.transport import Transport
from app.domain.book import BookRow, Position
from app.domain.deadline import PLACE_TAIL, RECORD, SEND_WINDOW, Deadline
from app.domain.errors import NotNow, Reason, without_positions
from app.domain.order import Accepted, NotSent, Order, Outcome, Refusal, Rejected, Unresolved
from app.domain.quote import Quote
from app.facts.fyers import API_URL, DATA_URL, QUOTES_AT_ONCE
from app.login.ports import TokenSource
from app.login.token import Token

log = logging.getLogger("gateway.fyers")

# Seconds. An alert has a shorter deadline. Reconcile is in no hurry, and Fyers is slow at times.
BOOK_READ = 3.0
CANCEL = 3.0
MOST_BOOK_BYTES = 4 * 1024 * 1024  # a day's book of a busy account; a row is about 800 bytes

_TELL = 0.5

_Result = TypeVar("_Result")


class FyersBroker:
    """Implements `app.flow.ports.Broker`. Safe in many threads; holds no state but the transport's connections."""

    def __init__(
        self,
        app_id: str,
        tokens: TokenSource,
        transport: Transport,
        api_url: str = API_URL,
        data_url: str = DATA_URL,
        readers: Executor | None = None,
        client_id: str = "",
        waits: Waits | None = None,
    ) -> None:
        waits = waits or Waits()
        self._line = Line(app_id, tokens, transport, api_url, data_url, client_id, waits)
        self._readers = readers
        self._shared_positions: Shared[tuple[Position, ...]] = waits.share()
        self._shared_status: Shared[dict[str, bool]] = waits.share()

    def quotes(self, symbols: Sequence[str], deadline: Deadline) -> dict[str, Quote]:
        if len(symbols) > QUOTES_AT_ONCE:
            raise ValueError(f"{len(symbols)} symbols at once; Fyers quotes {QUOTES_AT_ONCE}")
        return self._quotes(symbols, deadline).answer() if symbols else {}

    def positions(self, deadline: Deadline) -> tuple[Position, ...]:
        """Alerts that come together share one read: a basket would use up the rate of calls for the same answer."""
        reading = Read(self._line, lambda model: model.positions(), lambda body, _: rows.positions(body), deadline)
        return self._shared_positions.read(reading.answer, deadline)

    def quotes_and_positions(
        self, symbols: Sequence[str], deadline: Deadline
    ) -> tuple[dict[str, Quote], tuple[Position, ...]]:
        """The request for the quotes leaves first, and its reply is read last.

        A second thread costs more than the read. It is used only where a connection has to be opened first.
        """
        quotes = self._quotes(symbols, deadline)
        quoted = quotes.answer if quotes.begin() else self._beside(quotes.answer, deadline)
        held, found = _tried(lambda: self.positions(deadline)), _tried(quoted)
        if isinstance(found, Exception):
            raise found
        if isinstance(held, Exception):
            raise without_positions(held) if isinstance(held, NotNow) else held
        return found, held

    def market_status(self, deadline: Deadline) -> dict[str, bool]:
        reading = Read(
            self._line, lambda model: model.market_status(), lambda body, _: rows.market_status(body), deadline
        )
        return self._shared_status.read(reading.answer, deadline)

    def order_book(self, deadline: Deadline) -> tuple[BookRow, ...]:
        book = Read(self._line, lambda model: model.orderbook(), rows.order_book, deadline, BOOK_READ, MOST_BOOK_BYTES)
        return book.answer()

    def _quotes(self, symbols: Sequence[str], deadline: Deadline) -> Read[dict[str, Quote]]:
        names = {"symbols": ",".join(symbols)}
        return Read(self._line, lambda model: model.quotes(names), lambda body, _: rows.quotes(body, symbols), deadline)

    def _beside(self, read: Callable[[], _Result], deadline: Deadline) -> Callable[[], _Result]:
        """The read in a thread of its own, where there are threads for reads."""
        if self._readers is None:
            return read
        reading = self._readers.submit(read)
        return lambda: reading.result(max(0.0, deadline.left()))

    def place(self, order: Order, window: Deadline, deadline: Deadline) -> Outcome:
        """Never retries: only the caller knows whether that is allowed."""
        try:
            token = self._line.tokens.token(window)
            payload = order_payload(order)
        except NotNow as problem:
            return NotSent(problem.message, again=False)
        except Exception:
            log.exception("an order could not be made ready to send", extra={"key": order.key})
            return NotSent("a fault in the gateway before anything was sent", again=False)
        total = deadline.cap(SEND_WINDOW, PLACE_TAIL)
        result = self._line.ask(lambda model: model.place_order(payload), token, total, window=window)
        outcome = classify(result, self._line.secrets(token), PLACE)
        if not isinstance(outcome, Accepted):  # the order's own log line says all of an accepted one
            log.info("place", extra={"key": order.key, "outcome": type(outcome).__name__, "reply": repr(result)})
        self._tell(outcome, token, deadline)
        return outcome

    def cancel(self, broker_order_id: str, deadline: Deadline) -> Outcome:
        """Tried up to three times, since a second cancellation does no harm."""
        _require(broker_order_id, "an order id")
        call = cancelling(broker_order_id)
        return self._change_until_known(lambda model: model.cancel_order({"id": broker_order_id}), call, deadline)

    def resize(self, row: BookRow, quantity: int, deadline: Deadline) -> Outcome:
        """Tried up to three times, since the same quantity twice does no harm.

        Only for an order without a fill: what the quantity of a partly filled one means is not documented.
        """
        _require(row.broker_order_id, "an order id")
        if quantity <= 0 or row.filled_quantity:
            raise ValueError(f"{row.broker_order_id} cannot be made {quantity} units, {row.filled_quantity} are filled")
        change, call = resize_payload(row, quantity), modifying(row.broker_order_id)
        return self._change_until_known(lambda model: model.modify_order(change), call, deadline)

    def exit_position(self, position_id: str, deadline: Deadline) -> Outcome:
        """Sent once: a second exit could open the opposite position.

        Unresolved also where the counter-order is placed but not filled (code 201): read the positions next.
        """
        # The SDK turns an empty request into "exit all positions".
        _require(position_id, "a position id")
        call, token = exiting(position_id), self._line.tokens.token(deadline)
        return self._change(lambda model: model.exit_positions({"id": position_id}), call, token, deadline)

    def _change_until_known(self, ask: Ask, call: OrderCall, deadline: Deadline) -> Outcome:
        token = self._line.tokens.token(deadline)
        for _ in self._line.tries(deadline):
            outcome = self._change(ask, call, token, deadline)
            if not (isinstance(outcome, Unresolved) or (isinstance(outcome, NotSent) and outcome.again)):
                break
        return outcome

    def _change(self, ask: Ask, call: OrderCall, token: Token, deadline: Deadline) -> Outcome:
        outcome = classify(self._line.ask(ask, token, deadline.cap(CANCEL)), self._line.secrets(token), call)
        self._tell(outcome, token, deadline)
        return outcome

    def _tell(self, outcome: Outcome, token: Token, deadline: Deadline) -> None:
        """Passes on a refusal that is not about the order alone. The outcome stands in any case."""
        if not isinstance(outcome, Rejected) or outcome.about is Refusal.ORDER:
            return
        time_for_it = deadline.within(_TELL, tail=RECORD)  # recording the outcome comes first
        try:
            if outcome.about is Refusal.LOGIN:
                self._line.tokens.refused(token, outcome.message, time_for_it)
            else:
                self._line.tokens.forbidden(outcome.message, time_for_it)
        except Exception:
            log.exception("a refusal by Fyers could not be passed on", extra={"about": outcome.about})


def _tried(read: Callable[[], _Result]) -> _Result | Exception:
    """Its result, or its exception: of reads side by side, both are waited for."""
    try:
        return read()
    except TimeoutError:
        return NotNow(Reason.OUT_OF_TIME)
    except Exception as problem:  # noqa: BLE001 - it is raised when both have ended
        return problem


def _require(identifier: str, name: str) -> None:
    if not identifier.strip():
        raise ValueError(f"{name} is needed")
