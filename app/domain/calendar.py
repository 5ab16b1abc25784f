"""Indian trading time: IST days, sessions, the hours of a contract, and which expiries can still be traded."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta, timezone

from app.facts import in_force
from app.facts.hours import DERIVATIVES

# India has kept UTC+5:30 without daylight saving since 1945, so a fixed offset will do.
IST = timezone(timedelta(hours=5, minutes=30), "IST")

_SATURDAY = 5
_MOST = 0.5  # of the hours that all rows of the table have in common
_EARLIEST, _LATEST = time(9), time(17)  # no usual session of derivatives on shares and indices goes beyond them
_HOLIDAYS_IN_A_ROW = 2  # weekdays, as 14 and 15 April 2027 are expected to be


@dataclass(frozen=True, slots=True)
class Session:
    """From `opens` to before `closes`, both IST."""

    opens: time
    closes: time

    def __str__(self) -> str:
        return f"{self.opens:%H:%M}-{self.closes:%H:%M}"

    def holds(self, at: time) -> bool:
        return self.opens <= at < self.closes

    def narrower(self, other: "Session") -> "Session":
        """The time both have. Where they share no minute it closes no later than it opens."""
        return Session(max(self.opens, other.opens), min(self.closes, other.closes))

    def wider(self, other: "Session") -> "Session":
        return Session(min(self.opens, other.opens), max(self.closes, other.closes))

    def overlaps(self, other: "Session") -> bool:
        return not self.narrower(other).is_empty

    @property
    def is_empty(self) -> bool:
        return self.opens >= self.closes

    @property
    def minutes(self) -> int:
        return 60 * (self.closes.hour - self.opens.hour) + self.closes.minute - self.opens.minute

    @property
    def is_plausible(self) -> bool:
        """Whether the symbol master may widen the table's hours by it. One bad row must not open the night."""
        within = self.opens >= _EARLIEST and self.closes <= _LATEST
        return within and self.narrower(CORE).minutes > _MOST * CORE.minutes


# What every row of the table has in common.
CORE = Session(max(row.opens for row in DERIVATIVES), min(row.closes for row in DERIVATIVES))


@dataclass(frozen=True, slots=True)
class Listing:
    """What the hours of a contract depend on; `session` is from the symbol master, None where it gives none.

    `on_index` is whether the underlying is an index.
    """

    expiry: date | None
    on_index: bool = True
    session: Session | None = None


@dataclass(frozen=True, slots=True)
class Calendar:
    """When the exchange is open: by the dated table, or by `override` on every day. `always` is for labs.

    `extra` are days with hours of their own, which come before everything else; `known_until` is the last day of the
    list of holidays.
    """

    override: Session | None = None
    holidays: frozenset[date] = frozenset()
    extra: Mapping[date, Session] = field(default_factory=dict)
    always: bool = False
    known_until: date = date.max

    def session_on(self, day: date) -> Session | None:
        """The hours of the market. None where it is closed all day, and in labs, which have no hours."""
        if day in self.extra:
            return self.extra[day]
        if self.always or day.weekday() >= _SATURDAY or day in self.holidays:
            return None
        if self.override is not None:
            return self.override
        hours = in_force(DERIVATIVES, day)
        return Session(hours.opens, hours.closes)

    def goes_by_table(self, day: date) -> bool:
        """Whether the hours of that day come from table and symbol master, and not from a setting."""
        return not self.always and self.override is None and day not in self.extra

    def table_hours(self, contract: Listing, day: date) -> Session | None:
        """A contract's hours without the symbol master. On its expiry day it may stop before the market.

        `override` holds for every contract. An extra session that begins before the contract's last minute ends with
        it; one that begins later holds for the contract as well.
        """
        market = self.session_on(day)
        if market is None or contract.expiry != day or self.override is not None:
            return market
        stops = in_force(DERIVATIVES, day).until(on_index=contract.on_index, expires=True)
        return Session(market.opens, min(market.closes, stops)) if market.opens < stops else market

    def hours_of(self, contract: Listing, day: date, *, entering: bool) -> Session | None:
        """A contract's hours. Where table and symbol master differ: the narrower for entries, the wider for exits.

        An extra session takes the master's place: exits go on until it ends. Implausible hours of the master narrow the
        entries, to no minute if they share none with the table's, and do not widen the exits.
        """
        market, table = self.session_on(day), self.table_hours(contract, day)
        if market is None or table is None:
            return None
        said = (contract.session or table) if self.goes_by_table(day) else market
        if entering:
            return table.narrower(said)
        return table.wider(said) if said.is_plausible or said is market else table

    def is_trading_day(self, day: date) -> bool:
        return self.always or self.session_on(day) is not None

    def is_assumed(self, day: date) -> bool:
        """True for a trading day that may be a holiday: it is beyond the list, and no setting gives it hours."""
        return day > self.known_until and day not in self.extra and self.session_on(day) is not None

    def is_open(self, now: datetime, said: Session | None = None) -> bool:
        """Whether anything may trade now. `said` are the widest plausible hours in the symbol master."""
        if self.always:
            return True
        local = now.astimezone(IST)
        hours = self._widest(local.date(), said)
        return hours is not None and hours.holds(local.time())

    def is_over(self, now: datetime, after: timedelta = timedelta(), said: Session | None = None) -> bool:
        """True on a trading day once its last contract stopped `after` ago. Never in labs, which do not close."""
        local = now.astimezone(IST)
        hours = None if self.always else self._widest(local.date(), said)
        return hours is not None and local - after >= datetime.combine(local.date(), hours.closes, IST)

    def has_stopped(self, contract: Listing, now: datetime, *, entering: bool) -> bool:
        """Whether the contract's hours of today are over: by the table for an entry, by the wider hours for an exit.

        Never in labs. The symbol master alone moves no entry on to the next contract; such an entry is refused.
        """
        local = now.astimezone(IST)
        day = local.date()
        hours = self.table_hours(contract, day) if entering else self.hours_of(contract, day, entering=False)
        return not self.always and hours is not None and local.time() >= hours.closes

    def _widest(self, day: date, said: Session | None) -> Session | None:
        hours = self.session_on(day)
        return hours.wider(said) if hours is not None and said is not None and self.goes_by_table(day) else hours

    def trading_day_before(self, day: date) -> date:
        """By weekends and holidays alone, in labs too, since the exchange's files follow them there as well."""
        day -= timedelta(days=1)
        while day.weekday() >= _SATURDAY or day in self.holidays:
            day -= timedelta(days=1)
        return day

    def latest_trading_day(self, day: date) -> date:
        """That day if it is a trading day, else the last one before it."""
        return self.trading_day_before(day + timedelta(days=1))

    def oldest_master(self, day: date) -> date:
        """The earliest date of a usable symbol master: the trading day before; earlier where that is assumed."""
        oldest = self.trading_day_before(day)
        for _ in range(_HOLIDAYS_IN_A_ROW):
            if not self.is_assumed(oldest):
                break
            oldest = self.trading_day_before(oldest)
        return oldest


def ist_day(moment: datetime) -> date:
    return moment.astimezone(IST).date()


def ist_time(moment: datetime) -> str:
    """The time of day in India."""
    return f"{moment.astimezone(IST):%H:%M:%S} IST"


def utc_iso(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat()
