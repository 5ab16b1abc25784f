"""Looks up instruments in an artifact. A Master never changes: a swap is one reference, and readers need no lock."""

import functools
import json
import sys
from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from difflib import get_close_matches

from app.adapters.symbols.artifact import FORMAT, INTEGERS, PREFIX
from app.adapters.symbols.others import COLUMNS as OTHER_COLUMNS
from app.adapters.symbols.others import Others
from app.adapters.symbols.row import UNIT, band, rupees, session_of
from app.adapters.symbols.series import Series
from app.domain.alert import Expiry, ExpiryRule, Moneyness, OptionType, Strike, spelled
from app.domain.calendar import Listing, Session
from app.domain.errors import Denied, NotNow, Reason
from app.domain.instrument import Instrument, Option, Wanted

_EXCHANGES = ("NSE", "BSE")  # in order of preference
_NEAREST = 3  # how many alternatives an error names


@dataclass(frozen=True, slots=True)
class _Terms:
    lot_size: int
    tick_size: Decimal
    freeze_quantity: int | None
    session: Session | None


class Master:
    """The listed instruments of one artifact: options, and by symbol alone futures and shares.

    Raises ValueError for bytes that are no artifact.
    """

    def __init__(self, artifact: bytes) -> None:
        view = memoryview(artifact)
        form, length = PREFIX.unpack_from(view) if len(view) >= PREFIX.size else (b"", 0)
        if form != FORMAT or sys.byteorder != "little":
            raise ValueError("not a symbol artifact of this version")
        body = PREFIX.size + length
        header = json.loads(bytes(view[PREFIX.size : body]))
        columns = {name: view[body + at : body + at + size] for name, (at, size) in header["columns"].items()}
        integers = {name: columns[name].cast(code) for name, code in INTEGERS.items() if name in columns}  # type: ignore[call-overload]
        self.rows: int = header["rows"]
        self.dated = date.fromisoformat(header["dated"])
        self._strikes: Sequence[int] = integers["strike"]
        self._terms_of: Sequence[int] = integers["terms"]
        self._begin: Sequence[int] = integers["begin"]
        self._by_symbol: Sequence[int] = integers["by_symbol"]
        self._bands = (integers["lower"], integers["upper"]) if "lower" in integers else None
        self._symbols = columns["symbols"]
        self._others = Others(columns)
        sessions = header.get("sessions") or [(0, 0)] * len(header["terms"])
        self._terms = [
            _Terms(lot, rupees(tick), freeze or None, session_of(*minutes))
            for (lot, tick, freeze), minutes in zip(header["terms"], sessions, strict=True)
        ]
        hours = [terms.session for terms in self._terms if terms.session is not None and terms.session.is_plausible]
        self.session = functools.reduce(Session.wider, hours) if hours else None
        instruments = header.get("instruments") or [0] * len(header["series"])
        self.is_of_this_version = {"sessions", "instruments"} <= header.keys() and columns.keys() >= {*OTHER_COLUMNS}
        self._series = {
            (exchange, underlying): Series(exchange, underlying, instrument, *zip(*expiries, strict=True))
            for (exchange, underlying, expiries), instrument in zip(header["series"], instruments, strict=True)
        }
        self._in_order = tuple(self._series.values())
        self._starts = [series.calls[0] for series in self._in_order]
        self._spelled = _other_spellings(self._series)

    def resolve(self, wanted: Wanted, *, on: date, spot: Decimal | None = None) -> Option:
        """The option; see ports.SymbolMaster. Raises NotNow(NO_QUOTE) where `spot` is needed and missing."""
        underlying, exchange, expiry, strike, option_type = wanted
        series = self._find(underlying, exchange)
        at = _expiry(series, expiry, on)
        ladder = series.ladder(at, option_type)
        if isinstance(strike, Moneyness):
            if spot is None or not spot.is_finite() or spot <= 0:
                raise NotNow(
                    Reason.NO_QUOTE, f"strikeprice: {strike} needs the price of {series.underlying}, and there is none"
                )
            out_of_the_money = 1 if option_type is OptionType.CE else -1
            row = self._nearest(spot * UNIT, ladder) + out_of_the_money * strike.steps
            listed = row in ladder
        else:
            units = strike * UNIT
            row = bisect_left(self._strikes, int(units), ladder.start, ladder.stop)
            listed = row in ladder and self._strikes[row] == units
        if not listed:
            raise self._no_such_strike(series, at, option_type, strike)
        return self._contract(series, at, row, option_type)

    def lookup_symbol(self, symbol: str) -> Instrument | None:
        """The instrument of a broker's symbol (`NSE:NIFTY26NOV26000CE`), or None where it is not listed."""
        wanted = symbol.encode("utf-8", "replace")
        place = bisect_left(self._by_symbol, wanted, key=self._symbol)
        if place == self.rows or self._symbol(row := self._by_symbol[place]) != wanted:
            return self._others.lookup(wanted)
        series = self._in_order[bisect_right(self._starts, row) - 1]
        at = bisect_right(series.calls, row) - 1
        return self._contract(series, at, row, OptionType.CE if row < series.puts[at] else OptionType.PE)

    def expiring(self, underlying: str, exchange: str | None, day: date) -> Option | None:
        series = self._find(underlying, exchange)
        at = series.place_of(day.toordinal())
        if at is None:
            return None
        first = series.calls[at]
        return self._contract(series, at, first, OptionType.CE if first < series.puts[at] else OptionType.PE)

    def kinds(self, day: date, *, expiring: bool = False) -> Counter[Listing]:
        found: Counter[Listing] = Counter()
        for series in self._in_order:
            for expiry, first, end in zip(series.expiries, series.calls, series.ends, strict=True):
                if expiring and expiry != day.toordinal():
                    continue
                of = day if expiry == day.toordinal() else date.max
                for terms, count in Counter(self._terms_of[first:end]).items():
                    found[Listing(of, series.on_index, self._terms[terms].session)] += count
        return found

    def spot_symbol(self, underlying: str, exchange: str | None) -> str:
        return self._find(underlying, exchange).spot_symbol

    def _find(self, underlying: str, exchange: str | None) -> Series:
        exchanges = (exchange,) if exchange else _EXCHANGES
        for names in (self._series, self._spelled):
            for place in exchanges:
                if (found := names.get((place, underlying))) is not None:
                    return found
        listed = sorted({name for place, name in self._series if place in exchanges})
        near = get_close_matches(underlying, listed, _NEAREST)
        at = f" at {exchange}" if exchange else ""
        hint = f"; close names: {', '.join(near)}" if near else ""
        raise Denied(Reason.NO_SUCH_CONTRACT, f"symbol: no options on {underlying} are listed{at}{hint}")

    def _nearest(self, wanted: Decimal, ladder: range) -> int:
        """The row whose strike is nearest, the lower one on a tie."""
        above = bisect_left(self._strikes, wanted, ladder.start, ladder.stop)
        if above == ladder.start:
            return above
        if above == ladder.stop or wanted - self._strikes[above - 1] <= self._strikes[above] - wanted:
            return above - 1
        return above

    def _contract(self, series: Series, at: int, row: int, option_type: OptionType) -> Option:
        terms = self._terms[self._terms_of[row]]
        lower, upper = band(*(column[row] for column in self._bands)) if self._bands else (None, None)
        return Option(
            symbol=str(self._symbol(row), "ascii"),
            underlying=series.underlying,
            expiry=date.fromordinal(series.expiries[at]),
            strike=rupees(self._strikes[row]),
            option_type=option_type,
            lot_size=terms.lot_size,
            tick_size=terms.tick_size,
            freeze_quantity=terms.freeze_quantity,
            lower_band=lower,
            upper_band=upper,
            on_index=series.on_index,
            session=terms.session,
        )

    def _symbol(self, row: int) -> bytes:
        return bytes(self._symbols[self._begin[row] : self._begin[row + 1]])

    def _no_such_strike(self, series: Series, at: int, option_type: OptionType, strike: Strike) -> Denied:
        ladder = series.ladder(at, option_type)
        strikes = self._strikes[ladder.start : ladder.stop]
        what = f"{series.underlying} {date.fromordinal(series.expiries[at])} {option_type}"
        if not strikes:
            return Denied(Reason.NO_SUCH_CONTRACT, f"optionType: no {what} is listed")
        if isinstance(strike, Moneyness):
            ends = f"{rupees(strikes[0])} to {rupees(strikes[-1])}"
            return Denied(Reason.NO_SUCH_CONTRACT, f"strikeprice: {strike} is off the ladder; {what} lists {ends}")
        listed = ", ".join(str(rupees(near)) for near in _nearest_of(strikes, strike * UNIT))
        return Denied(Reason.NO_SUCH_CONTRACT, f"strikeprice: {strike} is not listed for {what}; nearest: {listed}")


