"""Every price is on the tick and on its right side, and a quote that makes no sense trades nothing."""

from collections.abc import Callable
from decimal import Decimal
from typing import TypeVar

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from app.domain.alert import Level, LevelKind, Side
from app.domain.book import Quote
from app.domain.errors import Denied, Reason
from app.domain.money import plain, tick_down, tick_up
from app.domain.pricing import PriceRules, legs, limit_price
from tests.builders import SYMBOL, a_contract, a_quote, an_alert, price_rules

Priced = TypeVar("Priced")
TICKS = st.sampled_from([Decimal(text) for text in ("0.01", "0.05", "0.1", "0.25", "1")])
SIDES = st.sampled_from(Side)
MAX_PREMIUM = 50_000


def prices(lowest: str = "0.01", highest: int = MAX_PREMIUM) -> st.SearchStrategy[Decimal]:
    return st.decimals(lowest, highest, places=2)


def on_tick(price: Decimal, tick: Decimal) -> bool:
    return price % tick == 0


def denied(side: Side, quote: Quote, contract: object = None, rules: PriceRules | None = None) -> Denied:
    with pytest.raises(Denied) as caught:
        limit_price(side, quote, contract or a_contract(), rules or price_rules())  # type: ignore[arg-type]
    return caught.value


def outcome(price: Callable[[], Priced]) -> Priced | Denied:
    try:
        return price()
    except Denied as error:
        return error


# Money.


@given(st.decimals(0, 10**7, places=6), TICKS)
def test_rounding_goes_to_the_tick_and_never_further_than_one(price: Decimal, tick: Decimal) -> None:
    down, up = tick_down(price, tick), tick_up(price, tick)
    assert on_tick(down, tick)
    assert on_tick(up, tick)
    assert down <= price <= up
    assert up - down in (0, tick)
    assert (up == down) is on_tick(price, tick)


@pytest.mark.parametrize(
    ("amount", "text"),
    [
        ("165.15", "165.15"), ("165.1", "165.10"), ("120", "120.00"), ("1E+3", "1000.00"), ("0", "0.00"),
        ("-0.5", "-0.50"), ("161.7525", "161.7525"), ("161.75250", "161.7525"), ("0.00001", "0.00001"),
        ("123456789012.3", "123456789012.30"),
    ],
)  # fmt: skip
def test_an_amount_is_written_without_exponent_and_with_its_paise(amount: str, text: str) -> None:
    assert plain(Decimal(amount)) == text


@given(st.decimals(-(10**9), 10**9, places=8))
def test_a_written_amount_is_the_amount(amount: Decimal) -> None:
    assert Decimal(plain(amount)) == amount


# The limit price.


@given(prices(), st.integers(0, 100), TICKS, st.integers(1, 2_000), SIDES)
def test_the_limit_is_at_the_touch_or_beyond_it_by_the_slippage_and_on_the_tick(
    bid: Decimal, ticks_wide: int, tick: Decimal, slippage_bps: int, side: Side
) -> None:
    ask = bid + ticks_wide * tick
    rules = price_rules(slippage_bps=Decimal(slippage_bps), max_spread_percent=None)
    price = limit_price(side, Quote(SYMBOL, bid, bid, ask), a_contract(tick_size=tick), rules)
    slip = Decimal(slippage_bps) / 10_000
    assert on_tick(price, tick)
    assert price >= tick
    if side is Side.BUY:
        assert ask <= price < ask * (1 + slip) + tick
    else:
        assert price <= max(bid, tick)
        assert price > bid * (1 - slip) - tick


@pytest.mark.parametrize(
    ("side", "tick", "price"),
    [
        (Side.BUY, "0.05", "168.55"),
        (Side.BUY, "0.1", "168.6"),
        (Side.SELL, "0.05", "161.75"),
        (Side.SELL, "0.1", "161.7"),
    ],
)
def test_two_per_cent_beyond_the_touch(side: Side, tick: str, price: str) -> None:
    assert limit_price(side, a_quote(), a_contract(tick_size=Decimal(tick)), price_rules()) == Decimal(price)


