"""What is listed, and how its quotes move."""

import csv
import io
import json
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from app.simulator import Exchange
from app.simulator.instruments import CASH, IST, UNDERLYINGS, Instrument, Listing
from app.simulator.market import Market, Quote
from app.simulator.masters import csv_master, json_master
from tests.simulator.fixed_account import Clock
from tests.stopwatch import Stopwatch

FRIDAY = date(2026, 11, 20)


def rows_of(exchange: str, market: Market | None = None) -> list[list[str]]:
    market = market or Market(seed=1, now=lambda: datetime(2026, 11, 20, 10, tzinfo=IST))
    return list(csv.reader(io.StringIO(csv_master(market, exchange).decode())))


def options_on(underlying: str, day: date = FRIDAY, **more: Any) -> list[Instrument]:
    listing = Listing(day, **more)
    return [each for each in listing.series(next(u for u in UNDERLYINGS if u.name == underlying)) if each.is_option]


def expiries_of(underlying: str, day: date = FRIDAY, **more: Any) -> list[tuple[date, str]]:
    options = options_on(underlying, day, **more)
    return sorted({(option.expiry, option.expiry_flag) for option in options if option.expiry is not None})


def test_every_row_of_a_csv_master_has_21_columns_and_its_ticker_once() -> None:
    rows = rows_of("NSE") + rows_of("BSE")
    assert {len(row) for row in rows} == {21}
    assert len({row[9] for row in rows}) == len(rows)
    assert len({row[0] for row in rows}) == len(rows)


def test_a_csv_row_reads_as_the_brokers_own_rows_do() -> None:
    future, option = rows_of("NSE")[0], next(row for row in rows_of("NSE") if row[9] == "NSE:NIFTY26NOV26000CE")
    assert future == (
        f"{future[0]},NIFTY 24 Nov 26 FUT,11,65,0.1,,0915-1540|1815-1915:,2026-11-20,1795515000,NSE:NIFTY26NOVFUT,"
        f"10,11,{future[12]},NIFTY,26000,-1.0,XX,101000000026000,None,0,0.0"
    ).split(",")
    assert option[:6] == [option[0], "NIFTY 24 Nov 26 26000 CE", "14", "65", "0.05", ""]
    assert option[13:18] == ["NIFTY", "26000", "26000.0", "CE", "101000000026000"]
    assert option[0] == f"1011261124{option[12]}"


def test_a_master_of_the_cash_segment_lists_shares_in_lots_of_one_and_indices() -> None:
    market = Market(seed=1, now=lambda: datetime(2026, 11, 20, 10, tzinfo=IST))
    rows = {row[9]: row for row in csv.reader(io.StringIO(csv_master(market, "NSE", CASH).decode()))}
    assert ",".join(rows["NSE:M&M-EQ"]) == (
        "10100000002031,M&M,0,1,0.05,,0915-1515|1815-1915:,2026-11-20,,NSE:M&M-EQ,10,10,2031,M&M,2031,-1.0,XX,"
        "10100000002031,None,0,0.0"
    )
    assert rows["NSE:NIFTY50-INDEX"][2:4] == ["10", "0"]
    assert not any(symbol.endswith(("CE", "PE", "FUT")) for symbol in rows)
    listed = json.loads(json_master(market, "NSE", CASH))
    assert listed.keys() == rows.keys()
    share = listed["NSE:M&M-EQ"]
    assert [share[name] for name in ("minLotSize", "exSeries", "expiryDate", "qtyFreeze")] == [1, "EQ", "", ""]


def test_the_expiry_epoch_is_the_close_of_trading_at_15_40() -> None:
    option = next(row for row in rows_of("BSE") if row[9] == "BSE:SENSEX26NOV85000CE")
    assert datetime.fromtimestamp(int(option[8]), IST) == datetime(2026, 11, 26, 15, 40, tzinfo=IST)


def test_a_bse_future_may_have_a_blank_option_type() -> None:
    futures = [row for row in rows_of("BSE") if row[15] == "-1.0"]
    assert {row[16] for row in futures} == {"XX", ""}


def test_weekly_tickers_carry_the_day_and_month_ends_the_month() -> None:
    symbols = {option.symbol for option in options_on("NIFTY")}
    assert {"NSE:NIFTY26NOV26000CE", "NSE:NIFTY26D0126000CE", "NSE:NIFTY26DEC26000PE"} <= symbols
    assert not any(symbol.startswith(("NSE:NIFTY26N24", "NSE:NIFTY26D29")) for symbol in symbols)
    october = {option.symbol for option in options_on("SENSEX", date(2026, 9, 28))}
    assert {"BSE:SENSEX26O0185000CE", "BSE:SENSEX26OCT85000CE"} <= october


