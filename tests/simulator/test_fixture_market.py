"""The contract that everything trades exists, and costs the same, at every moment."""

from datetime import date, datetime, timedelta
from decimal import Decimal
from functools import partial
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.simulator import Exchange, FixtureContract, FixtureExchange
from app.simulator.instruments import IST, utc_now

BEGIN = datetime(2026, 11, 30, tzinfo=IST)
MOMENTS = st.timedeltas(timedelta(0), timedelta(days=2000)).map(lambda later: BEGIN + later)


@settings(max_examples=30)
@given(MOMENTS)
def test_the_call_costs_the_same_at_every_moment(moment: datetime) -> None:
    quote = FixtureExchange(now=lambda: moment).quote(FixtureContract.of(lambda: moment).symbol)
    assert (quote.ltp, quote.bid, quote.ask) == (Decimal("165.15"), Decimal("165.00"), Decimal("165.30"))


@settings(max_examples=30)
@given(MOMENTS)
def test_it_is_listed_on_the_days_around_and_expires_weeks_later(moment: datetime) -> None:
    contract = FixtureContract.of(lambda: moment)
    for day in (-1, 0, 1):
        assert Exchange(now=partial(moment.__add__, timedelta(days=day))).instrument(contract.symbol) is not None
    assert timedelta(days=27) <= contract.expiry - moment.date() <= timedelta(days=64)


def test_an_alert_asks_for_it_by_the_date_of_its_expiry() -> None:
    contract = FixtureContract.of(lambda: datetime(2026, 12, 1, 15, 35, tzinfo=IST))
    assert contract == FixtureContract(date(2027, 1, 26))
    assert contract.symbol == "NSE:NIFTY27JAN26000CE"
    assert contract.fields() == {
        "symbol": "NIFTY",
        "strikeprice": "26000",
        "optionType": "CE",
        "expiry": "2027-01-26",
    }


@pytest.mark.parametrize("night", [date(2026, 12, 1), date(2026, 12, 31)])
def test_book_and_positions_outlast_midnight(night: date) -> None:
    now = datetime.combine(night, datetime.max.time(), IST)
    exchange = FixtureExchange(now=lambda: now)
    contract = FixtureContract.of(lambda: now)
    exchange.place(an_order(contract.symbol))
    now += timedelta(seconds=2)
    exchange.place(an_order(contract.symbol, side=1, limitPrice=166))
    assert [row.filled for row in exchange.orders()] == [65, 65]
    assert [position.net for position in exchange.positions()] == [0]


def test_a_price_moves_when_it_is_told_to() -> None:
    exchange = FixtureExchange(now=utc_now)
    contract = FixtureContract.of()
    exchange.set_quote(contract.symbol, Decimal(200))
    assert exchange.quote(contract.symbol).ltp == 200
    exchange.set_quote("NSE:NIFTY50-INDEX", Decimal(26500))
    assert exchange.quote(FixtureContract.of(strike=Decimal(26500)).symbol).ltp > 165
    exchange.release()
    assert exchange.quote(contract.symbol).ltp == Decimal("165.15")


def an_order(symbol: str, **changes: Any) -> dict[str, Any]:
    fields = {
        "symbol": symbol,
        "qty": 65,
        "type": 1,
        "side": -1,
        "productType": "INTRADAY",
        "limitPrice": 165,
        "stopPrice": 0,
        "validity": "DAY",
        "disclosedQty": 0,
        "offlineOrder": False,
    }
    return fields | changes
