"""The worker's memory with every cloud client in use, at its start and over many alerts."""

import sqlite3
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from bench import lab, load
from bench.cloud import empty_firestore
from bench.figures import Figure, Section

AT_ONCE = 4
CHUNK = 2_500  # alerts, after which an emulator's store is emptied: it is kept in memory, and that is small
STEADY_FROM = 0.1  # of the alerts: by then pools are full and caches warm
HOW = (
    "The worker process alone, megabytes (10^6 bytes) of `/proc/…/smaps_rollup`: RSS; PSS, which counts what other "
    "processes map as well in part; and of its own memory, which is that of no file, the *growth* from a tenth of the "
    "alerts to the last of them."
)


@dataclass(frozen=True, slots=True)
class Course:
    """The memory at the start, after a tenth of the alerts, and then in five even steps."""

    alerts: int
    points: list[dict[str, float]]
    refused: list[load.Refused]

    @property
    def growth(self) -> float:
        return self.points[-1]["own_mb"] - self.points[1]["own_mb"]


def measure(sides: Mapping[str, tuple[list[str], Mapping[str, str], int]]) -> Section:
    """Of each side its command, its settings, and how many alerts it gets; the one called `floor` is beside all."""
    courses = {kind: _over(*side) for kind, side in sides.items()}
    floor = courses.pop("floor")
    return Section("Memory", HOW, [row for kind, course in courses.items() for row in _rows(kind, course, floor)])


def _rows(kind: str, ours: Course, floor: Course) -> list[Figure]:
    rows = []
    for name, at in (("at the start", 0), (f"after {ours.alerts:,} alerts", -1)):
        most = 130.0 if kind == "live" and at == -1 else None
        here, there = ours.points[at], floor.points[at]
        rows.append(Figure(f"{kind}: RSS {name}", "MB", here["rss_mb"], there["rss_mb"], most))
        rows.append(Figure(f"{kind}: PSS {name}", "MB", here["pss_mb"], there["pss_mb"]))
    course = " ".join(f"{point['own_mb']:.1f}" for point in ours.points)
    note = f"its own {course}" + (f"; {len(ours.refused)} alerts were refused" if ours.refused else "")
    return [*rows, Figure(f"{kind}: growth", "MB", ours.growth, floor.growth, note=note)]


def go_on(settings: Mapping[str, str]) -> None:
    """Two orders in doubt, which a busy machine makes of slow ones, would keep all others back."""
    empty_firestore(settings)
    ledger = settings.get("LEDGER_URL", "")
    if ledger.startswith("sqlite:///"):
        with closing(sqlite3.connect(ledger.removeprefix("sqlite:///"), timeout=30)) as db, db:
            db.execute("DELETE FROM orders WHERE status = 'SUBMITTED'")
            db.execute("DELETE FROM account")


def _over(arguments: list[str], settings: Mapping[str, str], alerts: int) -> Course:
    with TemporaryDirectory() as folder, lab.served(arguments, settings, Path(folder) / "log") as server:
        load.twice(server.port)  # which also has a notice go out
        points: list[dict[str, float]] = [server.memory()]
        refused: list[load.Refused] = []
        for part in [STEADY_FROM] + [(1 - STEADY_FROM) / 5] * 5:
            left = int(alerts * part)
            while left > 0:
                refused += load.send(server.port, min(CHUNK, left), AT_ONCE, may_refuse=True).refused
                left -= CHUNK
                go_on(settings)
            points.append(server.memory())
    load.demand_orders(alerts, refused)
    return Course(alerts, points, refused)
