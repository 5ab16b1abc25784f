"""One row of the register: a fact, its place in the code, and its source."""

from dataclasses import dataclass

from app.facts.source import Source


@dataclass(frozen=True, slots=True)
class Fact:
    """`place` is the file that holds the value or relies on it, and the name in that file where there is one."""

    name: str
    value: str
    place: str
    source: Source
