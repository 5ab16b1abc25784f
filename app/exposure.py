"""What the account has open and under way, from one reading of positions and order book."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal

from app.alert import Product, Side
from app.contract import BookRow, Contract, Position


@dataclass(frozen=True, slots=True)
class Exposure:
    """`lots_open` counts what is open and what orders in the book may still open; `realised` is in rupees.

    `book` is None where it was not read: an entry needs it only when it comes close to the limit of open lots.
    """

    positions: tuple[Position, ...] = ()
    book: tuple[BookRow, ...] | None = ()
    lots_open: int = 0
    realised: Decimal = Decimal(0)
    unresolved: int = 0

    def shows(self, tag: str) -> bool:
        """Whether the book has this order of ours: one sent a moment ago may be missing from it."""
        return any(row.tag == tag for row in self.book or ())

    def short(self, symbol: str, preferred: Product) -> tuple[Product, int] | None:
        """The short to cover in a contract, with its own product type; the preferred one where there are two."""
        shorts = {
            row.product: -row.net_quantity for row in self.positions if row.symbol == symbol and row.net_quantity < 0
        }
        known = {Product(name): units for name, units in shorts.items() if name in Product.__members__}
        if not known:
            return None
        product = preferred if preferred in known else max(known, key=lambda name: known[name])
        return product, known[product]

    def covers_working(self, symbol: str, product: Product) -> int:
        """Units that orders already in the book will buy back, protective legs not counted."""
        return sum(
            row.working
            for row in self.book or ()
            if (row.symbol, row.side, row.product) == (symbol, Side.BUY, product) and row.parent_id is None
        )


def expose(
    positions: Sequence[Position],
    book: Sequence[BookRow] | None,
    unresolved: int,
    contract_of: Callable[[str], Contract | None],
) -> Exposure:
    return Exposure(
        positions=tuple(positions),
        book=None if book is None else tuple(book),
        lots_open=_lots_open(positions, book or (), contract_of),
        realised=sum((row.realised for row in positions), Decimal(0)),
        unresolved=unresolved,
    )


def positions_lag(positions: Iterable[Position], book: Iterable[BookRow], symbol: str | None = None) -> bool:
    """True where the book shows fills, of one symbol or of any, that the positions do not have.

    Then the positions are older than the book: what was filled in between is in neither of them, and a cover would be
    counted from a short that is gone. Positions without totals of the day (a wire that leaves them out) tell nothing.
    """
    rows = {(row.symbol, row.product): row for row in positions}
    return any(
        _lags(rows.get(place), bought, sold)
        for place, (bought, sold) in _filled(book).items()
        if symbol is None or place[0] == symbol
    )


def _lags(row: Position | None, bought: int, sold: int) -> bool:
    if row is None:
        return bought != sold  # what is closed again may be missing, what is open may not
    return bought > (bought if row.bought is None else row.bought) or sold > (sold if row.sold is None else row.sold)


def _filled(book: Iterable[BookRow]) -> dict[tuple[str, str], tuple[int, int]]:
    """Units bought and sold by the orders in the book, by symbol and product."""
    filled: dict[tuple[str, str], tuple[int, int]] = {}
    for row in book:
        bought, sold = filled.get((row.symbol, row.product), (0, 0))
        buys = row.side == Side.BUY
        units = row.filled_quantity
        filled[row.symbol, row.product] = (bought + units, sold) if buys else (bought, sold + units)
    return filled


def _lots_open(
    positions: Sequence[Position], book: Sequence[BookRow], contract_of: Callable[[str], Contract | None]
) -> int:
    units: dict[str, int] = {}
    for position in positions:
        units[position.symbol] = units.get(position.symbol, 0) + position.net_quantity
    lots = 0
    for symbol in units.keys() | {row.symbol for row in book}:
        contract = contract_of(symbol)
        if contract is None:
            continue  # a share or a future: not what this gateway trades
        net = units.get(symbol, 0)
        opening = Side.BUY if net > 0 else Side.SELL if net < 0 else None
        working = sum(
            row.working
            for row in book
            if row.symbol == symbol and row.parent_id is None and (opening is None or row.side == opening)
        )
        lots += (abs(net) + working) // contract.lot_size
    return lots
