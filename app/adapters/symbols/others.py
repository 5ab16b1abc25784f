"""The futures and shares of an artifact: two columns beside those of the options, searched by symbol.

    others          a record for each row, ascending by symbol
    other_symbols   the symbols, one after the other

A symbol begins with the exchange and the underlying, so the record keeps only the length of the underlying's name.
Loading costs nothing: a record is read where it lies.
"""

import struct
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from datetime import date
from typing import NamedTuple

from app.adapters.symbols.json_master import NOTHING, Extra
from app.adapters.symbols.row import Row, band, rupees, session_of
from app.domain.instrument import Future, Instrument, Share
from app.facts.fyers import INDEX_FUTURE

RECORDS, SYMBOLS = COLUMNS = "others", "other_symbols"

_FORM = struct.Struct("<IHBBIIqHHIqq")


class _Record(NamedTuple):
    """`begin` and `length` locate the symbol. The rest is in the units of Row and Extra; 0 where nothing is known."""

    begin: int
    length: int
    underlying: int
    instrument: int
    expiry: int
    lot_size: int
    tick_size: int
    opens: int
    closes: int
    freeze_quantity: int
    lower: int
    upper: int


def encode(rows: Sequence[Row], extras: Mapping[str, Extra]) -> dict[str, bytes]:
    rows = sorted(rows, key=lambda row: row.symbol)
    records, begin = [], 0
    for row in rows:
        place = begin, len(row.symbol), len(row.underlying)
        terms = row.instrument, row.expiry, row.lot_size, row.tick_size, *row.session
        records.append(_FORM.pack(*place, *terms, *extras.get(row.symbol, NOTHING)))
        begin += len(row.symbol)
    return {RECORDS: b"".join(records), SYMBOLS: "".join(row.symbol for row in rows).encode("ascii")}


class Others:
    """Futures and shares by symbol. `columns` are those of the artifact; earlier artifacts have none of these."""

    def __init__(self, columns: Mapping[str, memoryview]) -> None:
        self._records = columns.get(RECORDS, memoryview(b""))
        self._symbols = columns.get(SYMBOLS, memoryview(b""))

    def lookup(self, symbol: bytes) -> Instrument | None:
        count = len(self._records) // _FORM.size
        place = bisect_left(range(count), symbol, key=lambda at: self._symbol(self._record(at)))
        if place == count:
            return None
        record = self._record(place)
        return _instrument(record, symbol.decode("ascii")) if self._symbol(record) == symbol else None

    def _record(self, at: int) -> _Record:
        return _Record(*_FORM.unpack_from(self._records, at * _FORM.size))

    def _symbol(self, record: _Record) -> bytes:
        return bytes(self._symbols[record.begin : record.begin + record.length])


def _instrument(record: _Record, symbol: str) -> Future | Share:
    start = symbol.index(":") + 1
    underlying = symbol[start : start + record.underlying]
    tick_size, session = rupees(record.tick_size), session_of(record.opens, record.closes)
    freeze_quantity = record.freeze_quantity or None
    lower, upper = band(record.lower, record.upper)
    if not record.expiry:
        return Share(
            symbol=symbol,
            underlying=underlying,
            tick_size=tick_size,
            freeze_quantity=freeze_quantity,
            lower_band=lower,
            upper_band=upper,
            session=session,
        )
    return Future(
        symbol=symbol,
        underlying=underlying,
        expiry=date.fromordinal(record.expiry),
        lot_size=record.lot_size,
        tick_size=tick_size,
        freeze_quantity=freeze_quantity,
        lower_band=lower,
        upper_band=upper,
        on_index=record.instrument == INDEX_FUTURE,
        session=session,
    )
