"""Every cache of the symbol master keeps the same promises: swapped whole, and never over another refresh's."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from app.adapters.symbols.artifact import digest_of
from app.adapters.symbols.cache import Cache, CacheDown, Entry, Pointer, artifact_name, verified
from app.adapters.symbols.row import Refused
from app.adapters.symbols.symbols import open_cache
from tests.emulators import gcs_bucket, gcs_emulator  # noqa: F401
from tests.present import present

ACCEPTED = datetime(2026, 11, 20, 3, 0, tzinfo=UTC)


@pytest.fixture(params=["local", "gcs"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "local":
        return str(tmp_path / "deep" / "symbols")
    return f"gs://{request.getfixturevalue('gcs_bucket')}/deep/symbols"


@pytest.fixture
def cache(place: str) -> Iterator[Cache]:
    cache = open_cache(place)
    yield cache
    cache.close()


def entry(cache: Cache, artifact: bytes) -> Entry:
    digest = digest_of(artifact)
    return Entry(artifact_name(cache.name, digest), digest, date(2026, 11, 20), ACCEPTED, {"NSE_FO.csv": 3})


def publish(cache: Cache, artifact: bytes, over: bytes | None = None) -> Pointer:
    pointer = Pointer.decode(over).followed_by(entry(cache, artifact)) if over else Pointer(entry(cache, artifact))
    cache.publish(artifact, pointer, over, 5)
    return pointer


def test_an_empty_cache_has_no_pointer(cache: Cache) -> None:
    assert cache.pointer(5) is None


def test_what_was_published_is_read_back_whole(cache: Cache) -> None:
    published = publish(cache, b"one")

    pointer = Pointer.decode(present(cache.pointer(5)))

    assert pointer == published
    assert verified(cache, pointer.current, 5) == b"one"


def test_another_process_reads_what_was_published(cache: Cache, place: str) -> None:
    publish(cache, b"one")

    other = open_cache(place)

    assert verified(other, Pointer.decode(present(other.pointer(5))).current, 5) == b"one"
    other.close()


def test_the_artifact_before_stays_readable_and_the_one_before_that_is_let_go(cache: Cache) -> None:
    first = publish(cache, b"one")
    second = publish(cache, b"two", cache.pointer(5))
    publish(cache, b"three", cache.pointer(5))

    pointer = Pointer.decode(present(cache.pointer(5)))

    assert verified(cache, pointer.current, 5) == b"three"
    assert pointer.before == second.current
    assert verified(cache, pointer.before, 5) == b"two"
    with pytest.raises(CacheDown):
        cache.artifact(first.current.artifact, 5)


def test_a_refresh_that_was_overtaken_changes_nothing(cache: Cache) -> None:
    publish(cache, b"one")
    seen = cache.pointer(5)
    publish(cache, b"two", seen)

    with pytest.raises(Refused, match="another refresh"):
        publish(cache, b"three", seen)

    assert verified(cache, Pointer.decode(present(cache.pointer(5))).current, 5) == b"two"


def test_the_same_artifact_accepted_on_another_day_stays_one_artifact(cache: Cache) -> None:
    publish(cache, b"one")
    again = replace(entry(cache, b"one"), as_of=date(2026, 11, 23))
    over = present(cache.pointer(5))

    cache.publish(b"one", Pointer.decode(over).followed_by(again), over, 5)

    pointer = Pointer.decode(present(cache.pointer(5)))
    assert pointer == Pointer(again, None)
    assert verified(cache, pointer.current, 5) == b"one"


def test_an_artifact_that_is_not_what_the_pointer_says_is_not_read(cache: Cache) -> None:
    publish(cache, b"one")
    told = Pointer.decode(present(cache.pointer(5))).current

    with pytest.raises(CacheDown, match="damaged"):
        verified(cache, replace(told, digest=digest_of(b"other")), 5)


def test_a_text_that_is_no_pointer_is_called_damaged() -> None:
    for text in (b"", b"{}", b"[]", b"null", b'{"current": 1, "before": null}', b"<html>"):
        with pytest.raises(CacheDown, match="damaged"):
            Pointer.decode(text)