def _nearest_of(values: Sequence[int], wanted: Decimal) -> Sequence[int]:
    return sorted(sorted(values, key=lambda value: abs(value - wanted))[:_NEAREST])


def _expiry(series: Series, wanted: Expiry, on: date) -> int:
    """The place of the wanted expiry. Raises Denied(NO_SUCH_CONTRACT), naming the nearest ones."""
    first = bisect_left(series.expiries, on.toordinal())
    if isinstance(wanted, ExpiryRule):
        monthly = wanted in (ExpiryRule.MONTHLY, ExpiryRule.NEXT_MONTHLY)
        places = series.last_of_month(first) if monthly else range(first, len(series.expiries))
        skip = wanted in (ExpiryRule.NEXT_WEEKLY, ExpiryRule.NEXT_MONTHLY)
        if len(places) > skip:
            return places[skip]
    else:
        at = series.place_of(wanted.toordinal())
        if at is not None and at >= first:
            return at
    raise _no_such_expiry(series, wanted, first)


def _no_such_expiry(series: Series, wanted: Expiry, first: int) -> Denied:
    open_ones = series.expiries[first:]
    if not open_ones:
        return Denied(Reason.NO_SUCH_CONTRACT, f"expiry: every listed expiry of {series.underlying} is over")
    near: Sequence[int] = open_ones[:_NEAREST]
    state = "is not listed"
    if isinstance(wanted, date):
        near = _nearest_of(open_ones, Decimal(wanted.toordinal()))
        state = "is over" if series.place_of(wanted.toordinal()) is not None else state
    days = ", ".join(str(date.fromordinal(expiry)) for expiry in near)
    return Denied(Reason.NO_SUCH_CONTRACT, f"expiry: {wanted} {state} for {series.underlying}; nearest: {days}")


def _other_spellings(series: dict[tuple[str, str], Series]) -> dict[tuple[str, str], Series]:
    """TradingView writes M&M as M_M and BAJAJ-AUTO as BAJAJ_AUTO. A spelling that could be two names is neither."""
    others: dict[tuple[str, str], list[Series]] = {}
    for (exchange, underlying), listed in series.items():
        if (other := spelled(underlying)) != underlying:
            others.setdefault((exchange, other), []).append(listed)
    return {place: found[0] for place, found in others.items() if len(found) == 1}
