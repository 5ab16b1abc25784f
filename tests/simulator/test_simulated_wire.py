"""The real SDK, unchanged, against the simulator: every shape that a gateway reads."""

import csv
import io
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from fyers_apiv3.fyersModel import FyersModel

from app.simulator import Exchange, Rules, Simulator, Status
from app.simulator.market_data import MarketData
from app.simulator.wire import Request
from tests.simulator.fixed_account import APP_ID, CALL, Ask, Clock, Fields
from tests.stopwatch import Stopwatch

ORDER_ROW = {
    "clientId": str, "id": str, "id_fyers": str, "exchOrdId": str, "qty": int, "remainingQuantity": int,
    "filledQty": int, "discloseQty": int, "disclosedQty": int, "dqQtyRem": int, "limitPrice": (int, float),
    "stopPrice": (int, float), "tradedPrice": (int, float), "type": int, "fyToken": str, "exchange": int,
    "segment": int, "symbol": str, "instrument": int, "ex_sym": str, "description": str, "message": str,
    "offlineOrder": bool, "orderDateTime": str, "orderValidity": str, "pan": str, "productType": str, "side": int,
    "status": int, "source": str, "orderNumStatus": str, "slNo": int, "ch": (int, float), "chp": (int, float),
    "lp": (int, float), "orderTag": str, "takeProfit": (int, float), "stopLoss": (int, float),
}  # fmt: skip
POSITION_ROW = {
    "netQty": int, "qty": int, "avgPrice": (int, float), "netAvg": (int, float), "side": int, "productType": str,
    "realized_profit": (int, float), "unrealized_profit": (int, float), "pl": (int, float), "ltp": (int, float),
    "buyQty": int, "buyAvg": (int, float), "buyVal": (int, float), "sellQty": int, "sellAvg": (int, float),
    "sellVal": (int, float), "slNo": int, "fyToken": str, "crossCurrency": str, "rbiRefRate": int,
    "qtyMulti_com": int, "segment": int, "symbol": str, "id": str, "cfBuyQty": int, "cfSellQty": int,
    "dayBuyQty": int, "daySellQty": int, "exchange": int,
}  # fmt: skip


def has_shape(row: dict[str, Any], shape: dict[str, Any]) -> None:
    assert set(row) == set(shape)
    wrong = {name: row[name] for name, kind in shape.items() if not isinstance(row[name], kind)}
    assert wrong == {}


def test_placing_answers_1101_with_the_id_in_words_and_in_a_field(client: FyersModel, order: Fields) -> None:
    answer = client.place_order(order(orderTag="tvabc"))
    assert answer == {
        "s": "ok",
        "code": 1101,
        "message": "Order submitted successfully. Your Order Ref. No.26112000000001",
        "id": "26112000000001",
    }


def test_the_order_book_has_every_documented_field(client: FyersModel, order: Fields) -> None:
    client.place_order(order(orderTag="tvabc", limitPrice=170))
    book = client.orderbook()
    assert (book["s"], book["code"], book["message"]) == ("ok", 200, "")
    (row,) = book["orderBook"]
    has_shape(row, ORDER_ROW)
    assert row["orderTag"] == "1:tvabc"
    assert (row["status"], row["qty"], row["remainingQuantity"], row["filledQty"]) == (6, 65, 65, 0)
    assert (row["exchange"], row["segment"], row["instrument"]) == (10, 11, 14)
    assert (row["orderNumStatus"], row["orderDateTime"]) == ("26112000000001:6", "20-Nov-2026 10:00:00")
    assert (row["limitPrice"], row["tradedPrice"], row["type"], row["side"]) == (170, 0, 1, -1)


def test_an_empty_book_is_an_empty_list(client: FyersModel) -> None:
    assert client.orderbook() == {"s": "ok", "code": 200, "message": "", "orderBook": []}


def test_a_filled_market_order_keeps_type_2_and_shows_its_protection_price(client: FyersModel, order: Fields) -> None:
    client.place_order(order(type=2, limitPrice=0))
    (row,) = client.orderbook()["orderBook"]
    assert (row["status"], row["type"], row["limitPrice"], row["tradedPrice"]) == (2, 2, 148.65, 165)


