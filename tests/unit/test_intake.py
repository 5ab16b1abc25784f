"""The sender's address is the one Google's front end saw, and strangers may be wrong only so often."""

import pytest
from flask import Request
from werkzeug.test import EnvironBuilder

from app.web.intake import ADDRESSES_REMEMBERED, STRIKES_PER_MINUTE, Strikes, peer_of

TRADINGVIEW, STRANGER, PROXY = "52.89.214.238", "203.0.113.9", "169.254.1.1"


def request(*forwarded: str) -> Request:
    headers = [("X-Forwarded-For", value) for value in forwarded]
    return Request(EnvironBuilder(headers=headers, environ_base={"REMOTE_ADDR": PROXY}).get_environ())


@pytest.mark.parametrize(
    ("forwarded", "peer"),
    [
        ((), PROXY),
        (("",), PROXY),
        ((STRANGER,), STRANGER),
        ((f"{TRADINGVIEW}, {STRANGER}",), STRANGER),
        ((f"{TRADINGVIEW},{STRANGER}",), STRANGER),
        ((TRADINGVIEW, STRANGER), STRANGER),
        ((f"{STRANGER}, {TRADINGVIEW}",), TRADINGVIEW),
        ((f"{TRADINGVIEW}, ", STRANGER), STRANGER),
    ],
)
def test_nobody_becomes_tradingview_by_writing_its_address_into_a_header(forwarded: tuple[str, ...], peer: str) -> None:
    assert peer_of(request(*forwarded)) == peer


class Clock:
    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def wrong(strikes: Strikes, peer: str = STRANGER) -> bool:
    """One more wrong secret; whether it was one too many."""
    over = strikes.over(peer)
    assert strikes.add(peer) is over
    return over


def test_an_address_may_be_wrong_so_often_in_a_minute_and_not_once_more(clock: Clock) -> None:
    strikes = Strikes(clock)
    assert [wrong(strikes) for _ in range(STRIKES_PER_MINUTE + 2)] == [False] * STRIKES_PER_MINUTE + [True] * 2


def test_one_that_was_not_wrong_after_all_is_not_counted(clock: Clock) -> None:
    strikes = Strikes(clock, per_minute=2)
    strikes.take_back(STRANGER)  # there is none
    for _ in range(30):
        assert not wrong(strikes)
        strikes.take_back(STRANGER)
    assert [wrong(strikes) for _ in range(3)] == [False, False, True]


def test_the_minute_slides(clock: Clock) -> None:
    strikes = Strikes(clock, per_minute=2)
    wrong(strikes)
    clock.now += 59
    assert not wrong(strikes)
    clock.now += 0.999
    assert wrong(strikes)
    clock.now += 59  # the two last ones are within it still
    assert wrong(strikes)
    clock.now += 60
    assert not wrong(strikes)


def test_one_address_is_not_slowed_down_for_another(clock: Clock) -> None:
    strikes = Strikes(clock, per_minute=1)
    wrong(strikes)
    assert wrong(strikes)
    assert not wrong(strikes, TRADINGVIEW)


def test_a_flood_from_one_address_uses_up_nothing_of_what_all_others_share(clock: Clock) -> None:
    strikes = Strikes(clock, per_minute=2)
    assert [wrong(strikes) for _ in range(100)] == [False] * 2 + [True] * 98
    assert not wrong(strikes, TRADINGVIEW)


def test_many_addresses_together_are_slowed_down_too(clock: Clock) -> None:
    strikes = Strikes(clock, per_minute=2)
    over = [wrong(strikes, f"10.0.0.{number}") for number in range(25)]
    assert over == [False] * 20 + [True] * 5


def test_no_number_of_addresses_fills_the_memory(clock: Clock) -> None:
    strikes = Strikes(clock)
    for number in range(ADDRESSES_REMEMBERED * 2):
        strikes.add(f"2001:db8::{number:x}")
        clock.now += 1
    assert len(strikes._by_peer) == ADDRESSES_REMEMBERED
