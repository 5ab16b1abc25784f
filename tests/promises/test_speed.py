"""No figure's ratio to the floor gets 30 % worse: what `bench/ratchet.json` has recorded is measured anew."""

import time

import pytest

from bench import ratchet
from bench.load import NotMeasured

TRIES = 3  # of which the best counts; code that is slower is so in all of them
NO_MORE_AFTER = 60.0  # seconds

pytestmark = pytest.mark.measures


@pytest.fixture(scope="module")
def best() -> ratchet.Ratios:
    """The lowest that each was found at."""
    found: ratchet.Ratios = {}
    problems: list[Exception] = []
    began = time.monotonic()
    for _try in range(TRIES):
        try:
            found = {name: min(ratio, found.get(name, ratio)) for name, ratio in ratchet.measured().items()}
        except (NotMeasured, TimeoutError) as problem:
            problems.append(problem)
        if time.monotonic() - began > NO_MORE_AFTER or (found and not ratchet.too_much(found)):
            break
    assert found, f"nothing was measured: {problems}"
    return found


def test_no_tracked_figure_is_worse_against_the_floor_by_more_than_30_per_cent(
    best: ratchet.Ratios,
) -> None:
    assert not ratchet.too_much(best), f"measured {best}, recorded {ratchet.recorded()}"


def test_every_recorded_figure_is_still_measured(best: ratchet.Ratios) -> None:
    missing = {name for name in ratchet.recorded() if name not in best}
    assert not missing or all(name.endswith("live") for name in missing)  # those need the emulators
