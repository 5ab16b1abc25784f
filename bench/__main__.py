"""`make bench`: every figure in one run, beside the floor's of the same run.

python -m bench [--quick] [--only SECTION …] [--alerts N] [--json FILE]
"""

import argparse
import sys
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

from app.cli.surroundings import settle
from bench import lab, ledger, load, memory, service, start, symbols, trips
from bench.cloud import NotInstalled, live_settings
from bench.figures import Section, table, write_json
from bench.sizes import FULL, QUICK, Sizes

Measure = Callable[[Sizes], Section]


def main() -> int:
    """1 where something was not measured: the table has what was."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__.partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="a few minutes, rougher figures")
    parser.add_argument("--only", nargs="+", choices=MEASURES, default=list(MEASURES), metavar="SECTION")
    parser.add_argument("--alerts", type=int, help="how many alerts the memory is looked at over")
    parser.add_argument("--json", type=Path, metavar="FILE")
    asked = parser.parse_args()
    settle()
    sizes = QUICK if asked.quick else FULL
    if asked.alerts:
        sizes = replace(sizes, memory=asked.alerts)
    machine = lab.machine()
    sections: list[Section] = []
    missing: list[str] = []
    for name in asked.only:
        sys.stderr.write(f"{name} …\n")
        try:
            sections.append(MEASURES[name](sizes))
        except (load.NotMeasured, load.Refused, TimeoutError) as problem:
            missing.append(f"{name} was not measured: {problem}\n")
    print(table(sections, machine | {"load at the end": lab.machine()["load"]}))
    if asked.json:
        write_json(asked.json, sections, machine)
    sys.stderr.writelines(missing)
    return 1 if missing else 0


def _live(stack: ExitStack, account: lab.Account, rows: int) -> dict[str, str] | str:
    try:
        return stack.enter_context(live_settings(account, rows))
    except NotInstalled as missing:
        return str(missing)


def _service_live(sizes: Sizes) -> Section:
    with ExitStack() as stack:
        account = stack.enter_context(lab.broker())
        settings = _live(stack, account, sizes.rows)
        if isinstance(settings, str):
            return Section("Alert to answer, live settings", f"Not measured: {settings}.", [])
        return service.live(sizes, account, settings)


def _start(sizes: Sizes) -> Section:
    with ExitStack() as stack:
        account = stack.enter_context(lab.broker())
        return start.measure(sizes, account, _live(stack, account, sizes.rows))


def _imports(sizes: Sizes) -> Section:
    with ExitStack() as stack:
        account = stack.enter_context(lab.broker())
        live = _live(stack, account, sizes.rows)
        folder = Path(stack.enter_context(TemporaryDirectory()))
        return start.imports(lab.settings_of(account, folder) if isinstance(live, str) else live)


def _memory(sizes: Sizes) -> Section:
    with ExitStack() as stack:
        account = stack.enter_context(lab.broker())
        folder = Path(stack.enter_context(TemporaryDirectory()))
        sides = {
            "floor": (lab.FLOOR, lab.floor_settings(account), sizes.memory // 10),
            "paper, SQLite": (lab.GATEWAY, lab.settings_of(account, folder), sizes.memory),
        }
        with lab.served(*sides["paper, SQLite"][:2], folder / "first.log"):
            pass  # reads the master, and with it loads pandas; from now on it is there
        live = _live(stack, account, sizes.rows)
        if not isinstance(live, str):
            sides["live"] = (lab.GATEWAY, live, sizes.memory)
        return memory.measure(sides)


def _trips(sizes: Sizes) -> Section:
    with ExitStack() as stack:
        near, far = (stack.enter_context(lab.broker(latency)) for latency in (0.0, trips.LONG))
        return trips.measure(near, far, _live(stack, near, sizes.rows))


MEASURES: dict[str, Measure] = {
    "service": service.measure,
    "live": _service_live,
    "start": _start,
    "imports": _imports,
    "memory": _memory,
    "trips": _trips,
    "ledger": lambda sizes: ledger.measure(sizes.ledger),
    "symbols": lambda sizes: symbols.measure(sizes.rows),
}

if __name__ == "__main__":
    sys.exit(main())
