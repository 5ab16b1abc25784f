"""What has to become of legs and covers that are more than their position, and which entries have no stop-loss."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from app.domain.alert import Side
from app.domain.book import BookRow
from app.domain.holding import Holding, Holdings
from app.domain.order import Order

_Item = TypeVar("_Item")


@dataclass(frozen=True, slots=True)
class Trim:
    """What has to become of legs: `cancel` these, and then let each of `shrink` close so many units and no more.

    It is a stop-loss alone that is made smaller, after its take-profit was cancelled. With both there, a fill of one
    takes units off the other at the broker, and a change on its way to say how many there are would put them back.
    """

    cancel: tuple[BookRow, ...] = ()
    shrink: tuple[tuple[BookRow, int], ...] = ()

    def __bool__(self) -> bool:
        return bool(self.cancel or self.shrink)


@dataclass(frozen=True, slots=True)
class Naked:
    """An entry of the gateway whose filled units stand open without a stop-loss.

    `units` are the unprotected ones; `stops` counts all stop orders that ever stood in its place today, so the same
    two numbers again are the same state.
    """

    order: Order
    units: int
    stops: int


def legs_of(order: Order, book: Iterable[BookRow]) -> list[BookRow]:
    """The order's legs as the book shows them."""
    return [row for row in book if row.protects is not None and row.protects == order.broker_order_id]


def trimmed(holding: Holding, side: str, units: int) -> Trim:
    """What leaves the legs on that side so many units, of the newest entries; whole brackets where these fit."""
    brackets = holding.brackets(side)
    stay = _most_that_fit([(bracket, bracket.units) for bracket in brackets], units)
    gone = [bracket for bracket in brackets if bracket not in stay]
    left = units - sum(bracket.units for bracket in stay)
    stop = next((one.stop for one in gone if left > 0 and one.stop is not None), None)
    cancel = tuple(leg.row for bracket in reversed(gone) for leg in bracket.legs if leg.row is not stop)
    return Trim(cancel, () if stop is None or stop.working <= left else ((stop, left),))


def orphans(holdings: Holdings) -> Trim:
    """What becomes of the legs that are more than their position beside the gateway's covers that work."""
    trims = []
    for holding in holdings:
        for side in dict.fromkeys(leg.row.side for leg in holding.legs):
            covering = sum(row.working for row in holding.covers if row.side == side)
            trims.append(trimmed(holding, side, max(0, holding.closable(side) - covering)))
    return Trim(
        tuple(row for trim in trims for row in trim.cancel), tuple(row for trim in trims for row in trim.shrink)
    )


def strays(holdings: Holdings) -> list[BookRow]:
    """Working covers of the gateway that are more than the position they were to close.

    A trade by hand was faster, or the broker: what is left of such a cover would open a position.
    """
    gone = []
    for holding in holdings:
        for side in dict.fromkeys(row.side for row in holding.covers):
            covers = [row for row in holding.covers if row.side == side and row.working > 0]
            newest = sorted(covers, key=lambda row: row.broker_order_id, reverse=True)
            stay = _most_that_fit([(row, row.working) for row in newest], holding.closable(side))
            gone += [row for row in reversed(newest) if row not in stay]
    return gone


def naked(orders: Iterable[Order], holdings: Holdings) -> list[Naked]:
    """Entries that are filled, still open, and not protected by a working stop-loss, no matter who placed it."""
    counted: Counter[tuple[str, str]] = Counter()  # open units by position, and those of them that no stop closes
    bare: Counter[tuple[str, str]] = Counter()
    stops = [row for row in holdings.book or () if row.stop_price is not None]
    found = []
    for order in sorted(orders, key=lambda order: order.received_at, reverse=True):  # the newest are still open
        ticket = order.ticket
        if ticket is None or ticket.covers or order.filled_quantity == 0:
            continue
        place, holding = (ticket.symbol, ticket.product), holdings.at(ticket.symbol, ticket.product)
        closing = Side.BUY if ticket.side is Side.SELL else Side.SELL
        open_units = min(order.filled_quantity, max(0, holding.closable(closing) - counted[place]))
        counted[place] += open_units
        own = sum(row.working for row in legs_of(order, stops))
        # A stop that belongs to no entry, one attached to the position by hand, protects what has none.
        units = max(0, min(open_units - own, holding.bare - bare[place]))
        bare[place] += units
        if units > 0:
            found.append(Naked(order, units, len(holding.stops)))
    return found


def _most_that_fit(newest: Sequence[tuple[_Item, int]], units: int) -> tuple[_Item, ...]:
    """Those that together are as many units as can be, and no more than these; of two choices the newer ones."""
    kept: dict[int, tuple[_Item, ...]] = {0: ()}  # by their units
    for item, size in newest:
        for total, some in list(kept.items()):
            if total + size <= units:
                kept.setdefault(total + size, (*some, item))
    return kept[max(kept)]
