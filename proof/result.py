"""What one proof came to: a line of the table that `python -m proof` prints."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Result:
    """`size` says how much was tried, in words ("20000 histories"); `seeds` what repeats it; `seconds` of wall time.

    `kills` counts the processes that were killed. A proof without violations holds; each violation is one sentence that
    says how to repeat it.
    """

    name: str
    size: str
    seeds: str
    violations: tuple[str, ...]
    seconds: float
    kills: int = 0

    @property
    def holds(self) -> bool:
        return not self.violations

    def line(self) -> str:
        figures = f"{self.kills:>6} {len(self.violations):>10} {self.seconds:>9.1f} s"
        return f"{self.name:<28} {self.size:<40} {self.seeds or 'none':<16} {figures}"


HEAD = f"{'proof':<28} {'size':<40} {'seeds':<16} {'kills':>6} {'violations':>10} {'wall time':>11}"
