"""What the operator allows: rupees, lots, counts and seconds."""

from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal

from app.domain.venue import VenueRules

EVERY_ONE = 1_000_000


@dataclass(frozen=True, slots=True)
class Limits:
    """None means that a limit is off. Counts are per IST day unless the name says otherwise.

    `venue` holds the broker's own rules.
    """

    venue: VenueRules
    lots_per_order: int
    lots_open: int
    orders_per_day: int
    orders_per_second: int | None
    orders_per_minute: int | None
    premium_per_order: Decimal | None
    premium_per_day: Decimal | None
    daily_loss: Decimal | None
    repeats: int | None
    cooldown: timedelta | None

    def worst_loss(self, max_stop_percent: Decimal) -> Decimal | None:
        """The most, in rupees, that alerts with the right secret can lose in a day; None where no limit bounds it.

        Entries stop at `daily_loss`. What is open then, at most `lots_open` lots of at most `premium_per_order` each,
        may still run to its stop-loss. Charges, and fills beyond a stop's trigger, come on top.
        """
        if self.daily_loss is None or self.premium_per_order is None:
            return None
        return self.daily_loss + self.lots_open * self.premium_per_order * max_stop_percent / 100

    @property
    def remembered(self) -> int:
        """How many of the last orders any rule can need. A cooldown needs older ones, and keeps their number small."""
        if self.cooldown is not None:
            return EVERY_ONE
        return max(self.venue.orders_in_lag, self.orders_per_minute or 0, self.repeats or 0)
