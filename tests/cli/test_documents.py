"""Every command, file, setting and link that CONTRIBUTING, SECURITY and CHANGELOG name is there."""

import os
import re
import shlex
import tomllib
from importlib.util import find_spec
from pathlib import Path

import pytest

from app.cli import read
from proof.__main__ import PROOFS
from proof.mutants.catalogue import MUTANTS

ROOT = Path(__file__).parents[2]
PAGES = {name: (ROOT / name).read_text(encoding="utf-8") for name in ("CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md")}
ALL = "\n".join(PAGES.values())
PYTHON = ".venv/bin/python -m "
NAMED = {
    " ".join(name.split())
    for name in re.findall(r"`([^`\n]+(?:\n[^`\n]+)?)`", re.sub(r"```.*?```", "", ALL, flags=re.DOTALL))
}
COMMANDS = {
    *re.findall(r"^ *\$ (.*?)(?: +#.*)?$", ALL, re.MULTILINE),
    *(name for name in NAMED if name.startswith((PYTHON, "make ", "deploy/")) and " " in name),
}
PATHS = {
    name for name in NAMED
    if re.fullmatch(r"[\w.-]+(/[\w.-]*)+|[\w.-]+\.(py|md|toml|yaml|txt|in)", name) and not name.startswith(PYTHON)
}  # fmt: skip
TASKS = re.findall(r"^\| ((?:add|change) .+?) \| (.+) \|$", PAGES["CONTRIBUTING.md"], re.MULTILINE)
TARGETS = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
SETTINGS = re.findall(r"^([A-Z_]+)=", (ROOT / ".env.example").read_text(encoding="utf-8"), re.MULTILINE)


def test_something_was_found() -> None:
    assert (len(COMMANDS), len(PATHS), len(TASKS)) >= (15, 25, 4)


@pytest.mark.parametrize("command", sorted(COMMANDS))
def test_a_command_that_is_named_is_one(command: str) -> None:
    program, *words = shlex.split(command.removeprefix(PYTHON).replace("…", "why"))
    paths = [word for word in words if "/" in word]
    if program == "make":
        assert set(words) <= set(TARGETS)
    elif program.startswith("deploy/"):
        assert os.access(ROOT / program, os.X_OK)
    elif program == "app":
        assert read(words).run
    elif program == "proof":
        assert words[words.index("--only") + 1] in PROOFS
    elif program == "proof.mutants":
        assert set(words) <= {mutant.name for mutant in MUTANTS}
    else:
        assert command.startswith(PYTHON)
        assert find_spec(program)
    assert [path for path in paths if not (ROOT / path).exists()] == []


@pytest.mark.parametrize("path", sorted(PATHS))
def test_a_file_that_is_named_is_there(path: str) -> None:
    assert (ROOT / path).exists()


@pytest.mark.parametrize(("name", "path"), re.findall(r"`(\w+)` in\s+`([^`]+\.py)`", ALL))
def test_a_name_stands_in_the_file_that_is_said_to_hold_it(name: str, path: str) -> None:
    assert re.search(rf"^{name}\b", (ROOT / path).read_text(encoding="utf-8"), re.MULTILINE)


@pytest.mark.parametrize(("task", "files"), TASKS, ids=[task for task, _ in TASKS])
def test_a_common_task_touches_three_places_at_most(task: str, files: str) -> None:
    assert 1 <= len(PATHS.intersection(re.findall(r"`([^`]+)`", files))) <= 3


@pytest.mark.parametrize("link", sorted(set(re.findall(r"\]\(([^)]+)\)", ALL))))
def test_a_link_leads_somewhere(link: str) -> None:
    assert link.startswith("https://") or (ROOT / link).exists()


@pytest.mark.parametrize("setting", sorted(set(re.findall(r"\b([A-Z]+(?:_[A-Z]+)+)(?:=[^`]*)?`", ALL))))
def test_a_setting_that_is_named_exists(setting: str) -> None:
    assert setting in SETTINGS


def test_the_last_version_of_the_changelog_is_the_one_of_the_package() -> None:
    versions = [
        tuple(map(int, one.split(".")))
        for one in re.findall(r"^## \[([\d.]+)\] - ", PAGES["CHANGELOG.md"], re.MULTILINE)
    ]
    assert versions == sorted(versions, reverse=True)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert versions[0] == tuple(map(int, project["version"].split(".")))
