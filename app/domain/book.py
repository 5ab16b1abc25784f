"""What the broker shows: rows of its net positions, rows of its order book, and quotes."""

from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from app.domain.order.status import FINAL, OrderStatus


@dataclass(frozen=True, slots=True)
class Position:
    """One row of the broker's net positions: units, negative when short; `realised` is the day's profit in rupees.

    `id` names the position at the broker. `bought` and `sold` are the units traded today, without carried ones;
    `unrealised` is the profit in rupees that closing at the last price would bring. None where the broker does not say.
    """

    id: str
    symbol: str
    product: str
    net_quantity: int
    realised: Decimal = Decimal(0)
    bought: int | None = None
    sold: int | None = None
    unrealised: Decimal | None = Decimal(0)


@dataclass(frozen=True, slots=True)
class BookRow:
    """One row of the broker's order book. `tag` is the gateway's own where the gateway placed the order (`own`).

    `status` None is a code that is not known, which is never taken for final. A protective leg `protects` the order
    with that id, and is not `own`. A row with a `stop_price` (rupees) waits for the market to reach it.
    """

    broker_order_id: str
    tag: str
    symbol: str
    side: str
    product: str
    status: OrderStatus | None
    quantity: int
    filled_quantity: int
    average_price: Decimal | None
    limit_price: Decimal | None
    message: str
    own: bool
    protects: str | None
    stop_price: Decimal | None = None

    @property
    def working(self) -> int:
        """Units that may still be filled."""
        return 0 if self.status in FINAL else self.quantity - self.filled_quantity


@dataclass(frozen=True, slots=True)
class Leg:
    """A protective leg and the gateway's order that it protects."""

    row: BookRow
    entry: BookRow

    @property
    def live(self) -> int:
        """Units that may be filled; while its entry works, the leg may stand there for what is not filled yet."""
        if self.entry.working == 0:
            return self.row.working
        return min(self.row.working, max(0, self.entry.filled_quantity - self.row.filled_quantity))


@dataclass(frozen=True, slots=True)
class Quote:
    """Last traded price, best bid, best ask, in rupees. An empty side is zero; `day` is None where it is not given."""

    symbol: str
    ltp: Decimal
    bid: Decimal
    ask: Decimal
    day: date | None = None
