"""The figures that may not get worse: each a ratio to the floor of the same run, held against `ratchet.json`.

    python -m bench.ratchet [--write]

Processor time and memory, not the clock on the wall: those say nearly the same on a machine that does other things
beside. `--write` lowers the recorded ratios to what was measured now and never raises one; that is done by hand, in the
file, with a reason.
"""

import argparse
import json
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from operator import itemgetter
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypeVar

from bench import lab, load
from bench.cloud import NotInstalled, live_settings
from bench.figures import median
from bench.load import NotMeasured
from bench.memory import go_on

RECORDED = Path(__file__).with_name("ratchet.json")
WORSE = 1.3  # so many times the recorded ratio is too much
ROUNDS, ALERTS, LIVE_ALERTS, STARTS = 5, 60, 30, 4
ROWS = 5_000  # of the live master: its making takes time, and its loading next to none

Commands = Mapping[str, tuple[list[str], Mapping[str, str]]]
Ratios = dict[str, float]
T = TypeVar("T")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.ratchet", description=__doc__.partition("\n")[0])
    parser.add_argument("--write", action="store_true", help="lower the recorded ratios to what is measured now")
    asked = parser.parse_args()
    before, now = recorded(), measured()
    for name, ratio in now.items():
        print(f"{name:40}{ratio:8.2f}   recorded {before.get(name, float('nan')):.2f}")
    if asked.write:
        lowest = {name: round(min(ratio, before.get(name, ratio)), 2) for name, ratio in now.items()}
        RECORDED.write_text(json.dumps(before | lowest, indent=1) + "\n", encoding="utf-8")


def recorded() -> Ratios:
    ratios: Ratios = json.loads(RECORDED.read_text(encoding="utf-8")) if RECORDED.exists() else {}
    return ratios


def too_much(found: Ratios) -> Ratios:
    """Those that are worse than the recorded ones by more than is allowed."""
    return {name: ratio for name, ratio in found.items() if ratio > WORSE * recorded()[name]}


def measured() -> Ratios:
    """Where an emulator is missing, without the live settings. Raises NotMeasured."""
    with ExitStack() as stack:
        account = stack.enter_context(lab.broker())
        folder = Path(stack.enter_context(TemporaryDirectory()))
        commands = {
            "floor": (lab.FLOOR, lab.floor_settings(account)),
            "paper": (lab.GATEWAY, lab.settings_of(account, folder)),
        }
        try:
            commands["live"] = (lab.GATEWAY, stack.enter_context(live_settings(account, ROWS)))
        except NotInstalled:
            pass
        return _starts(commands, folder) | _alerts(commands, folder)


def _starts(commands: Commands, folder: Path) -> Ratios:
    """Processor time until the first 200, of both processes, and the worker's memory then."""
    seen: dict[str, list[tuple[float, float]]] = {kind: [] for kind in commands}
    for turn in range(STARTS + 1):
        for kind, (arguments, settings) in commands.items():
            with lab.served(arguments, settings, folder / f"{kind}.log") as server:
                if turn:  # the first one fills caches
                    seen[kind].append((server.cpu_ms(all_of_it=True), server.memory()["rss_mb"]))
    times, sizes = (_over_floor(seen, itemgetter(at)) for at in (0, 1))
    return _named("CPU of the start", times) | _named("RSS at the start", sizes)


def _alerts(commands: Commands, folder: Path) -> Ratios:
    """Processor time of the worker for an alert, round by round, so that what else goes on meets all sides."""
    with ExitStack() as stack:
        servers = {
            kind: stack.enter_context(lab.served(arguments, settings, folder / f"{kind}.log"))
            for kind, (arguments, settings) in commands.items()
        }
        for server in servers.values():
            load.send(server.port, 50, may_refuse=True)
        seen: dict[str, list[float]] = {kind: [] for kind in servers}
        problems: dict[str, NotMeasured] = {}
        for _ in range(ROUNDS):
            for kind, server in servers.items():
                alerts = LIVE_ALERTS if kind == "live" else ALERTS
                before = server.cpu_ms()
                done = load.send(server.port, alerts, may_refuse=True)
                used = server.cpu_ms() - before
                try:
                    load.demand_orders(alerts, done.refused)
                except NotMeasured as problem:  # one that is refused costs less
                    problems[kind] = problem
                    go_on(commands[kind][1])
                else:
                    seen[kind].append(used / alerts)
    for kind, rounds in seen.items():
        if not rounds:
            raise problems[kind]
    return _named("CPU of an alert", _over_floor(seen, float))


def _over_floor(seen: Mapping[str, list[T]], of: Callable[[T], float]) -> Ratios:
    medians = {kind: median([of(one) for one in values]) for kind, values in seen.items()}
    return {kind: value / medians["floor"] for kind, value in medians.items() if kind != "floor"}


def _named(what: str, ratios: Ratios) -> Ratios:
    return {f"{what}, {kind}": ratio for kind, ratio in ratios.items()}


if __name__ == "__main__":
    main()
