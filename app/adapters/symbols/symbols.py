"""The symbol master of the running service: loaded from the cache, swapped whole when the cache has a newer one."""

import threading
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from pathlib import Path

from app.adapters.symbols.cache import Cache, CacheDown, Entry, LocalCache, Pointer, verified
from app.adapters.symbols.master import Master
from app.domain.alert import Expiry, OptionType, Strike
from app.domain.calendar import Listing, Session
from app.domain.errors import NotNow, Reason
from app.domain.instrument import Instrument, Option

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

        Where the cache is empty or does not answer, every lookup raises NotNow(SYMBOLS_MISSING) until a master is
        loaded; `problem` says why.
        """
        symbols = cls(open_cache(cache) if isinstance(cache, str) else cache)
        symbols._look(timeout)
        return symbols

    def look_due(self, monotonic: float) -> bool:
        """Whether `reload_if_changed` would read the cache at that time, in seconds."""
        return monotonic >= self._look_again_at

    def reload_if_changed(self, monotonic: float, timeout: float = 0.5) -> bool:
        """Loads a newer master if the cache has one; True where it did. It looks at most every 30 s.

        `monotonic` is the time in seconds; `timeout` bounds each read. One caller looks while the others go on with
        the present master. Where the cache does not answer nothing changes, and `problem` says so.
        """
        if not self.look_due(monotonic) or not self._loading.acquire(blocking=False):
            return False
        try:
            self._look_again_at = monotonic + CHECK_EVERY
            return self._look(timeout)
        finally:
            self._loading.release()

    def reload(self, timeout: float = 5.0) -> bool:
        """Does so at once, whenever it looked last. `timeout` bounds each read, in seconds."""
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
        """Closes the cache's connections."""
        self._cache.close()

    @property
    def as_of(self) -> date:
        """The trading day that the master was last accepted for.

        Its files are of that day or of the trading day before. Raises NotNow(SYMBOLS_MISSING).
        """
        return self._there().entry.as_of

    @property
    def digest(self) -> str:
        """The artifact's SHA-256. Raises NotNow(SYMBOLS_MISSING)."""
        return self._there().entry.digest

    @property
    def rows(self) -> int:
        """How many options are listed. Raises NotNow(SYMBOLS_MISSING)."""
        return self._there().master.rows

    @property
    def is_of_this_version(self) -> bool:
        """Whether the artifact has everything that this version stores. Raises NotNow(SYMBOLS_MISSING)."""
        return self._there().master.is_of_this_version

    @property
    def session(self) -> Session | None:
        """The widest plausible hours of any option; None where the master gives none or is missing."""
        return self._loaded.master.session if self._loaded is not None else None

    def resolve(
        self,
        underlying: str,
        exchange: str | None,
        expiry: Expiry,
        strike: Strike,
        option_type: OptionType,
        *,
        on: date,
        spot: Decimal | None = None,
    ) -> Option:
        """The option; see ports.SymbolMaster. Raises NotNow(NO_QUOTE) where `spot` is needed and missing."""
        return self._there().master.resolve(underlying, exchange, expiry, strike, option_type, on=on, spot=spot)

    def spot_symbol(self, underlying: str, exchange: str | None) -> str:
        return self._there().master.spot_symbol(underlying, exchange)

    def lookup_symbol(self, symbol: str) -> Instrument | None:
        """The option, future or share of a broker's symbol, or None where it is not listed.

        Raises NotNow(SYMBOLS_MISSING).
        """
        return self._there().master.lookup_symbol(symbol)

    def expiring(self, underlying: str, exchange: str | None, day: date) -> Option | None:
        """An option on the underlying that expires that day; see ports.SymbolMaster."""
        return self._there().master.expiring(underlying, exchange, day)

    def kinds(self, day: date, *, expiring: bool = False) -> Counter[Listing]:
        """How many options trade at which hours; see ports.SymbolMaster."""
        return self._there().master.kinds(day, expiring=expiring)

    def expiries(self, underlying: str, exchange: str | None, on: date) -> Sequence[date]:
        """The listed expiries from `on`, ascending."""
        return self._there().master.expiries(underlying, exchange, on)

    def strikes(self, underlying: str, exchange: str | None, expiry: date) -> Sequence[Decimal]:
        """The strikes in rupees that one expiry lists, ascending."""
        return self._there().master.strikes(underlying, exchange, expiry)

    def _there(self) -> _Loaded:
        if self._loaded is None:
            raise NotNow(Reason.SYMBOLS_MISSING)
        return self._loaded
