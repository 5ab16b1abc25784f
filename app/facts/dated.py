"""The row of a dated table that is in force on a day."""

from collections.abc import Sequence
from datetime import date
from typing import Protocol, TypeVar


class Dated(Protocol):
    """A row of a dated table; `since` None: since before the gateway."""

    @property
    def since(self) -> date | None: ...


_Row = TypeVar("_Row", bound=Dated)


def in_force(rows: Sequence[_Row], day: date) -> _Row:
    """The newest row that took effect by that day; `rows` are ascending and the first has no `since`."""
    for row in reversed(rows):
        if row.since is None or row.since <= day:
            return row
    raise ValueError("the table has no row without `since`")
