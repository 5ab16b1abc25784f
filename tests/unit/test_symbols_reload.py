"""A new master reaches every instance within a minute, whole or not at all, while requests go on."""

import subprocess
import sys
import threading
import time
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from app.adapters.symbols import Symbols, refresh
from app.adapters.symbols.artifact import digest_of
from app.adapters.symbols.cache import Cache, CacheDown, Pointer
from app.adapters.symbols.symbols import CHECK_EVERY, open_cache
from app.domain.alert import ExpiryRule, Moneyness, OptionType
from app.domain.calendar import Calendar
from app.domain.errors import NotNow, Reason
from app.domain.instrument import Wanted
from tests.masters import Listed, chain, write
from tests.present import present
from tests.waiting import finish

FRIDAY = date(2026, 11, 20)
MORNING = datetime(2026, 11, 20, 2, 30, tzinfo=UTC)
Store = Callable[..., dict[str, Any]]  # the fixture of that name: refreshes the cache and gives the report


@pytest.fixture
def place(tmp_path: Path) -> str:
    return str(tmp_path / "symbols")


@pytest.fixture
def store(tmp_path: Path, place: str) -> Store:
    """Stores a NIFTY master of a given lot, accepted so many days after the 20th."""

    def stored(lot: int, days: int = 0) -> dict[str, Any]:
        day = FRIDAY + timedelta(days=days)
        rows = chain(Listed(lot=str(lot), updated=day.isoformat()), range(25000, 27001, 50))
        report = refresh([write(tmp_path / "lab.csv", rows)], place, Calendar(), MORNING + timedelta(days=days))
        assert report["accepted"], report
        return report

    return stored


def lot(symbols: Symbols) -> int:
    return symbols.resolve(Wanted("NIFTY", None, ExpiryRule.WEEKLY, Decimal(26000), OptionType.CE), on=FRIDAY).lot_size


def test_a_new_master_is_taken_at_the_next_look(store: Store, place: str) -> None:
    store(75)
    symbols = Symbols.open(place)
    assert symbols.reload_if_changed(1000.0) is False
    store(65, days=3)

    assert symbols.reload_if_changed(1000.0 + CHECK_EVERY) is True
    assert (lot(symbols), symbols.as_of) == (65, date(2026, 11, 23))


def test_a_refresh_of_ones_own_is_taken_at_once(store: Store, place: str) -> None:
    store(75)
    symbols = Symbols.open(place)
    symbols.reload_if_changed(1000.0)
    store(65)

    assert symbols.reload() is True
    assert lot(symbols) == 65
    assert symbols.reload() is False


def test_the_cache_is_looked_at_once_in_thirty_seconds_however_many_ask(store: Store, place: str) -> None:
    cache = Counting(open_cache(place))
    store(75)
    symbols = Symbols.open(cache)
    cache.looks = 0

    for tenth in range(600):  # a minute of requests
        symbols.reload_if_changed(5000.0 + tenth / 10)

    assert cache.looks == 2


def test_a_master_that_is_the_same_is_not_read_again_for_its_new_day(store: Store, place: str, tmp_path: Path) -> None:
    cache = Counting(open_cache(place))
    store(75)
    symbols = Symbols.open(cache)
    refresh([str(tmp_path / "lab.csv")], place, Calendar(), MORNING + timedelta(days=3))

    assert symbols.reload_if_changed(0.0) is True
    assert symbols.as_of == date(2026, 11, 23)
    assert cache.artifacts == 1


def test_an_empty_cache_says_that_symbols_are_missing_until_there_is_one(store: Store, place: str) -> None:
    symbols = Symbols.open(place)

    for question in (lambda: lot(symbols), lambda: symbols.as_of, lambda: symbols.lookup_symbol("NSE:X")):
        with pytest.raises(NotNow) as refused:
            question()
        assert refused.value.reason is Reason.SYMBOLS_MISSING
    assert symbols.problem == "there is no symbol master yet; run a refresh"
    store(75)
    assert symbols.reload_if_changed(0.0) is True
    assert lot(symbols) == 75
    assert symbols.problem is None


def test_a_cache_that_goes_away_changes_nothing_but_is_named(store: Store, place: str, tmp_path: Path) -> None:
    store(75)
    symbols = Symbols.open(place)
    (tmp_path / "symbols").unlink()

    assert symbols.reload_if_changed(0.0) is False
    assert lot(symbols) == 75
    assert symbols.problem is not None


def test_a_damaged_artifact_is_never_served_in_place_of_the_one_in_memory(
    store: Store, place: str, tmp_path: Path
) -> None:
    store(75)
    symbols = Symbols.open(place)
    report = store(65)
    damage(tmp_path, report)

    assert symbols.reload_if_changed(0.0) is False
    assert lot(symbols) == 75
    assert "damaged" in present(symbols.problem)


