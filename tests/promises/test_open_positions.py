"""How much is open, told from readings that may be older than what was traded."""

from collections.abc import Callable
from concurrent.futures import Executor, Future
from dataclasses import replace
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from app.adapters.fyers import rows
from app.adapters.fyers.venue import FYERS
from app.domain.alert import Product, Side
from app.domain.book import BookRow, Position, Quote
from app.domain.calendar import Calendar
from app.domain.deadline import Deadline
from app.domain.errors import NotNow, Reason
from app.domain.holding import hold
from app.domain.order import Order
from app.domain.order.status import OrderStatus
from app.domain.risk.check import NeedsBook, check
from app.domain.ticket import BuyMode
from app.flow.market import MarketReads
from tests.builders import (
    NOW,
    SYMBOL,
    a_book_row,
    a_contract,
    a_position,
    a_quote,
    a_ticket,
    an_account,
    an_alert,
    an_order,
    holdings,
    no_limits,
    sent,
)


class AtOnce(Executor):
    def submit(self, read: Callable[..., Any], /, *_: object, **__: Any) -> Future[Any]:
        done: Future[Any] = Future()
        try:
            done.set_result(read())
        except NotNow as problem:
            done.set_exception(problem)
        return done


class Broker:
    """Shows one position after the other, and always the same book."""

    def __init__(self, book: tuple[BookRow, ...], *positions: Position) -> None:
        self._book = book
        self._positions = list(positions)

    def quotes(self, symbols: list[str], deadline: Deadline) -> dict[str, Quote]:
        return {SYMBOL: a_quote()}

    def positions(self, deadline: Deadline) -> tuple[Position, ...]:
        return (self._positions.pop(0),) if len(self._positions) > 1 else (self._positions[0],)

    def quotes_and_positions(
        self, symbols: list[str], deadline: Deadline
    ) -> tuple[dict[str, Quote], tuple[Position, ...]]:
        return self.quotes(symbols, deadline), self.positions(deadline)

    def order_book(self, deadline: Deadline) -> tuple[BookRow, ...]:
        return self._book


def reads(broker: Broker, action: str) -> MarketReads:
    symbols = SimpleNamespace(resolve=lambda *_, **__: a_contract(), lookup_symbol=lambda _: a_contract())
    desk: Any = SimpleNamespace(
        broker=broker,
        symbols=symbols,
        ledger=SimpleNamespace(unresolved=lambda before, deadline: 0),
        clock=SimpleNamespace(now=lambda: NOW),
        calendar=Calendar(always=True),
        readers=AtOnce(),
        beside_claim=None,
        tickets=SimpleNamespace(buy_mode=BuyMode.COVER),
    )
    return MarketReads(an_alert(action=action), NOW, desk, Deadline(lambda: 0.0, 2.4))


COVERED = (a_book_row(side="BUY", status=OrderStatus.FILLED, filled_quantity=65),)
BEFORE_THE_COVER = a_position(-65, sold=65, bought=0)
AFTER_THE_COVER = a_position(0, sold=65, bought=65)


def test_positions_older_than_the_book_are_read_again() -> None:
    market = reads(Broker(COVERED, BEFORE_THE_COVER, AFTER_THE_COVER), "BUY").result()
    assert market.holdings.to_close(SYMBOL, Product.INTRADAY, Side.BUY) is None


def test_positions_that_stay_older_than_the_book_stop_the_cover() -> None:
    """The short that they still show is covered already: the next cover would open a long."""
    with pytest.raises(NotNow) as stopped:
        reads(Broker(COVERED, BEFORE_THE_COVER), "BUY").result()
    assert stopped.value.reason is Reason.POSITION_UNKNOWN


def test_positions_that_stay_older_than_the_book_stop_an_entry_that_had_to_read_it() -> None:
    entered = (a_book_row(status=OrderStatus.FILLED, filled_quantity=65),)
    entry = reads(Broker(entered, a_position(0, sold=0, bought=0)), "SELL")
    market = entry.result()
    with pytest.raises(NotNow) as stopped:
        entry.with_book(market)
    assert stopped.value.reason is Reason.POSITION_UNKNOWN


def test_positions_that_stay_older_than_the_book_elsewhere_stop_an_entry_and_no_cover() -> None:
    """The limit of open lots is one over all contracts; a cover needs to know of its own alone."""
    elsewhere = (a_book_row(symbol="NSE:NIFTY26NOV26100CE", status=OrderStatus.FILLED, filled_quantity=65),)
    entry = reads(Broker(elsewhere, BEFORE_THE_COVER), "SELL")
    market = entry.result()
    with pytest.raises(NotNow):
        entry.with_book(market)
    held = reads(Broker(elsewhere, BEFORE_THE_COVER), "BUY").result().holdings
    assert held.to_close(SYMBOL, Product.INTRADAY, Side.BUY)


def test_a_short_carried_over_does_not_hide_that_todays_fill_is_missing() -> None:
    """Fyers' totals hold what was carried: 65 of yesterday look like the 65 that the book says were sold today."""
    row = {"symbol": SYMBOL, "productType": "INTRADAY", "netQty": -65, "buyQty": 0, "sellQty": 65, "cfSellQty": 65}
    positions = rows.positions({"netPositions": [row]})
    sold_today = a_book_row(status=OrderStatus.FILLED, filled_quantity=65)
    assert hold(positions, [sold_today]).lag()
    more = rows.positions({"netPositions": [row | {"netQty": -130, "sellQty": 130}]})
    assert not hold(more, [sold_today]).lag()


OLD = FYERS.book_lag + timedelta(seconds=1)


def entry() -> Order:
    return an_order(a_ticket())


def test_an_entry_asks_for_the_book_where_older_orders_of_today_may_rest_in_it_alone() -> None:
    """A limit order that is not filled stands in no position, and after ninety seconds in no memory."""
    limits = no_limits(lots_open=2, lots_per_order=1)
    unread = holdings(book=None, lots_open=0)
    check(entry(), an_account(orders=1), limits, unread, NOW)
    with pytest.raises(NeedsBook):
        check(entry(), an_account(orders=2), limits, unread, NOW)
    check(entry(), an_account(orders=2), limits, replace(unread, book=()), NOW)


def test_orders_of_the_last_seconds_are_not_counted_twice_when_older_ones_may_rest() -> None:
    limits = no_limits(lots_open=2, lots_per_order=1)
    young = sent(1, lots=1)
    check(entry(), an_account(orders=1, recent=(young,)), limits, holdings(book=None), NOW)
    with pytest.raises(NeedsBook):
        check(entry(), an_account(orders=2, recent=(young,)), limits, holdings(book=None), NOW)


def test_a_given_back_order_does_not_hide_one_that_may_rest() -> None:
    given_back = sent(1, lots=0, quantity=0, tag="tvgivenback")
    old = sent(OLD.total_seconds(), lots=1, tag="tvold")
    limits = no_limits(lots_open=2, lots_per_order=2)
    with pytest.raises(NeedsBook):
        check(entry(), an_account(orders=1, recent=(given_back, old)), limits, holdings(book=None), NOW)
