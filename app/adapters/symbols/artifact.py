"""The form in which a master is kept: one immutable run of bytes, named by its own digest.

    8 bytes   the format
    4 bytes   length of the header, little-endian
    header    JSON: `dated`, `rows`, `terms`, `sessions`, `instruments`, `series`, `columns`
    columns   arrays one after the other, all sorted by exchange, underlying, expiry, type, strike

`terms` are the different (lot size, tick size, freeze quantity), and `sessions` the hours of each in minutes since
midnight, zeros where the master does not say them; `instruments` are the instrument type of each of the series, as
Fyers numbers it. Artifacts of earlier versions lack `sessions` or `instruments`. `series` are [exchange,
underlying, [[expiry, first CE, first PE, end], …]] with row numbers; `columns` says where in the rest each array begins
and how long it is. So a lookup is two or three binary searches in an array, loading is a read and a few hundred small
objects, and since nothing in it ever changes, any number of threads may read.
"""

import hashlib
import json
import struct
from array import array
from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from itertools import groupby

from app.adapters.symbols.json_master import NOTHING, Extra
from app.adapters.symbols.row import Row

FORMAT = b"symbols1"
PREFIX = struct.Struct("<8sI")
INTEGERS = {"strike": "q", "terms": "I", "begin": "I", "by_symbol": "I", "lower": "q", "upper": "q"}


def digest_of(artifact: bytes) -> str:
    return hashlib.sha256(artifact).hexdigest()


def encode(rows: Sequence[Row], extras: Mapping[str, Extra], dated: date) -> bytes:
    """The artifact of these rows, which must be sorted. The same rows give the same bytes."""
    more = [extras.get(row.symbol, NOTHING) for row in rows]
    terms: dict[tuple[int, int, int, tuple[int, int]], int] = {}
    of_row = [
        terms.setdefault((row.lot_size, row.tick_size, extra.freeze_quantity, row.session), len(terms))
        for row, extra in zip(rows, more, strict=True)
    ]
    columns = {
        "strike": _integers("q", (row.strike for row in rows)),
        "terms": _integers("I", of_row),
        "begin": _integers("I", _beginnings(rows)),
        "by_symbol": _integers("I", sorted(range(len(rows)), key=lambda at: rows[at].symbol)),
        "symbols": "".join(row.symbol for row in rows).encode("ascii"),
    }
    if any(extra.upper_band for extra in more):
        columns["lower"] = _integers("q", (extra.lower_band for extra in more))
        columns["upper"] = _integers("q", (extra.upper_band for extra in more))
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


def _integers(code: str, values: Iterable[int]) -> bytes:
    return array(code, values).tobytes()


def _beginnings(rows: Sequence[Row]) -> list[int]:
    """Where each symbol begins in the run of symbols, and the end of the last."""
    begin = [0]
    for row in rows:
        begin.append(begin[-1] + len(row.symbol))
    return begin


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