def test_at_the_start_the_master_before_stands_in_for_a_damaged_one_until_it_is_repaired(
    store: Store, place: str, tmp_path: Path
) -> None:
    store(75)
    report = store(65, days=3)
    good = damage(tmp_path, report)

    symbols = Symbols.open(place)

    assert (lot(symbols), symbols.as_of) == (75, FRIDAY)
    assert "the master of 2026-11-20 is used instead" in present(symbols.problem)
    next(tmp_path.glob(f"symbols-{report['artifact'][:20]}")).write_bytes(good)
    assert symbols.reload_if_changed(0.0) is True
    assert (lot(symbols), symbols.as_of) == (65, date(2026, 11, 23))


def damage(tmp_path: Path, report: dict[str, Any]) -> bytes:
    path = next(tmp_path.glob(f"symbols-{report['artifact'][:20]}"))
    good = path.read_bytes()
    path.write_bytes(good[:-1] + b"X")
    return good


def test_an_artifact_of_an_unknown_format_is_refused_by_name(store: Store, place: str) -> None:
    store(75)
    cache = open_cache(place)
    text = present(cache.pointer(1))
    other = b"symbols9" + bytes(100)
    pointer = Pointer.decode(text.replace(Pointer.decode(text).current.digest.encode(), digest_of(other).encode()))
    cache.publish(other, pointer, text, 1)

    assert "of another version; refresh the symbols" in present(Symbols.open(place).problem)


def test_readers_during_swaps_see_one_master_or_the_other_and_never_half(
    store: Store, place: str, tmp_path: Path
) -> None:
    """Lot and strike ladder differ between the two masters; whatever is read has to be wholly of one of them."""
    store(75)
    rows = chain(Listed(lot="65"), range(25010, 27011, 50))
    refresh([write(tmp_path / "other.csv", rows)], str(tmp_path / "other"), Calendar(), MORNING)
    both = Turning(open_cache(place), open_cache(str(tmp_path / "other")))
    symbols, stop, seen = Symbols.open(both), threading.Event(), set()

    def read() -> None:
        while not stop.is_set():
            spot = Decimal(26005)
            found = symbols.resolve(
                Wanted("NIFTY", None, ExpiryRule.MONTHLY, Moneyness(3), OptionType.PE), on=FRIDAY, spot=spot
            )
            seen.add((found.symbol, found.lot_size))

    readers = [threading.Thread(target=read) for _ in range(3)]
    for reader in readers:
        reader.start()
    for swap in range(20):
        assert symbols.reload_if_changed(swap * CHECK_EVERY) is True
        time.sleep(0.002)
    stop.set()
    finish(*readers)
    assert seen == {("NSE:NIFTY26NOV25850PE", 75), ("NSE:NIFTY26NOV25860PE", 65)}


def test_while_one_request_reloads_the_others_do_not_wait(store: Store, place: str) -> None:
    store(75)
    cache = Counting(open_cache(place))
    symbols = Symbols.open(cache)
    cache.gate = gate = threading.Event()
    slow = threading.Thread(target=symbols.reload_if_changed, args=(0.0,))
    slow.start()

    assert symbols.reload_if_changed(10_000.0) is False
    assert lot(symbols) == 75
    gate.set()
    finish(slow)


def test_serving_imports_neither_pandas_nor_numpy_nor_a_google_client(store: Store, place: str) -> None:
    store(75)
    code = f"""
import sys
from datetime import date
from decimal import Decimal
from app.adapters.symbols import Symbols
from app.domain.alert import ExpiryRule, OptionType
from app.domain.instrument import Wanted
symbols = Symbols.open({place!r})
symbols.reload_if_changed(0.0)
symbols.resolve(Wanted("NIFTY", None, ExpiryRule.WEEKLY, Decimal(26000), OptionType.CE), on=date(2026, 11, 20))
print([name for name in ("pandas", "numpy", "google") if name in sys.modules])
"""
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert answer.stdout.strip() == "[]"


class Counting:
    """A cache that counts what is read from it, and waits at `gate` where there is one."""

    def __init__(self, cache: Cache) -> None:
        self.cache = cache
        self.name = cache.name
        self.looks = self.artifacts = 0
        self.gate: threading.Event | None = None

    def pointer(self, timeout: float) -> bytes | None:
        self.looks += 1
        if self.gate is not None and not self.gate.wait(5):
            raise CacheDown("the gate was not opened")
        return self.cache.pointer(timeout)

    def artifact(self, name: str, timeout: float) -> bytes:
        self.artifacts += 1
        return self.cache.artifact(name, timeout)

    def publish(self, artifact: bytes, pointer: Pointer, over: bytes | None, timeout: float) -> None:
        self.cache.publish(artifact, pointer, over, timeout)

    def close(self) -> None:
        self.cache.close()


class Turning(Counting):
    """Two caches that take turns: each look finds the other one's master."""

    def __init__(self, *caches: Cache) -> None:
        super().__init__(caches[0])
        self.caches = caches

    def pointer(self, timeout: float) -> bytes | None:
        self.cache = self.caches[self.looks % 2]
        return super().pointer(timeout)
