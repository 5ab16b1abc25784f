"""Quotes that move: a deterministic function of (seed, IST day, time step), pinned or frozen on demand."""

from __future__ import annotations

import math
import random
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal

from app.simulator.instruments import (
    IST,
    UNDERLYINGS,
    Instrument,
    Underlying,
    listing_of,
    utc_now,
)

# (fraction of spot, period in seconds): slow enough that a quote read a second ago is still a fair one.
_WAVES = ((0.0003, 61.0), (0.001, 613.0), (0.003, 7207.0))
_YEAR = 365 * 86400.0
_CARRY = 0.06
_ONE_HOUR = 3600.0
OPENING = -1  # the step of 09:15, at which a market without volatility stays


@dataclass(frozen=True, slots=True)
class Quote:
    """Rupees; zero where there is no bid, no ask or no trade."""

    ltp: Decimal
    bid: Decimal
    ask: Decimal


class Market:
    """The listing and its quotes. It is not thread-safe by itself: the exchange calls it under its lock.

    now: gives the time with its zone; the IST date decides what is listed.
    volatile: False keeps every quote at its opening value.
    step_seconds: quotes change once a step.
    """

    def __init__(
        self,
        seed: int = 1,
        now: Callable[[], datetime] = utc_now,
        *,
        volatile: bool = True,
        step_seconds: float = 1.0,
        holidays: frozenset[date] = frozenset(),
        strikes_each_side: int = 30,
    ) -> None:
        self.seed = seed
        self.now = now
        self._step_seconds = step_seconds
        self._holidays = holidays
        self._strikes = strikes_each_side
        self._still: int | None = None if volatile else OPENING
        self._frozen_step = self._still
        self._pins: dict[str, Quote] = {}
        self._changes = 0
        self._open_day(now().astimezone(IST).date())
        self._step = self._current_step()

    def refresh(self) -> tuple[date, int, int]:
        """Moves to the present step. The result changes whenever any quote may have changed."""
        moment = self.now().astimezone(IST)
        if moment.date() != self.listing.day:
            self._open_day(moment.date())
        step = self._current_step(moment)
        if step != self._step:
            self._step = step
            self._quotes.clear()
        return self.listing.day, self._step, self._changes

    def is_holiday(self, day: date) -> bool:
        return day in self._holidays

    def find(self, symbol: str) -> Instrument | None:
        return self.listing.find(symbol)

    def quote(self, instrument: Instrument) -> Quote:
        """The quote of this step, or the pinned quote."""
        quote = self._pins.get(instrument.symbol) or self._quotes.get(instrument.symbol)
        if quote is None:
            quote = self._quotes[instrument.symbol] = _around(instrument, self._price(instrument, self._step))
        return quote

    def open_price(self, instrument: Instrument) -> Decimal:
        """The price at 09:15 in rupees. Pins do not change it."""
        known = self._opens.get(instrument.symbol)
        if known is None:
            known = self._opens[instrument.symbol] = self._price(instrument, OPENING, pinned=False)
        return known

    def open_spot(self, underlying: Underlying) -> Decimal:
        return _on_tick(float(underlying.spot) * self._drift[underlying.name], Decimal("0.05"))

    def volume(self, instrument: Instrument) -> int:
        return instrument.lot_size * (1000 + zlib.crc32(f"{self.seed}{instrument.symbol}".encode()) % 90000)

    def set_quote(self, instrument: Instrument, ltp: Decimal, bid: Decimal | None, ask: Decimal | None) -> None:
        """Pins one quote. A missing side is one tick from the LTP. A pinned index moves its options."""
        tick = instrument.tick_size
        pinned = Quote(ltp, max(ltp - tick, Decimal(0)) if bid is None else bid, ltp + tick if ask is None else ask)
        self._pins[instrument.symbol] = pinned
        self._touch()

    def release(self, symbol: str | None = None) -> None:
        """Removes the pin of one symbol, or every pin and the freeze."""
        if symbol is None:
            self._pins.clear()
            self._frozen_step = self._still
        else:
            self._pins.pop(symbol, None)
        self._touch()

    def freeze(self) -> None:
        """Keeps every quote where it is now."""
        self._frozen_step = self._step

    def count(self) -> None:
        """Counts a step without a move of any price."""
        self._changes += 1

    def settlement(self, instrument: Instrument) -> Decimal:
        """The value of an expired contract in rupees: its intrinsic value at today's opening spot."""
        spot = self.open_spot(instrument.underlying)
        if instrument.strike is None:
            return spot
        return max(Decimal(0), spot - instrument.strike if instrument.option_type == "CE" else instrument.strike - spot)

    def _touch(self) -> None:
        self._quotes.clear()
        self._changes += 1

    def _open_day(self, day: date) -> None:
        self.listing = listing_of(day, self._holidays, self._strikes)
        self._midnight = datetime(day.year, day.month, day.day, tzinfo=IST).timestamp()
        self._quotes: dict[str, Quote] = {}
        self._opens: dict[str, Decimal] = {}
        self._drift: dict[str, float] = {}
        self._phases: dict[str, tuple[float, ...]] = {}
        for underlying in UNDERLYINGS:
            dice = random.Random(f"{self.seed}:{day}:{underlying.name}")  # noqa: S311 - a market, not a secret
            self._drift[underlying.name] = 1 + dice.uniform(-0.005, 0.005)
            self._phases[underlying.name] = tuple(dice.uniform(0, math.tau) for _ in _WAVES)

    def _current_step(self, moment: datetime | None = None) -> int:
        if self._frozen_step is not None:
            return self._frozen_step
        seconds = (moment or self.now()).timestamp() - self._midnight
        return max(0, int(seconds / self._step_seconds))

    def _price(self, instrument: Instrument, step: int, *, pinned: bool = True) -> Decimal:
        pin = self._pins.get(instrument.underlying.quote_symbol) if pinned else None
        spot = float(pin.ltp) if pin else self._spot(instrument.underlying, step)
        if instrument.expiry is None:
            return _on_tick(spot, instrument.tick_size)
        years = self._years_left(instrument, step)
        if instrument.strike is None:
            return _on_tick(spot * (1 + _CARRY * years), instrument.tick_size)
        premium = _premium(
            spot, float(instrument.strike), years, instrument.underlying.volatility, instrument.option_type
        )
        return _on_tick(premium, instrument.tick_size)

    def _spot(self, underlying: Underlying, step: int) -> float:
        level = float(underlying.spot) * self._drift[underlying.name]
        if step == OPENING:
            return level
        seconds = step * self._step_seconds
        phases = self._phases[underlying.name]
        waves = (
            size * math.sin(math.tau * seconds / period + phase)
            for (size, period), phase in zip(_WAVES, phases, strict=True)
        )
        return level * (1 + sum(waves))

    def _years_left(self, instrument: Instrument, step: int) -> float:
        opens, _ = instrument.session_on(self.listing.day)
        seconds_today = step * self._step_seconds if step != OPENING else opens.hour * 3600 + opens.minute * 60
        left = instrument.expiry_epoch - self._midnight - seconds_today
        return max(left, _ONE_HOUR) / _YEAR


def _premium(spot: float, strike: float, years: float, volatility: float, option_type: str) -> float:
    """The Black-Scholes premium without interest: intrinsic value and a time value that decays to the expiry."""
    spread = volatility * math.sqrt(years)
    d1 = math.log(spot / strike) / spread + spread / 2
    call = spot * _normal(d1) - strike * _normal(d1 - spread)
    return call if option_type == "CE" else call - spot + strike


def _normal(x: float) -> float:
    return 0.5 * math.erfc(-x / math.sqrt(2))


def _on_tick(price: float, tick: Decimal) -> Decimal:
    return max(1, round(price / float(tick))) * tick


def _around(instrument: Instrument, ltp: Decimal) -> Quote:
    if instrument.is_index:
        return Quote(ltp, Decimal(0), Decimal(0))  # an index does not trade
    tick = instrument.tick_size
    half = max(1, int(ltp / tick / 1000)) * tick
    bid = max(tick, ltp - half)
    return Quote(ltp, bid, max(bid + tick, ltp + half))
