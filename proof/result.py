"""What one proof came to: a line of the table that `python -m proof` prints."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Result:
    """`size` says how much was tried, in words ("20000 histories"); `seeds` what repeats it; `seconds` of wall time.

    A proof without violations holds; each violation is one sentence that says how to repeat it.
    """

    name: str
    size: str
    seeds: str
    violations: tuple[str, ...]
    seconds: float

    @property
    def holds(self) -> bool:
        return not self.violations

    def line(self) -> str:
        said = "holds" if self.holds else f"{len(self.violations)} VIOLATIONS"
        return f"{self.name:<28} {self.size:<34} {self.seeds:<16} {said:<14} {self.seconds:7.1f} s"