@given(prices("1"), prices("1"), TICKS, st.integers(1, 3_000), st.integers(1, 3_000), SIDES)
def test_with_a_band_the_limit_is_inside_it_and_on_the_tick_or_there_is_none(
    ltp: Decimal, ask: Decimal, tick: Decimal, below: int, above: int, side: Side
) -> None:
    lower, upper = (
        ltp - Decimal(below) / 100,
        ltp + Decimal(above) / 100,
    )  # not always on the tick
    contract = a_contract(tick_size=tick, lower_band=lower, upper_band=upper)
    price = outcome(lambda: limit_price(side, Quote(SYMBOL, ltp, ask, ask), contract, price_rules()))
    if isinstance(price, Denied):
        assert price.reason is Reason.OUTSIDE_PRICE_BAND
    else:
        assert on_tick(price, tick)
        assert lower <= price <= upper


def test_a_limit_that_slippage_carries_out_of_the_band_is_held_at_its_edge() -> None:
    contract = a_contract(lower_band=Decimal("165.01"), upper_band=Decimal("165.29"))
    assert limit_price(Side.BUY, a_quote(), contract, price_rules()) == Decimal("165.25")
    assert limit_price(Side.SELL, a_quote(), contract, price_rules()) == Decimal("165.05")


@pytest.mark.parametrize(
    ("lower", "upper"), [("165.20", "200"), ("100", "165.10"), (None, "165.10"), ("165.20", None), ("165.11", "165.14")]
)
def test_a_last_price_outside_the_band_is_denied(lower: str | None, upper: str | None) -> None:
    band = {"lower_band": lower and Decimal(lower), "upper_band": upper and Decimal(upper)}
    assert denied(Side.SELL, a_quote(), a_contract(**band)).reason is Reason.OUTSIDE_PRICE_BAND


def test_a_touch_far_outside_the_band_is_denied_too() -> None:
    contract = a_contract(lower_band=Decimal(160), upper_band=Decimal(170))
    assert denied(Side.BUY, a_quote(bid="100", ask="101"), contract).reason is Reason.OUTSIDE_PRICE_BAND
    assert denied(Side.SELL, a_quote(bid="200", ask="201"), contract).reason is Reason.OUTSIDE_PRICE_BAND


# Quotes that are no price to trade by.


@pytest.mark.parametrize("side", Side)
@pytest.mark.parametrize(("bid", "ask", "ltp"), [("165.25", "165.20", "165.2"), ("1", "0", "1"), ("1", "1", "0")])
def test_a_crossed_or_empty_quote_is_denied(side: Side, bid: str, ask: str, ltp: str) -> None:
    error = denied(side, a_quote(ltp, bid, ask))
    assert error.reason is Reason.BAD_QUOTE
    assert f"last {plain(Decimal(ltp))}" in error.message


def test_no_short_is_opened_where_there_is_no_bid() -> None:
    assert denied(Side.SELL, a_quote("0.05", "0", "0.05")).reason is Reason.BAD_QUOTE


def test_a_worthless_short_can_be_bought_back_where_there_is_no_bid_any_more() -> None:
    assert limit_price(Side.BUY, a_quote("0.05", "0", "0.05"), a_contract(), price_rules()) == Decimal("0.10")


def test_without_a_bid_the_last_price_tells_whether_the_ask_makes_sense() -> None:
    assert denied(Side.BUY, a_quote("100", "0", "300")).reason is Reason.SPREAD_TOO_WIDE


@pytest.mark.parametrize("side", Side)
def test_a_spread_is_allowed_to_its_last_paisa(side: Side) -> None:
    limit_price(side, a_quote("100", "95", "105"), a_contract(), price_rules())
    error = denied(side, a_quote("100", "95", "105.05"))
    assert error.reason is Reason.SPREAD_TOO_WIDE
    assert "10.05%" in error.message
    limit_price(side, a_quote("100", "1", "199"), a_contract(), price_rules(max_spread_percent=None))


def test_two_ticks_are_never_too_wide() -> None:
    limit_price(Side.BUY, a_quote("0.10", "0.05", "0.15"), a_contract(), price_rules())
    assert denied(Side.BUY, a_quote("0.10", "0.05", "0.20")).reason is Reason.SPREAD_TOO_WIDE


# Stop-loss and take-profit.

PERCENTS = st.decimals("0.01", "99.99", places=2)


