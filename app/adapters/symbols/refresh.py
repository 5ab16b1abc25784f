"""Brings the cache up to date: fetch, read, check, build, swap. Where any of it fails, the last good master stays."""

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from itertools import pairwise

from app.adapters.symbols import artifact
from app.adapters.symbols.cache import Cache, CacheDown, Entry, Pointer, artifact_name
from app.adapters.symbols.csv_master import read_master
from app.adapters.symbols.json_master import Extra, read_extras
from app.adapters.symbols.row import Refused, Row
from app.adapters.symbols.sources import MAX_JSON_BYTES, Source, fetch, retried, stream
from app.adapters.symbols.symbols import open_cache
from app.domain.calendar import Calendar, ist_day
from app.domain.deadline import Deadline, Sleep

_CACHE_TIMEOUT = 10.0
_LARGE = 1000  # option rows; a master of this size claims to be an exchange's whole list

_SENTINELS = {"NSE": ("NIFTY", "BANKNIFTY"), "BSE": ("SENSEX",)}
_CURRENT_DAYS = 45  # a monthly-only index has an expiry at most five weeks away
_LADDER = 10  # strikes in each direction of a sentinel's nearest expiry; the exchanges list over forty
_ROWS_MAY_CHANGE = 0.2
_COMPARABLE = timedelta(days=7)


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
    oldest = calendar.oldest_master(today)
    if not oldest <= listed.dated <= today:
        raise Refused(f"the master is dated {listed.dated}; on {today} it has to be of {oldest} to {today}")
    _check_unique(listed.options)
    if len(listed.options) >= _LARGE or any(source.is_fyers for source in sources):
        _check_sentinels(listed.options, today)
    if last is not None:
        _check_row_counts(listed.counts, last.current, now)


def _check_unique(rows: Sequence[Row]) -> None:
    """Raises Refused for a ticker listed twice, or one series under two tickers. `rows` are sorted."""
    for symbol, times in Counter(row.symbol for row in rows).items():
        if times > 1:
            raise Refused(f"{symbol} is listed twice")
    for before, row in pairwise(rows):
        if before[:5] == row[:5]:
            raise Refused(f"{before.symbol} and {row.symbol} are the same series")


def _check_sentinels(rows: Sequence[Row], today: date) -> None:
    """Raises Refused unless each exchange lists a current expiry of its main indices, with a ladder of strikes."""
    for exchange in sorted({row.exchange for row in rows}):
        for underlying in _SENTINELS[exchange]:
            series = [row for row in rows if row.exchange == exchange and row.underlying == underlying]
            _check_ladder(f"{exchange}:{underlying}", series, today)


def _check_ladder(name: str, series: Sequence[Row], today: date) -> None:
    first, last = today.toordinal(), today.toordinal() + _CURRENT_DAYS
    nearest = min((row.expiry for row in series if first <= row.expiry <= last), default=None)
    if nearest is None:
        raise Refused(f"{name} has no current expiry")
    for option_type in ("CE", "PE"):
        strikes = sum(row.expiry == nearest and row.option_type == option_type for row in series)
        if strikes < _LADDER:
            day = date.fromordinal(nearest)
            raise Refused(f"{name} lists {strikes} {option_type} strikes for {day}; {_LADDER} are the least")


def _check_row_counts(counts: Mapping[str, int], good: Entry, now: datetime) -> None:
    """Raises Refused where a file has far more or fewer rows than in the last good master, if that one is recent."""
    if counts.keys() != good.sources.keys() or now - good.accepted_at > _COMPARABLE:
        return
    for source, count in counts.items():
        last = good.sources[source]
        if abs(count - last) > last * _ROWS_MAY_CHANGE:
            name = source.rpartition("/")[2]
            raise Refused(
                f"{name} has {count} option rows; the last good one had {last}, and 20 % is the most it may change"
            )


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
