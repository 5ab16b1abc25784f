"""Bodies are read strictly, and what is wrong with one is said in words that its writer can act on."""

import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.alert import MAX_BODY_BYTES
from app.alert.strict_json import MAX_DEPTH, Number, Poison, decode, poison_in, tokens_in_broken
from app.errors import Malformed


def refusal(body: bytes) -> Malformed:
    with pytest.raises(Malformed) as caught:
        decode(body)
    return caught.value


@pytest.mark.parametrize(
    ("body", "field", "advice"),
    [
        ('{"qty": }', "qty", "a value is missing"),
        ('{"qty": 65,}', "qty", "a comma is left over"),
        ('{"sl": ["15%",]}', "sl", "a comma is left over"),
        ("{'symbol': 'NIFTY'}", "body", "double quotes"),
        ("{\"symbol\": 'NIFTY'}", "symbol", "double quotes"),
        ('{"symbol": “NIFTY”}', "symbol", "curly quotes"),
        ('{“symbol”: "NIFTY"}', "body", "curly quotes"),
        ('{"comment": "one\ntwo"}', "comment", "keep it on one line"),
        ('{"comment": "Take Profit "TP1""}', "comment", "quotes included"),
        ('{"qty": 065}', "qty", "must not begin with a zero"),
        ('{"qty": 00}', "qty", "must not begin with a zero"),
        ('{"symbol": "NIFTY"} sent by TradingView', "body", "remove what follows"),
        ('{"symbol": "NIFTY"}{"symbol": "NIFTY"}', "body", "remove what follows"),
        ('{"symbol": NIFTY}', "symbol", "quotes"),
        ('{"symbol": "NIFTY"', "symbol", "commas"),
        ('{"price": +1}', "price", "quotes"),
        ("", "body", "not JSON"),
        ("   ", "body", "not JSON"),
        ("BUY NIFTY now", "body", "not JSON"),
        ('[{"symbol": "NIFTY"}]', "body", "one JSON object"),
        ('"NIFTY"', "body", "one JSON object"),
        ("12", "body", "one JSON object"),
        ("true", "body", "one JSON object"),
        ("null", "body", "one JSON object"),
    ],
)
def test_a_broken_body_is_refused_with_its_field_and_what_to_change(body: str, field: str, advice: str) -> None:
    malformed = refusal(body.encode())
    assert malformed.field == field
    assert malformed.message.startswith(f"{field}: ")
    assert advice in malformed.message


def test_the_place_of_a_mistake_is_given_as_line_and_column() -> None:
    assert "line 3, column 11" in refusal(b'{\n"symbol": "NIFTY",\n"qty": 65 66\n}').message


@pytest.mark.parametrize(
    "body",
    [
        b'{"comment": "\xff"}',
        '{"symbol": "NIFTY"}'.encode("utf-16"),
        '{"symbol": "NIFTY"}'.encode("utf-32"),
        b'{"comment": "\xed\xa0\x80"}',  # a lone surrogate written as if it were UTF-8
        b'{"comment": "\xc0\xaf"}',
    ],
)
def test_a_body_that_is_not_utf8_is_refused_as_that(body: bytes) -> None:
    malformed = refusal(body)
    assert malformed.field == "body"
    assert "UTF-8" in malformed.message


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
def test_utf16_without_its_mark_is_refused_too(encoding: str) -> None:
    assert refusal('{"symbol": "NIFTY"}'.encode(encoding)).field == "body"


def test_the_byte_order_mark_that_editors_put_in_front_of_utf8_is_no_fault() -> None:
    assert decode(b'\xef\xbb\xbf{"symbol": "NIFTY"}') == decode(b'{"symbol": "NIFTY"}')


def test_a_byte_order_mark_anywhere_else_is_a_fault() -> None:
    assert refusal(b'\xef\xbb\xbf\xef\xbb\xbf{"symbol": "NIFTY"}').field == "body"
    assert refusal(b'{"qty": \xef\xbb\xbf65}').field == "qty"


@pytest.mark.parametrize("depth", [MAX_DEPTH + 1, 1_000, 30_000, 100_000])
@pytest.mark.parametrize("bracket", ["[", '{"a":'])
def test_nesting_is_refused_before_it_can_exhaust_the_stack(bracket: str, depth: int) -> None:
    malformed = refusal(b'{"comment": ' + bracket.encode() * depth)
    assert malformed.field in ("comment", "a")
    assert "nested too deeply" in malformed.message


