"""Measures the symbol master at 100,000 option rows, beside a plain pandas filter in the same run.

    python -m bench.symbols [--rows 100000]

Each part runs in a process of its own, so that memory and imports are those of that part alone. Prints one table;
exits 1 where a target is missed.
"""

# a benchmark prints

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from itertools import count
from pathlib import Path
from time import perf_counter, perf_counter_ns
from typing import Any

from bench.figures import Figure, Section

DAY = date(2026, 11, 20)
NOW = datetime(2026, 11, 20, 2, 30, tzinfo=UTC)
SPOTS = {"NIFTY": Decimal("26012.35"), "BANKNIFTY": Decimal("48412.35")}
LOADS, LOOKUPS = 7, 50_000
PATIENCE = 600.0  # seconds for one part

# What the figures are held to: name -> the most it may be.
TARGETS = {
    "load_ms": 10.0,
    "load_mb": 10.0,
    "exact_p99_us": 20.0,
    "atm_p99_us": 50.0,
    "build_s": 3.0,
    "build_peak_mb": 300.0,
}


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.symbols", description=__doc__.partition("\n")[0])
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--part", choices=PARTS, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    asked = parser.parse_args(arguments)
    if asked.part:
        print(json.dumps(PARTS[asked.part](asked.folder)))
        return 0
    return report(asked.rows, measured(asked.rows))


