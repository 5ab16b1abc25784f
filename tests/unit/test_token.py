"""How long a token can be alive, and what counts as one."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from app.login.token import Token, parse
from tests.tokens import APP_ID, ist, jwt, signed, token


def test_a_token_ends_at_the_expiry_that_its_jwt_states() -> None:
    assert token(ist(8)).ends_at == ist(6, day=21)


def test_a_token_got_before_half_past_six_ends_then_whatever_its_jwt_states() -> None:
    early = Token(jwt(ist(6, 10), expires=ist(6, day=21))).dated()

    assert early.ends_at == ist(6, 30)
    assert early.ends_on_its_day
    assert not token(ist(6, 30)).ends_on_its_day


def test_a_token_got_in_the_night_ends_that_morning() -> None:
    assert token(ist(1)).ends_at == ist(6)
    assert token(ist(1)).ends_on_its_day


def test_a_token_that_is_no_jwt_ends_at_six_after_it_was_issued() -> None:
    assert Token("opaque", issued_at=ist(8)).dated().ends_at == ist(6, day=21)
    assert Token("opaque", issued_at=ist(6, 10)).dated().ends_at == ist(6, 30)


def test_a_token_of_which_nothing_is_known_counts_as_alive_until_fyers_refuses_it() -> None:
    opaque = Token("opaque").dated()

    assert opaque.ends_at is None
    assert opaque.can_be_alive(ist(12))


def test_the_earlier_of_two_stated_ends_counts() -> None:
    stated = Token(jwt(ist(8)), expires_at=ist(18)).dated()

    assert stated.ends_at == ist(18)
    assert Token(jwt(ist(8)), expires_at=ist(6, day=25)).dated().ends_at == ist(6, day=21)


def test_fyers_clock_goes_before_the_gateways() -> None:
    assert Token(jwt(ist(8)), issued_at=datetime(2099, 1, 1, tzinfo=UTC)).dated().issued_at == ist(8)


def test_a_token_is_dead_from_the_moment_of_its_end() -> None:
    assert token(ist(8)).can_be_alive(ist(5, 59, day=21, second=59))
    assert not token(ist(8)).can_be_alive(ist(6, day=21))


def test_an_object_with_only_an_access_token_is_enough() -> None:
    read = parse(json.dumps({"access_token": jwt(ist(8))}).encode())

    assert (read.issued_at, read.expires_at, read.app_id) == (ist(8), ist(6, day=21), None)


def test_what_is_stored_is_read_back_the_same() -> None:
    whole = token(ist(8), refresh_token="again", last_validated_at=ist(8, 1) + timedelta(microseconds=5))

    assert parse(json.dumps(whole.document()).encode()) == whole
    assert set(whole.document()) == {
        "access_token", "refresh_token", "issued_at", "expires_at", "app_id", "last_validated_at",
    }  # fmt: skip
    assert whole.document()["issued_at"] == "2026-11-20T02:30:00+00:00"


def test_what_may_be_missing_may_also_be_empty() -> None:
    read = parse(json.dumps({"access_token": "opaque", "refresh_token": "", "issued_at": None, "app_id": ""}).encode())

    assert read == Token("opaque")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (b"", "not JSON"),
        (b"{", "not JSON"),
        (b"[]", "not JSON"),
        (b"null", "not JSON"),
        (b"\xff\xfe\x00", "not JSON"),
        (b"[" * 50_000, "not JSON"),
        (b"{}", "no access_token"),
        (b'{"access_token": ""}', "no access_token"),
        (b'{"access_token": 7}', "access_token in the token object is not one word"),
        (b'{"access_token": "CANARY\\r\\nX: y"}', "access_token in the token object is not one word"),
        (b'{"access_token": "CANARY CANARY"}', "access_token in the token object is not one word"),
        (b'{"access_token": "CANARY", "refresh_token": {}}', "refresh_token in the token object is not one word"),
        (b'{"access_token": "CANARY", "refresh_token": ["x"]}', "refresh_token in the token object is not one word"),
        (b'{"access_token": "CANARY", "expires_at": 1795123456}', "expires_at in the token object is no time"),
        (b'{"access_token": "CANARY", "expires_at": "soon"}', "expires_at in the token object is no time"),
        (b'{"access_token": "CANARY", "expires_at": "2026-11-20T03:00:00"}', "expires_at in the token object has no"),
        (b'{"access_token": "CANARY", "issued_at": "0001-01-01T00:00:00+14:00"}', "issued_at in .* is in the year 1;"),
        (b'{"access_token": "CANARY", "expires_at": "9999-12-31T23:59:59-14:00"}', "expires_at in .* the year 9999;"),
        (b'{"access_token": "CANARY", "issued_at": "9999-12-31T00:00:00+00:00"}', "issued_at in .* the year 9999;"),
    ],
)
def test_what_is_no_token_object_is_refused_in_words_that_say_what_to_change(text: bytes, says: str) -> None:
    with pytest.raises(ValueError, match=says) as refusal:
        parse(text)
    assert "CANARY" not in str(refusal.value)
    assert refusal.value.__suppress_context__ or refusal.value.__context__ is None


@pytest.mark.parametrize(
    "claims", [{"exp": "soon"}, {"exp": True}, {"exp": 1e300}, {"exp": -(10**40)}, {"iat": 253402214400}, {}, []]
)
def test_a_jwt_that_makes_no_sense_states_nothing(claims: dict[str, Any] | list[Any]) -> None:
    assert Token(signed(claims)).dated() == Token(signed(claims))


def test_a_token_does_not_show_itself() -> None:
    shown = f"{token(ist(8), refresh_token='again')!r} {token(ist(8), refresh_token='again')}"

    assert "again" not in shown
    assert "eyJ" not in shown
    assert APP_ID not in shown


def test_a_seal_is_stored_with_its_token_and_read_back() -> None:
    sealed = replace(token(ist(8)), seal="a1" * 32)

    assert parse(json.dumps(sealed.document()).encode()) == sealed


@pytest.mark.parametrize(
    ("claims", "account"),
    [({"fy_id": "XA12345"}, "XA12345"), ({"fy_id": ""}, None), ({"fy_id": 5}, None), ({}, None), ([], None)],
)
def test_whose_it_is_by_its_own_word_is_what_its_jwt_claims(
    claims: dict[str, Any] | list[Any], account: str | None
) -> None:
    assert Token(signed(claims)).claimed_account == account
    assert Token("opaque").claimed_account is None
