"""Facts of the outside world that the code relies on, as dated tables: one module a table, and rows alone.

A module here imports nothing of the gateway but this package. Each row gives its source, the day it was read, how sure
it is and when to read it again. A row that changes on a day leaves the row before it in place, so each date goes by
its own row. `python -m app facts` lists them all (`app/operations/register.py`).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from typing import Protocol, TypeVar


class Confidence(StrEnum):
    HIGH = "high"  # the primary text was read, or the thing itself was measured
    MEDIUM = "medium"  # a secondary source
    LOW = "low"


@dataclass(frozen=True, slots=True)
class Source:
    """`text` names the document or the address; `seen` is the day it was read, `review_by` the day to read it again."""

    text: str
    seen: date
    confidence: Confidence
    review_by: date


@dataclass(frozen=True, slots=True)
class Fact:
    """`place` is the file that holds the value or relies on it, and the name in that file where there is one."""

    name: str
    value: str
    place: str
    source: Source


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
