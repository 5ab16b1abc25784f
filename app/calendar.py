"""Indian trading time: IST days, the session, and which expiries still count."""

from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta, timezone

# India has kept UTC+5:30 without daylight saving since 1945, so a fixed offset is enough.
IST = timezone(timedelta(hours=5, minutes=30), "IST")

_SATURDAY = 5


@dataclass(frozen=True, slots=True)
class Session:
    """Opening and closing time, both IST. NSE's F&O session ends at 15:40 since 3 August 2026."""

    opens: time = time(9, 15)
    closes: time = time(15, 40)


@dataclass(frozen=True, slots=True)
class Calendar:
    """When the exchange is open. `session` None means always, for labs."""

    session: Session | None = field(default_factory=Session)
    holidays: frozenset[date] = frozenset()

    def is_trading_day(self, day: date) -> bool:
        return self.session is None or (day.weekday() < _SATURDAY and day not in self.holidays)

    def is_open(self, now: datetime) -> bool:
        if self.session is None:
            return True
        local = now.astimezone(IST)
        return self.is_trading_day(local.date()) and self.session.opens <= local.time() < self.session.closes

    def trading_day_before(self, day: date) -> date:
        """By weekends and holidays alone, in labs too: the exchange's files follow them there as well."""
        return _before(day, self.holidays)

    def latest_trading_day(self, day: date) -> date:
        """That day, or the last trading day before it where it is none."""
        return self.trading_day_before(day + timedelta(days=1))

    def expiry_floor(self, now: datetime) -> date:
        """The first day whose expiry can still be traded: today until the session closes, then tomorrow."""
        local = now.astimezone(IST)
        closed = self.session is not None and local.time() >= self.session.closes
        return local.date() + timedelta(days=1) if closed else local.date()


def _before(day: date, holidays: frozenset[date]) -> date:
    day -= timedelta(days=1)
    while day.weekday() >= _SATURDAY or day in holidays:
        day -= timedelta(days=1)
    return day


def ist_day(moment: datetime) -> date:
    return moment.astimezone(IST).date()


def utc_iso(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat()