def measured(rows: int) -> dict[str, float]:
    """Every figure by its name; each part in a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        write_master(Path(folder), rows)
        parts = [run(name, folder) for name in ("build", "load", "lookup", "pandas")]
    return {name: figure for part in parts for name, figure in part.items()}


def measure(rows: int) -> Section:
    figures = measured(rows)
    how = f"{rows:,} option rows; in the floor's place a plain pandas filter over the same file."
    return Section("Symbol master", how, [_figure(label, figures, name, plain) for label, name, plain in TABLE])


def _figure(label: str, figures: dict[str, float], name: str, plain: str) -> Figure:
    title, _, unit = label.strip().rpartition(", ")
    return Figure(title, unit, figures[name], figures[plain] if plain else None, most=TARGETS.get(name))


def write_master(folder: Path, rows: int) -> None:
    from tests.masters import large_master, write

    write(folder / "NSE_FO.csv", large_master(DAY, rows))


def run(part: str, folder: str) -> dict[str, float]:
    command = [sys.executable, "-m", "bench.symbols", "--part", part, "--folder", folder]
    answer = subprocess.run(
        command, stdout=subprocess.PIPE, text=True, check=True, timeout=PATIENCE
    )  # this module itself
    figures: dict[str, float] = json.loads(answer.stdout)
    return figures


def report(rows: int, figures: dict[str, float]) -> int:
    missed = [name for name, most in TARGETS.items() if figures[name] > most]
    print(f"Symbol master, {rows:,} option rows, Python {sys.version.split()[0]}\n")
    print(f"{'':34}{'gateway':>10}{'target':>10}{'pandas':>12}")
    for label, name, plain in TABLE:
        most = f"<= {TARGETS[name]:g}" if name in TARGETS else ""
        beside = f"{figures[plain]:,.1f}" if plain else ""
        print(f"{label:34}{figures[name]:>10,.2f}{most:>10}{beside:>12}{'   MISSED' if name in missed else ''}")
    print(f"\n{len(missed)} targets missed" if missed else "\nevery target met")
    return bool(missed)


TABLE = [
    ("load at start, ms", "load_ms", "pandas_load_ms"),
    ("memory of the load, MB", "load_mb", "pandas_load_mb"),
    ("artifact on disk, MB", "artifact_mb", ""),
    ("lookup of a strike, p50, µs", "exact_p50_us", "pandas_p50_us"),
    ("lookup of a strike, p99, µs", "exact_p99_us", "pandas_p99_us"),
    ("at the money, p50, µs", "atm_p50_us", ""),
    ("at the money, p99, µs", "atm_p99_us", ""),
    ("lookup by symbol, p99, µs", "symbol_p99_us", ""),
    ("look for a newer master, µs", "look_us", ""),
    ("full build, s", "build_s", ""),
    ("peak memory of the build, MB", "build_peak_mb", ""),
]


def build(folder: Path) -> dict[str, float]:
    import resource

    from app.adapters.symbols import refresh
    from app.domain.calendar import Calendar

    started = perf_counter()
    answer = refresh([str(folder / "NSE_FO.csv")], str(folder / "symbols"), Calendar(), NOW)
    seconds = perf_counter() - started
    if not answer["accepted"]:
        raise SystemExit(str(answer["reason"]))
    artifact = next(path for path in folder.glob("symbols-*"))
    return {
        "build_s": seconds,
        "build_peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "artifact_mb": artifact.stat().st_size / 1e6,
    }


def load(folder: Path) -> dict[str, float]:
    """The first load decides the memory; the median of several the time."""
    from app.adapters.symbols import Symbols

    before = resident_mb()
    took = []
    for _ in range(LOADS):
        started = perf_counter()
        symbols = Symbols.open(str(folder / "symbols"))
        took.append((perf_counter() - started) * 1e3)
        if len(took) == 1:
            memory = resident_mb() - before
        del symbols
    return {"load_ms": sorted(took)[LOADS // 2], "load_mb": memory}


def lookup(folder: Path) -> dict[str, float]:
    from app.adapters.symbols import Symbols
    from app.domain.alert import ExpiryRule, Moneyness, OptionType
    from app.domain.instrument import Wanted

    symbols = Symbols.open(str(folder / "symbols"))
    strikes = [Decimal(strike) for strike in range(23000, 29001, 50)]
    tickers = [
        symbols.resolve(Wanted("NIFTY", None, ExpiryRule.WEEKLY, strike, OptionType.CE), on=DAY).symbol
        for strike in strikes
    ]
    rules, types = list(ExpiryRule), list(OptionType)

    def exact(turn: int) -> None:
        strike = strikes[turn % len(strikes)]
        symbols.resolve(Wanted("NIFTY", None, rules[turn % 4], strike, types[turn % 2]), on=DAY)

    def atm(turn: int) -> None:
        name = "BANKNIFTY" if turn % 3 else "NIFTY"
        place, option_type = Moneyness(turn % 21 - 10), types[turn % 2]
        symbols.resolve(Wanted(name, None, rules[turn % 4], place, option_type), on=DAY, spot=SPOTS[name])

    figures = timed("exact", exact) | timed("atm", atm)
    figures |= timed("symbol", lambda turn: symbols.lookup_symbol(tickers[turn % len(tickers)]))
    minutes = count()
    looks = timed("look", lambda _: symbols.reload_if_changed(next(minutes) * 60.0), 2000)
    return figures | {"look_us": looks["look_p50_us"]}


def pandas_filter(folder: Path) -> dict[str, float]:
    """The file read once and a boolean filter for each question, as it is commonly done."""
    before = resident_mb()
    import pandas

    started = perf_counter()
    frame = pandas.read_csv(folder / "NSE_FO.csv", header=None)
    read = (perf_counter() - started) * 1e3
    epoch = int(frame[8].min())

    def one(turn: int) -> None:
        strike = 23000 + 50 * (turn % 121)
        found = frame[(frame[13] == "NIFTY") & (frame[8] == epoch) & (frame[15] == strike) & (frame[16] == "CE")]
        _ = found.iloc[0][9]

    figures = timed("pandas", one, 100)
    return figures | {"pandas_load_ms": read, "pandas_load_mb": resident_mb() - before}


def timed(name: str, call: Callable[[int], Any], times: int = LOOKUPS) -> dict[str, float]:
    """Microseconds of one call, median and 99th percentile, after a warm-up."""
    for turn in range(min(times, 500)):
        call(turn)
    took = []
    for turn in range(times):
        started = perf_counter_ns()
        call(turn)
        took.append(perf_counter_ns() - started)
    took.sort()
    return {f"{name}_p50_us": took[times // 2] / 1e3, f"{name}_p99_us": took[times * 99 // 100] / 1e3}


def resident_mb() -> float:
    """Resident memory of this process now (Linux)."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096 / 1e6


PARTS: dict[str, Callable[[Path], dict[str, float]]] = {
    "build": build,
    "load": load,
    "lookup": lookup,
    "pandas": pandas_filter,
}

if __name__ == "__main__":
    sys.exit(main())
