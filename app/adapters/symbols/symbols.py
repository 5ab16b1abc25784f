"""The symbol master of the running service: loaded from the cache, swapped whole when the cache has a newer one."""

import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Concatenate, ParamSpec, TypeVar

from app.adapters.symbols.cache import Cache, CacheDown, Entry, LocalCache, Pointer, verified
from app.adapters.symbols.master import Master
from app.domain.calendar import Session
from app.domain.errors import NotNow, Reason

_Asked = ParamSpec("_Asked")
_Found = TypeVar("_Found")

CHECK_EVERY = 30.0  # seconds between two looks at the pointer


def open_cache(place: str) -> Cache:
    """The cache at a path or `gs://bucket/object`. Nothing is read yet. Raises ValueError for an invalid place."""
    if not place.startswith("gs://"):
        return LocalCache(Path(place))
    bucket, _, name = place.removeprefix("gs://").partition("/")
    if not bucket or not name or name.endswith("/"):
        raise ValueError(f"{place} names no object; write gs://bucket/object")
    from app.adapters.symbols.gcs_cache import GcsCache

    return GcsCache(bucket, name)


@dataclass(frozen=True, slots=True)
class _Loaded:
    """A master in memory. `pointer` is the text that named it; empty where its current artifact is damaged."""

    pointer: bytes
    entry: Entry
    master: Master


def _asks(lookup: Callable[Concatenate[Master, _Asked], _Found]) -> Callable[Concatenate["Symbols", _Asked], _Found]:
    """The same lookup in the master that is loaded. Raises NotNow(SYMBOLS_MISSING) as well."""

    def asked(symbols: "Symbols", /, *args: _Asked.args, **kwargs: _Asked.kwargs) -> _Found:
        return lookup(symbols.loaded.master, *args, **kwargs)

    return asked


class Symbols:
    """ports.SymbolMaster over a cache. A lookup reads one reference, so it never sees half of a swap."""

    def __init__(self, cache: Cache) -> None:
        self.problem: str | None = None
        self._cache = cache
        self._loaded: _Loaded | None = None
        self._look_again_at = float("-inf")
        self._loading = threading.Lock()

    @classmethod
    def open(cls, cache: str | Cache, timeout: float = 5.0) -> "Symbols":
        """The master from the cache: a path or `gs://bucket/object`. `timeout` is in seconds, for each read.

        Until a master is loaded every lookup raises NotNow(SYMBOLS_MISSING), and `problem` says why there is none.
        """
        symbols = cls(open_cache(cache) if isinstance(cache, str) else cache)
        symbols._look(timeout)
        return symbols

    def look_due(self, monotonic: float) -> bool:
        return monotonic >= self._look_again_at

    def reload_if_changed(self, monotonic: float, timeout: float = 0.5) -> bool:
        """Takes a newer master as ports.SymbolMaster says; `timeout` bounds each read, in seconds.

        One caller looks while the others go on with the present master.
        """
        if not self.look_due(monotonic) or not self._loading.acquire(blocking=False):
            return False
        try:
            self._look_again_at = monotonic + CHECK_EVERY
            return self._look(timeout)
        finally:
            self._loading.release()

    def reload(self, timeout: float = 5.0) -> bool:
        """Looks at once, whenever it looked last."""
        with self._loading:
            return self._look(timeout)

    def _look(self, timeout: float) -> bool:
        before = self._loaded
        try:
            text = self._cache.pointer(timeout)
            if text is None:
                raise CacheDown("there is no symbol master yet; run a refresh")
            if before is None or text != before.pointer:
                self._loaded = self._load(text, timeout)
            self.problem = None
        except CacheDown as down:
            self.problem = str(down)
        return self._loaded is not before

    def _load(self, text: bytes, timeout: float) -> _Loaded:
        pointer, known = Pointer.decode(text), self._loaded
        if known is not None and known.entry.digest == pointer.current.digest:
            return _Loaded(text, pointer.current, known.master)  # the same file, accepted for another day
        try:
            return _Loaded(text, pointer.current, self._read(pointer.current, timeout))
        except CacheDown as down:
            if known is not None or pointer.before is None:
                raise
            self._loaded = _Loaded(b"", pointer.before, self._read(pointer.before, timeout))
            raise CacheDown(f"{down}; the master of {pointer.before.as_of} is used instead") from down

    def _read(self, entry: Entry, timeout: float) -> Master:
        try:
            return Master(verified(self._cache, entry, timeout))
        except (ValueError, KeyError) as error:
            raise CacheDown(f"{entry.artifact} is of another version; refresh the symbols") from error

    def close(self) -> None:
        self._cache.close()

    @property
    def loaded(self) -> _Loaded:
        if self._loaded is None:
            raise NotNow(Reason.SYMBOLS_MISSING)
        return self._loaded

    @property
    def as_of(self) -> date:
        """The trading day the master was last accepted for. Its files are of that day or the trading day before."""
        return self.loaded.entry.as_of

    @property
    def rows(self) -> int:
        return self.loaded.master.rows

    @property
    def is_of_this_version(self) -> bool:
        """Whether the artifact has everything that this version stores."""
        return self.loaded.master.is_of_this_version

    @property
    def session(self) -> Session | None:
        return self._loaded.master.session if self._loaded is not None else None

    resolve = _asks(Master.resolve)
    lookup_symbol = _asks(Master.lookup_symbol)
    spot_symbol = _asks(Master.spot_symbol)
    expiring = _asks(Master.expiring)
    kinds = _asks(Master.kinds)
