"""Protective legs: does each filled entry have its stop-loss, and does no leg outlive what it protects?

Stop-loss and take-profit stand at Fyers as orders of their own (`parentId` names the entry). A cover does not take them
away: one that is left behind would open a position of its own when the market reaches it. And while a cover rests in
the book, the stop-loss stands beside it, so that the position stays protected; when either closes the position, the
other one is cancelled.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from app.alert import Side
from app.contract import BookRow, Position
from app.order import Order

Place = tuple[str, str]  # symbol and product: a row of the broker's net positions


@dataclass(frozen=True, slots=True)
class Naked:
    """An entry of ours whose filled units stand open without a stop-loss.

    `units` are the unprotected ones; `stops` counts all stop orders that ever stood in its place today, so the same
    two numbers again are the same state.
    """

    order: Order
    units: int
    stops: int


def legs_of(order: Order, book: Iterable[BookRow]) -> list[BookRow]:
    """The order's legs as the book shows them."""
    return [row for row in book if row.parent_id is not None and row.parent_id == order.broker_order_id]


def orphans(positions: Sequence[Position], book: Sequence[BookRow]) -> list[BookRow]:
    """Working legs of ours that are more than the position they protect: as few as possible, of the oldest entries.

    Stop-losses and take-profits are counted apart, since the one that fills takes the other away.
    """
    # While an entry is working its legs may stand there already, waiting for its fill.
    parents = {row.broker_order_id for row in book if row.ours and not row.working}
    legs = (row for row in book if row.parent_id in parents)
    return [row for rows in _closing(positions, legs) for row in rows]


def strays(positions: Sequence[Position], book: Sequence[BookRow], covers: Collection[str]) -> list[BookRow]:
    """Working covers of ours (by their tags) that are more than the position they were to close.

    A stop-loss was faster, or somebody's hand: what is left of such a cover would open a position.
    """
    ours = (row for row in book if row.ours and row.tag in covers)
    return [row for rows in _closing(positions, ours) for row in rows]


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


def _closing(positions: Sequence[Position], rows: Iterable[BookRow]) -> Iterator[list[BookRow]]:
    """For each group of working orders that close one position: those that are too many."""
    net = _net(positions)
    groups: dict[tuple[str, str, str, bool], list[BookRow]] = {}
    for row in rows:
        if row.working > 0:
            groups.setdefault((row.symbol, row.product, row.side, row.stop_price is not None), []).append(row)
    for (symbol, product, side, _), group in groups.items():
        yield _too_many(group, _closable(net.get((symbol, product), 0), side))


def _too_many(rows: list[BookRow], units: int) -> list[BookRow]:
    """The rows to take away so that the others are as many units as can be, and no more than these."""
    newest = sorted(rows, key=lambda row: row.broker_order_id, reverse=True)
    kept: dict[int, tuple[BookRow, ...]] = {0: ()}  # by their units
    for row in newest:
        for total, some in list(kept.items()):
            if total + row.working <= units:
                kept.setdefault(total + row.working, (*some, row))
    stay = {row.broker_order_id for row in kept[max(kept)]}
    return [row for row in reversed(newest) if row.broker_order_id not in stay]


def _place(row: BookRow) -> Place:
    return row.symbol, row.product


def _net(positions: Sequence[Position]) -> dict[Place, int]:
    return {(row.symbol, row.product): row.net_quantity for row in positions}


def _closable(net_quantity: int, side: str) -> int:
    """How many units an order of that side can close before it would open something."""
    return max(0, -net_quantity) if side == Side.BUY else max(0, net_quantity)
