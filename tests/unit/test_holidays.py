"""The exchange's holidays: a dated list that is consistent. The doctor says when it ends; no test fails by the date."""

import re
from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from app.facts import holidays
from app.facts.holidays import HOLIDAYS, KNOWN_UNTIL
from app.runtime.config import Config

SOURCE = Path(holidays.__file__).read_text(encoding="utf-8")
FIXED = [(1, 26), (5, 1), (8, 15), (10, 2), (12, 25)]  # the same day each year, and never traded
SETTINGS = {"WEBHOOK_SECRET_TOKEN": "a-webhook-secret-for-tests"}


def test_each_holiday_is_a_weekday_of_a_year_that_is_known_whole() -> None:
    assert (KNOWN_UNTIL.month, KNOWN_UNTIL.day) == (12, 31)
    assert all(day.weekday() < 5 and day <= KNOWN_UNTIL for day in HOLIDAYS)
    assert max(HOLIDAYS).year == KNOWN_UNTIL.year


def test_each_year_has_about_as_many_as_the_exchange_ever_had() -> None:
    for year in {day.year for day in HOLIDAYS}:
        assert 10 <= sum(day.year == year for day in HOLIDAYS) <= 20


def test_the_days_that_are_the_same_each_year_are_among_them() -> None:
    for year in {day.year for day in HOLIDAYS}:
        assert {day for day in (date(year, *one) for one in FIXED) if day.weekday() < 5} <= HOLIDAYS


def test_each_stands_once_in_order_and_by_its_name() -> None:
    rows = re.findall(r"^ +date\((\d+), (\d+), (\d+)\),  # (\S.*)$", SOURCE, re.MULTILINE)
    days = [date(int(year), int(month), int(day)) for year, month, day, _ in rows]
    assert days == sorted(set(days))
    assert set(days) == HOLIDAYS
    assert len({name for *_, name in rows}) == len(rows)


@pytest.mark.parametrize("day", sorted(HOLIDAYS))
def test_no_session_opens_on_a_holiday(day: date) -> None:
    calendar = Config.from_env(SETTINGS).calendar
    assert not calendar.is_trading_day(day)
    assert not calendar.is_open(datetime(day.year, day.month, day.day, 5, tzinfo=UTC))


def test_a_day_beyond_the_list_is_an_assumed_trading_day_unless_a_setting_names_it() -> None:
    """A gateway that stopped with its list would abandon positions: it goes on, and says that the day is not known."""
    monday = date(2027, 1, 4)
    assert monday > KNOWN_UNTIL
    unnamed = Config.from_env(SETTINGS).calendar
    assert unnamed.is_trading_day(monday)
    assert unnamed.is_assumed(monday)
    closed = Config.from_env(SETTINGS | {"EXTRA_HOLIDAYS": str(monday)}).calendar
    assert not closed.is_trading_day(monday)
    assert closed.holidays == HOLIDAYS | {monday}
    opened = Config.from_env(SETTINGS | {"EXTRA_SESSIONS": f"{monday} 09:15-15:40"}).calendar
    assert opened.is_trading_day(monday)
    assert not opened.is_assumed(monday) | closed.is_assumed(monday)
