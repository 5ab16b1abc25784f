"""A call is tried again with pauses in between, and never beyond its deadline."""

from collections.abc import Iterator
from itertools import islice, repeat

from app.domain.deadline import Deadline, full_jitter, tries


class Time:
    """A clock that only sleep moves."""

    def __init__(self) -> None:
        self.now = 0.0
        self.slept: list[float] = []

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


def test_there_is_a_first_try_even_without_time_for_it() -> None:
    time = Time()
    assert list(tries(Deadline(time.monotonic, 0.0), (0.1, 0.1), time.sleep)) == [1]
    assert time.slept == []


def test_there_is_one_try_more_than_there_are_pauses() -> None:
    time = Time()
    assert list(tries(Deadline(time.monotonic, 9.0), (0.5, 1.5), time.sleep)) == [1, 2, 3]
    assert time.slept == [0.5, 1.5]


def test_no_pause_goes_beyond_the_deadline() -> None:
    time = Time()
    assert list(tries(Deadline(time.monotonic, 1.0), repeat(0.3), time.sleep)) == [1, 2, 3, 4]
    assert time.now < 1.0


def test_a_pause_that_would_end_with_the_deadline_is_not_made() -> None:
    time = Time()
    assert list(tries(Deadline(time.monotonic, 0.5), (0.5,), time.sleep)) == [1]
    assert time.slept == []


def test_the_time_that_a_try_takes_counts() -> None:
    time = Time()
    numbers = []
    for number in tries(Deadline(time.monotonic, 1.0), repeat(0.1), time.sleep):
        numbers.append(number)
        time.now += 0.4
    assert numbers == [1, 2]


def test_a_pause_may_depend_on_the_try_before_it() -> None:
    time, asked_to_wait = Time(), [0.0]

    def pauses() -> Iterator[float]:
        while True:
            yield asked_to_wait[0]

    for number in tries(Deadline(time.monotonic, 5.0), pauses(), time.sleep):
        asked_to_wait[0] = float(number)
    assert time.slept == [1.0, 2.0]


def test_a_success_after_a_failure_ends_the_pauses() -> None:
    time = Time()
    for number in tries(Deadline(time.monotonic, 9.0), repeat(0.1), time.sleep):
        if number == 2:
            break
    assert time.slept == [0.1]


def test_pauses_with_jitter_lie_below_a_bound_that_doubles_up_to_the_longest() -> None:
    bounds = list(islice(full_jitter(0.01, 0.1, uniform=lambda _, most: most), 6))
    assert bounds == [0.01, 0.02, 0.04, 0.08, 0.1, 0.1]
    drawn = list(islice(full_jitter(0.01, 0.1), 2_000))
    assert all(0.0 <= pause <= 0.1 for pause in drawn)
    assert len(set(drawn)) > 1_000


def test_without_a_longest_pause_the_bound_goes_on_doubling() -> None:
    assert list(islice(full_jitter(0.1, uniform=lambda _, most: most), 3)) == [0.1, 0.2, 0.4]
