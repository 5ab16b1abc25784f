"""The drawing in CONTRIBUTING.md shows the folders of app/ and their imports as they are."""

import re
from itertools import pairwise
from pathlib import Path

from tests.unit.test_architecture import FOLDERS, TREES, folder_of, imports

PAGE = (Path(__file__).parents[2] / "CONTRIBUTING.md").read_text(encoding="utf-8")
[DRAWING] = re.findall(r"```mermaid\nflowchart TD\n(.*?)```", PAGE, re.DOTALL)
ARROWS = {(above, below) for above, below in re.findall(r"^ +(\w+) --> (\w+)$", DRAWING, re.MULTILINE)}
RULES = {folder: set(rule.split()) for folder, (rule, _) in FOLDERS.items()}
NOT_BUILT_BY = {"web": {"adapters", "simulator"}, "cli": {"adapters"}}  # they reach it through runtime, which builds it


def below(folder: str) -> set[str]:
    """The folders that the arrows lead to from this one, directly or through others."""
    direct = {end for start, end in ARROWS if start == folder}
    return direct.union(*map(below, direct))


def test_every_line_of_the_drawing_is_an_arrow() -> None:
    assert len(ARROWS) == len(DRAWING.splitlines())


def test_the_drawing_has_the_ten_folders_and_no_other() -> None:
    assert {folder for arrow in ARROWS for folder in arrow} == set(FOLDERS)


def test_no_arrow_runs_up() -> None:
    height = {folder: number for number, folder in enumerate(FOLDERS)}  # what may be imported by all comes first
    assert {arrow for arrow in ARROWS if height[arrow[0]] <= height[arrow[1]]} == set()


def test_a_folder_may_import_what_its_arrows_lead_to_except_what_runtime_builds_for_it() -> None:
    assert {folder: below(folder) - NOT_BUILT_BY.get(folder, set()) for folder in FOLDERS} == RULES


def test_no_arrow_says_what_others_say_already() -> None:
    through = {(above, end) for above, middle in ARROWS for end in below(middle)}
    assert ARROWS & through == set()


def test_every_import_of_the_code_follows_the_arrows() -> None:
    found = {
        (folder_of(module), folder_of(name))
        for module in TREES
        for name in imports(module)
        if folder_of(module) and folder_of(name) not in ("", folder_of(module))
    }
    assert len(found) > len(FOLDERS)
    assert {arrow for arrow in found if arrow[1] not in below(arrow[0])} == set()


def test_the_table_beside_the_drawing_has_the_rules_of_the_code() -> None:
    rows = re.findall(r"^\| `(\w+)` \| .+? \| ([\w ]*)\|$", PAGE, re.MULTILINE)
    assert {folder: set(rule.split()) for folder, rule in rows} == RULES
    height = list(reversed(FOLDERS))
    assert all(height.index(first) < height.index(second) for (first, _), (second, _) in pairwise(rows))
