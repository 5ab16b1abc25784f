"""What is remembered of an order after it was submitted, until the order book must show it."""

from dataclasses import dataclass
from datetime import datetime

EXIT_TAG = "exit:"


@dataclass(frozen=True, slots=True)
class Sent:
    """One submitted order as the rate limits remember it; `quantity` is 0 once it is known not to be at the broker."""

    at: datetime
    tag: str
    symbol: str
    quantity: int
    lots: int
    side: str
    covers: bool
    underlying: str
    strategy: str | None

    @property
    def squares_off(self) -> bool:
        """True for the exit of a whole position, which the order book never shows by its tag."""
        return self.tag.startswith(EXIT_TAG)
