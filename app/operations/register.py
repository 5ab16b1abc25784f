"""Every outside fact that the code relies on. `python -m app facts` lists them; doctor warns of those due for review.

A fact is due from its review date on. That is a reminder only: no test and no order depends on it.
"""

from collections.abc import Iterable
from dataclasses import Field, fields
from datetime import date
from decimal import Decimal
from typing import Any, ClassVar, Protocol

from app.facts import Fact, Source, charges, freeze, fyers, holidays, hours, regulation, services, tradingview


class Row(Protocol):
    """A row of a dated table: a dataclass with a source of its own."""

    __dataclass_fields__: ClassVar[dict[str, Field[Any]]]

    @property
    def source(self) -> Source: ...


def dated(name: str, place: str, rows: Iterable[Row]) -> tuple[Fact, ...]:
    """The rows of a table as facts; a fact's value lists the row's fields."""
    return tuple(Fact(name, _said(row), place, row.source) for row in rows)


def _said(row: Row) -> str:
    values = ((field.name, getattr(row, field.name)) for field in fields(row))
    return ", ".join(f"{name} {_plain(value)}" for name, value in values if name != "source" and value is not None)


def _plain(value: object) -> str:
    return f"{value:f}" if isinstance(value, Decimal) else str(value)


REGISTER: tuple[Fact, ...] = (
    *dated("Trading hours of derivatives", "app/facts/hours.py DERIVATIVES", hours.DERIVATIVES),
    *dated("Trading hours of shares, in the simulator", "app/facts/hours.py CASH", hours.CASH),
    *dated("Freeze quantities", "app/facts/freeze.py INDICES", freeze.INDICES),
    Fact(
        "Trading holidays",
        f"{len(holidays.HOLIDAYS)} days, known until {holidays.KNOWN_UNTIL}",
        "app/facts/holidays.py HOLIDAYS",
        holidays.SOURCE,
    ),
    *fyers.FACTS,
    *tradingview.FACTS,
    *services.FACTS,
    *regulation.FACTS,
    *dated("Charges, not used yet", "app/facts/charges.py RATES", charges.RATES),
)


def due(on: date) -> tuple[Fact, ...]:
    """The facts to review by that day, the longest due first."""
    late = [fact for fact in REGISTER if fact.source.review_by <= on]
    return tuple(sorted(late, key=lambda fact: fact.source.review_by))
