"""What the core asks of the outside, on one page. Each call takes its deadline and names what it raises."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Protocol

from app.domain.book import BookRow, Position, Quote
from app.domain.calendar import Listing, Session
from app.domain.deadline import Deadline
from app.domain.instrument import Instrument, Option, Wanted
from app.domain.notice import Notice
from app.domain.order import Order, Outcome
from app.domain.risk.controls import Controls, Decide


class Clock(Protocol):
    def now(self) -> datetime:
        """The time in UTC, with its zone."""

    def monotonic(self) -> float:
        """Seconds that never jump."""

    def sleep(self, seconds: float) -> None:
        """Lets so much time pass."""


class Broker(Protocol):
    def quotes(self, symbols: Sequence[str], deadline: Deadline) -> dict[str, Quote]:
        """Quotes of up to 50 symbols; one that cannot be quoted is left out. Raises NotNow."""

    def positions(self, deadline: Deadline) -> tuple[Position, ...]:
        """All net positions. Raises NotNow."""

    def quotes_and_positions(
        self, symbols: Sequence[str], deadline: Deadline
    ) -> tuple[dict[str, Quote], tuple[Position, ...]]:
        """Both, asked for side by side. Raises NotNow, with POSITION_UNKNOWN where only the positions did not come."""

    def place(self, order: Order, window: Deadline, deadline: Deadline) -> Outcome:
        """POSTs the order once. Never raises, and writes nothing once the send window is over."""

    def market_status(self, deadline: Deadline) -> dict[str, bool]:
        """Whether each exchange ("NSE", "BSE") trades derivatives now; one in doubt is left out. Raises NotNow."""

    def order_book(self, deadline: Deadline) -> tuple[BookRow, ...]:
        """The day's whole order book. Raises NotNow for anything but a complete one."""

    def cancel(self, broker_order_id: str, deadline: Deadline) -> Outcome:
        """Cancels a pending order. Rejected: there was nothing left to cancel. Raises NotNow without a token."""

    def resize(self, row: BookRow, quantity: int, deadline: Deadline) -> Outcome:
        """Makes a pending order, which nothing was filled of, so many units. Raises NotNow without a token."""

    def exit_position(self, position_id: str, deadline: Deadline) -> Outcome:
        """Closes one position, by its `id`, at the market; sent once. Raises NotNow without a token."""


@dataclass(frozen=True, slots=True)
class Window:
    """For an alert that only time can tell from the next: its identity, and how many seconds the window lasts."""

    digest: str
    seconds: float


class Overtaken(Exception):
    """Another request or run moved the order first; `current` is the order as the ledger has it."""

    def __init__(self, current: Order) -> None:
        super().__init__(f"the order is {current.status} already")
        self.current = current


class Ledger(Protocol):
    """Shared by all instances. Every call raises NotNow(LEDGER_DOWN) where the store does not answer in time."""

    def claim(self, order: Order, window: Window | None, deadline: Deadline) -> Order:
        """Stores a RECEIVED order unless its key (or its open window) is known.

        Returns the order as the ledger has it; its `request_id` is that of the request that stored it.
        """

    def submit(self, order: Order, decide: Decide, deadline: Deadline) -> Order:
        """Runs `decide` on the controls and commits order and controls in one atomic write.

        The stored order must still be what this one was made from. Raises Overtaken where it is not, and
        NotNow(LEDGER_CONTENDED) where the race could not be decided in time.
        """

    def record(self, order: Order, deadline: Deadline) -> Order:
        """Stores the order's newest step, if the stored one is the step before; raises Overtaken where it is not.

        Definitive non-acceptance gives the day's counters back in the same commit.
        """

    def notify(self, notice: Notice, deadline: Deadline) -> bool:
        """Stores a notice that no step of an order carries; False where its id is known already."""

    def get(self, key: str, deadline: Deadline) -> Order | None:
        """The order, or None."""

    def orders(self, deadline: Deadline, day: str | None = None, in_flight: bool = False) -> list[Order]:
        """Orders, newest first: of one IST day, or those that are RECEIVED or still in flight, or the latest 500."""

    def unresolved(self, before: datetime, deadline: Deadline) -> int:
        """How many orders are SUBMITTED since before that moment."""

    def controls(self, deadline: Deadline) -> Controls:
        """The shared controls."""

    def change_controls(self, change: Callable[[Controls], Controls], deadline: Deadline) -> Controls:
        """Commits a change of the controls under its version; a new trading state is notified with it."""

    def once(self, name: str, deadline: Deadline) -> bool:
        """True for the first call with this name; names are kept for at least a week."""

    def try_out(self, deadline: Deadline, whole: bool = False) -> None:
        """Writes as much as an alert does and keeps none of it; `whole`: also looks for damage in all that is stored.

        Raises NotNow where an alert would not be written down either, with the reason where the store gives one.
        """

    def outbox(self, deadline: Deadline) -> list[Notice]:
        """Notices not delivered yet, oldest first, at most 100."""

    def taken(self, notice_id: str, by: Sequence[str], deadline: Deadline) -> None:
        """Notes which sinks have a waiting notice that others still lack.

        It goes to the end of the outbox: a sink that is out of reach must not keep newer notices from the others.
        """

    def delivered(self, notice_id: str, deadline: Deadline) -> None:
        """Takes a notice out of the outbox."""


class SymbolMaster(Protocol):
    """The listed options, in memory; by symbol also futures and shares. No lookup leaves the process."""

    def look_due(self, monotonic: float) -> bool:
        """Whether it is time to look for a newer master; `monotonic` in seconds."""

    def reload_if_changed(self, monotonic: float) -> bool:
        """Takes a newer master from the cache, looking at most every 30 s; True where there was one. Never raises."""

    def lookup_symbol(self, symbol: str) -> Instrument | None:
        """The option, future or share with the broker's own symbol, or None."""

    @property
    def as_of(self) -> date:
        """The trading day the master is of. Raises NotNow(SYMBOLS_MISSING)."""

    @property
    def rows(self) -> int:
        """How many options it lists. Raises NotNow(SYMBOLS_MISSING)."""

    @property
    def problem(self) -> str | None:
        """Why the newest master could not be loaded from the cache; None where it could."""

    @property
    def session(self) -> Session | None:
        """The widest plausible hours that it gives any contract; None where it gives none, or is not there."""

    def expiring(self, underlying: str, exchange: str | None, day: date) -> Option | None:
        """A contract of the underlying that expires that day, or None. Raises as `resolve` does."""

    def kinds(self, day: date, *, expiring: bool = False) -> Mapping[Listing, int]:
        """How many contracts trade at which hours: of all, or of those that expire that day.

        Contracts that expire on another day are counted under `date.max`. Raises NotNow(SYMBOLS_MISSING).
        """

    def spot_symbol(self, underlying: str, exchange: str | None) -> str:
        """The symbol whose quote says where at-the-money is. Raises Denied(NO_SUCH_CONTRACT)."""

    def resolve(self, wanted: Wanted, *, on: date, spot: Decimal | None = None) -> Option:
        """The contract, counting expiries from `on`; `spot` (rupees) is needed for a strike by its moneyness.

        Raises Denied(NO_SUCH_CONTRACT) naming the nearest listed ones, and NotNow(SYMBOLS_MISSING) without a master.
        """


class Notifier(Protocol):
    def send(self, notice: Notice, deadline: Deadline) -> bool:
        """Delivers one notice, at least once; False where it has to be sent again. Never raises."""
