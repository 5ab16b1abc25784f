"""The code stays in pieces that can be read at a glance: functions on one screen, modules in one sitting."""

import ast
from pathlib import Path
from statistics import median, quantiles

ROOT = Path(__file__).parents[2]
SOURCES = {
    str(path.relative_to(ROOT)): path.read_text(encoding="utf-8")
    for path in [ROOT / "main.py", *sorted((ROOT / "app").rglob("*.py"))]
}
MODULES = {name: len(text.splitlines()) for name, text in SOURCES.items()}
FUNCTIONS = {
    f"{name}:{node.lineno} {node.name}": (node.end_lineno or node.lineno) - node.lineno + 1
    for name, text in SOURCES.items()
    for node in ast.walk(ast.parse(text))
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
}


def longer_than(most: int, lines: dict[str, int]) -> dict[str, int]:
    return {name: length for name, length in lines.items() if length > most}


def of_ten_nine_are_within(lines: dict[str, int]) -> float:
    return quantiles(lines.values(), n=10)[-1]


def test_no_function_is_longer_than_60_lines() -> None:
    assert longer_than(60, FUNCTIONS) == {}


def test_half_of_the_functions_have_6_lines_at_most_and_nine_of_ten_have_20() -> None:
    assert median(FUNCTIONS.values()) <= 6
    assert of_ten_nine_are_within(FUNCTIONS) <= 20


def test_no_module_is_longer_than_450_lines_and_nine_of_ten_have_300_at_most() -> None:
    assert longer_than(450, MODULES) == {}
    assert of_ten_nine_are_within(MODULES) <= 300


def test_code_was_measured() -> None:
    assert len(MODULES) > 100
    assert len(FUNCTIONS) > 1000
