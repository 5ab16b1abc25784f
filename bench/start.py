"""From the start of the process to its first answers, and what it imports on the way."""

import re
import tempfile
from collections import defaultdict
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from time import perf_counter

from bench import lab, load
from bench.figures import Figure, Section, median
from bench.sizes import Sizes

HOW = (
    "`python -m app serve`, until `GET /healthz` is answered 200, and until an alert that was sent as soon as the port "
    "was open is answered 200. Byte-compiled files and the symbol master are there, as in the image and on Cloud Run; "
    "each start is a new process and the order of both sides changes. Live: BROKER=fyers with SDK against a broker on "
    "loopback, ledger in Firestore, token and a master of 100,000 rows in Cloud Storage, notifications to Pub/Sub, all "
    "three as emulators. Medians."
)
IMPORTS = (
    "`-X importtime` over one live start to its first order, both processes of gunicorn: what each package's modules "
    "take themselves, without what they import. Measuring makes it slower by a third or so."
)
_IMPORT = re.compile(r"^import time:\s+(\d+) \|\s+\d+ \|\s+(\S+)$", re.MULTILINE)
TOP = 10


def measure(sizes: Sizes, account: lab.Account, live: Mapping[str, str] | str) -> Section:
    """`live` has the live settings, or says why there are none."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        settings = {"paper": lab.settings_of(account, folder)}
        if not isinstance(live, str):
            settings["live"] = dict(live)
        sides: dict[str, tuple[list[str], Mapping[str, str]]] = {"floor": (lab.FLOOR, lab.floor_settings(account))}
        sides |= {kind: (lab.GATEWAY, environ) for kind, environ in settings.items()}
        took: dict[str, list[float]] = defaultdict(list)
        for turn in range(sizes.starts + 1):  # the first one fills caches and is not counted
            for kind, (arguments, environ) in sides.items():
                for what, until in (("listening", _until_listening), ("order", _until_order)):
                    seconds = _started(arguments, environ, folder / f"{kind}.log", until)
                    if turn:
                        took[f"{kind} {what}"].append(seconds)
    figures = []
    for kind, most in (("paper", 0.5), ("live", 0.8)):
        if kind in settings:
            figures += [
                _row(kind, "listening", took, 0.3, 3.0),
                _row(kind, "order", took, most, 5.0),
            ]
    how = HOW if not isinstance(live, str) else f"{HOW} The live start was not measured: {live}."
    return Section("Start", how, figures)


def _row(kind: str, what: str, took: Mapping[str, list[float]], most: float, ratio: float) -> Figure:
    words = {"listening": "listening (first 200)", "order": "first order placed"}
    ours, floor = took[f"{kind} {what}"], took[f"floor {what}"]
    note = f"{min(ours):.2f} to {max(ours):.2f}"
    return Figure(f"{kind}: start to {words[what]}", "s", median(ours), median(floor), most, ratio, note)


def _started(
    arguments: list[str], environ: Mapping[str, str], log: Path, until: Callable[["lab.Process", int], None]
) -> float:
    began = perf_counter()
    with lab.spawned(arguments, environ, log) as (server, port):
        until(server, port)
        return perf_counter() - began


def _until_listening(server: "lab.Process", port: int) -> None:
    lab.wait_for_answer(server, port, "/healthz")


def _until_order(server: "lab.Process", port: int) -> None:
    lab.wait_for_port(server, port)
    load.one(port)


def imports(settings: Mapping[str, str]) -> Section:
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        log = folder / "imports.log"
        _started(["-X", "importtime", *lab.GATEWAY], settings, log, _until_order)
        own: dict[str, float] = defaultdict(float)
        modules: dict[str, int] = defaultdict(int)
        for microseconds, module in _IMPORT.findall(log.read_text()):
            own[_package(module)] += int(microseconds) / 1000
            modules[_package(module)] += 1
    top = sorted(own, key=own.__getitem__, reverse=True)[:TOP]
    rows = [Figure(name, "ms", own[name], note=f"{modules[name]} modules") for name in top]
    rows.append(Figure("everything", "ms", sum(own.values()), note=f"{sum(modules.values())} modules"))
    return Section("Imports, the ten that take longest", IMPORTS, rows)


def _package(module: str) -> str:
    parts = module.split(".")
    if parts[0] != "google":
        return parts[0]
    return ".".join(parts[: 3 if parts[1:2] == ["cloud"] else 2])
