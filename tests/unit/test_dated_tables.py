"""Facts that change on a day: each row is found by its date, and says where it was read."""

from collections.abc import Sequence
from datetime import date, time, timedelta
from itertools import pairwise

import pytest

from app.facts import in_force
from app.facts.freeze import INDICES, Freeze, freeze_on
from app.facts.hours import CASH, DERIVATIVES, Hours

TABLES: dict[str, Sequence[Hours | Freeze]] = {"derivatives": DERIVATIVES, "cash": CASH} | {
    f"freeze of {name}": [row for row in INDICES if row.underlying == name]
    for name in sorted({row.underlying for row in INDICES})
}


@pytest.mark.parametrize("rows", TABLES.values(), ids=TABLES)
def test_a_table_ascends_from_always_and_each_row_names_its_source(rows: Sequence[Hours | Freeze]) -> None:
    assert rows[0].since is None
    changes = [row.since for row in rows[1:] if row.since is not None]
    assert (len(changes), sorted(set(changes))) == (len(rows) - 1, changes)
    assert all(row.source.text and row.source.seen <= row.source.review_by for row in rows)


@pytest.mark.parametrize("rows", TABLES.values(), ids=TABLES)
def test_a_row_counts_from_its_day_until_the_next_ones(rows: Sequence[Hours | Freeze]) -> None:
    for before, after in pairwise(rows):
        assert after.since is not None
        assert in_force(rows, after.since - timedelta(days=1)) is before
        assert in_force(rows, after.since) is after
    assert in_force(rows, date.max) is rows[-1]


def test_a_table_without_a_row_that_always_counts_is_a_fault_of_the_table() -> None:
    with pytest.raises(ValueError, match="no row without `since`"):
        in_force(DERIVATIVES[1:], date(2026, 1, 1))


@pytest.mark.parametrize(
    ("underlying", "before", "since_october"),
    [
        ("NIFTY", 1800, 3510),
        ("BANKNIFTY", 600, 1440),
        ("FINNIFTY", 1800, 3240),
        ("MIDCPNIFTY", 2800, 5760),
        ("NIFTYNXT50", 600, 1125),
        ("SENSEX", 1000, 1000),
        ("BANKEX", 900, 900),
        ("RELIANCE", None, None),
    ],
)
def test_freeze_quantities_are_those_of_the_circular_of_october(
    underlying: str, before: int | None, since_october: int | None
) -> None:
    assert freeze_on(underlying, date(2026, 10, 4)) == before
    assert freeze_on(underlying, date(2026, 10, 5)) == since_october


def test_hours_are_those_of_the_circulars() -> None:
    rows = {row.since: (row.closes, row.index_expiry, row.stock_expiry) for row in DERIVATIVES}
    assert rows[date(2026, 8, 3)] == (time(15, 40),) * 3
    assert rows[date(2026, 12, 7)] == (time(15, 45), time(15, 30), time(15, 45))
