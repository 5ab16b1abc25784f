"""Alerts that come together share one reading of the positions, and never one that began before it was asked for."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from app.adapters.fyers.shared import Shared
from app.domain.deadline import Deadline
from app.domain.errors import NotNow, Reason


def deadline(seconds: float = 5.0) -> Deadline:
    return Deadline(time.monotonic, seconds)


def test_who_asks_while_a_reading_is_on_its_way_shares_it_and_who_comes_later_does_not() -> None:
    shared: Shared[int] = Shared()
    begun, go_on = threading.Semaphore(0), threading.Event()
    readings: list[int] = []

    def read() -> int:
        readings.append(len(readings))
        begun.release()
        assert go_on.wait(5)
        return readings[-1]

    with ThreadPoolExecutor(8) as threads:
        first = threads.submit(shared.read, read, deadline())
        assert begun.acquire(timeout=5)
        others = [threads.submit(shared.read, read, deadline()) for _ in range(7)]
        time.sleep(0.05)
        go_on.set()
        assert {first.result(5), *(other.result(5) for other in others)} == {0}
    assert shared.read(read, deadline()) == 1


def test_a_shared_reading_that_fails_is_made_anew_by_who_joined_it() -> None:
    shared: Shared[int] = Shared()
    begun, go_on = threading.Event(), threading.Event()

    def fails() -> int:
        begun.set()
        assert go_on.wait(5)
        raise NotNow(Reason.BROKER_DOWN)

    with ThreadPoolExecutor(2) as threads:
        leader = threads.submit(shared.read, fails, deadline())
        assert begun.wait(5)
        joined = threads.submit(shared.read, lambda: 7, deadline())
        time.sleep(0.05)
        go_on.set()
        assert joined.result(5) == 7
        with pytest.raises(NotNow):
            leader.result(5)


def test_a_shared_reading_that_hangs_leaves_half_of_the_time_for_ones_own() -> None:
    shared: Shared[int] = Shared()
    begun, go_on = threading.Event(), threading.Event()

    def hangs() -> int:
        begun.set()
        go_on.wait(5)
        return 1

    with ThreadPoolExecutor(2) as threads:
        leader = threads.submit(shared.read, hangs, deadline())
        assert begun.wait(5)
        assert threads.submit(shared.read, lambda: 2, deadline(0.2)).result(5) == 2
        go_on.set()
        assert leader.result(5) == 1
