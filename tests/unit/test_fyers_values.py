"""Numbers and rows as they cross the edge: exact both ways, or not at all."""

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.adapters.fyers import rows
from app.adapters.fyers.json_text import number, read_object, write
from app.domain.book import BookRow, Position, Quote
from app.domain.order.status import OrderStatus
from tests.present import present


@settings(max_examples=500, deadline=None, database=None, derandomize=True)
@given(st.integers(0, 10**9), st.sampled_from(["0.05", "0.01", "0.1", "0.2", "0.0025", "1"]))
def test_every_multiple_of_a_tick_is_written_exactly(ticks: int, tick: str) -> None:
    price = ticks * Decimal(tick)
    assert Decimal(write(number(price)).decode()) == price


def test_prices_are_written_as_people_would() -> None:
    prices = ["165.15", "165.10", "165.00", "0.05", "0", "1E+2", "99999.95"]
    assert write([number(Decimal(price)) for price in prices]) == b"[165.15, 165.1, 165, 0.05, 0, 100, 99999.95]"


@pytest.mark.parametrize("amount", ["0.12345678901234567890123", "123456789012345.678", "NaN", "Infinity"])
def test_an_amount_that_json_numbers_cannot_keep_is_refused(amount: str) -> None:
    with pytest.raises(ValueError, match=r"digits|not an amount"):
        number(Decimal(amount))


@settings(max_examples=300, deadline=None, database=None, derandomize=True)
@given(st.decimals("-100000", "100000", places=4))
def test_a_price_that_is_read_is_the_price_that_was_written(price: Decimal) -> None:
    assert present(read_object(b'{"lp": %s}' % str(price).encode()))["lp"] == price


@settings(max_examples=300, deadline=None, database=None, derandomize=True)
@given(st.binary(max_size=100))
def test_reading_never_raises(content: bytes) -> None:
    assert read_object(content) is None or isinstance(read_object(content), dict)


# -- quotes


def quote(**changes: Any) -> dict[str, Any]:
    return {"n": "NSE:A", "s": "ok", "v": {"lp": Decimal("165.15"), "bid": 165, "ask": Decimal("165.3"), **changes}}


def test_a_quote_is_read_exactly() -> None:
    body = present(read_object(b'{"d":[{"n":"NSE:A","s":"ok","v":{"lp":165.15,"bid":165,"ask":165.3}}]}'))
    assert rows.quotes(body, ["NSE:A"]) == {"NSE:A": Quote("NSE:A", Decimal("165.15"), Decimal(165), Decimal("165.3"))}


@pytest.mark.parametrize("changes", [{"bid": None}, {"bid": "x"}, {"bid": -1}, {"bid": 0}, {"bid": True}])
def test_an_empty_side_is_zero(changes: dict[str, Any]) -> None:
    assert rows.quotes({"d": [quote(**changes)]}, ["NSE:A"])["NSE:A"].bid == 0


@pytest.mark.parametrize(
    "row",
    [
        quote(lp=None),
        quote(lp=0),
        quote(lp=-5),
        quote(lp="165.15"),
        quote(lp=True),
        {**quote(), "s": "error"},
        {**quote(), "v": None},
        {**quote(), "n": None},
        {**quote(), "n": "NSE:NOT-ASKED-FOR"},
        {},
        "NSE:A",
        None,
    ],
)
def test_a_symbol_that_cannot_be_quoted_is_left_out_and_the_others_stay(row: dict[str, Any] | str | None) -> None:
    assert list(rows.quotes({"d": [row, {**quote(), "n": "NSE:B"}]}, ["NSE:A", "NSE:B"])) == ["NSE:B"]


@pytest.mark.parametrize("body", [{}, {"d": None}, {"d": {}}])
def test_quotes_without_a_list_are_not_there(body: dict[str, Any]) -> None:
    with pytest.raises(rows.Incomplete):
        rows.quotes(body, ["NSE:A"])


