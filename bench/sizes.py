"""How much a run measures."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Sizes:
    """`alerts` has, for a broker's latency in seconds and so many at once, how many alerts a side gets altogether.

    They are sent in `rounds` turns, floor and gateway one after the other, so that what else the machine does meets
    both. `memory` is how many alerts the memory is looked at over.
    """

    alerts: dict[tuple[float, int], int]
    rounds: int
    starts: int
    memory: int
    ledger: int
    rows: int = 100_000


FULL = Sizes(
    alerts={(0.0, 1): 2400, (0.0, 8): 2400, (0.0, 32): 2400, (0.05, 1): 240, (0.05, 8): 1200, (0.05, 32): 2400},
    rounds=6,
    starts=9,
    memory=100_000,
    ledger=300,
)
QUICK = Sizes(
    alerts={(0.0, 1): 300, (0.0, 8): 320, (0.0, 32): 320, (0.05, 1): 30, (0.05, 8): 160, (0.05, 32): 320},
    rounds=3,
    starts=3,
    memory=2_000,
    ledger=60,
)
