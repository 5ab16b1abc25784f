"""The market reads of one alert, started beside the claim: contract and quote, positions and order book, doubts.

Reads only: what is still under way when the request ends is left to its own time-out.
"""

from collections.abc import Callable, Mapping
from concurrent.futures import Executor
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from decimal import Decimal
from functools import partial
from typing import TypeVar

from app.domain.alert import Alert, ExpiryRule, Moneyness, Side
from app.domain.book import BookRow, Position, Quote
from app.domain.calendar import ist_day
from app.domain.deadline import MARKET_READ, SEND_WINDOW, Deadline
from app.domain.errors import Denied, NotNow, Reason, without_positions
from app.domain.holding import Holdings, hold
from app.domain.instrument import Instrument, Wanted
from app.domain.ticket import BuyMode
from app.facts.freeze import freeze_on
from app.flow.desk import Desk
from app.flow.hours import closed, expiry_floor
from app.flow.protection import positions_lag

_Read = TypeVar("_Read")


@dataclass(frozen=True, slots=True)
class Market:
    """`todays` is the contract that the alert's expiry meant until today's expiry stopped trading."""

    contract: Instrument
    quote: Quote
    holdings: Holdings
    todays: Instrument | None = None


def may_cover(alert: Alert, buy_mode: BuyMode) -> bool:
    """Whether the alert may close something: BUY always; SELL where BUY opens longs."""
    return alert.side is Side.BUY or buy_mode is BuyMode.OPEN


class MarketReads:
    """Started at once, waited for later. The order book is read for what may be a cover; an entry asks when it must.

    Where today may be a holiday, what may open a position asks for the market's status as well. Expiries count from
    `fired`, the alert's own time: it means the same contract some seconds later.
    """

    def __init__(self, alert: Alert, fired: datetime, desk: Desk, deadline: Deadline) -> None:
        self._alert = alert
        self._desk = desk
        self._deadline = deadline
        self._covers = may_cover(alert, desk.tickets.buy_mode)
        may_open = alert.side is Side.SELL or desk.tickets.buy_mode is BuyMode.OPEN
        assumed = may_open and desk.calendar.is_assumed(ist_day(desk.clock.now()))
        self._status = self._wait_for(desk.readers, self._check_open) if assumed else None
        self._book = self._wait_for(desk.readers, partial(self._read, desk.broker.order_book)) if self._covers else None
        self._priced = self._wait_for(desk.beside_claim, lambda: _priced(alert, fired, desk, deadline))
        doubted = desk.clock.now() - timedelta(seconds=SEND_WINDOW)
        self._unresolved = self._wait_for(
            desk.beside_claim, lambda: desk.ledger.unresolved(doubted, deadline.within(MARKET_READ))
        )

    def result(self) -> Market:
        """Waits for all reads. Raises what the first failed one raised, and NotNow(OUT_OF_TIME)."""
        try:
            meant, quotes, positions = self._priced()
        finally:  # a closed market has no quotes of today, and the sender hears that it is closed
            if not self._covers:
                self.require_open()
        book = self._book() if self._book is not None else None
        holdings = self._held(positions, book, None if meant.in_doubt else meant.contract.symbol)
        contract = _open_one(meant, self._alert, holdings) if meant.in_doubt else meant.contract
        return Market(contract, _quote_of(contract.symbol, quotes, self._desk), holdings, meant.todays)

    def require_open(self) -> None:
        """For an entry on what may be a holiday: raises Denied or NotNow unless the broker says that it trades."""
        if self._status is not None:
            self._status()

    def with_book(self, market: Market) -> Market:
        """The same with the order book, read now, and positions that are no older than it."""
        book = self._read(self._desk.broker.order_book)
        return replace(market, holdings=self._held(market.holdings.positions, book, market.contract.symbol))

    def _held(self, positions: tuple[Position, ...], book: tuple[BookRow, ...] | None, symbol: str | None) -> Holdings:
        holdings = hold(positions, book)
        if book is not None and holdings.lag():
            holdings = hold(self._read(self._desk.broker.positions), book)
            if holdings.lag({symbol} if self._covers and symbol else None):  # an entry counts all open lots
                raise positions_lag()
        lots = holdings.count_lots(self._desk.symbols.lookup_symbol)
        return replace(holdings, unresolved=self._unresolved(), lots_open=lots)

    def _check_open(self) -> None:
        underlying = self._alert.underlying, self._alert.exchange
        exchange = self._desk.symbols.spot_symbol(*underlying).partition(":")[0]
        self._desk.market_status.require_open(exchange, self._deadline.within(MARKET_READ))

    def _read(self, read: Callable[[Deadline], _Read]) -> _Read:
        """Positions or order book. They decide how much may be sent, so without them the position is unknown."""
        try:
            return read(self._deadline.within(MARKET_READ))
        except NotNow as problem:
            raise without_positions(problem) from problem

    def _wait_for(self, executor: Executor | None, read: Callable[[], _Read]) -> Callable[[], _Read]:
        """A call that waits for the read. The read starts now; without an executor it starts with that call."""
        if executor is None:
            return read
        reading = executor.submit(read)

        def waited() -> _Read:
            try:
                return reading.result(timeout=max(0.0, self._deadline.left()))
            except TimeoutError:
                raise NotNow(Reason.OUT_OF_TIME) from None

        return waited


