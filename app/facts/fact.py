"""One row of the register: what is relied on, where the code holds it, and where it was read."""

from dataclasses import dataclass

from app.facts.source import Source


@dataclass(frozen=True, slots=True)
class Fact:
    """`place` is the file that holds the value or relies on it, and the name in there where it has one."""

    name: str
    value: str
    place: str
    source: Source
