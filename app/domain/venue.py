"""What the core has to know of the broker that it trades at."""

from dataclasses import dataclass
from datetime import timedelta


@dataclass(frozen=True, slots=True)
class VenueRules:
    """One broker's rates and lags; its adapter has the values.

    `orders_per_second` is the most that the broker takes. An order may be missing from the broker's order book for
    `book_lag` after it was sent; within that time the broker's rates let at most `orders_in_lag` orders through.
    """

    orders_per_second: int
    orders_in_lag: int
    book_lag: timedelta
