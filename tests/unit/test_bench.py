"""What the benchmark says of its figures."""

import json
from pathlib import Path

import pytest

from bench import ratchet
from bench.figures import Figure, Section, percentile, table


@pytest.fixture(autouse=True)
def recorded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "ratchet.json"
    path.write_text(json.dumps({"a": 2.0, "b": 3.0}))
    monkeypatch.setattr(ratchet, "RECORDED", path)


def test_a_ratio_more_than_30_per_cent_over_what_is_recorded_is_too_much() -> None:
    assert ratchet.too_much({"a": 2.61, "b": 3.89}) == {"a": 2.61}


def test_a_figure_misses_what_it_is_held_to_by_itself() -> None:
    missed = [Figure("name", "ms", ours, floor=1.0, most=3.0, most_ratio=4.0).missed for ours in (1.0, 3.0, 3.1)]
    assert missed == [False, False, True]


def test_a_figure_misses_what_it_is_held_to_beside_the_floor() -> None:
    assert Figure("name", "ms", 2.1, floor=1.0, most=3.0, most_ratio=2.0).missed
    assert not Figure("name", "ms", 2.1, floor=2.0, most=3.0, most_ratio=2.0).missed


def test_the_table_has_both_their_ratio_and_what_was_missed() -> None:
    text = table([Section("Title", "How.", [Figure("name", "ms", 5.0, floor=2.0, most=3.0)])], {"cpus": 2})
    assert "| name, ms | 5 | 2 | 2.50 | 3 ms | **missed** |" in text


def test_a_percentile_is_a_value_that_was_there() -> None:
    assert [percentile([4.0, 1.0, 3.0, 2.0], share) for share in (0.0, 0.5, 0.999)] == [1.0, 3.0, 4.0]