def test_nesting_as_deep_as_allowed_is_read() -> None:
    inner = MAX_DEPTH - 1
    assert decode(b'{"comment": ' + b"[" * inner + b"]" * inner + b"}")


def test_brackets_inside_a_text_are_no_nesting() -> None:
    assert decode(json.dumps({"comment": '[{"' * 1_000}).encode()) == {"comment": '[{"' * 1_000}


@pytest.mark.parametrize(
    "unit", [b'\\"', b'"', b"[", b"]", b"{", b"\\", b'"a":', b'"token":"', b'"a" ', b"' ", b"\xe2\x80\x9c"]
)
@pytest.mark.parametrize("opening", [b'"', b'{"a": "', b'{"a":'])
def test_no_body_of_the_allowed_size_takes_long_to_refuse(opening: bytes, unit: bytes) -> None:
    body = (opening + unit * MAX_BODY_BYTES)[:MAX_BODY_BYTES]
    started = time.process_time()
    refusal(body)
    tokens_in_broken(body)
    assert time.process_time() - started < 0.5


def test_numbers_keep_the_digits_they_were_written_with() -> None:
    document = decode(b'{"a": 48400.0, "b": 1e999, "c": ' + b"9" * 10_000 + b"}")
    assert document == {"a": "48400.0", "b": "1e999", "c": "9" * 10_000}
    assert all(isinstance(value, Number) for value in document.values())


@pytest.mark.parametrize("word", ["NaN", "Infinity", "-Infinity"])
def test_what_only_python_takes_for_a_number_becomes_poison_in_its_place(word: str) -> None:
    document = decode(f'{{"symbol": "NIFTY", "qty": {word}}}'.encode())
    assert document["symbol"] == "NIFTY"
    assert isinstance(document["qty"], Poison)
    assert word in document["qty"].problem


def test_a_name_that_stands_twice_becomes_poison_that_remembers_every_value() -> None:
    document = decode(b'{"token": "a", "qty": 1, "token": "b", "token": "c"}')
    assert document["qty"] == "1"
    assert document["token"] == Poison("stands twice in the message; send it once", ("a", "b", "c"))


def test_a_name_written_in_escapes_is_the_same_name() -> None:
    assert isinstance(decode(b'{"qty": 1, "\\u0071ty": 2}')["qty"], Poison)


@pytest.mark.parametrize(
    "body",
    [
        b'{"a": {"b": 1, "b": 2}}',
        b'{"a": [1, {"b": [NaN]}]}',
        b'{"a": "\\ud800"}',
        b'{"a": ["\\udfff x"]}',
        b'{"a": {"\\ud800": 1}}',
    ],
)
def test_poison_is_found_however_deep_it_lies(body: bytes) -> None:
    assert poison_in(decode(body)["a"])


def test_two_halves_of_one_character_are_no_poison() -> None:
    assert decode(b'{"comment": "\\ud83d\\ude80"}') == {"comment": "🚀"}
    assert poison_in(decode(b'{"comment": "\\ud83d\\ude80"}')["comment"]) is None


def test_the_token_of_a_broken_body_is_still_found_so_that_its_owner_can_be_told() -> None:
    assert tokens_in_broken(b'{"symbol": "NIFTY", "token" : "s3cret", "qty": }') == ["s3cret"]
    assert tokens_in_broken(b'{"qty": }') == []
    assert tokens_in_broken(b'\xff\xfe "token":"s3cret"') == ["s3cret"]


@given(st.binary(max_size=200))
def test_any_bytes_are_an_object_or_malformed(body: bytes) -> None:
    _decode_or_refuse(body)


@given(st.text(alphabet='{}[]":,\\ \n019.eE+-NaInfity"\ud800“\'', max_size=60))
def test_any_text_made_of_jsons_own_marks_is_an_object_or_malformed(text: str) -> None:
    _decode_or_refuse(text.encode("utf-8", "surrogatepass"))


def _decode_or_refuse(body: bytes) -> None:
    tokens_in_broken(body)
    try:
        decode(body)
    except Malformed as malformed:
        malformed.message.encode()  # raises for half a character, which could not be answered or logged
