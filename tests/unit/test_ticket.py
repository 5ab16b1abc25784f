"""The ticket says exactly what would be sent: whole lots, inside the freeze, never more than the short it covers."""

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.alert import Product, Side
from app.domain.book import Quote
from app.domain.errors import Denied, Reason
from app.domain.holding import Holdings
from app.domain.instrument import Instrument
from app.domain.order import OrderType, Ticket
from app.domain.ticket import BuyMode, TicketRules, write_ticket
from tests.builders import (
    SYMBOL,
    a_book_row,
    a_contract,
    a_position,
    a_quote,
    a_ticket,
    an_alert,
    holdings,
    price_rules,
)

COVER, OPEN = TicketRules(price_rules(), BuyMode.COVER), TicketRules(price_rules(), BuyMode.OPEN)
FLAT = holdings()


def ticket(
    held: Holdings = FLAT,
    rules: TicketRules = COVER,
    contract: Instrument | None = None,
    quote: Quote | None = None,
    **changes: Any,
) -> Ticket:
    return write_ticket(an_alert(**changes), contract or a_contract(), quote or a_quote(), held, rules)


def denied(held: Holdings = FLAT, rules: TicketRules = COVER, **changes: Any) -> Denied:
    with pytest.raises(Denied) as caught:
        ticket(held, rules, **changes)
    return caught.value


def short(lots: int, product: str = "INTRADAY") -> Holdings:
    return holdings(positions=(a_position(-65 * lots, product),))


def test_an_entry_is_in_the_underlyings_and_products_that_are_allowed_and_a_cover_in_any() -> None:
    narrow = replace(COVER, underlyings=frozenset({"BANKNIFTY"}), products=frozenset({Product.INTRADAY}))
    assert denied(rules=narrow).reason is Reason.UNDERLYING_NOT_ALLOWED
    narrow = replace(narrow, underlyings=frozenset({"BANKNIFTY", "NIFTY"}))
    assert ticket(rules=narrow) == ticket()
    for spelling in ("M_M", "M&M"):
        named = replace(COVER, underlyings=frozenset({spelling}))
        assert not ticket(rules=named, contract=a_contract(underlying="M&M")).covers
    refused = denied(rules=narrow, productType="MARGIN")
    assert (refused.reason, "MARGIN entries" in refused.message) == (Reason.PRODUCT_NOT_ALLOWED, True)
    nothing = replace(narrow, underlyings=frozenset({"SENSEX"}))
    assert ticket(short(1, "MARGIN"), nothing, action="BUY").covers


def test_an_entry_is_one_lot_at_the_touch_with_both_legs() -> None:
    assert ticket() == a_ticket()


@pytest.mark.parametrize(
    ("fields", "quantity"), [({"qty": 130}, 130), ({"lots": 3}, 195), ({}, 65), ({"qty": "65.0"}, 65)]
)
def test_units_are_units_and_lots_are_lots(fields: dict[str, Any], quantity: int) -> None:
    written = ticket(**fields)
    assert written.quantity == quantity
    assert written.lots == quantity // 65
    assert written.premium == quantity * Decimal("161.75")


@pytest.mark.parametrize(
    ("qty", "near"), [(1, "send 65, or lots"), (64, "send 65, or lots"), (66, "65 or 130"), (100, "65 or 130")]
)
def test_a_quantity_between_lots_is_denied_with_the_ones_beside_it(qty: int, near: str) -> None:
    error = denied(qty=qty)
    assert error.reason is Reason.NOT_A_LOT_MULTIPLE
    assert near in error.message


def test_the_freeze_quantity_itself_passes_and_one_lot_more_does_not() -> None:
    contract = a_contract(freeze_quantity=130)
    assert ticket(contract=contract, lots=2).quantity == 130
    error = denied_with(contract, lots=3)
    assert error.reason is Reason.OVER_FREEZE_QUANTITY
    assert error.message.endswith(f"at most 130 of {contract.symbol} in one order; send at most 2 lots")


def denied_with(contract: Instrument, **changes: Any) -> Denied:
    with pytest.raises(Denied) as caught:
        ticket(contract=contract, **changes)
    return caught.value


