"""Holdings: each position with everything that works on it, from one reading of positions and order book.

At no moment may more work to close a position than there is of it, covers and protective legs together: the rest would
open one. The broker keeps a leg whatever becomes of its position, so a cover, which is wanted now, comes before a leg.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal

from app.domain.alert import Product, Side
from app.domain.book import BookRow, Leg, Position
from app.domain.instrument import Instrument, Option
from app.domain.order import Sent


@dataclass(frozen=True, slots=True)
class Bracket:
    """The live legs of one entry, mostly a stop-loss and a take-profit; one lost before further fills leaves more."""

    legs: tuple[Leg, ...]

    @property
    def units(self) -> int:
        """What they close at the most: a fill of a stop-loss takes as much off the take-profit, and the other way."""
        stops = sum(leg.live for leg in self.legs if leg.row.stop_price is not None)
        return max(stops, sum(leg.live for leg in self.legs) - stops)

    @property
    def stop(self) -> BookRow | None:
        """The stop-loss that may be made smaller; None where there is not exactly one, or it may not be."""
        # What a change means by the quantity of a half filled order, all of it or the rest, Fyers does not document;
        # and the legs of an entry that still works grow with it.
        if self.legs[0].entry.working > 0 or any(leg.row.filled_quantity for leg in self.legs):
            return None
        stops = [leg.row for leg in self.legs if leg.row.stop_price is not None]
        return stops[0] if len(stops) == 1 else None


@dataclass(frozen=True, slots=True)
class Holding:
    """One position with everything that works on it; units throughout, `net` is negative when short.

    `position` is None where the broker shows none. `rows` are all of the book's; `legs` are those of the gateway's
    orders. `cover_tags` names the gateway's covers where the ledger was asked for them. `unseen` was sent in this
    contract so lately that the book does not show it yet.
    """

    symbol: str
    product: str
    position: Position | None = None
    rows: tuple[BookRow, ...] = ()
    legs: tuple[Leg, ...] = ()
    cover_tags: Collection[str] = ()
    unseen: tuple[Sent, ...] = ()

    @property
    def id(self) -> str:
        """What the broker calls the position; "" where it shows none."""
        return self.position.id if self.position else ""

    @property
    def net(self) -> int:
        return self.position.net_quantity if self.position else 0

    @property
    def closing(self) -> Side:
        """The side of an order that closes it."""
        return Side.BUY if self.net < 0 else Side.SELL

    # -- what a cover may close

    def closable(self, side: str) -> int:
        """What orders of that side can close before they would open something."""
        return max(0, -self.net if side == Side.BUY else self.net)

    def left(self, side: str) -> int:
        """What one more cover may close: orders in the book, and covers that it does not show yet, close the rest.

        Legs are not counted: they make room for the cover (`units_of_legs`).
        """
        return self.closable(side) - sum(row.working for row in self._orders(side)) - self.covers_unseen

    @property
    def covers_unseen(self) -> int:
        return sum(sent.quantity for sent in self.unseen if sent.covers)

    @property
    def entry_unseen(self) -> bool:
        return any(not sent.covers for sent in self.unseen)

    @property
    def squared_off(self) -> bool:
        """True while an exit is on its way: the broker closes whatever is open when the exit gets there."""
        return any(sent.covers and sent.squares_off for sent in self.unseen)

    @property
    def short_entry_works(self) -> bool:
        """Whether an order of the gateway that opens a short may still be filled."""
        return any(row.own and row.working and row.side == Side.SELL for row in self.rows)

    @property
    def being_closed(self) -> bool:
        """Whether an order that is no leg works to close it, no matter who placed it."""
        return any(row.working for row in self._orders(self.closing))

    def _orders(self, side: str) -> Iterator[BookRow]:
        return (row for row in self.rows if row.side == side and row.protects is None)

    # -- what protects it

    def brackets(self, side: str) -> list[Bracket]:
        """The live legs on that side by the entry that they belong to, newest entry first."""
        by_entry: dict[str, list[Leg]] = {}
        for leg in self.legs:
            if leg.row.side == side and leg.live > 0:
                by_entry.setdefault(leg.entry.broker_order_id, []).append(leg)
        return [Bracket(tuple(legs)) for _, legs in sorted(by_entry.items(), reverse=True)]

    def units_of_legs(self, side: str) -> int:
        """How many units legs on that side may close, or open where nothing is left to close."""
        return sum(bracket.units for bracket in self.brackets(side))

    @property
    def stops(self) -> list[BookRow]:
        """All stop orders that ever stood here today, no matter who placed them."""
        return [row for row in self.rows if row.stop_price is not None]

    @property
    def bare(self) -> int:
        """Units that no working stop order closes, no matter who placed it."""
        return abs(self.net) - sum(row.working for row in self.stops if self.closable(row.side))

    @property
    def overnight(self) -> int:
        """Bare units of an earlier day, which the book of today does not account for; legs end with their day."""
        today = sum(row.filled_quantity if row.side == Side.BUY else -row.filled_quantity for row in self.rows)
        carried = self.net - today
        return max(0, min(self.bare, abs(carried))) if self.net * carried > 0 else 0

    # -- what the gateway did

    @property
    def entries(self) -> list[BookRow]:
        return [row for row in self.rows if row.own and row.tag not in self.cover_tags]

    @property
    def covers(self) -> list[BookRow]:
        return [row for row in self.rows if row.own and row.tag in self.cover_tags]

    @property
    def gateway_units(self) -> int | None:
        """Units that the gateway opened today and nothing has closed since; None where it opened nothing."""
        opened = _filled(row for row in self.rows if row.own and row.side != self.closing)
        return max(0, opened - _filled(row for row in self.rows if row.side == self.closing)) if opened else None

    @property
    def overbought(self) -> int:
        """Units that are long because the gateway's covers and legs bought more than its entries had sold."""
        if {row.side for row in self.entries} != {Side.SELL}:
            return 0
        legs = [leg.row for leg in self.legs if leg.entry.tag not in self.cover_tags]
        return max(0, min(self.net, _filled([*self.covers, *legs]) - _filled(self.entries)))


