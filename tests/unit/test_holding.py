"""What is open, and what works on it, is read from positions and order book together."""

from datetime import date
from decimal import Decimal

import pytest

from app.adapters.fyers.venue import FYERS
from app.domain.alert import Product, Side
from app.domain.book import BookRow, Position
from app.domain.instrument import Future, Instrument, Share
from app.domain.order import Sent
from app.domain.order.status import FINAL, OrderStatus
from tests.builders import NOW, SYMBOL, a_book_row, a_contract, a_position, an_account, holdings, sent

OTHER = "NSE:NIFTY26NOV26100CE"
CONTRACTS = {SYMBOL: a_contract(), OTHER: a_contract(symbol=OTHER, lot_size=25)}


def lots_open(positions: list[Position], book: list[BookRow] | None = None) -> int:
    return holdings(positions, book or []).count_lots(CONTRACTS.get)


@pytest.mark.parametrize(
    ("positions", "book", "lots"),
    [
        ([], [], 0),
        ([a_position(-130)], [], 2),
        ([a_position(130)], [], 2),
        ([a_position(-65), a_position(-65, "MARGIN")], [], 2),
        ([a_position(-65), a_position(-25, symbol=OTHER)], [], 2),
        ([a_position(0)], [], 0),
        ([], [a_book_row()], 1),
        ([], [a_book_row(side="BUY")], 1),
        ([a_position(-65)], [a_book_row()], 2),
        ([a_position(-65)], [a_book_row(side="BUY")], 1),
        ([a_position(65)], [a_book_row(side="SELL")], 1),
        ([], [a_book_row(quantity=195, filled_quantity=130)], 1),
        ([], [a_book_row(protects="26112000000001", side="BUY")], 0),
        ([a_position(-65, symbol="NSE:SBIN-EQ")], [a_book_row(symbol="NSE:SBIN-EQ")], 0),
    ],
)
def test_lots_open_are_what_is_open_and_what_may_still_open(
    positions: list[Position], book: list[BookRow], lots: int
) -> None:
    assert lots_open(positions, book) == lots


@pytest.mark.parametrize("status", [*OrderStatus, None])
def test_only_a_final_status_ends_what_a_row_may_still_do(status: OrderStatus | None) -> None:
    row = a_book_row(status=status, quantity=130, filled_quantity=65)
    assert row.working == (0 if status in FINAL else 65)


def test_realised_profit_is_the_sum_of_all_rows() -> None:
    rows = [a_position(realised=Decimal("-100.05")), a_position(0, "MARGIN", realised=Decimal("40.10"))]
    assert holdings(rows, None).realised == Decimal("-59.95")
    assert holdings([], None).realised == 0


def test_unrealised_profit_is_known_only_where_every_position_says_it() -> None:
    rows = [a_position(unrealised=Decimal("-100.05")), a_position(0, "MARGIN", unrealised=Decimal("40.10"))]
    assert holdings(rows, None).unrealised == Decimal("-59.95")
    assert holdings([*rows, a_position(unrealised=None)], None).unrealised is None


def test_a_book_that_was_not_read_is_not_an_empty_one() -> None:
    assert holdings([], None).book is None
    assert holdings([], []).book == ()
    assert holdings([], None).at(SYMBOL, "INTRADAY") == holdings([], []).at(SYMBOL, "INTRADAY")


def to_cover(*positions: Position, preferred: Product = Product.INTRADAY) -> tuple[str, int] | None:
    holding = holdings(positions).to_close(SYMBOL, preferred, Side.BUY)
    return None if holding is None else (holding.product, holding.left(Side.BUY))


def test_the_short_to_cover_is_the_preferred_products_or_the_largest() -> None:
    assert to_cover(a_position(-65, "MARGIN")) == ("MARGIN", 65)
    both = a_position(-65, "MARGIN"), a_position(-130, "INTRADAY")
    assert to_cover(*both, preferred=Product.MARGIN) == ("MARGIN", 65)
    assert to_cover(*both) == ("INTRADAY", 130)


@pytest.mark.parametrize(
    "position", [a_position(65), a_position(0), a_position(-65, symbol=OTHER), a_position(-65, "BO")]
)
def test_what_is_not_short_in_a_product_that_is_traded_is_nothing_to_cover(position: Position) -> None:
    assert to_cover(position) is None


def test_covers_in_the_book_are_counted_without_legs_and_other_products() -> None:
    book = (
        a_book_row(side="BUY", quantity=130, filled_quantity=65),
        a_book_row(side="BUY", status=OrderStatus.CANCELLED),
        a_book_row(side="BUY", product="MARGIN"),
        a_book_row(side="BUY", symbol=OTHER),
        a_book_row(side="BUY", protects="1"),
        a_book_row(side="SELL"),
    )
    assert holdings([a_position(-650)], book).at(SYMBOL, "INTRADAY").left(Side.BUY) == 585
    assert holdings([a_position(-650)], None).at(SYMBOL, "INTRADAY").left(Side.BUY) == 650


