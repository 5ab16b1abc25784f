"""The broker's request limits, on a clock of their own."""

import http.client
import json

import pytest

from app.simulator import Exchange, RateLimits, Simulator
from app.simulator.limits import RateLimiter
from tests.simulator.fixed_account import APP_ID, CALL, Fields


class Seconds:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def seconds() -> Seconds:
    return Seconds()


def calls(limiter: RateLimiter, seconds: Seconds, count: int, every: float = 0.0, is_order: bool = False) -> int:
    """How many of `count` calls are served."""
    served = 0
    for _ in range(count):
        served += limiter.wait(is_order=is_order) == 0
        seconds.now += every
    return served


def test_ten_a_second_are_served_and_the_eleventh_waits(seconds: Seconds) -> None:
    limiter = RateLimiter(RateLimits(), seconds)
    assert calls(limiter, seconds, 11) == 10
    seconds.now += 0.4
    assert limiter.wait(is_order=False) == pytest.approx(0.6)
    seconds.now += 0.6
    assert limiter.wait(is_order=False) == 0


def test_two_hundred_a_minute_are_served(seconds: Seconds) -> None:
    assert calls(RateLimiter(RateLimits(), seconds), seconds, 300, every=0.15) == 200


def test_orders_have_a_limit_of_their_own(seconds: Seconds) -> None:
    limiter = RateLimiter(RateLimits(per_second=100, orders_per_second=3), seconds)
    assert calls(limiter, seconds, 5, is_order=True) == 3
    assert calls(limiter, seconds, 5) == 5


def test_the_fourth_minute_over_the_limit_blocks_the_day(seconds: Seconds) -> None:
    limiter = RateLimiter(RateLimits(per_second=1000), seconds)
    for _ in range(3):
        assert calls(limiter, seconds, 220) == 200
        seconds.now += 61
    assert limiter.wait(is_order=False) == 0
    assert calls(limiter, seconds, 220) == 199
    seconds.now += 3600
    assert limiter.wait(is_order=False) > 3600
    seconds.now += 86400
    assert limiter.wait(is_order=False) == 0


def test_many_refusals_in_one_minute_are_one_breach(seconds: Seconds) -> None:
    limiter = RateLimiter(RateLimits(per_second=1000), seconds)
    calls(limiter, seconds, 1000)
    seconds.now += 61
    assert limiter.wait(is_order=False) == 0


def test_the_daily_limit_holds(seconds: Seconds) -> None:
    limiter = RateLimiter(RateLimits(per_second=100, per_minute=100, per_day=150), seconds)
    assert calls(limiter, seconds, 200, every=1) == 150


def test_a_refused_call_gets_429_with_both_headers_and_the_envelope(exchange: Exchange, order: Fields) -> None:
    with Simulator(exchange, rate_limits=RateLimits(per_second=2)) as simulator:
        connection = http.client.HTTPConnection("127.0.0.1", simulator.port, timeout=5)
        headers = {"Authorization": f"{APP_ID}:{simulator.issue_token(APP_ID)}"}
        answers = []
        for _ in range(3):
            connection.request("POST", "/api/v3/orders/sync", json.dumps(order()), headers)
            response = connection.getresponse()
            answers.append((response.status, response.headers, json.loads(response.read())))
        connection.close()
        _, answered, body = answers[-1]
        assert [each[0] for each in answers] == [200, 200, 429]
        assert body == {"s": "error", "code": -429, "message": "Request limit reached"}
        assert answered["Retry-After"] == "1"
        assert 0 < int(answered["X-Retry-After-Ms"]) <= 1000
        assert len(exchange.orders()) == 2


def test_masters_do_not_count_and_limits_can_be_off(exchange: Exchange) -> None:
    with Simulator(exchange, rate_limits=RateLimits(per_second=1)) as simulator:
        connection = http.client.HTTPConnection("127.0.0.1", simulator.port, timeout=5)
        for _ in range(3):
            connection.request("GET", "/sym_details/BSE_FO.csv")
            response = connection.getresponse()
            response.read()
            assert response.status == 200
        connection.close()
    with Simulator(exchange, rate_limits=False) as simulator:
        connection = http.client.HTTPConnection("127.0.0.1", simulator.port, timeout=5)
        headers = {"Authorization": f"{APP_ID}:{simulator.issue_token(APP_ID)}"}
        for _ in range(30):
            connection.request("GET", f"/data/quotes?symbols={CALL}", headers=headers)
            assert connection.getresponse().read().startswith(b'{"s": "ok"')
        connection.close()
