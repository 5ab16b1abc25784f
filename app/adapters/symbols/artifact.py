"""The form in which a master is stored: one immutable run of bytes, named by its own digest.

    8 bytes   the format
    4 bytes   length of the header, little-endian
    header    JSON: `dated`, `rows`, `terms`, `sessions`, `instruments`, `series`, `columns`
    columns   arrays one after the other: the options', sorted by exchange, underlying, expiry, type, strike, and
              those of futures and shares (others.py)

`rows` counts the options. `terms` lists the distinct (lot size, tick size, freeze quantity) and `sessions` the trading
hours of each, in the units of Row. `series` is [exchange, underlying, [[expiry, first CE, first PE, end], …]] with row
numbers, and `instruments` the broker's instrument type of each series. `columns` gives the offset and length of each
array. Artifacts of earlier versions lack `sessions`, `instruments`, or the columns of futures and shares.

A lookup is two or three binary searches. Loading is a read and a few hundred small objects.
"""

import hashlib
import json
import struct
from array import array
from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from itertools import accumulate, groupby

from app.adapters.symbols import others
from app.adapters.symbols.json_master import NOTHING, Extra
from app.adapters.symbols.row import Row

FORMAT = b"symbols1"
PREFIX = struct.Struct("<8sI")
INTEGERS = {"strike": "q", "terms": "I", "begin": "I", "by_symbol": "I", "lower": "q", "upper": "q"}


def digest_of(artifact: bytes) -> str:
    return hashlib.sha256(artifact).hexdigest()


def encode(rows: Sequence[Row], rest: Sequence[Row], extras: Mapping[str, Extra], dated: date) -> bytes:
    """The artifact of these options, which must be sorted. `rest` are futures and shares. Same rows, same bytes."""
    more = [extras.get(row.symbol, NOTHING) for row in rows]
    terms: dict[tuple[int, int, int, tuple[int, int]], int] = {}
    of_row = [
        terms.setdefault((row.lot_size, row.tick_size, extra.freeze_quantity, row.session), len(terms))
        for row, extra in zip(rows, more, strict=True)
    ]
    columns = _integers(
        strike=(row.strike for row in rows),
        terms=of_row,
        begin=accumulate((len(row.symbol) for row in rows), initial=0),  # the last one is the end of all symbols
        by_symbol=sorted(range(len(rows)), key=lambda at: rows[at].symbol),
    )
    columns["symbols"] = "".join(row.symbol for row in rows).encode("ascii")
    if any(extra.upper_band for extra in more):
        columns |= _integers(lower=(extra.lower_band for extra in more), upper=(extra.upper_band for extra in more))
    columns |= others.encode(rest, extras)
    header = {
        "dated": dated.isoformat(),
        "rows": len(rows),
        "terms": [each[:3] for each in terms],
        "sessions": [each[3] for each in terms],
        "instruments": [next(of).instrument for _, of in groupby(rows, key=lambda row: row[:2])],
        "series": _series(rows),
    }
    return _packed(header, columns)


def _packed(header: dict[str, object], columns: Mapping[str, bytes]) -> bytes:
    places, at = {}, 0
    for name, column in columns.items():
        places[name] = [at, len(column)]
        at += len(column)
    text = json.dumps(header | {"columns": places}, separators=(",", ":")).encode("ascii")
    return b"".join((PREFIX.pack(FORMAT, len(text)), text, *columns.values()))


def _integers(**columns: Iterable[int]) -> dict[str, bytes]:
    return {name: array(INTEGERS[name], values).tobytes() for name, values in columns.items()}


def _series(rows: Sequence[Row]) -> list[list[object]]:
    series: list[list[object]] = []
    at = 0
    for (exchange, underlying), of_underlying in groupby(rows, key=lambda row: row[:2]):
        expiries = []
        for expiry, of_expiry in groupby(of_underlying, key=lambda row: row.expiry):
            types = [row.option_type for row in of_expiry]
            expiries.append([expiry, at, at + types.count("CE"), at + len(types)])
            at += len(types)
        series.append([exchange, underlying, expiries])
    return series