@given(st.integers(1, 10**6), TICKS, PERCENTS, PERCENTS, SIDES)
def test_default_levels_are_on_the_tick_and_on_their_sides_or_there_is_no_order(
    ticks: int, tick: Decimal, stop: Decimal, take: Decimal, side: Side
) -> None:
    ltp = ticks * tick
    rules = price_rules(stop_loss_percent=stop, take_profit_percent=take)
    quote, contract = Quote(SYMBOL, ltp, ltp, ltp), a_contract(tick_size=tick)
    sign = 1 if side is Side.SELL else -1
    found = outcome(lambda: legs(an_alert(action=side), quote, contract, rules))
    if isinstance(found, Denied):
        lower = take if side is Side.SELL else stop
        assert found.reason in (Reason.WRONG_SIDE_STOP_LOSS, Reason.WRONG_SIDE_TAKE_PROFIT)
        assert ltp * (1 - lower / 100) < tick  # only where the lower level would be below one tick
        return
    for price, points in (
        (found.stop_loss, found.stop_loss_points),
        (found.take_profit, found.take_profit_points),
    ):
        assert on_tick(price, tick)
        assert on_tick(points, tick)
        assert price >= tick
        assert points >= tick
        assert abs(price - ltp) <= points < abs(price - ltp) + tick
    assert (found.stop_loss - ltp) * sign >= ltp * stop / 100 >= 0
    assert (ltp - found.take_profit) * sign >= ltp * take / 100 >= 0


def test_the_levels_of_the_documentation() -> None:
    found = legs(an_alert(), a_quote(), a_contract(), price_rules())
    assert (found.stop_loss, found.take_profit) == (Decimal("189.95"), Decimal("123.85"))
    assert (found.stop_loss_points, found.take_profit_points) == (Decimal("24.80"), Decimal("41.30"))
    bought = legs(an_alert(action="BUY"), a_quote(), a_contract(), price_rules())
    assert (bought.stop_loss, bought.take_profit) == (Decimal("140.35"), Decimal("206.45"))


@pytest.mark.parametrize(
    ("tick", "stop", "take"), [("0.05", "189.95", "123.85"), ("0.1", "190.0", "123.8"), ("1", "190", "123")]
)
def test_levels_round_away_from_the_last_price_on_every_tick(tick: str, stop: str, take: str) -> None:
    found = legs(an_alert(), a_quote(), a_contract(tick_size=Decimal(tick)), price_rules())
    assert (found.stop_loss, found.take_profit) == (Decimal(stop), Decimal(take))


@pytest.mark.parametrize(
    ("level", "stop", "take"),
    [("10%", "181.70", "148.60"), ("10pt", "175.15", "155.15"), ("0.01pt", "165.20", "165.10")],
)
def test_per_cent_and_points_count_from_the_last_price(level: str, stop: str, take: str) -> None:
    no_spread = a_quote(bid="165.15", ask="165.15")
    found = legs(an_alert(sl=level, tp=level), no_spread, a_contract(), price_rules())
    assert (found.stop_loss, found.take_profit) == (Decimal(stop), Decimal(take))


def test_a_premium_is_taken_as_it_is_but_on_the_tick() -> None:
    found = legs(an_alert(sl=172.52, tp="150.03"), a_quote(), a_contract(), price_rules())
    assert (found.stop_loss, found.take_profit) == (Decimal("172.55"), Decimal("150.00"))


def test_with_a_last_price_between_two_ticks_the_offsets_reach_the_levels() -> None:
    found = legs(an_alert(), a_quote("165.13"), a_contract(), price_rules())
    assert (found.stop_loss, found.take_profit) == (Decimal("189.90"), Decimal("123.80"))
    assert (found.stop_loss_points, found.take_profit_points) == (Decimal("24.80"), Decimal("41.35"))


@pytest.mark.parametrize(("sl", "stop"), [("100%", "330.30"), ("165.15pt", "330.30"), (330.30, "330.30")])
def test_the_stop_of_a_short_is_at_most_twice_the_premium(sl: str | float, stop: str) -> None:
    assert legs(an_alert(sl=sl), a_quote(), a_contract(), price_rules()).stop_loss == Decimal(stop)


@pytest.mark.parametrize("sl", ["100.01%", "165.16pt", 330.35, 999999999])
def test_a_stop_farther_away_than_allowed_is_denied_with_the_numbers(sl: str | float) -> None:
    too_far = outcome(lambda: legs(an_alert(sl=sl), a_quote(), a_contract(), price_rules()))
    assert isinstance(too_far, Denied)
    assert too_far.reason is Reason.STOP_TOO_FAR
    assert "last price 165.15; MAX_STOP_PERCENT allows 100.00%" in too_far.message


