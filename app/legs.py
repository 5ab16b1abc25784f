"""Protective legs: does each filled entry have its stop-loss, and does no leg outlive what it protects?

Stop-loss and take-profit stand at Fyers as orders of their own (`parentId` names the entry). A cover does not take them
away: one that is left behind would open a position of its own when the market reaches it.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from app.alert import Side
from app.contract import BookRow, Position
from app.order import Order

Place = tuple[str, str]  # symbol and product: a row of the broker's net positions


@dataclass(frozen=True, slots=True)
class Naked:
    """An entry of ours whose filled units stand open without a stop-loss; `units` are the unprotected ones."""

    order: Order
    units: int


def legs_of(order: Order, book: Iterable[BookRow]) -> list[BookRow]:
    """The order's legs as the book shows them."""
    return [row for row in book if row.parent_id is not None and row.parent_id == order.broker_order_id]


def orphans(positions: Sequence[Position], book: Sequence[BookRow]) -> list[BookRow]:
    """Working legs of ours that are more than the position they protect: first those of the oldest entries.

    Stop-losses and take-profits are counted apart, since the one that fills takes the other away.
    """
    parents = {row.broker_order_id for row in book if row.ours}
    net = _net(positions)
    excess: list[BookRow] = []
    for (symbol, product, side, _), rows in _groups(book, parents).items():
        open_units = _closable(net.get((symbol, product), 0), side)
        working = sum(row.working for row in rows)
        for row in sorted(rows, key=lambda row: row.broker_order_id):
            if working <= open_units:
                break
            excess.append(row)
            working -= row.working
    return excess


def naked(orders: Iterable[Order], positions: Sequence[Position], book: Sequence[BookRow]) -> list[Naked]:
    """Entries that are filled, still open, and not protected by a working stop-loss."""
    net = _net(positions)
    return [entry for entry in _unprotected(orders, net, book) if entry.units > 0]


def _unprotected(orders: Iterable[Order], net: Mapping[Place, int], book: Sequence[BookRow]) -> Iterator[Naked]:
    left = dict(net)
    for order in sorted(orders, key=lambda order: order.received_at, reverse=True):  # the newest are still open
        ticket = order.ticket
        if ticket is None or ticket.covers or order.filled_quantity == 0:
            continue
        place = (ticket.symbol, ticket.product)
        closing = Side.BUY if ticket.side is Side.SELL else Side.SELL
        open_units = min(order.filled_quantity, _closable(left.get(place, 0), closing))
        left[place] = left.get(place, 0) + (open_units if closing is Side.BUY else -open_units)
        stops = sum(row.working for row in legs_of(order, book) if row.stop_price is not None)
        yield Naked(order, open_units - stops)


def _groups(book: Sequence[BookRow], parents: set[str]) -> dict[tuple[str, str, str, bool], list[BookRow]]:
    groups: dict[tuple[str, str, str, bool], list[BookRow]] = {}
    for row in book:
        if row.parent_id in parents and row.working > 0:
            groups.setdefault((row.symbol, row.product, row.side, row.stop_price is not None), []).append(row)
    return groups


def _net(positions: Sequence[Position]) -> dict[Place, int]:
    return {(row.symbol, row.product): row.net_quantity for row in positions}


def _closable(net_quantity: int, side: str) -> int:
    """How many units an order of that side can close before it would open something."""
    return max(0, -net_quantity) if side == Side.BUY else max(0, net_quantity)