# -- positions


def position(**changes: Any) -> dict[str, Any]:
    return {
        "symbol": "NSE:A",
        "productType": "MARGIN",
        "netQty": -65,
        "realized_profit": Decimal("-120.25"),
        "unrealized_profit": Decimal("40.5"),
        "buyQty": 65,
        "sellQty": 130,
        **changes,
    }


def test_positions_are_read_exactly_and_of_every_product() -> None:
    read = rows.positions({"netPositions": [position(), position(productType="BO", netQty=Decimal("0.0"))]})
    assert read[0] == Position(
        "NSE:A-MARGIN", "NSE:A", "MARGIN", -65, Decimal("-120.25"), bought=65, sold=130, unrealised=Decimal("40.5")
    )
    assert (read[1].product, read[1].net_quantity) == ("BO", 0)


@pytest.mark.parametrize(
    ("changes", "unrealised"),
    [
        ({"pl": Decimal(7)}, Decimal("40.5")),
        ({"unrealized_profit": None, "pl": Decimal("-100.25")}, Decimal(20)),
        ({"unrealized_profit": "40.5"}, None),
        ({"unrealized_profit": None}, None),
        ({"unrealized_profit": None, "netQty": 0}, Decimal(0)),
    ],
)
def test_an_unrealised_profit_that_a_position_does_not_say_is_unknown_and_a_closed_one_has_none(
    changes: dict[str, Any], unrealised: Decimal | None
) -> None:
    [read] = rows.positions({"netPositions": [position(**changes)]})
    assert read.unrealised == unrealised


@pytest.mark.parametrize(
    "changes",
    [
        {"netQty": None},
        {"netQty": "65"},
        {"netQty": Decimal("0.5")},
        {"netQty": True},
        {"symbol": ""},
        {"symbol": None},
        {"productType": None},
        {"realized_profit": "12"},
        {"buyQty": -1},
        {"sellQty": "1"},
    ],
)
def test_one_position_that_makes_no_sense_makes_all_of_them_unknown(changes: dict[str, Any]) -> None:
    with pytest.raises(rows.Incomplete):
        rows.positions({"netPositions": [position(), position(**changes)]})


@pytest.mark.parametrize("body", [{}, {"netPositions": None}, {"netPositions": {}}, {"netPositions": ["x"]}])
def test_positions_that_are_no_list_of_rows_are_unknown(body: dict[str, Any]) -> None:
    with pytest.raises(rows.Incomplete):
        rows.positions(body)


# -- the order book


def book(*changes: dict[str, Any], **more: Any) -> dict[str, Any]:
    row = {
        "id": "26112000000001",
        "orderTag": "1:TVab12",
        "symbol": "NSE:A",
        "side": -1,
        "productType": "INTRADAY",
        "status": 6,
        "qty": 65,
        "filledQty": 0,
        "tradedPrice": 0,
        "limitPrice": Decimal("165.15"),
        "message": "",
    }
    return {"s": "ok", "code": 200, "orderBook": [{**row, **change} for change in changes or ({},)], **more}


TAG = "tvabcdefghijklmnop23"


def row_with(**changes: Any) -> BookRow:
    return rows.order_book(book(changes))[0]


