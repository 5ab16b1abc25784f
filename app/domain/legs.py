"""Protective legs: does each filled entry have its stop-loss, and can none of them ever open a position?

Stop-loss and take-profit stand at Fyers as orders of their own (`parentId` names the entry), and Fyers keeps them
whatever becomes of the position: a cover, or a hand, that closes it leaves them working. So at no moment may more work
to close a position than there is of it, whether covers or legs; a cover, which somebody wants now, comes before a leg.
Of an entry's stop-loss and take-profit only the larger one counts, since a fill of one takes as much off the other.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from app.domain.alert import Side
from app.domain.book import BookRow, Position
from app.domain.order import Order

_Item = TypeVar("_Item")
Place = tuple[str, str]  # symbol and product: a row of the broker's net positions


@dataclass(frozen=True, slots=True)
class Trim:
    """What has to become of legs: `cancel` these, and then let each of `shrink` close so many units and no more.

    It is a stop-loss alone that is made smaller, after its take-profit was cancelled. With both there, a fill of one
    takes units off the other at Fyers, and a change on its way to say how many there are would put them back.
    """

    cancel: tuple[BookRow, ...] = ()
    shrink: tuple[tuple[BookRow, int], ...] = ()

    def __bool__(self) -> bool:
        return bool(self.cancel or self.shrink)


@dataclass(frozen=True, slots=True)
class Naked:
    """An entry of ours whose filled units stand open without a stop-loss.

    `units` are the unprotected ones; `stops` counts all stop orders that ever stood in its place today, so the same
    two numbers again are the same state.
    """

    order: Order
    units: int
    stops: int


@dataclass(frozen=True, slots=True)
class Overnight:
    """Units of a position from an earlier day that no stop-loss closes; legs are of the day they were placed on."""

    symbol: str
    product: str
    units: int


@dataclass(frozen=True, slots=True)
class _Pair:
    """The working legs of one entry; they close `units` at the most. `fixed`: none of them may be made smaller.

    Mostly a stop-loss and a take-profit; an entry that lost one of them before it was filled further has more.
    """

    entry: BookRow
    legs: tuple[BookRow, ...]
    units: int

    @property
    def fixed(self) -> bool:
        # What PATCH means by the quantity of a half filled order, all of it or the rest, Fyers does not say; and the
        # legs of an entry that still works grow with it.
        return self.entry.working > 0 or any(leg.filled_quantity for leg in self.legs)

    @property
    def stop(self) -> BookRow | None:
        stops = [leg for leg in self.legs if leg.stop_price is not None]
        return stops[0] if len(stops) == 1 else None


def legs_of(order: Order, book: Iterable[BookRow]) -> list[BookRow]:
    """The order's legs as the book shows them."""
    return [row for row in book if row.parent_id is not None and row.parent_id == order.broker_order_id]


def units_of_legs(book: Sequence[BookRow], symbol: str, product: str, side: str) -> int:
    """How many units legs of ours on that side may close there, or open where nothing is left to close."""
    return sum(pair.units for pair in _pairs(book).get((symbol, product, side), ()))


def trimmed(book: Sequence[BookRow], symbol: str, product: str, side: str, units: int) -> Trim:
    """What leaves the legs there so many units, of the newest entries; whole pairs where these come out even."""
    return _trim(_pairs(book).get((symbol, product, side), []), units)


def orphans(positions: Sequence[Position], book: Sequence[BookRow], covers: Collection[str]) -> Trim:
    """What becomes of the legs of ours that are more than the position beside the covers (by their tags) that work."""
    net = _net(positions)
    trims = []
    for (symbol, product, side), pairs in _pairs(book).items():
        closing = sum(
            row.working
            for row in book
            if _is_cover(row, covers) and (*_place(row), row.side) == (symbol, product, side)
        )
        trims.append(_trim(pairs, max(0, _closable(net.get((symbol, product), 0), side) - closing)))
    return Trim(
        tuple(row for trim in trims for row in trim.cancel), tuple(row for trim in trims for row in trim.shrink)
    )


def strays(positions: Sequence[Position], book: Sequence[BookRow], covers: Collection[str]) -> list[BookRow]:
    """Working covers of ours (by their tags) that are more than the position they were to close.

    Somebody's hand was faster, or Fyers': what is left of such a cover would open a position.
    """
    net = _net(positions)
    groups: dict[tuple[str, str, str], list[BookRow]] = {}
    for row in book:
        if _is_cover(row, covers) and row.working > 0:
            groups.setdefault((row.symbol, row.product, row.side), []).append(row)
    gone = []
    for (symbol, product, side), rows in groups.items():
        stay = _most_that_fit(
            [(row, row.working) for row in _newest(rows)], _closable(net.get((symbol, product), 0), side)
        )
        gone += [row for row in reversed(_newest(rows)) if row not in stay]
    return gone


def overbought(positions: Sequence[Position], book: Sequence[BookRow], covers: Collection[str]) -> dict[Place, int]:
    """Units that are long because covers and legs of ours bought more than entries of ours had sold."""
    entries = [row for row in book if row.ours and row.tag not in covers]
    ids = {row.broker_order_id for row in entries}
    closing = [row for row in book if (row.ours and row.tag in covers) or row.parent_id in ids]
    found = {}
    for position in positions:
        place = (position.symbol, position.product)
        opened = {row.side for row in entries if _place(row) == place}
        sold = sum(row.filled_quantity for row in entries if _place(row) == place)
        bought = sum(row.filled_quantity for row in closing if _place(row) == place)
        if opened == {Side.SELL} and min(position.net_quantity, bought - sold) > 0:
            found[place] = min(position.net_quantity, bought - sold)
    return found


