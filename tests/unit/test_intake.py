"""The sender's address is the one Google's front end saw, and strangers may be wrong only so often."""

import pytest
from flask import Request
from werkzeug.test import EnvironBuilder

from app.web.intake import ADDRESSES_REMEMBERED, STRIKES_PER_MINUTE, UNKNOWN, Proxied, Strikes, peer_of

TRADINGVIEW, STRANGER, PROXY = "52.89.214.238", "203.0.113.9", "169.254.1.1"


def request(*forwarded: str, hops: int = 1, socket: str = PROXY) -> Request:
    headers = [("X-Forwarded-For", value) for value in forwarded]
    environ = EnvironBuilder(headers=headers, environ_base={"REMOTE_ADDR": socket}).get_environ()
    Proxied(lambda environ, start_response: [], hops)(environ, lambda *_: lambda _: None)
    return Request(environ)


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
def test_a_stranger_does_not_become_tradingview_by_writing_its_address_into_a_header(
    forwarded: tuple[str, ...], peer: str
) -> None:
    assert peer_of(request(*forwarded)) == peer


@pytest.mark.parametrize(
    ("hops", "forwarded", "peer"),
    [
        (2, f"{STRANGER}, {TRADINGVIEW}, 10.0.0.1", TRADINGVIEW),
        (2, f"{TRADINGVIEW}, {STRANGER}, 10.0.0.1", STRANGER),
        (2, TRADINGVIEW, PROXY),  # it came past one of the two
        (3, f"{TRADINGVIEW}, 10.0.0.1", PROXY),
        (2, f'{TRADINGVIEW}, "{STRANGER}, 10.0.0.1', UNKNOWN),  # an open quote hides no comma
        (2, f"{TRADINGVIEW}, , 10.0.0.1", PROXY),
        (1, f"{TRADINGVIEW}, ::ffff:{STRANGER}", STRANGER),
        (1, "2001:DB8::0:1", "2001:db8::1"),
        (1, "not-an-address", UNKNOWN),
        (1, f"{STRANGER}:1234", STRANGER),
        (1, "[2001:DB8::0:1]:80", "2001:db8::1"),
        (1, "[2001:DB8::0:1]", "2001:db8::1"),
        (1, f"[::ffff:{STRANGER}]:1234", STRANGER),
        (1, "::1:80", "::1:80"),  # an address by itself
        (1, f"{STRANGER}:port", UNKNOWN),
        (1, f"[{STRANGER}]:1234", STRANGER),
        (1, ":1234", UNKNOWN),
        (1, "[]:80", UNKNOWN),
    ],
)
def test_of_several_proxies_the_outermost_says_who_it_was(hops: int, forwarded: str, peer: str) -> None:
    assert peer_of(request(forwarded, hops=hops)) == peer


@pytest.mark.parametrize(("socket", "peer"), [(STRANGER, STRANGER), (f"::ffff:{STRANGER}", STRANGER), ("::1", "::1")])
def test_without_a_proxy_the_connection_s_own_address_counts_and_the_header_for_nothing(socket: str, peer: str) -> None:
    headers = [("X-Forwarded-For", TRADINGVIEW)]
    bare = Request(EnvironBuilder(headers=headers, environ_base={"REMOTE_ADDR": socket}).get_environ())
    assert peer_of(bare) == peer


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


def test_one_that_is_taken_back_takes_none_of_another_address_back(clock: Clock) -> None:
    strikes = Strikes(clock, per_minute=2)
    for _ in range(3):
        wrong(strikes)  # the third is one too many, and counts for this address alone
    others = [wrong(strikes, f"10.0.0.{number}") for number in range(18)]
    assert others == [False] * 18
    assert strikes.over(TRADINGVIEW)
    strikes.take_back(STRANGER)
    assert strikes.over(TRADINGVIEW)


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
