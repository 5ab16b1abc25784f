"""The exchange's day is India's: open from the first minute to before the last, on trading days alone."""

from datetime import UTC, date, datetime, time, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.calendar import IST, Calendar, Session, ist_day, utc_iso
from app.facts.holidays import HOLIDAYS

FRIDAY, SATURDAY, MONDAY = date(2026, 11, 20), date(2026, 11, 21), date(2026, 11, 23)
HOLIDAY = date(2026, 11, 24)
MUHURAT = date(2026, 11, 8)  # a Sunday
USUAL = Calendar(holidays=frozenset({HOLIDAY}), extra={MUHURAT: Session(time(18), time(19))})
LAB = Calendar(session=None)


def at(day: date, text: str) -> datetime:
    """That time in India, said in UTC as everywhere in the code."""
    return datetime.combine(day, time.fromisoformat(text), IST).astimezone(UTC)


@pytest.mark.parametrize(
    ("day", "clock", "is_open"),
    [
        (FRIDAY, "09:14:59.999999", False),
        (FRIDAY, "09:15", True),
        (FRIDAY, "15:39:59.999999", True),
        (FRIDAY, "15:40", False),
        (FRIDAY, "00:00", False),
        (SATURDAY, "10:00", False),
        (HOLIDAY, "10:00", False),
        (MUHURAT, "10:00", False),
        (MUHURAT, "17:59:59", False),
        (MUHURAT, "18:00", True),
        (MUHURAT, "19:00", False),
    ],
)
def test_open_is_from_the_first_minute_to_before_the_last(day: date, clock: str, is_open: bool) -> None:
    assert USUAL.is_open(at(day, clock)) is is_open
    assert LAB.is_open(at(day, clock))


@pytest.mark.parametrize(
    ("day", "trades"), [(FRIDAY, True), (SATURDAY, False), (HOLIDAY, False), (MUHURAT, True), (MONDAY, True)]
)
def test_a_trading_day_is_a_weekday_that_is_no_holiday_or_a_day_with_hours_of_its_own(day: date, trades: bool) -> None:
    assert USUAL.is_trading_day(day) is trades
    assert (USUAL.session_on(day) is not None) is trades
    assert LAB.is_trading_day(day)


def test_hours_of_its_own_open_a_holiday_too() -> None:
    calendar = Calendar(holidays=frozenset({HOLIDAY}), extra={HOLIDAY: Session(time(18), time(19))})
    assert calendar.is_open(at(HOLIDAY, "18:30"))
    assert not calendar.is_open(at(HOLIDAY, "10:00"))


@pytest.mark.parametrize(
    ("day", "clock", "minutes", "over"),
    [
        (FRIDAY, "15:39", 0, False),
        (FRIDAY, "15:40", 0, True),
        (FRIDAY, "15:49", 10, False),
        (FRIDAY, "15:50", 10, True),
        (SATURDAY, "16:00", 0, False),
        (HOLIDAY, "16:00", 0, False),
        (MUHURAT, "16:00", 0, False),
        (MUHURAT, "19:00", 0, True),
    ],
)
def test_over_is_a_trading_day_after_its_end(day: date, clock: str, minutes: int, over: bool) -> None:
    assert USUAL.is_over(at(day, clock), timedelta(minutes=minutes)) is over
    assert not LAB.is_over(at(day, clock))


@pytest.mark.parametrize(
    ("day", "clock", "floor"),
    [
        (FRIDAY, "00:00", FRIDAY),
        (FRIDAY, "15:39", FRIDAY),
        (FRIDAY, "15:40", SATURDAY),
        (FRIDAY, "23:59", SATURDAY),
        (SATURDAY, "16:00", SATURDAY),
    ],
)
def test_todays_expiry_counts_until_the_session_closes(day: date, clock: str, floor: date) -> None:
    assert USUAL.expiry_floor(at(day, clock)) == floor
    assert LAB.expiry_floor(at(day, clock)) == day


def test_the_trading_day_before_skips_weekends_and_holidays() -> None:
    assert USUAL.trading_day_before(MONDAY) == FRIDAY
    assert USUAL.trading_day_before(date(2026, 11, 25)) == MONDAY
    assert USUAL.latest_trading_day(HOLIDAY) == MONDAY
    assert USUAL.latest_trading_day(FRIDAY) == FRIDAY
    assert LAB.latest_trading_day(SATURDAY) == FRIDAY


def test_beyond_the_known_days_a_weekday_is_assumed_unless_it_is_named() -> None:
    named = date(2026, 11, 26)
    calendar = Calendar(known_until=FRIDAY, holidays=frozenset({HOLIDAY}), extra={named: Session()})
    days = [FRIDAY + timedelta(days=days) for days in range(8)]
    assert [day for day in days if calendar.is_assumed(day)] == [MONDAY, date(2026, 11, 25), date(2026, 11, 27)]
    assert not any(USUAL.is_assumed(day) or LAB.is_assumed(day) for day in days)


@pytest.mark.parametrize(
    ("known_until", "oldest"),
    [
        (date.max, date(2026, 11, 25)),
        (date(2026, 11, 25), date(2026, 11, 25)),
        (HOLIDAY, MONDAY),  # the 25th may have been a holiday, and the 24th was one
        (FRIDAY, FRIDAY),
        (date(2026, 11, 1), FRIDAY),  # two in a row at the most
    ],
)
def test_a_good_master_may_be_older_by_the_days_that_may_have_been_holidays(known_until: date, oldest: date) -> None:
    calendar = Calendar(known_until=known_until, holidays=frozenset({HOLIDAY}))
    assert calendar.oldest_master(date(2026, 11, 26)) == oldest


@pytest.mark.parametrize(
    ("utc", "day"), [("2026-11-20T18:29:59+00:00", "2026-11-20"), ("2026-11-20T18:30:00+00:00", "2026-11-21")]
)
def test_the_day_changes_at_indias_midnight(utc: str, day: str) -> None:
    assert str(ist_day(datetime.fromisoformat(utc))) == day


def test_a_moment_is_written_in_utc_with_its_zone() -> None:
    assert utc_iso(at(FRIDAY, "09:15")) == "2026-11-20T03:45:00+00:00"


@given(st.integers(0, 365 * 24 * 60))
def test_what_is_open_is_a_trading_day_that_is_not_over_yet(minutes: int) -> None:
    now = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(minutes=minutes)
    calendar = Calendar(holidays=HOLIDAYS)
    if calendar.is_open(now):
        assert calendar.is_trading_day(ist_day(now))
        assert not calendar.is_over(now)
        assert calendar.expiry_floor(now) == ist_day(now) == calendar.latest_trading_day(ist_day(now))