def naked(orders: Iterable[Order], positions: Sequence[Position], book: Sequence[BookRow]) -> list[Naked]:
    """Entries that are filled, still open, and not protected by a working stop-loss, whoever placed it."""
    net = _net(positions)
    return [entry for entry in _unprotected(orders, net, book) if entry.units > 0]


def overnight(positions: Sequence[Position], book: Sequence[BookRow]) -> list[Overnight]:
    """Positions that the book of today does not account for, as far as no working stop-loss closes them."""
    found = []
    for position in positions:
        net, rows = position.net_quantity, [row for row in book if _place(row) == (position.symbol, position.product)]
        today = sum(row.filled_quantity if row.side == Side.BUY else -row.filled_quantity for row in rows)
        stops = (row for row in rows if row.stop_price is not None and _closable(net, row.side))
        units = min(abs(net) - sum(row.working for row in stops), abs(net - today))
        if net * (net - today) > 0 and units > 0:
            found.append(Overnight(position.symbol, position.product, units))
    return found


def _unprotected(orders: Iterable[Order], net: Mapping[Place, int], book: Sequence[BookRow]) -> Iterator[Naked]:
    left = dict(net)
    short_of = {place: abs(units) for place, units in net.items()}  # of stops: units that no stop closes
    stops = [row for row in book if row.stop_price is not None]
    for row in stops:
        if _closable(net.get(_place(row), 0), row.side):
            short_of[_place(row)] -= row.working
    for order in sorted(orders, key=lambda order: order.received_at, reverse=True):  # the newest are still open
        ticket = order.ticket
        if ticket is None or ticket.covers or order.filled_quantity == 0:
            continue
        place = (ticket.symbol, ticket.product)
        closing = Side.BUY if ticket.side is Side.SELL else Side.SELL
        open_units = min(order.filled_quantity, _closable(left.get(place, 0), closing))
        left[place] = left.get(place, 0) + (open_units if closing is Side.BUY else -open_units)
        own = sum(row.working for row in legs_of(order, stops))
        # A stop that belongs to nobody's entry, one attached to the position by hand, protects what has none.
        units = max(0, min(open_units - own, short_of.get(place, 0)))
        short_of[place] = short_of.get(place, 0) - units
        yield Naked(order, units, sum(_place(row) == place for row in stops))


def _is_cover(row: BookRow, covers: Collection[str]) -> bool:
    return row.ours and row.tag in covers


def _pairs(book: Sequence[BookRow]) -> dict[tuple[str, str, str], list[_Pair]]:
    """The working legs of entries of ours, newest entry first, by symbol, product and side."""
    entries = {row.broker_order_id: row for row in book if row.ours}
    legs: dict[tuple[str, str, str, str], list[BookRow]] = {}
    for row in book:
        if row.parent_id in entries and _live(row, entries[row.parent_id]) > 0:
            legs.setdefault((row.parent_id, row.symbol, row.product, row.side), []).append(row)
    pairs: dict[tuple[str, str, str], list[_Pair]] = {}
    for (parent, *place), rows in sorted(legs.items(), reverse=True):
        entry = entries[parent]
        stops = sum(_live(row, entry) for row in rows if row.stop_price is not None)
        targets = sum(_live(row, entry) for row in rows if row.stop_price is None)
        pair = _Pair(entry, tuple(rows), max(stops, targets))
        pairs.setdefault((place[0], place[1], place[2]), []).append(pair)
    return pairs


def _live(leg: BookRow, entry: BookRow) -> int:
    """Units of a leg that may be filled; while its entry works, it may stand there for what is not filled yet."""
    if entry.working == 0:
        return leg.working
    return min(leg.working, max(0, entry.filled_quantity - leg.filled_quantity))


def _trim(pairs: Sequence[_Pair], units: int) -> Trim:
    stay = _most_that_fit([(pair, pair.units) for pair in pairs], units)
    gone = [pair for pair in pairs if pair not in stay]
    left = units - sum(pair.units for pair in stay)
    stop = next((pair.stop for pair in gone if left > 0 and not pair.fixed and pair.stop is not None), None)
    cancel = tuple(leg for pair in reversed(gone) for leg in pair.legs if leg is not stop)
    return Trim(cancel, () if stop is None or stop.working <= left else ((stop, left),))


def _most_that_fit(newest: Sequence[tuple[_Item, int]], units: int) -> tuple[_Item, ...]:
    """Those that together are as many units as can be, and no more than these; of two choices the newer ones."""
    kept: dict[int, tuple[_Item, ...]] = {0: ()}  # by their units
    for item, size in newest:
        for total, some in list(kept.items()):
            if total + size <= units:
                kept.setdefault(total + size, (*some, item))
    return kept[max(kept)]


def _newest(rows: Iterable[BookRow]) -> list[BookRow]:
    return sorted(rows, key=lambda row: row.broker_order_id, reverse=True)


def _place(row: BookRow) -> Place:
    return row.symbol, row.product


def _net(positions: Sequence[Position]) -> dict[Place, int]:
    return {(row.symbol, row.product): row.net_quantity for row in positions}


def _closable(net_quantity: int, side: str) -> int:
    """How many units an order of that side can close before it would open something."""
    return max(0, -net_quantity) if side == Side.BUY else max(0, net_quantity)
