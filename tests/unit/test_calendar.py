"""The exchange's day is India's: open from the first minute to before the last, on trading days alone.

Its hours are those of the date, and a contract's those of the contract.
"""

from datetime import UTC, date, datetime, time, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.calendar import IST, Calendar, Listing, Session, ist_day, utc_iso
from app.facts.holidays import HOLIDAYS

FRIDAY, SATURDAY, MONDAY = date(2026, 11, 20), date(2026, 11, 21), date(2026, 11, 23)
HOLIDAY = date(2026, 11, 24)
MUHURAT = date(2026, 11, 8)  # a Sunday
USUAL = Calendar(holidays=frozenset({HOLIDAY}), extra={MUHURAT: Session(time(18), time(19))})
LAB = Calendar(always=True)


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


# The hours of a date, and of a contract.

LAST_FRIDAY, NEW_MONDAY = date(2026, 12, 4), date(2026, 12, 7)  # the hours change between them
BY_TABLE = Calendar()
OLD, NEW = Session(time(9, 15), time(15, 40)), Session(time(9, 15), time(15, 45))


def listed(expiry: date = date.max, session: Session | None = None, *, on_index: bool = True) -> Listing:
    return Listing(expiry, on_index, session)


@pytest.mark.parametrize(
    ("day", "closes"),
    [
        (date(2026, 7, 31), "15:30"),
        (date(2026, 8, 3), "15:40"),
        (LAST_FRIDAY, "15:40"),
        (NEW_MONDAY, "15:45"),
        (date(2030, 1, 2), "15:45"),
    ],
)
def test_each_day_has_the_hours_of_its_own_date(day: date, closes: str) -> None:
    assert BY_TABLE.session_on(day) == Session(time(9, 15), time.fromisoformat(closes))
    assert not BY_TABLE.is_open(at(day, closes))
    assert BY_TABLE.is_over(at(day, closes))
    assert not BY_TABLE.is_over(at(day, "15:29"))


def test_given_hours_override_the_table_on_every_day_but_one_with_hours_of_its_own() -> None:
    given_hours = Calendar(Session(time(10), time(11)), extra={MUHURAT: Session(time(18), time(19))})
    for day in (LAST_FRIDAY, NEW_MONDAY):
        assert given_hours.session_on(day) == Session(time(10), time(11))
    assert given_hours.session_on(MUHURAT) == Session(time(18), time(19))


@pytest.mark.parametrize(
    ("day", "expires", "on_index", "closes"),
    [
        (date(2026, 12, 1), True, True, "15:40"),
        (date(2026, 12, 8), True, True, "15:30"),
        (date(2026, 12, 8), True, False, "15:45"),
        (date(2026, 12, 8), False, True, "15:45"),
    ],
    ids=["by the old hours", "an index's, expiring", "a stock's, expiring", "an index's, of another day"],
)
@pytest.mark.parametrize("entering", [True, False], ids=["entry", "exit"])
def test_a_contract_on_an_index_stops_earlier_on_its_expiry_day_since_december(
    day: date, expires: bool, on_index: bool, closes: str, entering: bool
) -> None:
    contract = listed(day if expires else date.max, on_index=on_index)
    hours = BY_TABLE.hours_of(contract, day, entering=entering)
    assert hours == Session(time(9, 15), time.fromisoformat(closes))
    assert BY_TABLE.has_stopped(contract, at(day, closes), entering=entering)
    assert not BY_TABLE.has_stopped(contract, at(day, "15:29:59"), entering=entering)


@pytest.mark.parametrize(
    ("said", "entry", "exit_"),
    [
        (OLD, OLD, NEW),
        (Session(time(9, 30), time(15, 55)), Session(time(9, 30), NEW.closes), Session(NEW.opens, time(15, 55))),
        (NEW, NEW, NEW),
        (None, NEW, NEW),
    ],
    ids=["the master closes earlier", "it opens and closes later", "it agrees", "it says nothing"],
)
def test_where_table_and_master_differ_entries_go_by_the_narrower_and_exits_by_the_wider(
    said: Session | None, entry: Session, exit_: Session
) -> None:
    contract = listed(session=said)
    assert BY_TABLE.hours_of(contract, NEW_MONDAY, entering=True) == entry
    assert BY_TABLE.hours_of(contract, NEW_MONDAY, entering=False) == exit_


def test_before_the_contract_is_known_the_widest_hours_count() -> None:
    late = at(NEW_MONDAY, "15:50")
    assert not BY_TABLE.is_open(late)
    assert BY_TABLE.is_open(late, Session(time(9, 15), time(15, 55)))
    assert not BY_TABLE.is_over(late, said=Session(time(9, 15), time(15, 55)))
    assert BY_TABLE.is_over(late, said=OLD)


def test_given_hours_are_those_of_every_contract_and_the_expiring_one() -> None:
    given_hours = Calendar(Session(time(9, 15), time(15, 44)))
    expiry = date(2026, 12, 8)
    other, expiring = listed(session=OLD), listed(expiry, session=OLD)
    for entering in (True, False):
        for contract in (other, expiring):
            assert given_hours.hours_of(contract, expiry, entering=entering) == given_hours.override
    assert not given_hours.is_open(at(expiry, "15:44"), Session(time(9, 15), time(15, 55)))


def test_a_day_with_hours_of_its_own_has_them_for_every_contract() -> None:
    evening = Session(time(18), time(19))
    calendar = Calendar(extra={MUHURAT: evening})
    contract = listed(MUHURAT, session=OLD)
    assert calendar.hours_of(contract, MUHURAT, entering=True) == evening
    assert calendar.hours_of(contract, MUHURAT, entering=False) == evening


def test_a_contract_does_not_stop_on_a_day_without_a_session_nor_in_a_lab() -> None:
    assert USUAL.hours_of(listed(HOLIDAY), HOLIDAY, entering=True) is None
    assert not USUAL.has_stopped(listed(HOLIDAY), at(HOLIDAY, "16:00"), entering=True)
    assert not LAB.has_stopped(listed(FRIDAY), at(FRIDAY, "23:59"), entering=True)


def test_the_trading_day_before_skips_weekends_and_holidays() -> None:
    assert USUAL.trading_day_before(MONDAY) == FRIDAY
    assert USUAL.trading_day_before(date(2026, 11, 25)) == MONDAY
    assert USUAL.latest_trading_day(HOLIDAY) == MONDAY
    assert USUAL.latest_trading_day(FRIDAY) == FRIDAY
    assert LAB.latest_trading_day(SATURDAY) == FRIDAY


def test_beyond_the_known_days_a_weekday_is_assumed_unless_it_is_named() -> None:
    named = date(2026, 11, 26)
    calendar = Calendar(
        known_until=FRIDAY, holidays=frozenset({HOLIDAY}), extra={named: Session(time(9, 15), time(15, 40))}
    )
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
        assert ist_day(now) == calendar.latest_trading_day(ist_day(now))
