"""The JSON master adds what the CSV lacks, in bounded memory, and never stands in the CSV's way."""

import json
import tracemalloc
from datetime import UTC, datetime
from decimal import Decimal
from itertools import chain as joined
from pathlib import Path
from typing import Any

import pytest

from app.adapters.symbols import Symbols, refresh
from app.adapters.symbols.json_master import Extra, read_extras
from app.adapters.symbols.row import Refused
from app.domain.calendar import Calendar
from tests.masters import Listed, chain, write
from tests.present import present

MORNING = datetime(2026, 11, 20, 2, 30, tzinfo=UTC)
CALL = "NSE:NIFTY26NOV26000CE"
ENTRY = {
    "symTicker": CALL,
    "qtyFreeze": "1800",
    "upperPrice": 315.05,
    "lowerPrice": 0.05,
    "isin": "",
    "strikePrice": 26000.0,
}
KNOWN = Extra(1800, 500, 3_150_500)


def cut(text: str, size: int) -> list[bytes]:
    content = text.encode()
    return [content[at : at + size] for at in range(0, len(content), size)]


@pytest.mark.parametrize("size", [1, 2, 3, 7, 50, 10_000])
@pytest.mark.parametrize("layout", [{}, {"indent": 2}, {"separators": (",", ":"), "ensure_ascii": False}])
def test_an_entry_is_read_wherever_the_chunks_are_cut(size: int, layout: dict[str, Any]) -> None:
    text = json.dumps({"NSE:X": {"symDetails": 'Ü "quoted" {brace} \\'}, CALL: ENTRY, "NSE:Y": {}}, **layout)

    assert read_extras(cut(text, size), {CALL, "NSE:Y"}, "m.json") == {CALL: KNOWN, "NSE:Y": Extra(0, 0, 0)}


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"qtyFreeze": ""}, KNOWN._replace(freeze_quantity=0)),
        ({"qtyFreeze": 1800}, KNOWN),
        ({"qtyFreeze": "1800.0"}, KNOWN),
        ({"qtyFreeze": "-1"}, KNOWN._replace(freeze_quantity=0)),
        ({"upperPrice": ""}, Extra(1800, 0, 0)),
        ({"upperPrice": 0.0, "lowerPrice": 0.0}, Extra(1800, 0, 0)),
        ({"upperPrice": 0.05, "lowerPrice": 315.05}, Extra(1800, 0, 0)),
        ({"lowerPrice": None, "upperPrice": "315.05"}, Extra(1800, 0, 3_150_500)),
    ],
)
def test_what_an_entry_does_not_say_or_says_absurdly_counts_as_not_said(
    changes: dict[str, Any], expected: Extra
) -> None:
    assert read_extras([json.dumps({CALL: ENTRY | changes}).encode()], {CALL}, "m.json") == {CALL: expected}


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"<html>",
        b"[]",
        b'{"a"',
        b'{"a": {"b": 1}',
        b'{"a": {}',
        b'{"a": {"b": "' + b"x" * 300_000,
        b"\xff\xfe",
        b"{1: 2}",
    ],
)
def test_a_file_that_is_no_json_master_is_refused_by_name(content: bytes) -> None:
    with pytest.raises(Refused, match=r"m\.json is no JSON master as documented"):
        read_extras([content], {CALL}, "m.json")


def test_deep_nesting_is_refused_and_no_crash() -> None:
    with pytest.raises(Refused):
        read_extras([b'{"a": ' + b"[" * 60_000], {CALL}, "m.json")


def test_a_file_of_ten_megabytes_is_read_in_less_than_three() -> None:
    """One entry of about a kilobyte, over and over, as the exchange's file has it; nothing of it may pile up."""
    entry = json.dumps(ENTRY | {"filler": "x" * 900}, separators=(",", ":"))
    block = b"".join(f'"NSE:OTHER{number}":{entry},'.encode() for number in range(250))
    content = joined([b"{"], (block for _ in range(40)), [f'"{CALL}":{entry}}}'.encode()])
    tracemalloc.start()

    found = read_extras(content, {CALL}, "m.json")

    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert found == {CALL: KNOWN}
    assert peak < 3 * 1024 * 1024


@pytest.fixture
def files(tmp_path: Path) -> tuple[str, Path]:
    csv = write(tmp_path / "NSE_FO.csv", chain(Listed(), [26000]))
    extra = tmp_path / "NSE_FO_sym_master.json"
    extra.write_text(json.dumps({CALL: ENTRY}))
    return csv, extra


def test_the_contract_knows_its_freeze_quantity_and_band(files: tuple[str, Path], tmp_path: Path) -> None:
    csv, extra = files
    cache = str(tmp_path / "symbols")

    report = refresh([str(extra), csv], cache, Calendar(), MORNING)

    assert (report["accepted"], report["notes"], report["rows"]) == (True, [], 2)
    call = present(Symbols.open(cache).lookup_symbol(CALL))
    assert (call.freeze_quantity, call.lower_band, call.upper_band) == (1800, Decimal("0.05"), Decimal("315.05"))


@pytest.mark.parametrize("content", [None, "", "{", "<html>"])
def test_a_json_master_that_cannot_be_had_is_noted_and_the_csv_is_taken(
    content: str | None, files: tuple[str, Path], tmp_path: Path
) -> None:
    csv, extra = files
    extra.write_text(content) if content is not None else extra.unlink()
    cache = str(tmp_path / "symbols")

    report = refresh([csv, str(extra)], cache, Calendar(), MORNING)

    assert report["accepted"] is True
    notes: Any = report["notes"]
    assert notes[0].startswith("no freeze quantities and price bands: NSE_FO_sym_master.json")
    assert present(Symbols.open(cache).lookup_symbol(CALL)).freeze_quantity is None


def test_a_json_master_alone_is_no_master(files: tuple[str, Path], tmp_path: Path) -> None:
    report = refresh([str(files[1])], str(tmp_path / "symbols"), Calendar(), MORNING)

    assert report["reason"] == "no CSV master is named; SYMBOL_MASTER_URLS needs one"