@dataclass(frozen=True, slots=True)
class Holdings:
    """The whole account in one reading. `book` is None where it was not read, which is not an empty one.

    `lots_open` counts what is open and what orders in the book may still open; `unresolved` the orders in doubt.
    """

    positions: tuple[Position, ...] = ()
    book: tuple[BookRow, ...] | None = ()
    by_symbol: Mapping[str, tuple[Holding, ...]] = field(default_factory=dict)
    unseen: tuple[Sent, ...] = ()
    lots_open: int = 0
    unresolved: int = 0

    def __iter__(self) -> Iterator[Holding]:
        return (holding for symbol in self.by_symbol for holding in self.of(symbol))

    def of(self, symbol: str) -> tuple[Holding, ...]:
        """What is held of a contract, for each product type; empty where nothing is held and nothing works."""
        held, unseen = self.by_symbol.get(symbol, ()), self._unseen_of(symbol)
        return tuple(replace(holding, unseen=unseen) for holding in held) if unseen else held

    def at(self, symbol: str, product: str) -> Holding:
        found = (holding for holding in self.of(symbol) if holding.product == product)
        return next(found, None) or Holding(symbol, product, unseen=self._unseen_of(symbol))

    def to_close(self, symbol: str, preferred: Product, side: Side) -> Holding | None:
        """What an order of that side can close in a contract: the preferred product's, or else the largest."""
        known = [one for one in self.of(symbol) if one.product in Product.__members__ and one.closable(side)]
        wanted = (one for one in known if one.product == preferred)
        return next(wanted, None) or max(known, key=lambda one: one.closable(side), default=None)

    def entry_on_its_way(self, symbol: str) -> bool:
        """Whether an entry of that contract may still be filled, in the book or sent too lately to be in it."""
        unseen = any(not sent.covers for sent in self._unseen_of(symbol))
        return unseen or any(holding.short_entry_works for holding in self.of(symbol))

    # -- of the order book

    def with_sent(self, lately: Iterable[Sent]) -> "Holdings":
        """The same with what is `unseen` of these: sent so lately that the book may not show them yet."""
        shown = {row.tag for row in self.book or ()}
        unseen = tuple(sent for sent in lately if sent.tag not in shown)
        return self if unseen == self.unseen else replace(self, unseen=unseen)

    def _unseen_of(self, symbol: str) -> tuple[Sent, ...]:
        return tuple(sent for sent in self.unseen if sent.symbol == symbol)

    # -- positions against the book

    def lag(self, symbols: Collection[str] | None = None) -> bool:
        """True where the book shows fills, of these contracts or of any, that the positions do not have.

        Then the positions are older than the book: what was filled in between is in neither of them, and a cover would
        be counted from a short that is gone. Positions without totals of the day tell nothing.
        """
        return any(_lag(held) for symbol, held in self.by_symbol.items() if symbols is None or symbol in symbols)

    def ahead(self, symbol: str) -> bool:
        """True where the positions have fills of today which the book, then the older one, does not show."""
        return any(traded is not None and filled < traded for filled, traded in _fills(self.of(symbol)))

    # -- over the whole account

    @property
    def realised(self) -> Decimal:
        """The day's profit, in rupees."""
        return sum((one.realised for one in self.positions), Decimal(0))

    @property
    def unrealised(self) -> Decimal | None:
        """The profit of what is open, in rupees; None where the broker does not say it of some position."""
        known = [one.unrealised for one in self.positions if one.unrealised is not None]
        return sum(known, Decimal(0)) if len(known) == len(self.positions) else None

    def count_lots(self, contract_of: Callable[[str], Instrument | None]) -> int:
        """Lots of options that are open, and that orders in the book may still open."""
        lots = 0
        for symbol, held in self.by_symbol.items():
            if isinstance(contract := contract_of(symbol), Option):  # the gateway trades options only
                net = sum([holding.net for holding in held])
                opening = Side.BUY if net > 0 else Side.SELL if net < 0 else None
                orders = [row for holding in held for row in holding.rows if row.protects is None]
                working = sum([row.working for row in orders if opening is None or row.side == opening])
                lots += (abs(net) + working) // contract.lot_size
        return lots