def test_a_row_of_the_book_is_read_with_its_tag_as_we_sent_it() -> None:
    row = row_with(message="waiting\x00")
    assert (row.broker_order_id, row.tag, row.side, row.product) == ("26112000000001", "tvab12", "SELL", "INTRADAY")
    assert (row.quantity, row.filled_quantity, row.average_price) == (65, 0, None)
    assert (row.limit_price, row.message, row.protects) == (Decimal("165.15"), "waiting", None)


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({"status": 1}, OrderStatus.CANCELLED),
        ({"status": 1, "filledQty": 30}, OrderStatus.CANCELLED),
        ({"status": 2, "filledQty": 65}, OrderStatus.FILLED),
        ({"status": 4}, OrderStatus.ACCEPTED),
        ({"status": 4, "filledQty": 30}, OrderStatus.PARTIALLY_FILLED),
        ({"status": 5}, OrderStatus.REJECTED),
        ({"status": 6}, OrderStatus.ACCEPTED),
        ({"status": 6, "filledQty": 30}, OrderStatus.PARTIALLY_FILLED),
        ({"status": 7}, OrderStatus.EXPIRED),
        ({"status": 3}, None),
        ({"status": 0}, None),
        ({"status": 20}, None),
        ({"status": 90, "filledQty": 65}, None),
        ({"status": "2"}, None),
        ({"status": True}, None),
        ({"status": None}, None),
    ],
)
def test_a_status_is_what_the_documents_say_and_nothing_else_is_final(
    changes: dict[str, Any], status: OrderStatus | None
) -> None:
    row = row_with(**changes)
    assert row.status is status
    assert row.filled_quantity == changes.get("filledQty", 0)


def test_a_filled_order_without_a_filled_quantity_is_filled_whole() -> None:
    assert row_with(status=2, filledQty=None).filled_quantity == 65


def test_the_average_price_of_fills_and_the_parent_of_a_leg_are_read() -> None:
    row = row_with(tradedPrice=Decimal("164.90"), parentId="26112000000000", orderTag="2:Untagged", side=1)
    assert (row.average_price, row.protects) == (Decimal("164.9"), "26112000000000")
    assert (row.tag, row.side) == ("untagged", "BUY")


@pytest.mark.parametrize(
    ("tag", "changes", "own"),
    [
        (f"1:{TAG}", {}, True),
        (f"2:{TAG.upper()}", {}, True),
        (TAG, {}, True),
        (f"1:{TAG}", {"parentId": ""}, True),
        (f"1:{TAG}", {"parentId": "26112000000000"}, False),  # a leg
        (f"1:{TAG}2", {}, False),
        ("1:tvab12", {}, False),
        ("2:Untagged", {}, False),
        (None, {}, False),
    ],
)
def test_an_order_is_the_gateways_by_its_tag_and_a_leg_never_is(
    tag: str | None, changes: dict[str, Any], own: bool
) -> None:
    assert row_with(orderTag=tag, **changes).own is own


def test_missing_fields_are_empty() -> None:
    row = rows.order_book({"code": 200, "orderBook": [{"id": "1"}]})[0]
    assert (row.tag, row.symbol, row.side, row.status, row.quantity) == ("", "", "", None, 0)


@pytest.mark.parametrize(
    "body",
    [
        book(code=201),
        book(code=None),
        book(code="200"),
        book(orderBook=None),
        book(orderBook={}),
        book(orderBook=[None]),
        book({"id": None}),
        book({}, {"id": ""}),
        book({"id": 26112000000001}),
        book({"qty": "65"}),
        book({"qty": -1}),
        book({"filledQty": Decimal("0.5")}),
    ],
)
def test_a_book_that_is_not_whole_is_no_book(body: dict[str, Any]) -> None:
    with pytest.raises(rows.Incomplete):
        rows.order_book(body)


@pytest.mark.parametrize(
    ("totals", "sold"),
    [
        ({"sellQty": 130, "cfSellQty": 65, "daySellQty": 65}, 65),
        ({"sellQty": 65, "cfSellQty": 65, "daySellQty": 65}, 65),  # where the total leaves out what was carried over
        ({"sellQty": 130, "cfSellQty": 65}, 65),
        ({"sellQty": 130}, 130),
        ({}, None),
    ],
)
def test_what_was_traded_today_is_told_by_the_row_itself(totals: dict[str, int], sold: int | None) -> None:
    row = {"symbol": "NSE:A", "productType": "MARGIN", "netQty": -65} | totals
    assert rows.positions({"netPositions": [row]})[0].sold == sold
