"""The production flow through seeded histories of everything that can go wrong; a failure names the seed that repeats
it (`python -m proof.simulation SEED`)."""

import pytest

from proof.history import check
from proof.simulation import MEMORY, SQLITE, Play, one, quiet, run

HISTORIES, PART = 20_000, 2_500
OVER_SQLITE, PART_OVER_SQLITE = 1_000, 250


@pytest.mark.parametrize("first", range(0, HISTORIES, PART))
def test_whatever_happens_every_promise_holds(first: int) -> None:
    assert run(range(first, first + PART), MEMORY, processes=1).violations == ()


@pytest.mark.parametrize("first", range(0, OVER_SQLITE, PART_OVER_SQLITE))
def test_whatever_happens_every_promise_holds_on_the_ledger_on_disk(first: int) -> None:
    assert run(range(first, first + PART_OVER_SQLITE), SQLITE, processes=1).violations == ()


def test_a_seed_is_a_history_whatever_was_played_before_it() -> None:
    def told(seed: int) -> tuple[str, object]:
        play_ = Play(seed)
        return repr(play_.run()), play_.fyers.fates

    with quiet():
        before = {seed: told(seed) for seed in range(40)}
        assert {seed: told(seed) for seed in reversed(range(40))} == before


def test_the_histories_are_full_of_trouble_and_most_of_them_place_an_order() -> None:
    fates, orders, deaths, statuses = set(), 0, 0, set()
    with quiet():
        for seed in range(400):
            history = (told := Play(seed)).run()
            assert check(history) == []
            fates |= set(told.fyers.fates)
            orders += bool(history.broker_orders)
            deaths += sum(host.dead for host in told.hosts)
            statuses |= {delivery.status for delivery in history.deliveries}
    assert orders > 200
    assert deaths > 10
    assert len(fates) > 25
    assert statuses == {200, 202, 409, 422, 503, None}


def test_one_integer_replays_a_history() -> None:
    assert one(1, MEMORY) == one(1, SQLITE) == []
