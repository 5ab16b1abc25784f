"""One instrument on its way from the exchange's file into the artifact, and the refusal of a file."""

import re
from datetime import time
from decimal import Decimal
from typing import NamedTuple

from app.domain.calendar import Session

# Prices are whole ten-thousandths of a rupee: exact for every tick and strike that NSE and BSE list.
UNIT = 10_000

_PLAIN = re.compile(r"(?a:\d{1,9}(?:\.\d{1,8})?)")


class Refused(Exception):
    """The new master is refused and the last good one stays. The text is one sentence for the operator."""


class Row(NamedTuple):
    """Ordered as the artifact sorts options. `expiry` is a date's ordinal; prices are ten-thousandths of a rupee.

    `session` is the opening and the close in minutes since midnight IST; zeros where the file does not give them.
    `instrument` is the broker's instrument type; of an option 14 (on an index), 15 (on a stock), or 0 where the file
    gives neither. A future has no option type and a strike of 0; a share has no expiry either: 0.
    """

    exchange: str
    underlying: str
    expiry: int
    option_type: str
    strike: int
    symbol: str
    lot_size: int
    tick_size: int
    session: tuple[int, int] = (0, 0)
    instrument: int = 0


def units(text: str) -> int | None:
    """Rupees above zero as written, in ten-thousandths; None for any other text. No float is involved."""
    if _PLAIN.fullmatch(text) is None:
        return None
    exact = Decimal(text) * UNIT
    return (int(exact) or None) if exact == exact.to_integral_value() else None


def rupees(amount: int) -> Decimal:
    """Ten-thousandths as rupees, without trailing zeros: 500 is 0.05, 260000000 is 26000."""
    return Decimal(amount) / UNIT


def band(lower: int, upper: int) -> tuple[Decimal | None, Decimal | None]:
    """Ten-thousandths as a price band in rupees; None twice for zeros."""
    return (rupees(lower), rupees(upper)) if upper else (None, None)


def session_of(opens: int, closes: int) -> Session | None:
    """The session of these minutes since midnight IST; None for zeros."""
    return Session(time(*divmod(opens, 60)), time(*divmod(closes, 60))) if closes else None