def test_orders_are_found_by_id_and_by_tag_with_its_prefix(client: FyersModel, order: Fields) -> None:
    client.place_order(order(orderTag="tvone"))
    client.place_order(order(orderTag="tvone"))
    client.place_order(order())
    found = [row["id"] for row in client.orderbook({"order_tag": "1:tvone"})["orderBook"]]
    assert found == ["26112000000001", "26112000000002"]
    assert client.orderbook({"order_tag": "tvone"})["orderBook"] == []
    (row,) = client.orderbook({"id": "26112000000003"})["orderBook"]
    assert row["orderTag"] == "2:Untagged"
    assert client.orderbook({"id": "26112000009999"})["orderBook"] == []
    assert len(client.get_orders({"id": "26112000000001,26112000000003"})["orderBook"]) == 2


def test_only_legs_have_a_parent(client: FyersModel, order: Fields) -> None:
    client.place_order(order(stopLoss=20, takeProfit=30, orderTag="tvabc"))
    entry, stop, target = client.orderbook()["orderBook"]
    assert "parentId" not in entry
    assert (entry["stopLoss"], entry["takeProfit"]) == (20, 30)
    assert {stop["parentId"], target["parentId"]} == {entry["id"]}
    assert (stop["type"], stop["side"], stop["stopPrice"], target["limitPrice"]) == (4, 1, 185, 135)


def test_a_rejection_has_an_id_and_a_row_with_status_5(client: FyersModel, order: Fields) -> None:
    answer = client.place_order(order(type=3, stopPrice=150, limitPrice=0))
    assert answer == {"code": -99, "s": "error", "message": "16052 Function not available", "id": "26112000000001"}
    (row,) = client.orderbook({"id": answer["id"]})["orderBook"]
    assert (row["status"], row["message"], row["remainingQuantity"], row["exchOrdId"]) == (5, answer["message"], 0, "")


def test_a_refusal_has_no_id_and_no_row(client: FyersModel, order: Fields) -> None:
    answer = client.place_order(order(qty=1))
    assert answer == {"code": -50, "message": "Quantity should be multiple of min lot size.", "s": "error"}
    assert client.orderbook()["orderBook"] == []


@pytest.mark.parametrize("status", [200, 400])
def test_the_http_status_of_a_rejection_is_a_choice(exchange: Exchange, order: Fields, status: int) -> None:
    import requests

    with Simulator(exchange, reject_status=status, rate_limits=False) as simulator:
        answer = requests.post(
            f"{simulator.api_url}/orders/sync",
            json=order(offlineOrder=True),
            headers={"Authorization": f"{APP_ID}:{simulator.issue_token(APP_ID)}"},
            timeout=5,
        )
    assert (answer.status_code, answer.json()["code"]) == (status, -99)


def test_orders_are_modified_and_cancelled_by_id(client: FyersModel, order: Fields, ask: Ask) -> None:
    placed = client.place_order(order(limitPrice=170))["id"]
    assert client.modify_order({"id": placed, "type": 1, "limitPrice": 171, "stopPrice": 0, "qty": 130}) == {
        "s": "ok", "code": 1102, "message": "Successfully modified order", "id": placed,
    }  # fmt: skip
    cancelled = {"s": "ok", "code": 1103, "message": "Successfully cancelled order", "id": placed}
    assert client.cancel_order({"id": placed}) == cancelled
    assert client.cancel_order({"id": placed})["code"] == -161
    unknown = {"code": -51, "message": "invalid order id: 26112000009999", "s": "error"}
    assert client.cancel_order({"id": "26112000009999"}) == unknown
    other = client.place_order(order(limitPrice=170))["id"]
    assert ask("DELETE", f"/api/v3/orders/{other}/sync")[2]["code"] == 1103


def test_a_basket_answers_ok_even_if_a_child_fails(client: FyersModel, order: Fields) -> None:
    answer = client.place_basket_orders([order(), order(limitPrice=165.01), order(offlineOrder=True)])
    assert (answer["s"], answer["code"], len(answer["data"])) == ("ok", 200, 3)
    good, refused, rejected = answer["data"]
    assert (good["statusCode"], good["body"]["code"], good["statusDescription"]) == (200, 1101, "HTTP OK")
    assert (refused["statusCode"], refused["statusDescription"]) == (400, "400 Bad Request")
    assert (refused["body"]["s"], refused["body"]["id"]) == ("error", "")
    assert rejected["body"]["code"] == -99
    ids = [client.place_order(order(limitPrice=170))["id"] for _ in range(2)]
    modified = client.modify_basket_orders([{"id": each, "limitPrice": 171} for each in ids])
    assert [each["body"]["code"] for each in modified["data"]] == [1102, 1102]
    cancelled = client.cancel_basket_orders([{"id": each} for each in ids])
    assert [each["body"]["code"] for each in cancelled["data"]] == [1103, 1103]


