"""The pace's promises: never more calls than Fyers allows, turns in the order of asking, no wait in vain."""

import random
import threading
import time
from bisect import bisect_left
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from app.adapters.fyers.pace import PER_MINUTE, PER_SECOND, NoTurn, Pace, PacedTransport
from app.adapters.http import connections
from app.adapters.http.transport import CallFailed, Reply, Transport
from app.domain.deadline import Deadline
from app.simulator import Simulator
from app.simulator.limits import RateLimits
from tests.stopwatch import Stopwatch
from tests.waiting import finish

FYERS_PER_SECOND, FYERS_PER_MINUTE = 10, 200  # the documents of September 2026


class Clock:
    """Time that passes only while a caller sleeps."""

    def __init__(self) -> None:
        self.now = 0.0
        self.slept: list[float] = []

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


def pace_of(clock: Clock, **rates: int) -> Pace:
    return Pace(monotonic=clock, sleep=clock.sleep, **rates)


def turns(pace: Pace, clock: Clock, count: int, patience: float = 1e9) -> list[float]:
    """When each of so many calls, asked for one after the other, begins."""
    begun = []
    for _ in range(count):
        assert pace.wait(patience)
        begun.append(clock.now)
    return begun


def most_within(moments: list[float], seconds: float) -> int:
    """The most of these moments in any stretch of so many seconds, its end left out."""
    moments = sorted(moments)
    return max(bisect_left(moments, start + seconds - 1e-9) - index for index, start in enumerate(moments))


def test_calls_within_the_rate_never_wait() -> None:
    clock = Clock()
    pace = pace_of(clock)
    assert turns(pace, clock, PER_SECOND) == [0.0] * PER_SECOND
    assert clock.slept == []


def test_no_second_and_no_minute_has_more_calls_than_the_margin_leaves() -> None:
    clock = Clock()
    begun = turns(pace_of(clock), clock, 1000)
    assert most_within(begun, 1.0) == PER_SECOND < FYERS_PER_SECOND
    assert most_within(begun, 60.0) == PER_MINUTE < FYERS_PER_MINUTE


@pytest.mark.parametrize("seed", range(50))
def test_calls_that_reach_fyers_up_to_a_tenth_of_a_second_late_are_within_its_limits_too(seed: int) -> None:
    """A thread wakes late, a packet takes its time: what counts is when Fyers sees the call."""
    dice, clock = random.Random(seed), Clock()  # noqa: S311 - repeatable on purpose
    pace = pace_of(clock)
    seen = []
    for _ in range(400):
        clock.now += dice.choice((0.0, 0.0, 0.0, dice.uniform(0, 0.3), dice.uniform(0, 3.0)))
        assert pace.wait(1e9)
        seen.append(clock.now + dice.uniform(0, 0.1))
    assert most_within(seen, 1.0) <= FYERS_PER_SECOND
    assert most_within(seen, 60.0) <= FYERS_PER_MINUTE


def test_who_cannot_have_a_turn_in_time_is_told_at_once_and_takes_none() -> None:
    clock = Clock()
    pace = pace_of(clock)
    turns(pace, clock, PER_SECOND)
    for _ in range(1000):
        assert not pace.wait(0.5)
    assert clock.slept == []
    assert pace.wait(1.5)  # the thousand in vain have not moved it back
    assert clock.now < 1.5


def test_a_used_up_minute_is_waited_for_or_refused_as_the_caller_has_time() -> None:
    clock = Clock()
    pace = pace_of(clock, per_second=1000)
    turns(pace, clock, PER_MINUTE)
    assert not pace.wait(30.0)
    assert pace.wait(90.0)
    assert 60.0 <= clock.now <= 62.0


def test_a_pause_gives_back_what_was_used() -> None:
    clock = Clock()
    pace = pace_of(clock)
    turns(pace, clock, PER_SECOND)
    clock.now += 2.0
    assert turns(pace, clock, PER_SECOND) == [2.0] * PER_SECOND


def test_turns_come_in_the_order_of_asking() -> None:
    pace = Pace(per_second=4)
    began: list[int] = []
    asked = threading.Semaphore(0)

    def call(number: int) -> None:
        asked.release()
        assert pace.wait(10.0)
        began.append(number)

    threads = []
    for number in range(12):
        threads.append(threading.Thread(target=call, args=(number,)))
        threads[-1].start()
        assert asked.acquire(timeout=10)
        time.sleep(0.02)  # the next one asks after this one
    finish(*threads)
    batches = [sorted(began[start : start + 4]) for start in (0, 4, 8)]  # one batch shares its moment
    assert batches == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 10, 11]]


def test_forty_threads_at_once_are_never_turned_away_by_fyers() -> None:
    """The simulated account counts as Fyers documents it, in sliding windows; a call too many would be a 429."""
    with Simulator(rate_limits=RateLimits(), accept_any_token=True) as account:
        transport = PacedTransport(Pace())

        def call(_: int) -> int | str | None:
            try:
                return get(transport, account, total=2.6).status
            except CallFailed as failed:
                return "written" if failed.wrote else None

        with ThreadPoolExecutor(40) as threads:
            answers = list(threads.map(call, range(40)))
        transport.close()
        seen = [entry.at.timestamp() for entry in account.log]
    assert set(answers) == {200, None}
    assert 18 <= answers.count(200) < 40  # the rest had no time to wait for their turn, and nothing of them left
    assert len(seen) == answers.count(200)
    assert most_within(seen, 1.0) <= FYERS_PER_SECOND


