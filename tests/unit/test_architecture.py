"""The rooms of the gateway: a folder is an import rule, and imports run one way."""

import ast
import re
import sys
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

# Top to bottom: what a folder of app/ may import, of the folders above it and of the outside.
# The outside is every module beyond the plain ones of Python that touch nothing.
FOLDERS: dict[str, tuple[str, str]] = {
    "facts": ("", ""),
    "domain": ("facts", ""),
    "flow": ("facts domain", ""),
    "login": ("facts domain flow", ""),
    "operations": ("facts domain flow login", ""),
    "adapters": (
        "facts domain flow login operations",
        (
            "os sys socket ssl select time http urllib sqlite3 "
            "certifi httptools requests urllib3 google grpc fyers_apiv3 pandas"
        ),
    ),
    "simulator": ("facts", "os sys socket selectors signal time http socketserver urllib"),
    "runtime": (
        "facts domain flow login operations adapters simulator",
        "os sys socket select selectors signal resource time subprocess httptools gunicorn",
    ),
    "web": ("facts domain flow login operations runtime", "time flask werkzeug"),
    "cli": (
        "facts domain flow login operations simulator runtime web",
        "os sys signal time subprocess urllib requests gunicorn",
    ),
}
# Modules of the standard library that touch the outside: a socket, a file, a process, the clock.
TOUCHING = (
    "os", "sys", "socket", "ssl", "select", "selectors", "socketserver", "http", "urllib", "subprocess", "signal",
    "resource", "time", "sqlite3", "asyncio", "multiprocessing",
)  # fmt: skip
PURE = ("urllib.parse", "http.HTTPStatus")  # parts of such modules that touch nothing
# What one folder inside `adapters` has for itself.
ALONE = {
    "fyers_apiv3": "app.adapters.fyers",
    "pandas": "app.adapters.symbols",
    "sqlite3": "app.adapters.sqlite",
}
READS_THE_ENVIRONMENT = ("main", "app.__main__", "app.cli", "app.runtime.server", "app.runtime.processes")
CLOCKS = ("now", "utcnow", "today", "time", "monotonic", "perf_counter", "sleep")

FILES = [ROOT / "main.py", *sorted((ROOT / "app").rglob("*.py"))]


def name_of(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


TREES = {name_of(path): ast.parse(path.read_text(encoding="utf-8")) for path in FILES}


def folder_of(module: str) -> str:
    """Its folder in app/; "" for main.py and the door of `python -m app`, which put the others together."""
    parts = module.split(".")
    return parts[1] if len(parts) > 1 and parts[1] in FOLDERS else ""


IN_FOLDERS = [module for module in TREES if folder_of(module)]


def within(name: str, rooms: tuple[str, ...]) -> bool:
    return any(name == room or name.startswith(room + ".") for room in rooms)


@cache
def imports(module: str, at_start: bool = False) -> frozenset[str]:
    """What a module imports, anywhere in it (types alone count as well) or, `at_start`, by merely being imported."""
    tree = TREES[module]
    found: set[str] = set()
    for node in tree.body if at_start else ast.walk(tree):
        match node:
            case ast.Import():
                found |= {alias.name for alias in node.names}
            case ast.ImportFrom(level=0, module=str(source)):
                parts = {f"{source}.{alias.name}" for alias in node.names}
                found |= {part if part in TREES or part in PURE else source for part in parts}
            case ast.ImportFrom():
                pytest.fail(f"{module} imports relatively; say the whole name")
    return frozenset(found)


def test_every_folder_of_the_code_has_its_rule_and_nothing_lies_beside_them() -> None:
    there = {path.name for path in (ROOT / "app").iterdir() if path.name != "__pycache__"}
    assert there == {*FOLDERS, "__init__.py", "__main__.py"}


def test_the_rules_name_only_folders_above() -> None:
    order = list(FOLDERS)
    upward = {name: set(rule[0].split()) - set(order[: order.index(name)]) for name, rule in FOLDERS.items()}
    assert {name: above for name, above in upward.items() if above} == {}


@pytest.mark.parametrize("module", IN_FOLDERS)
def test_a_folder_imports_only_what_its_rule_allows(module: str) -> None:
    folder = folder_of(module)
    allowed, outside = (tuple(rule.split()) for rule in FOLDERS[folder])
    wrong = []
    for name in imports(module):
        if within(name, ("app", "main")):
            if folder_of(name) not in (folder, *allowed):
                wrong.append(name)
        elif not within(name, (*outside, *PURE)) and (
            within(name, TOUCHING) or name.split(".")[0] not in sys.stdlib_module_names
        ):
            wrong.append(name)
    assert sorted(wrong) == []


@pytest.mark.parametrize("package", ALONE)
def test_what_belongs_to_one_room_stays_there(package: str) -> None:
    users = {module for module in TREES if any(within(name, (package,)) for name in imports(module))}
    assert users
    assert sorted(user for user in users if not within(user, (ALONE[package],))) == []


def test_modules_import_each_other_one_way() -> None:
    graph = {module: {name for name in imports(module) if name in TREES} - {module} for module in TREES}
    TopologicalSorter(graph).prepare()  # raises CycleError, which names the circle


@pytest.mark.parametrize("module", [name for name in TREES if folder_of(name) in ("facts", "domain", "flow", "login")])
def test_what_decides_reads_no_clock(module: str) -> None:
    read = [
        f"line {node.lineno}: {ast.unparse(node.func)}"
        for node in ast.walk(TREES[module])
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr in CLOCKS
        # but for the port's: `clock.now()` is handed in, and so is `monotonic`
        and ast.unparse(node.func.value).rpartition(".")[2] in ("datetime", "date", "time")
    ]
    assert read == []


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
    loaded = loaded_by("main", "app.runtime.bootstrap", "app.web")
    assert loaded.isdisjoint({"fyers_apiv3", "google.cloud", "grpc", "pandas"})
    assert {"flask", "app.flow.execution"} <= loaded


def test_the_server_says_that_it_lives_before_anything_large_is_imported() -> None:
    loaded = loaded_by("main", "app.runtime.server", "app.runtime.worker")
    assert loaded.isdisjoint({"flask", "requests", "google", "app.adapters", "app.runtime.bootstrap", "app.web"})
    assert {"app.runtime.starting", "app.runtime.config"} <= loaded
