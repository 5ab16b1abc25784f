"""Two tables are the whole mapping to HTTP, and a 503 is said only while nothing was sent."""

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from flask import Flask, Response

from app.domain import errors
from app.domain.errors import AlertError, Denied, Malformed, NotNow, Reason, TooManyRequests
from app.domain.order.status import OrderStatus
from app.flow.execution import Receipt
from app.web.answers import HTTP_OF_ERROR, HTTP_OF_STATUS, answer_error, answer_receipt, http_of, too_large
from tests.builders import SYMBOL, an_order, order_in

NAMES = [
    "status", "key", "tag", "broker_order_id", "symbol", "side", "quantity", "ltp", "limit_price", "stop_loss",
    "take_profit", "duplicate", "reason", "message", "request_id",
]  # fmt: skip


@pytest.fixture(autouse=True)
def _flask() -> Iterator[None]:
    with Flask("answers").app_context():
        yield


def body(response: Response) -> dict[str, Any]:
    return json.loads(response.get_data())  # type: ignore[no-any-return]


def subclasses(kind: type[AlertError]) -> list[type[AlertError]]:
    return [found for direct in kind.__subclasses__() for found in (direct, *subclasses(direct))]


PUBLIC = [kind for kind in subclasses(AlertError) if not kind.__name__.startswith("_")]


@pytest.mark.parametrize("kind", PUBLIC)
def test_every_way_to_fail_has_an_http_status(kind: type[AlertError]) -> None:
    error = kind.__new__(kind)  # whatever it is made from: the class alone decides
    assert http_of(error) in (400, 401, 403, 409, 413, 422, 429, 503)


@pytest.mark.parametrize("kind", [kind for kind in PUBLIC if kind.__module__ == errors.__name__])
def test_the_tree_of_errors_is_drawn_where_it_is_defined(kind: type[AlertError]) -> None:
    assert kind in HTTP_OF_ERROR
    assert f"── {kind.__name__} " in (errors.__doc__ or "")


def test_the_tables_are_the_ones_of_the_documentation() -> None:
    assert {kind.__name__: status for kind, status in HTTP_OF_ERROR.items()} == {
        "Malformed": 400,
        "Unauthorized": 401,
        "AddressNotAllowed": 403,
        "SameIdOtherOrder": 409,
        "TooLarge": 413,
        "Denied": 422,
        "TooManyRequests": 429,
        "NotNow": 503,
    }
    by_status: dict[int, set[str]] = {}
    for order_status, http in HTTP_OF_STATUS.items():
        by_status.setdefault(http, set()).add(order_status)
    assert by_status == {
        200: {"ACCEPTED", "PARTIALLY_FILLED", "FILLED", "CANCELLED", "EXPIRED"},
        202: {"SUBMITTED"},
        422: {"DENIED", "REJECTED", "LAPSED", "NOT_PLACED"},
        503: {"RECEIVED"},
    }
    assert set(HTTP_OF_STATUS) == set(OrderStatus)


def test_504_is_never_said_and_429_only_to_strangers() -> None:
    said = {*HTTP_OF_ERROR.values(), *HTTP_OF_STATUS.values()}
    assert 504 not in said
    assert 429 not in HTTP_OF_STATUS.values()
    assert [kind for kind, status in HTTP_OF_ERROR.items() if status == 429] == [TooManyRequests]


@pytest.mark.parametrize("status", OrderStatus)
@pytest.mark.parametrize("problem", [None, NotNow(Reason.NOT_RECORDED), NotNow(Reason.LEDGER_DOWN)])
@pytest.mark.parametrize("duplicate", [False, True])
def test_another_delivery_is_asked_for_exactly_while_nothing_was_sent(
    status: OrderStatus, problem: NotNow | None, duplicate: bool
) -> None:
    response = answer_receipt(Receipt(order_in(status), duplicate, problem), "r1")
    assert (response.status_code >= 500) is (status is OrderStatus.RECEIVED)
    assert ("Retry-After" in response.headers) is (status is OrderStatus.RECEIVED)


@pytest.mark.parametrize("reason", Reason)
def test_every_reason_has_a_meaning_which_is_the_message_where_none_is_given(reason: Reason) -> None:
    assert reason.meaning
    assert NotNow(reason).message == reason.meaning
    assert Denied(reason, "because").message == "because"
    assert reason.value == reason.name


def test_no_two_reasons_mean_the_same() -> None:
    assert len({reason.meaning for reason in Reason}) == len(Reason)


def test_an_order_is_answered_under_the_promised_names_with_prices_as_texts() -> None:
    order = replace(order_in(OrderStatus.ACCEPTED), broker_order_id="26112000000001")
    response = answer_receipt(Receipt(order), "r1")
    assert response.status_code == 200
    assert response.mimetype == "application/json"
    assert set(body(response)) == set(NAMES)
    assert body(response) == {
        "status": "ACCEPTED",
        "key": order.key,
        "tag": order.tag,
        "broker_order_id": "26112000000001",
        "symbol": SYMBOL,
        "side": "SELL",
        "quantity": 65,
        "ltp": "165.15",
        "limit_price": "161.75",
        "stop_loss": "189.95",
        "take_profit": "123.85",
        "duplicate": False,
        "reason": None,
        "message": None,
        "request_id": "r1",
    }


@pytest.mark.parametrize("error", [Malformed("qty", "x"), too_large(), *(kind() for kind in (errors.Unauthorized, errors.SameIdOtherOrder, TooManyRequests, errors.AddressNotAllowed)), NotNow(Reason.LEDGER_DOWN)])  # fmt: skip  # noqa: E501
def test_an_error_is_answered_under_the_same_names_without_an_order(error: AlertError) -> None:
    response = answer_error(error, "r1")
    assert response.status_code == http_of(error)
    said = body(response)
    assert set(said) == set(NAMES)
    assert (said["status"], said["reason"], said["message"]) == ("ERROR", error.reason, error.message)
    assert [said[name] for name in NAMES[1:11]] == [None] * 10


def test_a_problem_says_why_an_order_is_still_received() -> None:
    said = body(answer_receipt(Receipt(an_order(), problem=NotNow(Reason.NO_QUOTE, "no quote for X")), "r1"))
    assert (said["status"], said["reason"], said["message"]) == ("RECEIVED", "NO_QUOTE", "no quote for X")


def test_an_order_on_its_way_says_so() -> None:
    said = body(answer_receipt(Receipt(order_in(OrderStatus.SUBMITTED)), "r1"))
    assert said["reason"] == "OUTCOME_UNKNOWN"
    assert said["message"]


def test_an_order_that_was_found_not_placed_says_so() -> None:
    assert body(answer_receipt(Receipt(order_in(OrderStatus.NOT_PLACED)), "r1"))["reason"] == "FOUND_NOT_PLACED"


def test_a_body_over_the_limit_is_told_the_limit() -> None:
    assert "65536 bytes" in too_large().message
    assert http_of(too_large()) == 413