def test_slices_answer_without_s_and_without_an_id(client: FyersModel, order: Fields) -> None:
    answer = client.place_order(order(qty=3575, isSliceOrder=True))
    assert (answer["code"], answer["message"]) == (1101, "Order Slice placed successfully")
    assert set(answer) == {"code", "message", "data"}
    assert [child["statusDescription"] for child in answer["data"]] == ["OK", "OK"]


def test_positions_have_every_documented_field(client: FyersModel, order: Fields) -> None:
    client.place_order(order())
    answer = client.positions()
    (row,) = answer["netPositions"]
    has_shape(row, POSITION_ROW)
    assert (row["netQty"], row["qty"], row["side"], row["id"]) == (-65, 65, -1, f"{CALL}-INTRADAY")
    assert (row["sellQty"], row["sellAvg"], row["sellVal"], row["netAvg"]) == (65, 165, 10725, 165)
    assert row["pl"] == row["unrealized_profit"] == round((165 - 165.15) * 65, 4)
    assert answer["overall"] == {
        "count_total": 1, "count_open": 1, "pl_total": -9.75, "pl_realized": 0, "pl_unrealized": -9.75,
    }  # fmt: skip


def test_a_closed_position_stays_as_a_row_without_quantity(client: FyersModel, order: Fields) -> None:
    client.place_order(order())
    assert client.exit_positions({"id": f"{CALL}-INTRADAY"}) == {
        "s": "ok", "code": 200, "message": "The position is closed.",
    }  # fmt: skip
    (row,) = client.positions()["netPositions"]
    assert (row["netQty"], row["qty"], row["side"], row["realized_profit"]) == (0, 0, 0, -19.5)
    assert client.exit_positions({"id": f"{CALL}-INTRADAY"})["code"] == -352


def test_an_exit_without_arguments_closes_everything(client: FyersModel, order: Fields) -> None:
    client.place_order(order())
    client.place_order(order(productType="MARGIN"))
    assert client.exit_positions()["code"] == 200
    assert client.positions()["overall"]["count_open"] == 0


def test_an_exit_that_does_not_fill_answers_201(client: FyersModel, exchange: Exchange, order: Fields) -> None:
    client.place_order(order())
    exchange.set_liquidity(0)
    assert client.exit_positions({"exit_all": 1})["code"] == 201


def test_legs_are_attached_to_a_position(client: FyersModel, order: Fields) -> None:
    client.place_order(order())
    answer = client.attach_position_legs({"positionId": f"{CALL}-INTRADAY", "stopLoss": 20, "takeProfit": 30})
    assert (answer["s"], answer["code"], answer["message"]) == ("ok", 1102, "Successfully modified order")
    assert len(answer["id_fyers"]) == 36
    assert [row["type"] for row in client.orderbook()["orderBook"]] == [1, 4, 1]


def test_trades_name_their_order_and_tag(client: FyersModel, order: Fields, ask: Ask) -> None:
    client.place_order(order(orderTag="tvabc"))
    client.place_order(order())
    first, second = client.tradebook()["tradeBook"]
    assert first == {
        "clientId": "F12345", "orderDateTime": "20-Nov-2026 10:00:00", "orderNumber": "26112000000001",
        "exchangeOrderNo": "1100000000000001", "exchange": 10, "side": -1, "segment": 11, "orderType": 1,
        "fyToken": first["fyToken"], "productType": "INTRADAY", "tradedQty": 65, "tradePrice": 165, "tradeValue": 10725,
        "tradeNumber": "26112000000001-1", "row": 1, "symbol": CALL, "orderTag": "1:tvabc",
    }  # fmt: skip
    status, _, found = ask("GET", "/api/v3/tradebook?order_tag=1%3Atvabc")
    assert (status, len(found["tradeBook"])) == (200, 1)
    assert second["orderTag"] == "2:Untagged"


def test_funds_have_ten_lines_and_the_tenth_is_what_is_available(client: FyersModel, order: Fields) -> None:
    before = client.funds()["fund_limit"]
    client.place_order(order())
    after = client.funds()["fund_limit"]
    assert [row["id"] for row in after] == list(range(1, 11))
    assert (before[9]["title"], before[9]["equityAmount"]) == ("Available Balance", 1_000_000)
    assert after[9]["equityAmount"] == round(after[0]["equityAmount"] - after[1]["equityAmount"], 2)
    assert set(after[0]) == {"id", "title", "equityAmount", "commodityAmount"}