@pytest.mark.parametrize(("underlying", "weekday"), [("NIFTY", 1), ("SENSEX", 3)])
def test_indices_with_weeklies_have_four_of_them_and_three_monthlies(underlying: str, weekday: int) -> None:
    expiries = expiries_of(underlying)
    assert sum(flag == "W" for _, flag in expiries) >= 4
    assert sum(flag == "M" for _, flag in expiries) == 3
    assert {expiry.weekday() for expiry, _ in expiries} == {weekday}


@pytest.mark.parametrize("underlying", ["BANKNIFTY", "FINNIFTY", "MIDCPNIFTY", "RELIANCE", "M&M", "BAJAJ-AUTO", "ITC"])
def test_the_others_have_the_last_tuesday_of_three_months_only(underlying: str) -> None:
    assert expiries_of(underlying) == [(date(2026, 11, 24), "M"), (date(2026, 12, 29), "M"), (date(2027, 1, 26), "M")]


def test_todays_expiry_is_listed_and_yesterdays_is_not() -> None:
    assert expiries_of("BANKNIFTY", date(2026, 11, 24))[0] == (date(2026, 11, 24), "M")
    assert expiries_of("BANKNIFTY", date(2026, 11, 25))[0] == (date(2026, 12, 29), "M")


def test_an_expiry_on_a_holiday_moves_to_the_day_before_and_keeps_its_ticker_form() -> None:
    holidays = frozenset({date(2026, 11, 24), date(2026, 12, 1)})
    assert expiries_of("NIFTY", holidays=holidays)[:2] == [(date(2026, 11, 23), "M"), (date(2026, 11, 30), "W")]
    symbols = {option.symbol for option in options_on("NIFTY", holidays=holidays)}
    assert {"NSE:NIFTY26NOV26000CE", "NSE:NIFTY26N3026000CE"} <= symbols


def test_each_ladder_has_at_least_41_strikes_around_the_spot() -> None:
    for underlying in UNDERLYINGS:
        for expiry, _ in expiries_of(underlying.name):
            strikes = sorted(
                o.strike or 0 for o in options_on(underlying.name) if o.expiry == expiry and o.option_type == "CE"
            )
            assert len(strikes) >= 41
            assert strikes[0] < underlying.spot < strikes[-1]


def test_a_stock_has_strikes_with_decimals() -> None:
    assert "NSE:ITC26NOV402.5CE" in {option.symbol for option in options_on("ITC")}
    assert [row[15] for row in rows_of("NSE") if row[9] == "NSE:ITC26NOV402.5PE"] == ["402.5"]


@pytest.mark.parametrize(
    ("underlying", "lot", "freeze"),
    [
        ("NIFTY", 65, 3510),
        ("BANKNIFTY", 30, 1440),
        ("FINNIFTY", 60, 3240),
        ("MIDCPNIFTY", 120, 5760),
        ("SENSEX", 20, 1000),
    ],
)
def test_contract_sizes_are_those_of_november_2026(underlying: str, lot: int, freeze: int) -> None:
    option = options_on(underlying)[0]
    assert (option.lot_size, option.freeze_quantity) == (lot, freeze)


@pytest.mark.parametrize(
    ("day", "weekly", "stock", "later"),
    [
        (date(2026, 12, 1), "0915-1540", "0915-1540", "0915-1540"),
        (date(2026, 12, 8), "0915-1530", "0915-1545", "0915-1545"),
        (date(2026, 12, 29), "0915-1530", "0915-1545", "0915-1545"),
    ],
)
def test_the_session_column_says_the_hours_of_the_day(day: date, weekly: str, stock: str, later: str) -> None:
    """`weekly` expires that day; `stock` expires on the 29th; `later` is an index contract of another day."""
    market = Market(seed=1, now=lambda: datetime(day.year, day.month, day.day, 10, tzinfo=IST))
    said = {row[9]: row[6] for row in rows_of("NSE", market)}
    nifty, reliance = (options_on(name, day) for name in ("NIFTY", "RELIANCE"))
    assert said[nifty[0].symbol] == f"{weekly}|1815-1915:"
    assert said[reliance[0].symbol] == f"{stock}|1815-1915:"
    assert said[nifty[-1].symbol] == f"{later}|1815-1915:"
    assert json.loads(json_master(market, "NSE"))[nifty[0].symbol]["tradingSession"] == f"{weekly}|1815-1915:"
    last = datetime.fromtimestamp(nifty[0].expiry_epoch, IST)
    assert (last.date(), f"{last:%H%M}") == (day, weekly[-4:])


