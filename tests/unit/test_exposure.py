"""What is open is read from positions and order book together."""

from datetime import date
from decimal import Decimal

import pytest

from app.domain.alert import Product
from app.domain.book import BookRow, Position
from app.domain.exposure import Exposure, expose, positions_lag
from app.domain.instrument import Future, Instrument, Share
from app.domain.order import FINAL, OrderStatus
from tests.builders import SYMBOL, a_book_row, a_contract, a_position

OTHER = "NSE:NIFTY26NOV26100CE"
CONTRACTS = {SYMBOL: a_contract(), OTHER: a_contract(symbol=OTHER, lot_size=25)}


def lots_open(positions: list[Position], book: list[BookRow] | None = None) -> int:
    return expose(positions, book or [], 0, CONTRACTS.get).lots_open


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
        ([], [a_book_row(parent_id="26112000000001", side="BUY")], 0),
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
    assert expose(rows, None, 0, CONTRACTS.get).realised == Decimal("-59.95")
    assert expose([], None, 0, CONTRACTS.get).realised == 0


def test_unrealised_profit_is_known_only_where_every_position_says_it() -> None:
    rows = [a_position(unrealised=Decimal("-100.05")), a_position(0, "MARGIN", unrealised=Decimal("40.10"))]
    assert expose(rows, None, 0, CONTRACTS.get).unrealised == Decimal("-59.95")
    assert expose([*rows, a_position(unrealised=None)], None, 0, CONTRACTS.get).unrealised is None


def test_a_book_that_was_not_read_is_not_an_empty_one() -> None:
    assert expose([], None, 3, CONTRACTS.get) == Exposure(book=None, unresolved=3)
    assert expose([], [], 0, CONTRACTS.get).book == ()


def test_the_short_to_cover_is_the_preferred_products_or_the_largest() -> None:
    one = Exposure(positions=(a_position(-65, "MARGIN"),))
    assert one.short(SYMBOL, Product.INTRADAY) == (Product.MARGIN, 65)
    both = Exposure(positions=(a_position(-65, "MARGIN"), a_position(-130, "INTRADAY")))
    assert both.short(SYMBOL, Product.MARGIN) == (Product.MARGIN, 65)
    assert both.short(SYMBOL, Product.INTRADAY) == (Product.INTRADAY, 130)


@pytest.mark.parametrize(
    "position", [a_position(65), a_position(0), a_position(-65, symbol=OTHER), a_position(-65, "BO")]
)
def test_what_is_not_short_in_a_product_the_gateway_trades_is_nothing_to_cover(position: Position) -> None:
    assert Exposure(positions=(position,)).short(SYMBOL, Product.INTRADAY) is None


def test_covers_in_the_book_are_counted_without_legs_and_other_products() -> None:
    exposure = Exposure(
        book=(
            a_book_row(side="BUY", quantity=130, filled_quantity=65),
            a_book_row(side="BUY", status=OrderStatus.CANCELLED),
            a_book_row(side="BUY", product="MARGIN"),
            a_book_row(side="BUY", symbol=OTHER),
            a_book_row(side="BUY", parent_id="1"),
            a_book_row(side="SELL"),
        )
    )
    assert exposure.covers_working(SYMBOL, Product.INTRADAY) == 65
    assert Exposure(book=None).covers_working(SYMBOL, Product.INTRADAY) == 0


def test_the_book_shows_an_order_by_its_tag() -> None:
    assert Exposure(book=(a_book_row(tag="tvshown"),)).tags == {"tvshown"}
    assert Exposure(book=None).tags == frozenset()


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
    assert positions_lag(positions, book) is lag


def test_a_fill_elsewhere_says_nothing_about_the_positions_of_one_contract() -> None:
    assert positions_lag([], [filled("SELL", 65)], a_book_row().symbol)
    assert not positions_lag([], [filled("SELL", 65)], "NSE:ANOTHER")


@pytest.mark.parametrize(
    "listed",
    [
        Future(symbol=SYMBOL, underlying="NIFTY", expiry=date(2026, 11, 24), lot_size=65, tick_size=Decimal("0.1")),
        Share(symbol=SYMBOL, underlying="SBIN", tick_size=Decimal("0.1")),
    ],
)
def test_a_future_and_a_share_are_not_counted_though_the_master_lists_them(listed: Instrument) -> None:
    assert expose([a_position(-65)], [a_book_row()], 0, {SYMBOL: listed}.get).lots_open == 0


def test_a_contract_that_the_master_does_not_know_is_not_counted() -> None:
    def nothing(symbol: str) -> Instrument | None:
        return None

    assert expose([a_position(-65)], [a_book_row()], 0, nothing).lots_open == 0
