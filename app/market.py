"""The market reads of one alert, started beside the claim: contract and quote, positions and order book, doubts.

Reads only: whatever is still under way when the request ends is left to its own time-out and harms nobody.
"""

from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Executor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import TypeVar

from app.alert import Alert, ExpiryRule, Moneyness, Side
from app.calendar import ist_day
from app.contract import BookRow, Contract, Position, Quote
from app.deadline import MARKET_READ, SEND_WINDOW, Deadline
from app.desk import Desk
from app.errors import Denied, NotNow, Reason, without_positions
from app.exposure import Exposure, expose, positions_lag
from app.facts.freeze import freeze_on
from app.hours import closed, expiry_floor
from app.ticket import BuyMode

_Read = TypeVar("_Read")


@dataclass(frozen=True, slots=True)
class Market:
    """`stopped` is the contract that the alert's expiry meant until today's expiry stopped trading."""

    contract: Contract
    quote: Quote
    exposure: Exposure
    stopped: Contract | None = None


def may_cover(alert: Alert, buy_mode: BuyMode) -> bool:
    """Whether the alert may close something: BUY always; SELL where BUY opens longs."""
    return alert.side is Side.BUY or buy_mode is BuyMode.OPEN


class MarketReads:
    """Started at once, waited for later. The order book is read for what may be a cover; an entry asks when it must.

    Where today may be a holiday, what may open a position asks for the market's status as well.
    """

    def __init__(self, alert: Alert, desk: Desk, deadline: Deadline) -> None:
        self._desk = desk
        self._deadline = deadline
        self._covers = may_cover(alert, desk.tickets.buy_mode)
        may_open = alert.side is Side.SELL or desk.tickets.buy_mode is BuyMode.OPEN
        assumed = may_open and desk.calendar.is_assumed(ist_day(desk.clock.now()))
        self._status = self._wait_for(desk.readers, lambda: self._check_open(alert)) if assumed else None
        self._book = self._wait_for(desk.readers, self._read_book) if self._covers else None
        self._priced = self._wait_for(desk.beside_claim, lambda: _priced(alert, desk, deadline))
        doubted = desk.clock.now() - timedelta(seconds=SEND_WINDOW)
        self._unresolved = self._wait_for(
            desk.beside_claim, lambda: desk.ledger.unresolved(doubted, deadline.within(MARKET_READ))
        )

    def result(self) -> Market:
        """Waits for all of them. Raises Denied or NotNow as the first that failed says, and OUT_OF_TIME."""
        try:
            (contract, stopped), quote, positions = self._priced()
        finally:  # a closed market has no quotes of today; that it is closed is what is said then
            if not self._covers:
                self.require_open()
        book = self._book() if self._book is not None else None
        return Market(contract, quote, self._expose(positions, book, contract.symbol), stopped)

    def require_open(self) -> None:
        """For an entry: raises Denied(MARKET_CLOSED) or NotNow where no list knows today and the broker says no yes."""
        if self._status is not None:
            self._status()

    def with_book(self, market: Market) -> Market:
        """The same with the order book, read now, and positions that are no older than it."""
        exposure = self._expose(market.exposure.positions, self._read_book(), market.contract.symbol)
        return replace(market, exposure=exposure)

    def _expose(self, positions: tuple[Position, ...], book: tuple[BookRow, ...] | None, symbol: str) -> Exposure:
        if book is not None and positions_lag(positions, book):
            positions = self._read_positions()
            if positions_lag(positions, book, symbol if self._covers else None):  # an entry counts all open lots
                raise NotNow(
                    Reason.POSITION_UNKNOWN, "the positions do not show yet what the order book says is filled"
                )
        return expose(positions, book, self._unresolved(), self._desk.symbols.lookup_symbol)

    def _check_open(self, alert: Alert) -> None:
        exchange = self._desk.symbols.spot_symbol(alert.underlying, alert.exchange).partition(":")[0]
        self._desk.market_status.require_open(exchange, self._deadline.within(MARKET_READ))

    def _read_positions(self) -> tuple[Position, ...]:
        with _or_position_unknown():
            return self._desk.broker.positions(self._deadline.within(MARKET_READ))

    def _read_book(self) -> tuple[BookRow, ...]:
        with _or_position_unknown():
            return self._desk.broker.order_book(self._deadline.within(MARKET_READ))

    def _wait_for(self, executor: Executor | None, read: Callable[[], _Read]) -> Callable[[], _Read]:
        """What waits for the read: it starts now where somebody runs it, and else when it is waited for."""
        if executor is None:
            return read
        reading = executor.submit(read)

        def waited() -> _Read:
            try:
                return reading.result(timeout=max(0.0, self._deadline.left()))
            except TimeoutError:
                raise NotNow(Reason.OUT_OF_TIME) from None

        return waited


@contextmanager
def _or_position_unknown() -> Iterator[None]:
    """Positions and book decide how much may be sent; without them nothing is."""
    try:
        yield
    except NotNow as problem:
        raise without_positions(problem) from problem


_Resolved = tuple[Contract, Contract | None]


def _priced(alert: Alert, desk: Desk, deadline: Deadline) -> tuple[_Resolved, Quote, tuple[Position, ...]]:
    """The contract and its quote, and beside that the positions."""
    spot = None
    if isinstance(alert.strike, Moneyness):
        symbol = desk.symbols.spot_symbol(alert.underlying, alert.exchange)
        spot = _quote_of(symbol, desk.broker.quotes([symbol], deadline.within(MARKET_READ)), desk).ltp
    contract, stopped = _resolved(alert, desk, desk.clock.now(), spot)
    quotes, positions = desk.broker.quotes_and_positions([contract.symbol], deadline.within(MARKET_READ))
    return (contract, stopped), _quote_of(contract.symbol, quotes, desk), positions


def _resolved(alert: Alert, desk: Desk, now: datetime, spot: Decimal | None) -> _Resolved:
    """The contract, and the one of today that its rule has rolled past. Raises Denied where it does not trade now.

    What may be a cover is judged by the wider hours; if it turns out to be an entry, the commit judges it once more.
    """
    today, entering = ist_day(now), not may_cover(alert, desk.tickets.buy_mode)

    def contract(on: date) -> Contract:
        return desk.symbols.resolve(
            alert.underlying, alert.exchange, alert.expiry, alert.strike, alert.option_type, on=on, spot=spot
        )

    on = today
    if isinstance(alert.expiry, ExpiryRule) and not desk.calendar.always:
        on = expiry_floor(desk.symbols, desk.calendar, alert.underlying, alert.exchange, now, entering=entering)
    found = contract(on)
    if (denied := closed(found, desk.calendar, now, entering=entering)) is not None:
        raise denied
    stopped = None
    if on != today and not entering:
        with suppress(Denied):
            stopped = contract(today)
    if found.freeze_quantity is None:
        found = replace(found, freeze_quantity=freeze_on(found.underlying, today))
    return found, stopped


def _quote_of(symbol: str, quotes: Mapping[str, Quote], desk: Desk) -> Quote:
    quote = quotes.get(symbol)
    if quote is None:
        raise NotNow(Reason.NO_QUOTE, f"Fyers has no quote for {symbol}")
    today = ist_day(desk.clock.now())
    if quote.day is not None and quote.day < today:
        raise NotNow(Reason.NO_QUOTE, f"Fyers' quote for {symbol} is of {quote.day}, and today is {today}")
    return quote
