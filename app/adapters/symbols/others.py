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

from app.adapters.symbols.json_master import NOTHING, Extra
from app.adapters.symbols.row import Row, band, rupees, session_of
from app.domain.instrument import Future, Instrument, Share
from app.facts.fyers import INDEX_FUTURE

RECORDS, SYMBOLS = COLUMNS = "others", "other_symbols"

# Where the symbol begins, its length, the length of the underlying's name; then the values of Row and Extra.
_FORM = struct.Struct("<IHBBIIqHHIqq")
_PLACE = struct.Struct("<IH")  # its first two


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
        at = bisect_left(range(count), symbol, key=self._symbol)
        if at == count or self._symbol(at) != symbol:
            return None
        return _instrument(_FORM.unpack_from(self._records, at * _FORM.size), symbol.decode("ascii"))

    def _symbol(self, at: int) -> bytes:
        begin, length = _PLACE.unpack_from(self._records, at * _FORM.size)
        return bytes(self._symbols[begin : begin + length])


def _instrument(record: tuple[int, ...], symbol: str) -> Future | Share:
    _, _, named, instrument, expiry, lot_size, tick, opens, closes, freeze, lowest, highest = record
    start = symbol.index(":") + 1
    underlying = symbol[start : start + named]
    tick_size, session, freeze_quantity = rupees(tick), session_of(opens, closes), freeze or None
    lower, upper = band(lowest, highest)
    if not expiry:
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
        expiry=date.fromordinal(expiry),
        lot_size=lot_size,
        tick_size=tick_size,
        freeze_quantity=freeze_quantity,
        lower_band=lower,
        upper_band=upper,
        on_index=instrument == INDEX_FUTURE,
        session=session,
    )