@pytest.mark.parametrize("order_type", OrderType)
def test_the_order_type_is_the_one_that_is_set(order_type: OrderType) -> None:
    rules = replace(COVER, prices=price_rules(order_type=order_type))
    assert ticket(rules=rules).order_type is order_type


# Covers.


def test_a_cover_buys_at_the_touch_and_carries_no_legs() -> None:
    written = ticket(short(1), action="BUY")
    assert written == a_ticket(covers=True)
    assert written.side is Side.BUY
    assert (written.stop_loss, written.take_profit) == (None, None)
    assert (written.stop_loss_points, written.take_profit_points) == (None, None)


@pytest.mark.parametrize("levels", [{"sl": "1pt"}, {"tp": 500, "sl": 1}])
def test_levels_of_a_cover_are_not_judged_because_it_has_none(levels: dict[str, Any]) -> None:
    assert ticket(short(1), action="BUY", **levels) == a_ticket(covers=True)


def test_buy_without_a_short_is_denied_and_says_where() -> None:
    error = denied(action="BUY")
    assert error.reason is Reason.NO_SHORT_TO_COVER
    assert SYMBOL in error.message


@pytest.mark.parametrize(
    "position", [a_position(65), a_position(0), a_position(-65, symbol="NSE:OTHER"), a_position(-65, "CNC")]
)
def test_a_long_a_closed_row_another_contract_and_a_delivery_are_no_short(position: Any) -> None:
    assert denied(holdings(positions=(position,)), action="BUY").reason is Reason.NO_SHORT_TO_COVER


def test_where_buy_may_open_it_opens_a_long_with_both_legs() -> None:
    written = ticket(rules=OPEN, action="BUY", productType="MARGIN")
    assert (written.covers, written.side, written.product) == (False, Side.BUY, Product.MARGIN)
    assert written.stop_loss is not None
    assert written.take_profit is not None
    assert written.stop_loss < written.ltp < written.take_profit


def test_where_buy_may_open_it_still_covers_a_short_first() -> None:
    assert ticket(short(2), OPEN, action="BUY", lots=5) == a_ticket(covers=True, quantity=130)


@given(
    open_lots=st.integers(1, 20),
    asked=st.integers(1, 30),
    working=st.integers(0, 25),
    rules=st.sampled_from([COVER, OPEN]),
)
def test_a_cover_never_buys_more_than_is_left_of_the_short(
    open_lots: int, asked: int, working: int, rules: TicketRules
) -> None:
    book = (
        a_book_row(side="BUY", quantity=65 * working),
        a_book_row(side="BUY", quantity=650, protects="1"),
        a_book_row(side="SELL", quantity=650),
    )
    held = holdings([a_position(-65 * open_lots)], book)
    left = open_lots - working
    if left > 0:
        written = ticket(held, rules, action="BUY", lots=asked)
        assert written.covers
        assert written.quantity == 65 * min(asked, left)
    else:
        assert denied(held, rules, action="BUY", lots=asked).reason is Reason.NO_SHORT_TO_COVER


def test_a_cover_takes_the_product_of_the_short_whatever_was_asked_for() -> None:
    assert ticket(short(1, "MARGIN"), action="BUY").product is Product.MARGIN
    assert ticket(short(1, "INTRADAY"), action="BUY", productType="MARGIN").product is Product.INTRADAY


def test_of_two_shorts_the_asked_product_is_covered() -> None:
    both = holdings(positions=(a_position(-65, "MARGIN"), a_position(-130, "INTRADAY")))
    assert ticket(both, action="BUY", productType="MARGIN", lots=9).quantity == 65
    assert ticket(both, action="BUY", lots=9).quantity == 130


def test_a_cover_over_the_freeze_quantity_is_counted_after_it_was_cut_to_the_short() -> None:
    contract = a_contract(freeze_quantity=65)
    assert ticket(short(1), contract=contract, action="BUY", lots=9).quantity == 65


def test_a_cover_over_the_freeze_quantity_is_cut_to_the_most_whole_lots_under_it() -> None:
    assert ticket(short(5), contract=a_contract(freeze_quantity=200), action="BUY", lots=5).quantity == 195


def test_a_worthless_short_can_be_closed() -> None:
    assert ticket(short(1), quote=a_quote("0.05", "0", "0.05"), action="BUY").limit_price == Decimal("0.10")