def test_a_call_whose_turn_comes_too_late_is_not_made_and_says_so_at_once() -> None:
    with Simulator(rate_limits=False, accept_any_token=True) as account:
        transport = PacedTransport(Pace(per_second=1))
        assert get(transport, account, total=1.0).status == 200
        watch = Stopwatch()
        with pytest.raises(CallFailed) as caught:
            get(transport, account, total=0.5)
        transport.close()
        assert watch.seconds < 0.2
        assert not caught.value.wrote
        assert len(account.log) == 1


def test_a_read_is_not_begun_before_its_turn_and_uses_none_up() -> None:
    with Simulator(rate_limits=False, accept_any_token=True) as account:
        transport = PacedTransport(Pace(per_second=2))
        headers, where = {"Authorization": "APP-200:token"}, f"{account.api_url}/positions"
        assert transport.begin(where, headers=headers, total=1.0) is None  # no connection is open
        for _ in range(2):
            get(transport, account, total=1.0)
        assert transport.begin(where, headers=headers, total=1.0) is None
        time.sleep(1.15)
        begun = transport.begin(where, headers=headers, total=1.0)
        assert begun is not None
        assert begun.reply().status == 200
        transport.close()
        assert len(account.log) == 3


def test_a_read_that_has_no_turn_makes_its_connection_look_no_fresher(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "FRESH_SECONDS", 0.3)
    with Simulator(rate_limits=False, accept_any_token=True) as account:
        transport = PacedTransport(Pace(for_orders=8))
        headers, where = {"Authorization": "APP-200:token"}, f"{account.api_url}/positions"
        assert get(transport, account, total=1.0).new_connection
        for _ in range(4):
            time.sleep(0.1)
            assert transport.begin(where, headers=headers, total=1.0) is None
        order = transport.call("DELETE", where, headers=headers, body=b"{}", connect=0.25, total=1.0)
        transport.close()
    assert order.new_connection


def test_waiting_for_a_turn_counts_against_the_calls_own_time() -> None:
    with Simulator(rate_limits=False, accept_any_token=True, latency=1.0) as account:
        transport = PacedTransport(Pace(per_second=1))
        get(transport, account, total=3.0)
        watch = Stopwatch()
        get_in_vain = pytest.raises(CallFailed)
        with get_in_vain as caught:
            get(transport, account, total=0.6)
        transport.close()
        assert watch.seconds < 0.8
        assert caught.value.wrote  # its turn came, and the answer did not in the time that was left


def test_an_order_whose_turn_comes_after_its_send_window_is_not_sent() -> None:
    with Simulator(rate_limits=False, accept_any_token=True) as account:
        transport = PacedTransport(Pace(per_second=1))
        get(transport, account, total=1.0)
        window = Deadline(time.monotonic, 0.3)
        with pytest.raises(CallFailed) as caught:
            get(transport, account, total=2.0, window=window)
        transport.close()
        assert not caught.value.wrote
        assert len(account.log) == 1


def test_an_order_has_a_turn_while_reads_wait_for_theirs() -> None:
    clock = Clock()
    pace = pace_of(clock, for_orders=3)
    assert turns(pace, clock, PER_SECOND - 3) == [0.0] * (PER_SECOND - 3)
    assert not pace.wait(0.7)
    assert [pace.wait(0.0, order=True) for _ in range(4)] == [True, True, True, False]


def test_orders_that_went_out_take_no_turn_from_the_reads_of_the_next_alert() -> None:
    clock = Clock()
    pace = pace_of(clock, for_orders=3)
    assert [pace.wait(0.0, order=True) for _ in range(3)] == [True] * 3
    assert turns(pace, clock, PER_SECOND - 3) == [0.0] * (PER_SECOND - 3)
    assert not pace.wait(0.7)


@pytest.mark.parametrize("seed", range(50))
def test_reads_and_orders_together_stay_within_the_limits(seed: int) -> None:
    dice, clock = random.Random(seed), Clock()  # noqa: S311 - repeatable on purpose
    pace = Pace(for_orders=3, monotonic=clock, sleep=lambda _: None)
    seen = []
    for _ in range(600):
        clock.now += dice.choice((0.0, 0.0, dice.uniform(0, 0.1), dice.uniform(0, 1.5)))
        if pace.wait(dice.choice((0.0, 0.7, 3.0)), order=dice.random() < 0.4):
            seen = sorted(pace._turns)
            assert most_within(seen, 1.0) <= PER_SECOND
    assert most_within(sorted(pace._reads), 1.0) <= PER_SECOND - 3


def test_a_cancel_goes_out_with_the_turns_of_orders() -> None:
    """The legs that a cover leaves behind would open a position of their own: they may not wait behind reads."""
    with Simulator(rate_limits=False, accept_any_token=True) as account:
        transport = PacedTransport(Pace(per_second=2, for_orders=1))
        get(transport, account, total=1.0)
        with pytest.raises(NoTurn):
            get(transport, account, total=0.5)
        headers = {"Authorization": "APP-200:token", "Content-Type": "application/json"}
        body, where = b'{"id": "1"}', f"{account.api_url}/orders/sync"
        reply = transport.call("DELETE", where, headers=headers, body=body, connect=0.25, total=0.5)
        transport.close()
    assert reply.status < 500
    assert [entry.method for entry in account.log] == ["GET", "DELETE"]


def test_an_order_that_would_have_no_time_left_for_its_reply_is_not_sent() -> None:
    with Simulator(rate_limits=False, accept_any_token=True) as account:
        transport = PacedTransport(Pace(per_second=1))
        get(transport, account, total=1.0)
        with pytest.raises(NoTurn):
            get(transport, account, total=1.2, window=Deadline(time.monotonic, 1.2))
        transport.close()
        assert len(account.log) == 1


def get(transport: Transport, account: Simulator, **options: Any) -> Reply:
    headers = {"Authorization": "APP-200:token"}
    return transport.call("GET", f"{account.api_url}/positions", headers=headers, connect=0.25, **options)