@dataclass(frozen=True, slots=True)
class _Meant:
    """What the alert asks for; for what may be a cover also today's contract, where the alert's expiry is past it.

    `in_doubt`: table or symbol master says that today's contract still trades, so the alert may mean either.
    """

    contract: Instrument
    todays: Instrument | None = None
    in_doubt: bool = False


_Priced = tuple[_Meant, Mapping[str, Quote], tuple[Position, ...]]


def _priced(alert: Alert, fired: datetime, desk: Desk, deadline: Deadline) -> _Priced:
    """The contract, its quote, and the positions, read side by side with the quote."""
    spot = None
    if isinstance(alert.strike, Moneyness):
        symbol = desk.symbols.spot_symbol(alert.underlying, alert.exchange)
        spot = _quote_of(symbol, desk.broker.quotes([symbol], deadline.within(MARKET_READ)), desk).ltp
    meant = _resolved(alert, fired, desk, spot)
    also = [meant.todays.symbol] if meant.in_doubt and meant.todays is not None else []
    return meant, *desk.broker.quotes_and_positions([meant.contract.symbol, *also], deadline.within(MARKET_READ))


def _resolved(alert: Alert, fired: datetime, desk: Desk, spot: Decimal | None) -> _Meant:
    """Counts expiries from when the alert fired. Raises Denied where the contract does not trade now.

    What may be a cover is judged by the wider hours; if it turns out to be an entry, the commit judges it once more.
    """
    now = desk.clock.now()
    today, fired, entering = ist_day(now), min(fired, now), not may_cover(alert, desk.tickets.buy_mode)

    underlying = alert.underlying, alert.exchange
    wanted = Wanted(*underlying, alert.expiry, alert.strike, alert.option_type)

    def contract(on: date) -> Instrument:
        return _with_freeze(desk.symbols.resolve(wanted, on=on, spot=spot), today)

    def floor(*, entering: bool) -> date:
        return expiry_floor(desk.symbols, desk.calendar, *underlying, fired, entering=entering)

    on, todays, in_doubt = today, None, False
    if isinstance(alert.expiry, ExpiryRule) and not desk.calendar.always:
        on = floor(entering=True)
    if on != today and not entering:
        in_doubt = floor(entering=False) == today
        with suppress(Denied):
            todays = contract(today)
    try:
        found = contract(on)
    except Denied:
        if todays is None:
            raise
        found, todays = todays, None  # no later one is listed, so today's is judged
    if (denied := closed(found, desk.calendar, now, entering=entering)) is not None:
        raise denied
    return _Meant(found, todays, in_doubt and todays is not None)


def _with_freeze(contract: Instrument, today: date) -> Instrument:
    """With the table's freeze quantity where the symbol master has none, or one that no lot fits in."""
    if contract.freeze_quantity is not None and contract.freeze_quantity >= contract.lot_size:
        return contract
    return replace(contract, freeze_quantity=freeze_on(contract.underlying, today))


def _open_one(meant: _Meant, alert: Alert, holdings: Holdings) -> Instrument:
    """Of two contracts the one that the alert can close: in its own product, in another, or once its entry is filled.

    Where both are alike, and where there is nothing to close, it is the one that an entry would be in now.
    """

    def rank(contract: Instrument) -> int:
        holding = holdings.to_close(contract.symbol, alert.product, alert.side)
        if holding is None or holding.left(alert.side) <= 0:
            return 2 if holdings.entry_on_its_way(contract.symbol) else 3
        return 0 if holding.product == alert.product else 1

    return meant.contract if meant.todays is None else min((meant.contract, meant.todays), key=rank)


def _quote_of(symbol: str, quotes: Mapping[str, Quote], desk: Desk) -> Quote:
    quote = quotes.get(symbol)
    if quote is None:
        raise NotNow(Reason.NO_QUOTE, f"the broker has no quote for {symbol}")
    today = ist_day(desk.clock.now())
    if quote.day is not None and quote.day < today:
        raise NotNow(Reason.NO_QUOTE, f"the broker's quote for {symbol} is of {quote.day}, and today is {today}")
    return quote
