"""Callers that ask for the same work at the same time share one run of it, and none waits longer than it may."""

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from app.flow.single_flight import SingleFlight, apart
from tests.stopwatch import Stopwatch

SOON = 5.0


class Held:
    """Work that ends when it is let go, and counts how often it was begun."""

    def __init__(self) -> None:
        self.begun = 0
        self.go_on = threading.Event()

    def __call__(self) -> int:
        self.begun += 1
        assert self.go_on.wait(SOON)
        return self.begun


@pytest.fixture
def held() -> Iterator[Held]:
    work = Held()
    yield work
    work.go_on.set()


def counting() -> Callable[[], int]:
    count = iter(range(1, 100))
    return lambda: next(count)


def test_all_who_ask_while_a_run_is_under_way_get_its_result(held: Held) -> None:
    flight: SingleFlight[int] = SingleFlight(time.monotonic, apart("test"))
    runs = [flight.run(held) for _ in range(8)]
    held.go_on.set()
    assert [run.result(SOON) for run in runs] == [1] * 8
    assert held.begun == 1


def test_of_callers_at_the_same_moment_one_runs_the_work() -> None:
    flight: SingleFlight[int] = SingleFlight(time.monotonic)
    together, work = threading.Barrier(8), counting()

    def once_begun(run: "Future[int]", age: float) -> bool:
        return False

    def ask() -> int:
        together.wait(SOON)
        return flight.run(work, once_begun).result(SOON)

    with ThreadPoolExecutor(8) as threads:
        assert {answer.result(SOON) for answer in [threads.submit(ask) for _ in range(8)]} == {1}


def test_a_caller_after_the_end_of_a_run_begins_another() -> None:
    flight: SingleFlight[int] = SingleFlight(time.monotonic)
    work = counting()
    assert [flight.run(work).result(0) for _ in range(3)] == [1, 2, 3]


def test_a_run_that_hangs_holds_no_caller_beyond_its_own_time(held: Held) -> None:
    flight: SingleFlight[int] = SingleFlight(time.monotonic, apart("test"))
    for _ in range(2):
        with Stopwatch(0.5), pytest.raises(TimeoutError):
            flight.run(held).result(0.05)
    assert held.begun == 1


def test_a_failure_is_raised_in_each_caller_and_the_next_one_runs_anew() -> None:
    flight: SingleFlight[int] = SingleFlight(time.monotonic)

    def fails() -> int:
        raise KeyError("broken")

    run = flight.run(fails)
    for _ in range(2):
        with pytest.raises(KeyError, match="broken"):
            run.result(0)
    assert flight.run(lambda: 7).result(0) == 7


def test_how_long_a_result_stands_is_for_the_caller_to_say_by_its_age() -> None:
    now = [100.0]
    flight: SingleFlight[int] = SingleFlight(lambda: now[0])
    work, answers = counting(), []
    for _ in range(5):
        answers.append(flight.run(work, lambda run, age: run.done() and age >= 2.0).result(0))
        now[0] += 1.0
    assert answers == [1, 1, 2, 2, 3]


def test_a_run_that_should_have_ended_long_ago_can_be_given_up(held: Held) -> None:
    now = [0.0]
    flight: SingleFlight[int] = SingleFlight(lambda: now[0], apart("test"))
    hangs = flight.run(held, lambda run, age: age >= 3.0)
    now[0] = 3.0
    assert flight.run(lambda: 7, lambda run, age: age >= 3.0).result(SOON) == 7
    assert not hangs.done()
    assert flight.last is not hangs
