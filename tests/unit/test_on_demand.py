"""A sink whose client is loaded for the first notice: it is loaded once, in the notice's own time."""

import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from app.adapters.notify.on_demand import OnDemand
from app.adapters.notify.sink import NotTaken
from app.domain.notice import Notice, Severity
from tests.stopwatch import Stopwatch

NOTICE = Notice("n1", "denied", Severity.WARNING, "Denied.")


class Phone:
    name = "phone"

    def __init__(self) -> None:
        self.told: list[float] = []
        self.closed = False

    def push(self, notice: Notice, seconds: float) -> None:
        self.told.append(seconds)

    def close(self) -> None:
        self.closed = True


class Shop:
    def __init__(self, seconds: float = 0.0) -> None:
        self.seconds = seconds
        self.made: list[Phone] = []

    def make(self) -> Phone:
        time.sleep(self.seconds)
        self.made.append(Phone())
        return self.made[-1]


def test_without_a_notice_nothing_is_made_nor_closed() -> None:
    shop = Shop()
    OnDemand("phone", shop.make).close()
    assert shop.made == []


def test_it_is_made_once_however_many_tell_at_the_same_time() -> None:
    shop = Shop(0.05)
    sink = OnDemand("phone", shop.make)
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda _: sink.push(NOTICE, 2.0), range(8)))
    sink.close()
    assert [(len(phone.told), phone.closed) for phone in shop.made] == [(8, True)]


def test_what_its_making_takes_is_taken_from_the_notices_time() -> None:
    shop = Shop(0.2)
    OnDemand("phone", shop.make).push(NOTICE, 2.0)
    assert 1.0 < shop.made[0].told[0] <= 1.8


def test_a_making_that_hangs_holds_no_caller_up_for_longer_than_the_notice_may_take() -> None:
    shop = Shop(0.4)
    sink = OnDemand("phone", shop.make)
    for _ in range(2):
        watch = Stopwatch()
        with pytest.raises(NotTaken) as late:
            sink.push(NOTICE, 0.05)
        assert watch.seconds < 0.2
        assert not late.value.arrived
    sink.push(NOTICE, 2.0)
    assert [len(phone.told) for phone in shop.made] == [1]


def test_a_client_that_cannot_be_made_is_tried_again_with_the_next_notice() -> None:
    shop, broken = Shop(), [OSError("no credentials")]

    def make() -> Phone:
        if broken:
            raise broken.pop()
        return shop.make()

    sink = OnDemand("phone", make)
    with pytest.raises(OSError, match="no credentials"):
        sink.push(NOTICE, 1.0)
    sink.push(NOTICE, 1.0)
    assert len(shop.made[0].told) == 1
