"""Every outside fact that the code relies on, in one list; `python -m app facts` shows it, doctor warns of what is due.

A fact is due from its review date on. That is a reminder and nothing else: no test and no order depends on it.
"""

from collections.abc import Iterable
from dataclasses import Field, fields
from datetime import date
from decimal import Decimal
from typing import Any, ClassVar, Protocol

from app.facts import charges, fyers, holidays, regulation, services, tradingview
from app.facts.fact import Fact
from app.facts.source import Confidence, Source


class Row(Protocol):
    """A row of a dated table: a dataclass that carries its own source."""

    __dataclass_fields__: ClassVar[dict[str, Field[Any]]]

    @property
    def source(self) -> Source: ...


def dated(name: str, place: str, rows: Iterable[Row]) -> tuple[Fact, ...]:
    """The rows of a table as facts, each with what its fields say."""
    return tuple(Fact(name, _said(row), place, row.source) for row in rows)


def _said(row: Row) -> str:
    values = ((field.name, getattr(row, field.name)) for field in fields(row))
    return ", ".join(f"{name} {_plain(value)}" for name, value in values if name != "source" and value is not None)


def _plain(value: object) -> str:
    return f"{value:f}" if isinstance(value, Decimal) else str(value)


_HOURS = Source(
    "NSE's circular of May 2026; rows of the symbol master", date(2026, 11, 30), Confidence.HIGH, date(2026, 12, 7)
)
_NEW_HOURS = Source(
    "SEBI HO/47/11/11(3)2025-MRD-POD2/I/23843/2026 of 15-Oct-2026, paras 4.2.4 and 4.2.5 (NSE/CMTR/76963)",
    date(2026, 11, 30),
    Confidence.MEDIUM,
    date(2026, 12, 7),
)
_FREEZE = Source("NSE/FAOP/76693 of 1-Oct-2026; BSE by others", date(2026, 11, 30), Confidence.HIGH, date(2027, 1, 4))

REGISTER: tuple[Fact, ...] = (
    Fact("Trading hours of derivatives", "09:15-15:40 IST since 3-Aug-2026", "app/calendar.py Session", _HOURS),
    Fact(
        "Trading hours of derivatives",
        "09:15-15:45 IST from 7-Dec-2026; index contracts stop at 15:30 on their expiry day",
        "app/calendar.py Session",
        _NEW_HOURS,
    ),
    Fact(
        "Freeze quantities",
        "NIFTY 3510, BANKNIFTY 1440, FINNIFTY 3240, MIDCPNIFTY 5760, NIFTYNXT50 1125, SENSEX 1000, BANKEX 900",
        "app/adapters/symbols/json_master.py Extra",
        _FREEZE,
    ),
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
    """The facts to read again by that day, the longest due first."""
    return tuple(
        sorted((fact for fact in REGISTER if fact.source.review_by <= on), key=lambda fact: fact.source.review_by)
    )
