"""The exchange's holidays: a dated list that is sound in itself, reaches far enough, and whose end is not silent."""

import re
import shutil
import subprocess
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from app import holidays
from app.calendar import Calendar
from app.checks import HOLIDAYS_NEEDED
from app.config import Config
from app.holidays import HOLIDAYS, KNOWN_UNTIL

SOURCE = Path(holidays.__file__).read_text(encoding="utf-8")
REACHES = timedelta(days=14)  # beyond the newest change here; NSE publishes the next year's list before mid-December
FIXED = [(1, 26), (5, 1), (8, 15), (10, 2), (12, 25)]  # the same day each year, and never traded
SETTINGS = {"WEBHOOK_SECRET_TOKEN": "a-webhook-secret-for-tests"}


def _newest_change() -> date:
    git = shutil.which("git")
    command = [git or "git", "-C", str(Path(holidays.__file__).parent), "log", "-1", "--format=%cs"]
    try:
        said = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("no history here: whoever runs this copy is warned by doctor and preflight")
    return date.fromisoformat(said.stdout.strip())


def test_the_list_reaches_two_weeks_beyond_the_newest_change() -> None:
    """By the history and not by the clock: nothing new is released with a list that ends, and an old copy stays sound.

    A copy that runs is judged by the clock all the same: doctor and each morning's preflight warn from
    HOLIDAYS_NEEDED before the end on.
    """
    assert _newest_change() + REACHES <= KNOWN_UNTIL, "add NSE's list of the next year to app/holidays.py"
    assert HOLIDAYS_NEEDED > REACHES


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


def test_a_day_beyond_the_list_is_a_trading_day_unless_somebody_says_otherwise() -> None:
    """On purpose: a holiday that is not known costs a refusal by the exchange, a list that ended a day of trading."""
    beyond = KNOWN_UNTIL + timedelta(days=1)
    beyond += timedelta(days=(7 - beyond.weekday()) % 7)  # the first Monday of the next year
    assert Calendar(holidays=HOLIDAYS).is_trading_day(beyond)
    told = Config.from_env(SETTINGS | {"EXTRA_HOLIDAYS": str(beyond)}).calendar
    assert not told.is_trading_day(beyond)
    assert told.holidays == HOLIDAYS | {beyond}
