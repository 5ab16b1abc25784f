"""Brings the cache up to date: fetch, read, check, build, swap. Where any of it fails, the last good master stays."""

import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, datetime

from app.adapters.symbols import artifact, rules
from app.adapters.symbols.cache import Cache, CacheDown, Entry, Pointer, artifact_name
from app.adapters.symbols.csv_master import read_master
from app.adapters.symbols.json_master import Extra, read_extras
from app.adapters.symbols.row import Refused, Row
from app.adapters.symbols.sources import MAX_JSON_BYTES, Source, fetch, retried, stream
from app.adapters.symbols.symbols import open_cache
from app.domain.calendar import Calendar, ist_day
from app.domain.deadline import Deadline, Sleep

_CACHE_TIMEOUT = 10.0


@dataclass(slots=True)
class _Listed:
    """What the files list. `counts` are the option rows of each CSV file; `notes` are faults that stop nothing.

    `options` are sorted. `others` are futures and shares: no rule judges them, since nothing trades by them yet.
    """

    options: list[Row] = field(default_factory=list)
    others: list[Row] = field(default_factory=list)
    extras: dict[str, Extra] = field(default_factory=dict)
    counts: Counter[str] = field(default_factory=Counter)
    dated: date = date.max
    notes: list[str] = field(default_factory=list)


def refresh(
    urls: Sequence[str],
    cache: str | Cache,
    calendar: Calendar,
    now: datetime,
    *,
    timeout: float = 60.0,
    sleep: Sleep = time.sleep,
) -> dict[str, object]:
    """Fetches the master that URLs or paths name and, if it is good, makes it the cache's current one.

    A name that ends in `.json` is Fyers' JSON master. It adds freeze quantities and price bands; without it the master
    is accepted all the same. `timeout` is in seconds, for all downloads together. Never raises. The report is JSON:
    `accepted`, `reason` (why not), `seconds`, `kept` (as_of of the master before), and where accepted `as_of`,
    `dated`, `rows` (of options), `sources`, `artifact` (its SHA-256), `changed` and `notes`.
    """
    started = time.monotonic()
    report: dict[str, object] = {"accepted": False, "reason": None, "kept": None}
    store = None
    try:
        store = open_cache(cache) if isinstance(cache, str) else cache
        over = store.pointer(_CACHE_TIMEOUT)
        last = _last(over)
        report["kept"] = last.current.as_of.isoformat() if last else None
        sources = [Source(url) for url in urls]
        listed = _fetched(sources, Deadline(time.monotonic, timeout), sleep)
        _check(listed, sources, last, calendar, now)
        report |= _stored(store, over, last, listed, calendar.latest_trading_day(ist_day(now)), now)
    except (Refused, CacheDown) as problem:
        report["reason"] = str(problem)
    finally:
        if store is not None and isinstance(cache, str):
            store.close()
    return report | {"seconds": round(time.monotonic() - started, 3)}


def _last(pointer: bytes | None) -> Pointer | None:
    """The last good master. A damaged pointer counts as none and is overwritten."""
    try:
        return Pointer.decode(pointer) if pointer is not None else None
    except CacheDown:
        return None


def _fetched(sources: Sequence[Source], deadline: Deadline, sleep: Sleep) -> _Listed:
    listed = _Listed()
    for source in sources:
        if not source.is_json:
            _add_csv(listed, source, deadline, sleep)
    if not listed.options:
        found = "no CSV master lists options" if listed.counts else "no CSV master is named"
        raise Refused(f"{found}; SYMBOL_MASTER_URLS needs one")
    listed.options.sort()
    for source in sources:
        if source.is_json:
            _add_json(listed, source, deadline, sleep)
    return listed


def _add_csv(listed: _Listed, source: Source, deadline: Deadline, sleep: Sleep) -> None:
    read = read_master(fetch(source, deadline, sleep), source.name)
    listed.options += read.options
    listed.others += read.others
    listed.counts[source.key] += len(read.options)
    listed.dated = min(listed.dated, read.dated)
    if read.set_aside:
        listed.notes.append(f"{source.name}: {read.set_aside} rows contradict their own ticker and are left out")
    if read.others_set_aside:
        listed.notes.append(f"{source.name}: {read.others_set_aside} futures or shares make no sense and are left out")


def _add_json(listed: _Listed, source: Source, deadline: Deadline, sleep: Sleep) -> None:
    wanted = {row.symbol for row in (*listed.options, *listed.others)}

    def read() -> dict[str, Extra]:
        return read_extras(stream(source, MAX_JSON_BYTES, deadline), wanted, source.name)

    try:
        listed.extras |= retried(read, source, deadline, sleep)
    except Refused as problem:
        listed.notes.append(f"no freeze quantities and price bands: {problem}")


def _check(listed: _Listed, sources: Sequence[Source], last: Pointer | None, calendar: Calendar, now: datetime) -> None:
    today = ist_day(now)
    rules.check_dated(listed.dated, today, calendar)
    rules.check_unique(listed.options)
    if len(listed.options) >= rules.LARGE or any(source.is_fyers for source in sources):
        rules.check_sentinels(listed.options, today)
    if last is not None:
        rules.check_row_counts(listed.counts, last.current.sources, last.current.accepted_at, now)


def _stored(
    store: Cache, over: bytes | None, last: Pointer | None, listed: _Listed, as_of: date, now: datetime
) -> dict[str, object]:
    content = artifact.encode(listed.options, listed.others, listed.extras, listed.dated)
    digest = artifact.digest_of(content)
    entry = Entry(artifact_name(store.name, digest), digest, as_of, now, listed.counts)
    store.publish(content, last.followed_by(entry) if last else Pointer(entry), over, _CACHE_TIMEOUT)
    return {
        "accepted": True,
        "as_of": as_of.isoformat(),
        "dated": listed.dated.isoformat(),
        "rows": len(listed.options),
        "sources": dict(listed.counts),
        "artifact": digest,
        "changed": last is None or last.current.digest != digest,
        "notes": listed.notes,
    }