def test_margin_of_an_order_is_told(ask: Ask, order: Fields) -> None:
    status, _, answer = ask("POST", "/api/v3/multiorder/margin", {"data": [order()]})
    assert (status, answer["s"]) == (200, "ok")
    assert answer["data"]["margin_total"] == answer["data"]["margin_new_order"] > 100_000
    assert answer["data"]["margin_avail"] == 1_000_000


def test_the_profile_masks_the_mobile_number(client: FyersModel) -> None:
    answer = client.get_profile()
    assert (answer["s"], answer["data"]["fy_id"], answer["data"]["totp"]) == ("ok", "F12345", True)
    assert answer["data"]["mobile_number"].startswith("***")


def test_quotes_come_for_each_symbol_and_errors_stay_their_own(client: FyersModel) -> None:
    answer = client.quotes({"symbols": f"{CALL},NSE:NIFTY50-INDEX,NSE:NOPE-EQ,NSE:M&M-EQ"})
    option, index, unknown, stock = answer["d"]
    assert (answer["s"], option["n"], option["s"]) == ("ok", CALL, "ok")
    assert (option["v"]["lp"], option["v"]["bid"], option["v"]["ask"]) == (165.15, 165, 165.3)
    assert set(option["v"]) == {
        "ch", "chp", "lp", "spread", "ask", "bid", "open_price", "high_price", "low_price", "prev_close_price", "atp",
        "volume", "short_name", "exchange", "description", "original_name", "symbol", "fyToken", "tt",
    }  # fmt: skip
    assert (unknown["n"], unknown["s"]) == ("NSE:NOPE-EQ", "error")
    assert 25_000 < index["v"]["lp"] < 27_000
    assert stock["s"] == "ok"


def test_more_than_fifty_quotes_are_refused(client: FyersModel) -> None:
    assert client.quotes({"symbols": ",".join([CALL] * 51)})["code"] == -50
    assert len(client.quotes({"symbols": ",".join([CALL] * 50)})["d"]) == 50


def test_depth_has_five_levels_under_bids_and_ask(client: FyersModel) -> None:
    depth = client.depth({"symbol": CALL, "ohlcv_flag": 1})["d"][CALL]
    assert [level["price"] for level in depth["bids"]] == [165, 164.95, 164.9, 164.85, 164.8]
    assert [level["price"] for level in depth["ask"]] == [165.3, 165.35, 165.4, 165.45, 165.5]
    assert (depth["ltp"], depth["tick_Size"], depth["lower_ckt"], depth["upper_ckt"]) == (165.15, 0.05, 99.1, 231.2)
    assert client.depth({"symbol": "NSE:NOPE", "ohlcv_flag": 1})["code"] == -300


def derivatives(answer: dict[str, Any]) -> set[tuple[int, str]]:
    return {(each["exchange"], each["status"]) for each in answer["marketStatus"] if each["segment"] == 11}


def test_the_market_is_open(client: FyersModel) -> None:
    assert derivatives(client.market_status()) == {(10, "OPEN"), (12, "OPEN")}


@pytest.mark.parametrize(
    ("day", "hour", "minute", "always", "status"),
    [
        (20, 10, 0, False, "OPEN"),
        (20, 9, 14, False, "CLOSED"),
        (20, 16, 0, False, "CLOSED"),
        (21, 10, 0, False, "CLOSED"),  # a Saturday
        (21, 3, 0, True, "OPEN"),
        (24, 10, 0, False, "CLOSED"),  # a holiday, for labs as well
        (24, 10, 0, True, "CLOSED"),
    ],
)
def test_the_market_status_is_what_becomes_of_an_order(
    clock: Clock, order: Fields, day: int, hour: int, minute: int, always: bool, status: str
) -> None:
    clock.now = clock.now.replace(day=day, hour=hour, minute=minute)
    holidays = frozenset({date(2026, 11, 24)})
    exchange = Exchange(seed=7, now=clock, volatile=False, holidays=holidays, rules=Rules(always_open=always))
    answer = MarketData(exchange).routes["marketStatus"](Request("GET", "/data/marketStatus"))
    assert derivatives(answer.content) == {(10, status), (12, status)}
    option = next(one for one in exchange.market.listing.exchange("NSE") if one.is_option)
    placed = exchange.place(order(symbol=option.symbol, qty=option.lot_size, limitPrice=0, type=2))
    assert (placed.status is not Status.REJECTED) is (status == "OPEN")


def test_the_option_chain_lists_expiries_and_the_strikes_around_the_spot(client: FyersModel) -> None:
    answer = client.optionchain({"symbol": "NSE:NIFTY50-INDEX", "strikecount": 3, "timestamp": ""})["data"]
    assert answer["expiryData"][0] == {"date": "24-11-2026", "expiry": "1795515000", "expiry_flag": "M"}
    assert answer["expiryData"][1]["expiry_flag"] == "W"
    assert len(answer["optionsChain"]) == 1 + 2 * 7
    assert answer["optionsChain"][0]["strike_price"] == -1


