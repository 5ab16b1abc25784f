"""Indian trading time: IST days, the session, and which expiries still count."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta, timezone

# India has kept UTC+5:30 without daylight saving since 1945, so a fixed offset is enough.
IST = timezone(timedelta(hours=5, minutes=30), "IST")

_SATURDAY = 5
_HOLIDAYS_IN_A_ROW = 2  # weekdays, as 14 and 15 April 2027 are expected to be


@dataclass(frozen=True, slots=True)
class Session:
    """Opening and closing time, both IST. NSE's F&O session ends at 15:40 since 3 August 2026."""

    opens: time = time(9, 15)
    closes: time = time(15, 40)


@dataclass(frozen=True, slots=True)
class Calendar:
    """When the exchange is open. `session` None means always, for labs; `extra` are days with hours of their own.

    `known_until` is the last day that the list of holidays reaches.
    """

    session: Session | None = field(default_factory=Session)
    holidays: frozenset[date] = frozenset()
    extra: Mapping[date, Session] = field(default_factory=dict)
    known_until: date = date.max

    def session_on(self, day: date) -> Session | None:
        """That day's hours; None where the exchange is closed all day (and in labs, which have no hours)."""
        if day in self.extra:
            return self.extra[day]
        return self.session if day.weekday() < _SATURDAY and day not in self.holidays else None

    def is_trading_day(self, day: date) -> bool:
        return self.session is None or self.session_on(day) is not None

    def is_assumed(self, day: date) -> bool:
        """True for a trading day that may be a holiday: no list reaches it, and no setting gives it hours."""
        return day > self.known_until and day not in self.extra and self.session_on(day) is not None

    def is_open(self, now: datetime) -> bool:
        if self.session is None:
            return True
        local = now.astimezone(IST)
        hours = self.session_on(local.date())
        return hours is not None and hours.opens <= local.time() < hours.closes

    def is_over(self, now: datetime, after: timedelta = timedelta()) -> bool:
        """True on a trading day once its session ended so long ago; never in labs, which have no end."""
        local = now.astimezone(IST)
        hours = self.session_on(local.date()) if self.session is not None else None
        return hours is not None and local - after >= datetime.combine(local.date(), hours.closes, IST)

    def trading_day_before(self, day: date) -> date:
        """By weekends and holidays alone, in labs too: the exchange's files follow them there as well."""
        day -= timedelta(days=1)
        while day.weekday() >= _SATURDAY or day in self.holidays:
            day -= timedelta(days=1)
        return day

    def latest_trading_day(self, day: date) -> date:
        """That day, or the last trading day before it where it is none."""
        return self.trading_day_before(day + timedelta(days=1))

    def oldest_master(self, day: date) -> date:
        """The earliest date of a good symbol master: of the trading day before; earlier where that is assumed."""
        oldest = self.trading_day_before(day)
        for _ in range(_HOLIDAYS_IN_A_ROW):
            if not self.is_assumed(oldest):
                break
            oldest = self.trading_day_before(oldest)
        return oldest

    def expiry_floor(self, now: datetime) -> date:
        """The first day whose expiry can still be traded: today until the session closes, then tomorrow."""
        today = ist_day(now)
        return today + timedelta(days=1) if self.is_over(now) else today


def ist_day(moment: datetime) -> date:
    return moment.astimezone(IST).date()


def ist_time(moment: datetime) -> str:
    """The time of day as people in India read it."""
    return f"{moment.astimezone(IST):%H:%M:%S} IST"


def utc_iso(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat()
