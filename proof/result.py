"""What one proof came to: a line of the table that `python -m proof` prints."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Seen:
    """Something that the proof has to be full of: how often it happened, and how often it has to at the least."""

    what: str
    count: int
    floor: int

    def __str__(self) -> str:
        return f"{self.count} {self.what} ({self.floor})"

    def missing(self) -> str | None:
        if self.count >= self.floor:
            return None
        return f"too little happened to prove anything: {self.count} {self.what}, and the floor is {self.floor}"


@dataclass(frozen=True, slots=True)
class Result:
    """`size` says how much was tried, in words ("20000 histories"); `seeds` what repeats it; `seconds` of wall time.

    `wrong` has one sentence for each broken promise, which says how to repeat it. `seen` has what happened, each with
    its floor: a run in which too little happened breaks no promise, and proves none either.
    """

    name: str
    size: str
    seeds: str
    wrong: tuple[str, ...]
    seconds: float
    seen: tuple[Seen, ...]

    @property
    def violations(self) -> tuple[str, ...]:
        """Why the proof does not hold."""
        shortfalls = [text for one in self.seen if (text := one.missing()) is not None]
        if not self.seen:
            shortfalls.append("nothing is known of what happened")
        return (*shortfalls, *self.wrong)

    @property
    def holds(self) -> bool:
        return not self.violations

    def line(self) -> str:
        seen = ", ".join(str(one) for one in self.seen) or "nothing"
        figures = f"{len(self.violations):>10} {self.seconds:>9.1f} s"
        return f"{self.name:<28} {self.size:<34} {seen:<58} {self.seeds or 'none':<12} {figures}"


HEAD = f"{'proof':<28} {'size':<34} {'what happened (at least)':<58} {'seeds':<12} {'violations':>10} {'wall time':>11}"


def floors(happened: Mapping[str, int], shares: Mapping[str, float], cases: int) -> tuple[Seen, ...]:
    """What happened in so many cases, each held to a share of their number, and never to nothing."""
    return tuple(Seen(what, happened.get(what, 0), max(1, int(share * cases))) for what, share in shares.items())