def test_the_masters_are_served_without_a_token(ask: Ask, simulator: Simulator) -> None:
    status, headers, text = ask("GET", "/sym_details/NSE_FO.csv", authorization="")
    assert (status, headers["Content-Type"]) == (200, "text/csv")
    assert len(list(csv.reader(io.StringIO(text)))) > 3000
    assert ask("GET", "/sym_details/BSE_FO.csv", authorization="")[0] == 200
    assert ask("GET", "/sym_details/NSE_FO_sym_master.json", authorization="")[2][CALL]["qtyFreeze"] == "3510"
    assert [url.rpartition("/")[2] for url in simulator.master_urls] == ["NSE_FO.csv", "BSE_FO.csv"]


def test_what_is_not_json_or_not_an_object_is_refused(ask: Ask) -> None:
    assert ask("POST", "/api/v3/orders/sync", "{not json")[::2] == (
        400, {"code": -50, "message": "Invalid JSON in request body", "s": "error"},
    )  # fmt: skip
    assert ask("POST", "/api/v3/orders/sync", "[]")[2]["code"] == -50
    assert ask("POST", "/api/v3/multi-order/sync", "{}")[2]["code"] == -50


def test_the_bare_orders_path_meets_the_proxy_and_unknown_paths_are_not_found(ask: Ask, order: Fields) -> None:
    status, headers, text = ask("POST", "/api/v3/orders", order())
    assert (status, headers["Content-Type"].split(";")[0]) == (403, "text/html")
    assert "Attention Required!" in text
    assert ask("GET", "/api/v3/nowhere")[0] == 404


def test_the_log_is_the_ground_truth(simulator: Simulator, client: FyersModel, order: Fields) -> None:
    client.place_order(order())
    client.place_order(order(offlineOrder=True))
    client.place_order(order(qty=1))
    live, rejected, refused = [entry for entry in simulator.log if entry.endpoint == "place"]
    assert (live.live, live.orders, live.status, live.answer["code"]) == (True, ("26112000000001",), 200, 1101)
    assert (rejected.live, rejected.orders) == (False, ("26112000000002",))
    assert (refused.live, refused.orders, refused.status) == (False, (), 400)
    assert (live.body["symbol"], live.method, live.path) == (CALL, "POST", "/api/v3/orders/sync")
    assert live.answered_at is not None
    assert live.at <= live.answered_at
    assert [entry.number for entry in simulator.log] == [1, 2, 3]
    simulator.clear_log()
    assert simulator.log == []


def test_a_call_over_a_kept_connection_takes_about_a_millisecond(client: FyersModel, order: Fields) -> None:
    client.positions()
    taken = []
    for _ in range(50):
        watch = Stopwatch()
        client.positions()
        taken.append(watch.seconds)
    assert sorted(taken)[25] < 0.01, "40 ms would be the delayed acknowledgement"


def test_nothing_is_written_to_the_working_directory(client: FyersModel, order: Fields) -> None:
    before = set(Path.cwd().iterdir())
    client.place_order(order())
    client.place_order(order(qty=1))
    assert set(Path.cwd().iterdir()) == before


def test_the_sdk_sees_a_quote_that_was_set_over_http(ask: Ask, client: FyersModel) -> None:
    assert ask("POST", "/simulator/quote", {"symbol": CALL, "ltp": 170.5, "bid": 170, "ask": 171})[0] == 200
    assert client.quotes({"symbols": CALL})["d"][0]["v"]["lp"] == 170.5
    assert ask("POST", "/simulator/quote", {"symbol": "NSE:NOPE", "ltp": 1})[0] == 400
    assert ask("POST", "/simulator/quote", {"symbol": CALL})[0] == 400
    assert ask("POST", "/simulator/quote", "nonsense")[0] == 400
    assert ask("GET", "/simulator/nothing")[0] == 404


def test_it_can_be_stopped_and_started_on_the_same_port(exchange: Exchange, order: Fields) -> None:
    simulator = Simulator(exchange, rate_limits=False).start()
    port = simulator.port
    exchange.place(order())
    simulator.stop()
    simulator.stop()
    with simulator:
        assert simulator.port == port
        with pytest.raises(RuntimeError, match="already running"):
            simulator.start()
    assert exchange.available() < Decimal(1_000_000)
