"""JSON in which a key stands twice, or a number is none, is never read as if it were sound."""

import re
from decimal import Decimal

import pytest

from app.domain.json_decoder import strict_decoder

MARKING = strict_decoder(
    fraction=Decimal, no_number=lambda name: f"no number: {name}", twice=lambda name: f"twice: {name}"
)


def refusing(text: str) -> object:
    raise ValueError(text)


REFUSING = strict_decoder(fraction=refusing, whole=refusing, no_number=refusing, twice=refusing)


def test_fractions_and_whole_numbers_are_made_as_the_caller_says() -> None:
    assert MARKING.decode('{"price": 150.05, "units": 65}') == {"price": Decimal("150.05"), "units": 65}


@pytest.mark.parametrize("name", ["NaN", "Infinity", "-Infinity"])
def test_a_number_that_is_none_becomes_what_the_caller_says(name: str) -> None:
    assert MARKING.decode(f"[{name}]") == [f"no number: {name}"]


def test_a_key_that_stands_twice_becomes_what_the_caller_says_at_any_depth_and_however_often_it_stands() -> None:
    text = '{"a": 1, "b": {"c": 1, "c": 2, "d": 3}, "a": 2, "a": 3}'
    assert MARKING.decode(text) == {"a": "twice: a", "b": {"c": "twice: c", "d": 3}}


@pytest.mark.parametrize(
    ("text", "why"), [("[1]", "1"), ("[1.5]", "1.5"), ("[NaN]", "NaN"), ('{"a": "", "a": ""}', "a")]
)
def test_a_caller_may_refuse_each_of_them(text: str, why: str) -> None:
    with pytest.raises(ValueError, match=re.escape(why)):
        REFUSING.decode(text)