def test_the_json_master_is_keyed_by_ticker_and_knows_the_freeze_quantity() -> None:
    market = Market(seed=1, now=lambda: datetime(2026, 11, 20, 10, tzinfo=IST))
    rows = json.loads(json_master(market, "NSE"))
    row = rows["NSE:NIFTY26NOV26000CE"]
    assert (row["qtyFreeze"], row["minLotSize"], row["expiryDate"]) == ("3510", 65, "1795515000")
    assert row["lowerPrice"] < row["previousClose"] < row["upperPrice"]
    assert set(rows) == {each[9] for each in rows_of("NSE", market)}


def test_the_same_seed_and_instant_give_the_same_market() -> None:
    def at(seed: int, hour: int) -> Quote:
        exchange = Exchange(seed=seed, now=lambda: datetime(2026, 11, 20, hour, tzinfo=IST))
        return exchange.quote("NSE:NIFTY26NOV26000CE")

    assert at(1, 10) == at(1, 10)
    assert at(1, 10) != at(2, 10)
    assert at(1, 10) != at(1, 14)


def test_quotes_move_slowly_stay_on_the_tick_and_never_cross(clock: Clock) -> None:
    exchange = Exchange(seed=3, now=clock)
    symbols = ["NSE:NIFTY26NOV26000CE", "NSE:NIFTY26NOV24550CE", "NSE:NIFTY26NOV27500CE", "NSE:NIFTY26NOVFUT"]
    before = {symbol: exchange.quote(symbol).ltp for symbol in symbols}
    seen = set()
    for _ in range(120):
        clock.move(seconds=1)
        for symbol in symbols:
            quote, instrument = exchange.quote(symbol), exchange.instrument(symbol)
            assert instrument is not None
            tick = instrument.tick_size
            assert tick <= quote.bid < quote.ask
            assert quote.bid <= quote.ltp <= quote.ask
            assert {quote.ltp % tick, quote.bid % tick, quote.ask % tick} == {0}
            assert abs(quote.ltp - before[symbol]) <= max(Decimal(5), before[symbol] * Decimal("0.02"))
            before[symbol] = quote.ltp
        seen.add(before[symbols[0]])
    assert len(seen) > 20


def test_premiums_are_intrinsic_value_plus_a_time_value_that_decays(clock: Clock) -> None:
    exchange = Exchange(seed=3, now=clock, volatile=False)
    spot = exchange.quote("NSE:NIFTY50-INDEX").ltp
    near, far = exchange.quote("NSE:NIFTY26NOV25000CE").ltp, exchange.quote("NSE:NIFTY26DEC25000CE").ltp
    assert spot - 25000 <= near < far
    worthless = exchange.quote("NSE:NIFTY26NOV27500CE").ltp
    assert worthless == Decimal("0.05")


def test_a_market_without_volatility_stands_still_through_the_day(clock: Clock) -> None:
    exchange = Exchange(seed=3, now=clock, volatile=False)
    before = exchange.quote("NSE:NIFTY26NOV26000CE")
    clock.move(hours=5)
    assert exchange.quote("NSE:NIFTY26NOV26000CE") == before


def test_a_frozen_market_stands_still_until_released(clock: Clock) -> None:
    exchange = Exchange(seed=3, now=clock)
    exchange.freeze()
    before = exchange.quote("NSE:NIFTY26NOV26000CE")
    clock.move(hours=2)
    assert exchange.quote("NSE:NIFTY26NOV26000CE") == before
    exchange.release()
    assert exchange.quote("NSE:NIFTY26NOV26000CE") != before


def test_a_pinned_index_moves_its_options(exchange: Exchange) -> None:
    before = exchange.quote("NSE:NIFTY26DEC26000CE").ltp
    exchange.set_quote("NSE:NIFTY50-INDEX", Decimal(27000))
    assert exchange.quote("NSE:NIFTY26DEC26000CE").ltp >= before + 500


def test_an_unknown_symbol_cannot_be_pinned(exchange: Exchange) -> None:
    with pytest.raises(KeyError, match="NSE:NOPE is not listed"):
        exchange.set_quote("NSE:NOPE", Decimal(1))


def test_the_first_quote_of_the_day_comes_quickly() -> None:
    watch = Stopwatch()
    Exchange(seed=1).quote("NSE:NIFTY50-INDEX")
    assert watch.seconds < 0.15


def test_every_day_of_a_year_has_a_listing() -> None:
    for offset in range(366):
        listing = Listing(FRIDAY + timedelta(days=offset), strikes_each_side=1)
        expiries = [one.expiry for u in UNDERLYINGS[:1] for one in listing.series(u) if one.expiry is not None]
        assert min(expiries) >= listing.day
        assert min(expiries) <= listing.day + timedelta(days=7)
