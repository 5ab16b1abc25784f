"""Bodies are read strictly, and what is wrong with one is said in words that its writer can act on."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.alert.strict_json import MAX_DEPTH, Number, Poison, decode, poison_in, token_in
from app.domain.errors import Malformed


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


@pytest.mark.parametrize("depth", [MAX_DEPTH, 200, 1_000, 5_000, 30_000, 100_000])
@pytest.mark.parametrize(("opening", "closing"), [("[", "]"), ('{"a":', "}")])
@pytest.mark.parametrize("closed", [True, False])
def test_nesting_is_refused_however_deep_and_never_exhausts_the_stack(
    opening: str, closing: str, depth: int, closed: bool
) -> None:
    """How deep Python's reader goes differs by version; what it does read is refused as well."""
    body = '{"comment": ' + opening * depth + ("0" + closing * depth + "}" if closed else "")
    try:
        problem = poison_in(decode(body.encode())["comment"]) or ""
    except Malformed as malformed:
        problem = malformed.message
    assert "nested too deeply" in problem or (not closed and "not JSON" in problem)


def test_nesting_as_deep_as_allowed_is_read() -> None:
    inner = MAX_DEPTH - 1
    assert poison_in(decode(b'{"comment": ' + b"[" * inner + b"]" * inner + b"}")["comment"]) is None


def test_brackets_inside_a_text_are_no_nesting() -> None:
    assert decode(json.dumps({"comment": '[{"' * 1_000}).encode()) == {"comment": '[{"' * 1_000}


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


@pytest.mark.parametrize("again", ['"a"', '"b", "token": "c"', "NaN"])
def test_a_name_that_stands_twice_becomes_poison_whatever_its_values(again: str) -> None:
    document = decode(f'{{"token": "a", "qty": 1, "token": {again}, "sl": 2}}'.encode())
    assert document == {"token": Poison("stands twice in the message; send it once"), "qty": "1", "sl": "2"}


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
    assert token_in(b'{"symbol": "NIFTY", "token" : "s3cret", "qty": }') == "s3cret"
    assert token_in(b'\xff\xfe "token":\n"s3cret"') == "s3cret"


@pytest.mark.parametrize("token", ["s3cret", 'a \\ and a " in it', "ключ-चाबी-🔑", "tab\tand/slash", ""])
def test_the_token_of_a_body_that_is_not_decoded_is_found_however_it_is_written(token: str) -> None:
    for ascii_only in (True, False):
        body = json.dumps({"symbol": "NIFTY", "token": token, "qty": 65}, ensure_ascii=ascii_only).encode()
        assert token_in(body) == decode(body)["token"] == token


@pytest.mark.parametrize(
    ("body", "token"),
    [
        (b'{"qty": }', None),
        (b'{"token": 5, "qty": }', None),
        (b'{"token": "never ends', None),
        (b'{"token": "first", "token": "second", "qty": }', "first"),
        (b'{"comment": "\\"token\\": \\"quoted\\"", "token": "real", }', "real"),
        (b'{"token": "no \\q escape", }', "no \\q escape"),
        (b'{"token": "\xff", }', "\ufffd"),
    ],
)
def test_one_token_is_looked_at_in_a_body_that_is_not_decoded(body: bytes, token: str | None) -> None:
    assert token_in(body) == token


@pytest.mark.parametrize(
    "body",
    [
        b'{"meta": {"token": "x"}, "token": "real"}',
        b'{"meta": [{"token": "x"}, {"token": "y"}], "comment": "}}]{\\"", "token": "real"}',
        b'\xef\xbb\xbf{"\\u0074oken": "real"}',
        b'{"\\u0074\\u006F\\u006b\\u0065\\u006E" : "r\\u0065al"}',
        b'{"comment": "\\"token\\": \\"x\\"", "token": "real"}',
        b'{"a": {"token": 1}, "token": "real"}',
    ],
)
def test_the_token_that_is_looked_at_without_decoding_is_the_one_that_decoding_finds(body: bytes) -> None:
    assert token_in(body) == decode(body)["token"] == "real"


_NESTED = st.recursive(
    st.text('{}[]":\\ab', max_size=4) | st.integers(0, 9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["token", "a", '"token":']), inner),
    max_leaves=8,
)


@given(st.dictionaries(st.sampled_from(["a", "b", "{", "]", '"token":']), _NESTED), st.booleans())
def test_whatever_stands_before_the_token_hides_it_from_neither(before: dict[str, object], ascii_only: bool) -> None:
    body = json.dumps(before | {"token": "real"}, ensure_ascii=ascii_only).encode()
    assert token_in(body) == decode(body)["token"] == "real"


@given(st.binary(max_size=200))
def test_any_bytes_are_an_object_or_malformed(body: bytes) -> None:
    _decode_or_refuse(body)


@given(st.text(alphabet='{}[]":,\\ \n019.eE+-NaInfity"\ud800“\'', max_size=60))
def test_any_text_made_of_jsons_own_marks_is_an_object_or_malformed(text: str) -> None:
    _decode_or_refuse(text.encode("utf-8", "surrogatepass"))


def _decode_or_refuse(body: bytes) -> None:
    assert isinstance(token_in(body), str | None)
    try:
        decode(body)
    except Malformed as malformed:
        malformed.message.encode()  # raises for half a character, which could not be answered or logged
