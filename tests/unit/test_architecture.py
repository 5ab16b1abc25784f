"""Imports run one way, and only the edges touch the outside. A new file is core until a table says more."""

import ast
import re
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FILES = [ROOT / "main.py", *sorted((ROOT / "app").rglob("*.py"))]

# Rooms that are not core: they stand at an edge, or put the others together.
EDGES = (
    "main", "app.adapters", "app.simulator", "app.web", "app.cli", "app.__main__", "app.demo", "app.bootstrap",
    "app.server", "app.worker", "app.starting", "app.log", "app.processes",
)  # fmt: skip
THE_OUTSIDE = (
    "os", "sys", "socket", "ssl", "http", "urllib.request", "subprocess", "signal", "time", "sqlite3", "asyncio",
    "flask", "werkzeug", "requests", "urllib3", "google", "grpc", "fyers_apiv3", "pandas", "app.adapters",
    "app.bootstrap", "app.simulator", "app.web", "app.cli", "app.demo", "main",
)  # fmt: skip
CLOCKS = ("now", "utcnow", "today", "time", "monotonic", "perf_counter", "sleep")

# Who may not import what; where both a room and a part of it are named, the longer name counts for that part.
FORBIDDEN: dict[str, tuple[str, ...]] = {
    "app.adapters": (
        "app.execution", "app.market", "app.reconcile", "app.square_off", "app.ticket", "app.desk", "app.config",
        "app.bootstrap", "app.web", "app.cli", "app.demo", "app.simulator", "flask", "main",
    ),
    "app.web": ("app.bootstrap", "app.cli", "app.demo", "app.simulator", "fyers_apiv3", "pandas", "google", "main"),
    "app.bootstrap": ("app.web", "app.cli", "app.demo", "flask", "main"),
    "app.log": ("app",),
    "app.server": ("app.execution", "app.adapters", "main"),
    "app.worker": ("app.execution", "app.adapters", "app.web", "flask", "main"),
    "app.starting": ("app.bootstrap", "app.web", "app.adapters", "app.execution", "flask", "main"),
    "app.cli": ("fyers_apiv3", "google", "pandas", "main"),
    "app.demo": ("app.execution", "app.adapters", "app.web", "main"),
}  # fmt: skip
# What only these may import.
ALONE = {
    "fyers_apiv3": ("app.adapters.fyers",),
    "pandas": ("app.adapters.symbols",),
    "google.cloud": ("app.adapters",),
    "grpc": ("app.adapters",),
    "sqlite3": ("app.adapters.sqlite",),
    "flask": ("app.web",),
    "app.bootstrap": ("main", "app.cli"),
    "app.simulator": ("app.bootstrap", "app.cli", "app.demo"),
}
READS_THE_ENVIRONMENT = ("main", "app.server", "app.cli", "app.processes", "app.__main__")


def name_of(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


TREES = {name_of(path): ast.parse(path.read_text(encoding="utf-8")) for path in FILES}


def within(name: str, rooms: tuple[str, ...]) -> bool:
    return any(name == room or name.startswith(room + ".") for room in rooms)


@cache
def imports(module: str, at_start: bool = False) -> frozenset[str]:
    """What a module imports, anywhere in it or (`at_start`) merely by being imported itself."""
    tree = TREES[module]
    found: set[str] = set()
    for node in tree.body if at_start else ast.walk(tree):
        match node:
            case ast.Import():
                found |= {alias.name for alias in node.names}
            case ast.ImportFrom(level=0, module=str(source)):
                parts = {f"{source}.{alias.name}" for alias in node.names}
                found |= {part if part in TREES else source for part in parts}
            case ast.ImportFrom():
                pytest.fail(f"{module} imports relatively; say the whole name")
    return frozenset(found)


CORE = [module for module in TREES if not within(module, EDGES)]


@pytest.mark.parametrize("module", CORE)
def test_the_core_imports_nothing_of_the_outside(module: str) -> None:
    assert sorted(name for name in imports(module) if within(name, THE_OUTSIDE)) == []


@pytest.mark.parametrize("module", CORE)
def test_the_core_reads_no_clock(module: str) -> None:
    read = [
        f"line {node.lineno}: {ast.unparse(node.func)}"
        for node in ast.walk(TREES[module])
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr in CLOCKS
        # but for the ports' own: `clock.now()` is handed in, and so is `monotonic`
        and ast.unparse(node.func.value).rpartition(".")[2] in ("datetime", "date", "time")
    ]
    assert read == []


@pytest.mark.parametrize("module", [module for module in TREES if within(module, tuple(FORBIDDEN))])
def test_no_room_imports_what_its_door_forbids(module: str) -> None:
    room = max((room for room in FORBIDDEN if within(module, (room,))), key=len)
    assert sorted(name for name in imports(module) if within(name, FORBIDDEN[room])) == []


@pytest.mark.parametrize("module", [module for module in TREES if within(module, ("app.simulator",))])
def test_the_simulator_knows_nothing_of_the_gateway_but_the_facts_of_the_exchange(module: str) -> None:
    ours = {name for name in imports(module) if within(name, ("app",))}
    assert sorted(name for name in ours if not within(name, ("app.simulator", "app.facts"))) == []


@pytest.mark.parametrize("package", ALONE)
def test_what_belongs_to_one_room_stays_there(package: str) -> None:
    users = {module for module in TREES if any(within(name, (package,)) for name in imports(module))}
    assert sorted(user for user in users if not within(user, (*ALONE[package], package))) == []


def test_rooms_import_each_other_one_way() -> None:
    rooms: dict[str, set[str]] = {}
    for module in TREES:
        room = ".".join(module.split(".")[:2])
        others = {".".join(name.split(".")[:2]) for name in imports(module) if within(name, ("app",))}
        rooms.setdefault(room, set()).update(others - {room, "app"})
    TopologicalSorter(rooms).prepare()  # raises CycleError, which names the circle


def test_the_environment_is_read_at_the_door_alone() -> None:
    found = [
        f"{module}: {line.strip()}"
        for module, tree in TREES.items()
        if not within(module, READS_THE_ENVIRONMENT)
        for line in ast.unparse(tree).splitlines()
        # an emulator's address is read as Google's own clients read it
        if re.search(r"\bos\.(environ|getenv)", re.sub(r"os\.environ\.get\('[A-Z]+_EMULATOR_HOST'\)", "", line))
    ]
    assert found == []


def loaded_by(*waiting: str) -> set[str]:
    """What is imported merely by importing these, and by what they import."""
    seen: set[str] = set()
    names = list(waiting)
    while names:
        name = names.pop()
        if name not in seen:
            seen.add(name)
            for other in imports(name, at_start=True) if name in TREES else ():
                parts = other.split(".")
                names += [".".join(parts[:length]) for length in range(1, len(parts) + 1)]
    return seen


def test_starting_the_server_imports_no_client_that_it_may_not_need() -> None:
    loaded = loaded_by("main", "app.bootstrap", "app.web")
    assert loaded.isdisjoint({"fyers_apiv3", "google.cloud", "grpc", "pandas"})
    assert {"flask", "app.execution"} <= loaded


def test_the_server_says_that_it_lives_before_anything_large_is_imported() -> None:
    loaded = loaded_by("main", "app.server", "app.worker")
    assert loaded.isdisjoint({"flask", "requests", "google", "app.adapters", "app.bootstrap", "app.web"})
    assert {"app.starting", "app.config"} <= loaded
