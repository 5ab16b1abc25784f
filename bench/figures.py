"""What a run of the benchmark has measured, as one table and as JSON."""

import json
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class Figure:
    """One row. `most` and `most_ratio` are what it is held to: of itself, and of itself over the floor's."""

    name: str
    unit: str
    ours: float
    floor: float | None = None
    most: float | None = None
    most_ratio: float | None = None
    note: str = ""

    @property
    def ratio(self) -> float | None:
        return self.ours / self.floor if self.floor else None

    @property
    def missed(self) -> bool:
        over = self.most is not None and self.ours > self.most
        return over or (self.most_ratio is not None and self.ratio is not None and self.ratio > self.most_ratio)


@dataclass(frozen=True, slots=True)
class Section:
    """Some rows that were taken in one way, and the sentence that says which."""

    title: str
    how: str
    figures: Sequence[Figure]


def table(sections: Iterable[Section], machine: dict[str, Any]) -> str:
    """GitHub's Markdown, so that it can stand in a document as it is printed."""
    lines = [f"Measured on {', '.join(f'{name} {value}' for name, value in machine.items())}.", ""]
    for section in sections:
        lines += [f"### {section.title}", "", section.how, ""]
        lines += ["| | gateway | floor | ratio | held to | |", "|---|---:|---:|---:|---|---|"]
        lines += [_row(figure) for figure in section.figures]
        lines.append("")
    return "\n".join(lines)


def _row(figure: Figure) -> str:
    floor = "" if figure.floor is None else _number(figure.floor)
    ratio = "" if figure.ratio is None else f"{figure.ratio:.2f}"
    held = [f"{figure.most:g} {figure.unit}".strip()] if figure.most is not None else []
    held += [f"{figure.most_ratio:g}x"] if figure.most_ratio is not None else []
    note = "; ".join(["**missed**"] * figure.missed + [figure.note] * bool(figure.note))
    name = f"{figure.name}, {figure.unit}" if figure.unit else figure.name
    cells = [name, _number(figure.ours), floor, ratio, " and ".join(held), note]
    return f"| {' | '.join(cells)} |"


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def write_json(path: Path, sections: Iterable[Section], machine: dict[str, Any]) -> None:
    rows = [
        asdict(figure) | {"section": section.title, "ratio": figure.ratio, "missed": figure.missed}
        for section in sections
        for figure in section.figures
    ]
    path.write_text(json.dumps({"machine": machine, "figures": rows}, indent=1) + "\n", encoding="utf-8")


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest of the values that so large a share of them does not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


def median(values: Sequence[float]) -> float:
    return statistics.median(values)
