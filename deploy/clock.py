#!/usr/bin/env python3
"""The scheduler of a self-hosted gateway: calls the routes of schedule.txt when they are due (docker-compose.yaml).

GATEWAY_URL says where the gateway is, OPERATOR_TOKEN opens its routes, SQUARE_OFF_AT (HH:MM IST) adds the square-off.
A minute that passed while a route was still answering is caught up on; no more than five are.
"""

# ruff: noqa: T201, S310 -- a command prints, and the address is that of our own service

import os
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from pathlib import Path

IST = timezone(timedelta(hours=5, minutes=30), "IST")
MADE_UP_FOR = timedelta(minutes=5)
MINUTE = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class Job:
    """A line of schedule.txt; the clock of the next minute is what retries."""

    name: str
    cron: str
    path: str
    seconds: int

    def is_due(self, at: datetime) -> bool:
        """Whether the five fields (minute, hour, day, month, day of the week from Sunday) all have this minute."""
        now = (at.minute, at.hour, at.day, at.month, at.isoweekday() % 7)
        return all(_has(field, value) for field, value in zip(self.cron.split(), now, strict=True))


def _has(field: str, value: int) -> bool:
    if field == "*":
        return True
    ranges = ((part.split("-")[0], part.split("-")[-1]) for part in field.split(","))
    return any(int(first) <= value <= int(last) for first, last in ranges)


def jobs(schedule: str, square_off_at: str | None) -> list[Job]:
    lines = (line.split("|") for line in schedule.splitlines() if line.strip() and not line.startswith("#"))
    found = [Job(name.strip(), cron.strip(), path.strip(), int(seconds)) for name, cron, path, seconds, _ in lines]
    if square_off_at:
        hour, minute = square_off_at.split(":")
        found.append(Job("square-off", f"{int(minute)} {int(hour)} * * 1-5", "/tasks/square-off", 60))
    return found


def minutes(last: datetime) -> Iterator[datetime]:
    """Every minute from the one after `last` on, each as soon as it has begun."""
    while True:
        now = datetime.now(IST).replace(second=0, microsecond=0)
        last = max(last + MINUTE, now - MADE_UP_FOR)
        time.sleep(max(0.0, (last - datetime.now(IST)).total_seconds()))
        yield last


def call(job: Job, url: str, token: str) -> str:
    """Posts to the route; what it answered, in a few words."""
    straight = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # the gateway stands beside it
    request = urllib.request.Request(f"{url}{job.path}", data=b"", headers={"Authorization": f"Bearer {token}"})
    try:
        with straight.open(request, timeout=job.seconds) as answer:
            return str(answer.status)
    except urllib.error.HTTPError as refused:
        with refused:
            return f"{refused.code} {refused.read(300).decode(errors='replace').strip()}"
    except OSError as problem:
        return str(problem)


def main() -> int:
    url, token = os.environ.get("GATEWAY_URL", "http://127.0.0.1:8080"), os.environ.get("OPERATOR_TOKEN", "")
    if not token:
        print("error: OPERATOR_TOKEN is missing; it opens the gateway's routes", file=sys.stderr)
        return 1
    schedule = Path(__file__).with_name("schedule.txt").read_text(encoding="utf-8")
    due = jobs(schedule, os.environ.get("SQUARE_OFF_AT"))
    for minute in minutes(datetime.now(IST).replace(second=0, microsecond=0)):
        for job in due:
            if job.is_due(minute):
                print(f"{minute:%a %H:%M} {job.name}: {call(job, url, token)}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