@pytest.mark.parametrize("action", ["SELL", "BUY"])
def test_how_far_a_stop_may_be_is_a_setting(action: str) -> None:
    rules = price_rules(max_stop_percent=Decimal(30))
    legs(an_alert(action=action, sl="30%"), a_quote(), a_contract(), rules)
    too_far = outcome(lambda: legs(an_alert(action=action, sl="30.1%"), a_quote(), a_contract(), rules))
    assert isinstance(too_far, Denied)
    assert too_far.reason is Reason.STOP_TOO_FAR


LEVELS = st.builds(Level, st.sampled_from(LevelKind), st.decimals("0.00000001", "999999999", places=8))


@given(prices(), TICKS, LEVELS, LEVELS, SIDES)
def test_any_level_an_alert_can_name_is_on_its_side_or_denied(
    ltp: Decimal, tick: Decimal, stop: Level, take: Level, side: Side
) -> None:
    alert = an_alert(action=side, sl=str(stop), tp=str(take))
    sign = 1 if side is Side.SELL else -1
    quote, contract = Quote(SYMBOL, ltp, ltp, ltp), a_contract(tick_size=tick)
    found = outcome(lambda: legs(alert, quote, contract, price_rules()))
    if isinstance(found, Denied):
        assert found.reason in (
            Reason.WRONG_SIDE_STOP_LOSS,
            Reason.WRONG_SIDE_TAKE_PROFIT,
            Reason.STOP_TOO_FAR,
        )
        assert len(found.message) < 200
        return
    assert (found.stop_loss - ltp) * sign >= tick
    assert abs(found.stop_loss - ltp) < ltp + tick  # MAX_STOP_PERCENT is 100 here
    assert (ltp - found.take_profit) * sign >= tick
    assert min(found.stop_loss, found.take_profit) >= tick
    assert all(on_tick(price, tick) for price in (found.stop_loss, found.take_profit, found.stop_loss_points))
    for level, price in ((stop, found.stop_loss), (take, found.take_profit)):
        if level.kind is LevelKind.PRICE:
            assert abs(price - level.value) < tick
            assert (level.value - ltp) * (price - ltp) > 0  # it was asked for on that side


@given(prices("1"), prices("1"), st.sampled_from(["sl", "tp"]), SIDES)
def test_a_premium_on_the_wrong_side_is_denied_by_the_name_of_its_level(
    ltp: Decimal, level: Decimal, name: str, side: Side
) -> None:
    above = (name == "sl") is (side is Side.SELL)
    assume(level <= ltp if above else level >= ltp)
    with pytest.raises(Denied) as caught:
        legs(an_alert(action=side, **{name: str(level)}), Quote(SYMBOL, ltp, ltp, ltp), a_contract(), price_rules())
    wrong = Reason.WRONG_SIDE_STOP_LOSS if name == "sl" else Reason.WRONG_SIDE_TAKE_PROFIT
    assert caught.value.reason is wrong
    assert ("above" if above else "below") in caught.value.message
    assert plain(ltp) in caught.value.message


@pytest.mark.parametrize("level", ["100%", "999999999%", "165.15pt", "999999999pt"])
def test_a_take_profit_at_or_below_nothing_is_denied(level: str) -> None:
    with pytest.raises(Denied) as caught:
        legs(an_alert(tp=level), a_quote(), a_contract(), price_rules())
    assert caught.value.reason is Reason.WRONG_SIDE_TAKE_PROFIT


def test_an_option_at_its_last_tick_cannot_be_sold_with_a_profit_to_take() -> None:
    with pytest.raises(Denied) as caught:
        legs(an_alert(), a_quote("0.05", "0.05", "0.05"), a_contract(), price_rules())
    assert caught.value.reason is Reason.WRONG_SIDE_TAKE_PROFIT


def test_a_band_that_ends_below_the_tick_leaves_no_price_at_all() -> None:
    contract = a_contract(lower_band=Decimal(0), upper_band=Decimal("0.01"))
    with pytest.raises(Denied) as caught:
        limit_price(Side.BUY, a_quote("0.01", "0.01", "0.01"), contract, price_rules())
    assert caught.value.reason is Reason.OUTSIDE_PRICE_BAND