def hold(positions: Iterable[Position], book: Iterable[BookRow] | None, cover_tags: Collection[str] = ()) -> Holdings:
    """One reading: positions that are no older than the book, and the gateway's covers where the ledger was asked."""
    positions, book = tuple(positions), None if book is None else tuple(book)
    rows: dict[tuple[str, str], list[BookRow]] = {}
    legs: dict[tuple[str, str], list[Leg]] = {}
    own = {row.broker_order_id: row for row in book or () if row.own}
    for row in book or ():
        rows.setdefault((row.symbol, row.product), []).append(row)
        if row.protects is not None and row.protects in own:
            legs.setdefault((row.symbol, row.product), []).append(Leg(row, own[row.protects]))
    held = {(one.symbol, one.product): one for one in positions}
    by_symbol: dict[str, tuple[Holding, ...]] = {}
    for place in held | dict.fromkeys(rows):
        there, those = tuple(rows.get(place, ())), tuple(legs.get(place, ()))
        holding = Holding(*place, held.get(place), there, those, cover_tags)
        by_symbol[place[0]] = (*by_symbol.get(place[0], ()), holding)
    return Holdings(positions, book, by_symbol)


def _lag(held: Sequence[Holding]) -> bool:
    fills = _fills(held)
    if not any(holding.position for holding in held):
        return fills[0][0] != fills[1][0]  # what is closed again may be missing, what is open may not
    return any(traded is not None and filled > traded for filled, traded in fills)


def _fills(held: Sequence[Holding]) -> tuple[tuple[int, int | None], tuple[int, int | None]]:
    """Units bought, and units sold, in one contract today: as the book says, and as the positions say.

    Over all product types: a position that was converted from one to the other has its orders in the old one.
    """
    rows = [row for holding in held for row in holding.rows]
    positions = [holding.position for holding in held if holding.position]
    bought = _filled(row for row in rows if row.side == Side.BUY)
    traded = _total(one.bought for one in positions), _total(one.sold for one in positions)
    return (bought, traded[0]), (_filled(rows) - bought, traded[1])


def _filled(rows: Iterable[BookRow]) -> int:
    return sum(row.filled_quantity for row in rows)


def _total(units: Iterable[int | None]) -> int | None:
    known = list(units)
    return None if None in known else sum(one or 0 for one in known)
