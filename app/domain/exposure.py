"""What the account has open and under way, from one reading of positions and order book."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal

from app.domain.alert import Product, Side
from app.domain.book import BookRow, Position
from app.domain.instrument import Instrument, Option


@dataclass(frozen=True, slots=True)
class Exposure:
    """`lots_open` counts what is open and what orders in the book may still open; `realised` is in rupees.

    `unrealised` is the profit of what is open, in rupees; None where the broker does not say it of some position.
    `book` is None where it was not read: an entry needs it only when it comes close to the limit of open lots.
    """

    positions: tuple[Position, ...] = ()
    book: tuple[BookRow, ...] | None = ()
    lots_open: int = 0
    realised: Decimal = Decimal(0)
    unresolved: int = 0
    unrealised: Decimal | None = Decimal(0)

    @property
    def tags(self) -> frozenset[str]:
        """Of the orders that the book has: one of ours that was sent a moment ago may be missing from it."""
        return frozenset(row.tag for row in self.book or ())

    def short(self, symbol: str, preferred: Product) -> tuple[Product, int] | None:
        """The short to cover in a contract, with its own product type; the preferred one where there are two."""
        return self.closable(symbol, preferred, Side.BUY)

    def closable(self, symbol: str, preferred: Product, side: Side) -> tuple[Product, int] | None:
        """What an order of that side can close in a contract: a short for BUY, a long for SELL; product and units."""
        sign = -1 if side is Side.BUY else 1
        rows = (row for row in self.positions if row.symbol == symbol)
        units_of = {row.product: sign * row.net_quantity for row in rows if sign * row.net_quantity > 0}
        known = {Product(name): units for name, units in units_of.items() if name in Product.__members__}
        if not known:
            return None
        product = preferred if preferred in known else max(known, key=lambda name: known[name])
        return product, known[product]

    def entries_working(self, symbol: str) -> bool:
        """Whether an order of ours that opens a short in that contract may still be filled."""
        return any(
            row.symbol == symbol and row.side == Side.SELL and row.ours and row.working for row in self.book or ()
        )

    def covers_working(self, symbol: str, product: Product, side: Side = Side.BUY) -> int:
        """Units that orders already in the book will close, protective legs not counted."""
        return sum(
            row.working
            for row in self.book or ()
            if (row.symbol, row.side, row.product) == (symbol, side, product) and row.parent_id is None
        )


def expose(
    positions: Sequence[Position],
    book: Sequence[BookRow] | None,
    unresolved: int,
    contract_of: Callable[[str], Instrument | None],
) -> Exposure:
    return Exposure(
        positions=tuple(positions),
        book=None if book is None else tuple(book),
        lots_open=_lots_open(positions, book or (), contract_of),
        realised=sum((row.realised for row in positions), Decimal(0)),
        unresolved=unresolved,
        unrealised=_unrealised(positions),
    )


def _unrealised(positions: Sequence[Position]) -> Decimal | None:
    known = [row.unrealised for row in positions if row.unrealised is not None]
    return sum(known, Decimal(0)) if len(known) == len(positions) else None


def positions_lag(positions: Iterable[Position], book: Iterable[BookRow], symbol: str | None = None) -> bool:
    """True where the book shows fills, of one symbol or of any, that the positions do not have.

    Then the positions are older than the book: what was filled in between is in neither of them, and a cover would be
    counted from a short that is gone. Positions without totals of the day (a wire that leaves them out) tell nothing.
    """
    rows: dict[str, list[Position]] = {}
    for row in positions:
        rows.setdefault(row.symbol, []).append(row)
    return any(
        _lags(rows.get(name, []), bought, sold)
        for name, (bought, sold) in _filled(book).items()
        if symbol is None or name == symbol
    )


def positions_ahead(positions: Iterable[Position], book: Iterable[BookRow], symbol: str) -> bool:
    """True where the positions of that symbol have fills of today which the book, then the older one, does not show."""
    rows = [row for row in positions if row.symbol == symbol]
    bought, sold = _filled(book).get(symbol, (0, 0))
    return _less(bought, [row.bought for row in rows]) or _less(sold, [row.sold for row in rows])


def _lags(rows: Sequence[Position], bought: int, sold: int) -> bool:
    """Over all product types: a position that was converted from one to the other has its orders in the old one."""
    if not rows:
        return bought != sold  # what is closed again may be missing, what is open may not
    return _more(bought, [row.bought for row in rows]) or _more(sold, [row.sold for row in rows])


def _more(filled: int, traded: Sequence[int | None]) -> bool:
    return None not in traded and filled > sum(units or 0 for units in traded)


def _less(filled: int, traded: Sequence[int | None]) -> bool:
    return None not in traded and filled < sum(units or 0 for units in traded)


def _filled(book: Iterable[BookRow]) -> dict[str, tuple[int, int]]:
    """Units bought and sold by the orders in the book, by symbol."""
    filled: dict[str, tuple[int, int]] = {}
    for row in book:
        bought, sold = filled.get(row.symbol, (0, 0))
        units = row.filled_quantity
        filled[row.symbol] = (bought + units, sold) if row.side == Side.BUY else (bought, sold + units)
    return filled


def _lots_open(
    positions: Sequence[Position], book: Sequence[BookRow], contract_of: Callable[[str], Instrument | None]
) -> int:
    units: dict[str, int] = {}
    for position in positions:
        units[position.symbol] = units.get(position.symbol, 0) + position.net_quantity
    lots = 0
    for symbol in units.keys() | {row.symbol for row in book}:
        contract = contract_of(symbol)
        if not isinstance(contract, Option):
            continue  # a share or a future: the gateway trades options only
        net = units.get(symbol, 0)
        opening = Side.BUY if net > 0 else Side.SELL if net < 0 else None
        working = sum(
            row.working
            for row in book
            if row.symbol == symbol and row.parent_id is None and (opening is None or row.side == opening)
        )
        lots += (abs(net) + working) // contract.lot_size
    return lots
