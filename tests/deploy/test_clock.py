"""The scheduler of a self-hosted gateway goes by the same list as Cloud Scheduler."""

from datetime import datetime, timedelta

import pytest

from app.runtime.processes import free_port
from deploy import clock
from tests.deploy.cloud import DEPLOY
from tests.gateway import OPERATOR

SCHEDULE = (DEPLOY / "schedule.txt").read_text(encoding="utf-8")
FRIDAY = datetime(2026, 11, 20, tzinfo=clock.IST)


def day_of(day: datetime, square_off_at: str | None = None) -> dict[str, list[str]]:
    """What is called when on that day."""
    found: dict[str, list[str]] = {}
    for minute in (day + timedelta(minutes=count) for count in range(24 * 60)):
        for job in clock.jobs(SCHEDULE, square_off_at):
            if job.is_due(minute):
                found.setdefault(job.path, []).append(f"{minute:%H:%M}")
    return found


def test_a_trading_day_has_its_logins_checks_and_reconciles() -> None:
    day = day_of(FRIDAY, square_off_at="15:20")
    assert day["/refresh-token"][:3] == ["06:35", "06:50", "07:05"]
    assert day["/refresh-token"][-1] == "09:05"
    assert day["/tasks/preflight"] == ["08:45", "09:05"]
    assert day["/tasks/refresh-symbols"] == ["07:45", "08:15"]
    assert day["/tasks/reconcile"][0] == "08:00"
    assert len(day["/tasks/reconcile"]) == 16 * 60
    assert day["/tasks/square-off"] == ["15:20"]
    assert "/tasks/square-off" not in day_of(FRIDAY)


def test_at_the_weekend_only_reconcile_runs_for_special_sessions_are_held_then() -> None:
    for days in (1, 2):
        assert day_of(FRIDAY + timedelta(days=days), "15:20").keys() == {"/tasks/reconcile"}


def test_a_minute_that_passed_during_a_slow_call_is_made_up_for(monkeypatch: pytest.MonkeyPatch) -> None:
    now = FRIDAY.replace(hour=9)

    class Frozen(datetime):
        @classmethod
        def now(cls, tz: object = None) -> datetime:  # type: ignore[override]
            return now

    monkeypatch.setattr(clock, "datetime", Frozen)
    monkeypatch.setattr("deploy.clock.time.sleep", lambda seconds: None)
    minutes = clock.minutes(FRIDAY.replace(hour=8, minute=59))
    assert f"{next(minutes):%H:%M}" == "09:00"
    now = FRIDAY.replace(hour=9, minute=2, second=10)
    assert [f"{next(minutes):%H:%M}" for _ in range(2)] == ["09:01", "09:02"]
    now = FRIDAY.replace(hour=11)  # the machine slept: what is two hours old is not made up for
    assert f"{next(minutes):%H:%M}" == "10:55"


def test_an_unreachable_gateway_is_said_and_does_not_end_the_clock() -> None:
    job = clock.jobs(SCHEDULE, None)[0]
    assert "refused" in clock.call(job, f"http://127.0.0.1:{free_port()}", OPERATOR)