def test_what_was_sent_moments_ago_counts_until_the_book_shows_it_or_it_is_known_not_to_be_there() -> None:
    recent = (
        sent(1, covers=True, side="BUY", tag="tvhidden"),
        sent(1, covers=True, side="BUY", tag="tvshown"),
        sent(1, covers=True, side="BUY", quantity=0, tag="tvgivenback"),
        sent(1, covers=True, side="BUY", symbol=OTHER, tag="tvelsewhere"),
        sent(FYERS.book_lag.total_seconds(), covers=True, side="BUY", tag="tvold"),
        sent(1, tag="tventry"),
    )
    held = holdings([a_position(-650)], [a_book_row(side="SELL", tag="tvshown")])
    there = held.with_sent(an_account(recent=recent).sent_since(NOW - FYERS.book_lag)).at(SYMBOL, "INTRADAY")
    assert [one.tag for one in there.unseen] == ["tvhidden", "tventry"]
    assert (there.left(Side.BUY), there.covers_unseen, there.entry_unseen, there.squared_off) == (585, 65, True, False)
    assert held.at(SYMBOL, "INTRADAY").left(Side.BUY) == 650


@pytest.mark.parametrize(
    ("book", "recent", "on_its_way"),
    [
        ([], [], False),
        ([a_book_row()], [], True),
        ([a_book_row(product="MARGIN")], [], True),
        ([a_book_row(side="BUY")], [], False),
        ([a_book_row(tag="by-hand")], [], False),
        ([a_book_row(status=OrderStatus.FILLED, filled_quantity=65)], [], False),
        ([], [sent(1)], True),
        ([], [sent(1, covers=True)], False),
    ],
)
def test_an_entry_is_on_its_way_while_it_works_or_cannot_be_seen(
    book: list[BookRow], recent: list[Sent], on_its_way: bool
) -> None:
    held = holdings([], book).with_sent(recent)
    assert held.entry_on_its_way(SYMBOL) is on_its_way
    assert not held.entry_on_its_way(OTHER)


@pytest.mark.parametrize(
    ("book", "units"),
    [
        ([], None),
        ([a_book_row()], None),
        ([a_book_row(tag="by-hand", filled_quantity=65)], None),
        ([a_book_row(side="BUY", filled_quantity=65)], None),
        ([a_book_row(filled_quantity=65)], 65),
        ([a_book_row(filled_quantity=65), a_book_row(side="BUY", tag="by-hand", filled_quantity=30)], 35),
        ([a_book_row(filled_quantity=65), a_book_row(side="BUY", protects="1", filled_quantity=65)], 0),
        ([a_book_row(filled_quantity=65), a_book_row(side="BUY", tag="by-hand", filled_quantity=130)], 0),
        ([a_book_row(filled_quantity=65, product="MARGIN")], None),
    ],
)
def test_units_are_the_gateways_that_it_opened_today_and_that_nothing_closed_since(
    book: list[BookRow], units: int | None
) -> None:
    assert holdings([a_position(-65)], book).at(SYMBOL, "INTRADAY").gateway_units == units


def filled(side: str, units: int, product: str = "INTRADAY") -> BookRow:
    return a_book_row(side=side, quantity=650, filled_quantity=units, product=product)


@pytest.mark.parametrize(
    ("positions", "book", "lag"),
    [
        ([], [], False),
        ([], [filled("SELL", 0)], False),
        ([], [filled("SELL", 65)], True),
        ([a_position(-65, sold=65)], [filled("SELL", 65)], False),
        ([a_position(-65, sold=65)], [filled("SELL", 65), filled("SELL", 65)], True),
        ([a_position(-65, sold=130, bought=65)], [filled("SELL", 65)], False),  # carried over from yesterday
        ([a_position(-65, sold=65, bought=0)], [filled("SELL", 65), filled("BUY", 65)], True),
        ([a_position(-65)], [filled("SELL", 65), filled("BUY", 65)], False),  # a wire without the day's totals
        ([], [filled("SELL", 65), filled("BUY", 65)], False),  # a wire that drops what is closed
        ([a_position(0, sold=65, bought=65)], [filled("SELL", 65), filled("BUY", 65)], False),
        ([a_position(-65, sold=65)], [filled("SELL", 65, "MARGIN")], False),  # converted by hand
    ],
)
def test_positions_that_lack_a_fill_of_the_book_are_too_old(
    positions: list[Position], book: list[BookRow], lag: bool
) -> None:
    assert holdings(positions, book).lag() is lag


def test_a_fill_elsewhere_says_nothing_about_the_positions_of_one_contract() -> None:
    held = holdings([], [filled("SELL", 65)])
    assert held.lag({SYMBOL})
    assert not held.lag({OTHER})


@pytest.mark.parametrize(
    "listed",
    [
        Future(symbol=SYMBOL, underlying="NIFTY", expiry=date(2026, 11, 24), lot_size=65, tick_size=Decimal("0.1")),
        Share(symbol=SYMBOL, underlying="SBIN", tick_size=Decimal("0.1")),
    ],
)
def test_a_future_and_a_share_are_not_counted_though_the_master_lists_them(listed: Instrument) -> None:
    assert holdings([a_position(-65)], [a_book_row()]).count_lots({SYMBOL: listed}.get) == 0


def test_a_contract_that_the_master_does_not_know_is_not_counted() -> None:
    def nothing(symbol: str) -> Instrument | None:
        return None

    assert holdings([a_position(-65)], [a_book_row()]).count_lots(nothing) == 0
