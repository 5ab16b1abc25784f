"""What a reply means: the whole table, and that nothing outside it is ever called accepted, refused or not sent."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.adapters.fyers.classify import (
    APP_CODES,
    CANCEL_REFUSALS,
    EXIT_REFUSALS,
    MODIFY_REFUSALS,
    PLACE_REFUSALS,
    TOKEN_CODES,
    cancelling,
    classify,
    exiting,
    modifying,
)
from app.adapters.http.transport import CallFailed, Reply
from app.domain.order import Accepted, NotSent, Refusal, Rejected, Unresolved
from tests.contract.fyers_parts import rejection
from tests.examples import examples

ID = "26112000000001"
OK = {"s": "ok", "code": 1101, "message": f"Order submitted successfully. Your Order Ref. No.{ID}", "id": ID}
APP_WORDS = "Request rejected: Algo orders are NOT allowed from this app ABCDE-100"
SHORTFALL = "RED:Margin Shortfall:INR 2,78,806.74 Available:INR 1,774.51 for C-F12345 [FYERS_RISK_CUG]"
SHOWN = "RED:Margin Shortfall:INR *** Available:INR *** for C-F1***5 [FYERS_RISK_CUG]"


def answer(body: Any, status: int = 200, **headers: Any) -> Reply:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Reply(status, {name.replace("_", "-"): value for name, value in headers.items()}, content)


def error(code: Any, message: Any = "The input is invalid.", **more: Any) -> dict[str, Any]:
    return {"s": "error", "code": code, "message": message, **more}


# -- accepted


@pytest.mark.parametrize("status", [200, 201, 202])
def test_an_acknowledged_order_is_accepted_under_the_brokers_id(status: int) -> None:
    assert classify(answer(OK, status)) == Accepted(ID)


@pytest.mark.parametrize(
    "body",
    [
        {**OK, "code": 201},
        {**OK, "code": 200},
        {**OK, "code": 1102},
        {**OK, "code": "1101"},
        {**OK, "code": True},
        {**OK, "code": None},
        {**OK, "s": "OK"},
        {**OK, "s": None},
        {**OK, "s": ["ok"]},
        {**OK, "id": ""},
        {**OK, "id": "  "},
        {**OK, "id": None},
        {**OK, "id": 26112000000001},
        {**OK, "id": [ID]},
        {**OK, "id": "x" * 65},
        {**OK, "id": "26112\n00001"},
        {name: value for name, value in OK.items() if name != "id"},
        {name: value for name, value in OK.items() if name != "s"},
        {"code": 1101, "message": "Order Slice placed successfully", "data": [{"statusCode": 200, "body": OK}]},
        [OK],
        "ok",
        1101,
        None,
        {},
    ],
)
def test_an_acknowledgement_that_is_not_quite_one_leaves_the_order_in_doubt(body: object) -> None:
    assert isinstance(classify(answer(body)), Unresolved)


@pytest.mark.parametrize(
    "status", [100, 103, 300, 301, 302, 307, 308, 400, 401, 403, 404, 408, 500, 502, 503, 504, 599]
)
def test_an_acknowledgement_under_another_status_leaves_the_order_in_doubt(status: int) -> None:
    assert isinstance(classify(answer(OK, status)), Unresolved)


def test_no_acknowledgement_is_not_a_refusal() -> None:
    assert classify(answer({**OK, "code": 201})) == Unresolved(f"HTTP 200, code 201: {OK['message']}")


# -- bodies that are not the broker's


@pytest.mark.parametrize("status", [200, 201, 301, 400, 401, 403, 404, 500, 502, 503, 504])
@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"   ",
        b"<html><title>Just a moment...</title></html>",
        b"null",
        json.dumps(OK).encode()[:-9],
        json.dumps(OK).encode() + b"}",
        json.dumps(OK).encode() * 2,
        json.dumps(OK).encode("utf-16"),
        b'{"s":"ok","code":1101,"id":"\xff"}',
        b'{"s":"ok","code":1101,"id":"1","id":"2"}',
        b'{"s":"error","code":-50,"message":"a","s":"ok"}',
        b'{"s":"ok","code":1101,"id":"1","x":NaN}',
        b'{"s":"ok","code":1101,"id":"1","x":-Infinity}',
        b'{"s":"ok","code":1101,"id":"1","x":1e999}',
        b'{"s":"ok","code":1101,"id":"1","x":1e99999999999999999999}',
        b'{"s":"ok","code":1101,"id":"1","x":' + b"9" * 5000 + b"}",
        b'{"s":"ok","code":1101,"id":"1","x":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    ],
    ids=lambda content: content[:24].decode("latin-1") if isinstance(content, bytes) else None,
)
def test_a_body_that_cannot_be_trusted_leaves_the_order_in_doubt(status: int, content: bytes) -> None:
    assert isinstance(classify(answer(content, status)), Unresolved)


# -- refused


@pytest.mark.parametrize("status", [200, 400, 401, 403, 422])
@pytest.mark.parametrize("code", sorted(PLACE_REFUSALS))
def test_a_pinned_code_is_a_refusal_of_the_order(code: int, status: int) -> None:
    assert classify(answer(error(code), status)) == Rejected(code, "The input is invalid.", None, Refusal.ORDER)


@pytest.mark.parametrize("status", [200, 400])
def test_a_rejection_by_risk_management_keeps_the_brokers_id_and_words_without_what_the_account_holds(
    status: int,
) -> None:
    assert classify(answer(error(-99, SHORTFALL, id=ID), status)) == Rejected(-99, SHOWN, ID)


@pytest.mark.parametrize(
    ("body", "refused"),
    [
        (error(-99, "Bad request", id=ID), True),
        (error(-99, SHORTFALL), True),
        (error(-99, SHORTFALL, id=""), True),
        (error(-99, "Bad request"), False),
        (error(-99, " BAD REQUEST "), False),
        (error(-99, "Bad request", id=""), False),
        (error(-99, "Bad request", id=7), False),
        (error(-99, "invalid input please check your input"), False),
        (error(-99, ""), False),
        (error(-99, None), False),
        ({"s": "error", "code": -99}, False),
    ],
)
def test_code_99_is_a_refusal_only_with_an_id_or_words_of_the_brokers_own(body: dict[str, Any], refused: bool) -> None:
    assert isinstance(classify(answer(body)), Rejected if refused else Unresolved)


@pytest.mark.parametrize(
    "code", [-201, -202, -204, -205, -96, -329, -157, -51, -53, -1, 0, 1, 99, 1101, 201, 500, -353]
)
@pytest.mark.parametrize("status", [200, 400])
def test_a_code_that_does_not_say_that_nothing_was_placed_leaves_the_order_in_doubt(code: int, status: int) -> None:
    assert isinstance(classify(answer(error(code), status)), Unresolved)


@pytest.mark.parametrize("code", ["-50", True, None, -50.0, [-50], {"code": -50}])
def test_a_code_that_is_no_integer_leaves_the_order_in_doubt(code: object) -> None:
    assert isinstance(classify(answer(error(code))), Unresolved)


@pytest.mark.parametrize("status", [201, 301, 302, 500, 502, 503, 504])
@pytest.mark.parametrize("code", [-50, -99, -16, -300])
def test_a_refusal_under_another_status_leaves_the_order_in_doubt(code: int, status: int) -> None:
    assert isinstance(classify(answer(error(code, id=ID), status)), Unresolved)


@pytest.mark.parametrize("status", [200, 400, 401, 403])
@pytest.mark.parametrize("code", sorted(TOKEN_CODES))
def test_a_token_code_is_a_refusal_about_the_login(code: int, status: int) -> None:
    outcome = classify(answer(error(code, "Could not authenticate the user"), status))
    assert outcome == Rejected(code, "Could not authenticate the user", None, Refusal.LOGIN)


def test_an_unknown_code_under_401_leaves_the_order_in_doubt() -> None:
    assert isinstance(classify(answer(error(-4), 401)), Unresolved)


@pytest.mark.parametrize("code", [-50, -99, -16, -4])
def test_not_allowed_from_this_app_is_a_refusal_about_the_app_whatever_the_code(code: int) -> None:
    outcome = classify(answer(error(code, APP_WORDS), 400))
    assert outcome == Rejected(code, APP_WORDS, None, Refusal.APP)


@pytest.mark.parametrize("code", sorted(APP_CODES))
def test_a_missing_permission_is_a_refusal_about_the_app(code: int) -> None:
    assert rejection(classify(answer(error(code), 403))).about is Refusal.APP


# -- turned away


@pytest.mark.parametrize(
    ("reply", "retry_after"),
    [
        (answer(error(-429, "Request limit reached"), 429), None),
        (answer(error(-429), 429, retry_after="7"), 7.0),
        (answer(error(-429), 429, retry_after="1", x_retry_after_ms="250"), 0.25),
        (answer(error(-353, "API Limit exceeded"), 429), None),
        (answer(b"<html>slow down</html>", 429, retry_after="7"), 7.0),
        (answer(b"", 429, retry_after="Wed, 21 Oct 2026 07:28:00 GMT"), None),
        (answer({"message": "API rate limit exceeded"}, 429, retry_after="1"), 1.0),
    ],
)
def test_a_request_over_the_limit_was_not_sent_and_is_not_tried_again_at_once(
    reply: Reply, retry_after: float | None
) -> None:
    outcome = classify(reply)
    assert isinstance(outcome, NotSent)
    assert (outcome.retry_after, outcome.again) == (retry_after, False)


@pytest.mark.parametrize(
    "reply",
    [
        answer(b"<html>Too Many Requests</html>", 429),
        answer(b"", 429),
        answer({"message": "API rate limit exceeded"}, 429),
        answer(error(-50), 429),
        answer(OK, 429, retry_after="1"),
        answer(error(-429, id=ID), 429, retry_after="1"),
        answer(error(-429), 200),
        answer(error(-429), 400),
        answer(error(-429), 503, retry_after="1"),
        answer(b"", 503, retry_after="1"),
    ],
)
def test_what_only_looks_like_the_limit_leaves_the_order_in_doubt(reply: Reply) -> None:
    assert isinstance(classify(reply), Unresolved)


# -- no reply


def test_proof_that_nothing_was_written_is_not_sent_and_may_be_tried_again() -> None:
    assert classify(CallFailed("the connection was refused", wrote=False)) == NotSent("the connection was refused")


def test_a_lost_reply_is_never_called_a_refusal() -> None:
    assert classify(CallFailed("timed out", wrote=True)) == Unresolved("timed out")


# -- other calls


def test_a_cancellation_has_a_code_and_refusals_of_its_own() -> None:
    call = cancelling(ID)
    assert classify(
        answer({"s": "ok", "code": 1103, "message": "Successfully cancelled order"}), call=call
    ) == Accepted(ID)
    for code in CANCEL_REFUSALS:
        assert rejection(classify(answer(error(code), 400), call=call)).code == code
    for body in (OK, {**OK, "code": 201}, error(-201), error(-163)):
        assert isinstance(classify(answer(body), call=call), Unresolved)


def test_a_modification_has_a_code_and_refusals_of_its_own() -> None:
    call = modifying(ID)
    assert classify(answer({"s": "ok", "code": 1102, "message": "Successfully modified order"}), call=call) == Accepted(
        ID
    )
    for code in MODIFY_REFUSALS:
        assert rejection(classify(answer(error(code), 400), call=call)).code == code
    for body in (OK, {**OK, "code": 201}, error(-201), error(-96)):
        assert isinstance(classify(answer(body), call=call), Unresolved)


def test_an_exit_that_is_placed_but_not_filled_is_in_doubt() -> None:
    call = exiting("NSE:X-MARGIN")
    done = {"s": "ok", "code": 200, "message": "The position is closed."}
    assert classify(answer(done), call=call) == Accepted("NSE:X-MARGIN")
    assert isinstance(classify(answer({**done, "code": 201}), call=call), Unresolved)
    assert isinstance(classify(answer(error(-329)), call=call), Unresolved)
    for code in EXIT_REFUSALS:
        assert rejection(classify(answer(error(code), 400), call=call)).code == code


# -- the broker's words


def test_the_brokers_words_come_clean_bounded_and_without_secrets() -> None:
    token = "eyJ0.secret-part.x"
    said = f"line one\r\n\tline\x00two \u202egnorw\ud800 app ABCDE-200 token {token.upper()} " + "y" * 5000
    outcome = rejection(classify(answer(error(-50, said)), (token, "ABCDE-200")))
    assert outcome.message.startswith("line one line two gnorw app *** token *** yyy")
    assert len(outcome.message) == 300
    assert outcome.message.encode().isascii() is False  # the ellipsis says that it goes on
    doubtful = classify(answer(error(-1, said)), (token, "ABCDE-200"))
    assert isinstance(doubtful, Unresolved)
    assert "secret" not in doubtful.why
    assert len(doubtful.why) < 400


@pytest.mark.parametrize("message", [None, 5, ["x"], {"a": 1}, True])
def test_a_message_that_is_no_text_is_left_out(message: object) -> None:
    assert classify(answer(error(-50, message))) == Rejected(-50, "", None)


# -- total

_scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=40)
_codes = st.sampled_from([1101, 201, -50, -99, -16, -429, -201, "1101", None, True, 1101.0])
_bodies = st.fixed_dictionaries(
    {},
    optional={
        "s": st.sampled_from(["ok", "error", "OK", None, 1]) | _scalars,
        "code": _codes | _scalars,
        "message": st.sampled_from(["Bad request", APP_WORDS, SHORTFALL]) | _scalars,
        "id": st.sampled_from([ID, "", 1, None]) | _scalars,
        "more": st.recursive(_scalars, lambda inner: st.lists(inner, max_size=2), max_leaves=4),
    },
).map(lambda body: json.dumps(body).encode())
_garbled = st.tuples(_bodies, st.integers(0, 80), st.binary(max_size=4)).map(
    lambda parts: parts[0][: parts[1]] + parts[2] + parts[0][parts[1] + len(parts[2]) :]
)
_headers = st.dictionaries(st.sampled_from(["retry-after", "x-retry-after-ms"]), st.text(max_size=8), max_size=2)


@settings(max_examples=examples(500), deadline=None, database=None, derandomize=True)
@given(
    st.integers(100, 599) | st.sampled_from([200, 400, 401, 429, 502]),
    _headers,
    st.binary(max_size=200) | _bodies | _garbled,
)
def test_every_reply_has_one_outcome_and_acceptance_one_shape(
    status: int, headers: dict[str, str], content: bytes
) -> None:
    outcome = classify(Reply(status, headers, content), ("secret-token",))
    if isinstance(outcome, Accepted):
        body = json.loads(content)
        assert 200 <= status < 300
        assert (body["s"], body["code"], body["id"]) == ("ok", 1101, outcome.broker_order_id)
        assert type(body["code"]) is int
        assert isinstance(outcome.broker_order_id, str)
        assert outcome.broker_order_id.strip()
    elif isinstance(outcome, Rejected):
        assert status == 200 or 400 <= status < 500
        assert json.loads(content)["s"] == "error"
    elif isinstance(outcome, NotSent):
        assert status == 429
        assert outcome.again is False
    else:
        assert isinstance(outcome, Unresolved)
