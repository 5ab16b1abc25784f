"""Legs and covers are kept to the position: never more of them than is open, and no naked entry goes unseen."""

from collections.abc import Collection, Sequence
from datetime import timedelta
from decimal import Decimal
from itertools import combinations
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.book import BookRow, Position
from app.domain.order import Order
from app.domain.order.status import OrderStatus
from app.domain.protection import Naked, Trim, legs_of, naked, orphans, strays, trimmed
from tests.builders import NOW, SYMBOL, a_book_row, a_position, a_ticket, an_order, holdings

OTHER = "NSE:NIFTY26NOV26100CE"
TAGS = [f"tv{letter * 18}" for letter in "abcdefgh"]


def entry_row(number: int, units: int = 65, filled: int | None = None, **changes: Any) -> BookRow:
    """An entry of the gateway's in the book, filled unless it says otherwise."""
    filled = units if filled is None else filled
    status = OrderStatus.FILLED if filled == units else OrderStatus.ACCEPTED
    fields = {"broker_order_id": str(number), "tag": TAGS[number], "quantity": units, "filled_quantity": filled}
    return a_book_row(**{"status": status} | fields | changes)


def stop(number: int, parent: int | None = 1, units: int = 65, **changes: Any) -> BookRow:
    fields: dict[str, Any] = {"broker_order_id": str(number), "tag": "untagged", "side": "BUY", "quantity": units}
    fields |= {"protects": None if parent is None else str(parent), "stop_price": Decimal(190)}
    return a_book_row(**fields | changes)


def target(number: int, parent: int | None = 1, units: int = 65, **changes: Any) -> BookRow:
    return stop(number, parent, units, stop_price=None, **changes)


def cover_row(number: int, units: int = 65, **changes: Any) -> BookRow:
    return entry_row(number, units, 0, side="BUY", **changes)


def trimmed_to(net: int | None, book: Sequence[BookRow], covers: Collection[str] = ()) -> Trim:
    return orphans(holdings([] if net is None else [a_position(net)], book, covers))


def units_of_legs(book: Sequence[BookRow], side: str) -> int:
    return holdings([], book).at(SYMBOL, "INTRADAY").units_of_legs(side)


def ids(rows: Sequence[BookRow]) -> list[str]:
    return sorted(row.broker_order_id for row in rows)


def an_entry(number: int = 1, filled: int = 65, **changes: Any) -> Order:
    """An entry as the ledger has it; a higher number is a newer one."""
    order = an_order(a_ticket(quantity=filled), received_at=NOW + timedelta(seconds=number), **changes)
    order = order.submitted(NOW).moved(OrderStatus.PARTIALLY_FILLED, NOW, filled_quantity=filled)
    return order.moved(OrderStatus.FILLED, NOW, broker_order_id=str(number))


# -- legs that outlive their position


@pytest.mark.parametrize(("net", "left"), [(-65, []), (-130, []), (0, [11, 12]), (65, [11, 12]), (None, [11, 12])])
def test_a_pair_of_legs_stays_while_all_of_it_protects_something(net: int | None, left: list[int]) -> None:
    trim = trimmed_to(net, [entry_row(1), stop(11), target(12)])
    assert (ids(trim.cancel), trim.shrink) == ([str(number) for number in left], ())


def test_legs_of_a_long_close_what_is_long() -> None:
    book = [entry_row(1, side="BUY"), stop(11, side="SELL"), target(12, side="SELL")]
    assert not trimmed_to(65, book)
    assert ids(trimmed_to(-65, book).cancel) == ["11", "12"]


@pytest.mark.parametrize(
    ("sizes", "net", "cancelled", "shrunk"),
    [
        ((65, 65), -65, [0], []),  # of two alike the older one goes
        ((65, 130), -130, [0], []),
        ((130, 65), -65, [0], []),
        ((65, 130), -65, [1], []),  # the older one fits as it is
        ((130, 65), -130, [1], []),
        ((65, 65, 65), -65, [0, 1], []),
        ((65, 130, 195), -195, [0, 1], []),
        ((195, 130, 65), -195, [0], []),
        ((130, 130), -195, [], [(0, 65)]),  # no two of them fit, so one is made smaller
        ((130,), -65, [], [(0, 65)]),
        ((195, 195), -130, [0], [(1, 130)]),
        ((65, 65), 0, [0, 1], []),
    ],
)
def test_after_a_partial_cover_stop_losses_stand_for_exactly_what_is_left(
    sizes: tuple[int, ...], net: int, cancelled: list[int], shrunk: list[tuple[int, int]]
) -> None:
    entries = [entry_row(number, units) for number, units in enumerate(sizes, 1)]
    legs = [stop(11 + index, index + 1, units) for index, units in enumerate(sizes)]
    trim = trimmed_to(net, [*entries, *legs])
    assert ids(trim.cancel) == [str(11 + index) for index in cancelled]
    assert [(row.broker_order_id, units) for row, units in trim.shrink] == [(str(11 + i), units) for i, units in shrunk]


def test_a_stop_loss_is_made_smaller_and_its_take_profit_goes() -> None:
    trim = trimmed_to(-65, [entry_row(1, 130), stop(11, 1, 130), target(12, 1, 130)])
    assert (ids(trim.cancel), [(row.broker_order_id, units) for row, units in trim.shrink]) == (["12"], [("11", 65)])


@pytest.mark.parametrize(
    "rows",
    [
        [entry_row(1, 130), stop(11, 1, 130, filled_quantity=13)],  # it is being filled
        [entry_row(1, 195, 130), stop(11, 1, 130)],  # its entry still works, and the leg grows with it
        [entry_row(1, 130), target(12, 1, 130)],  # there is no stop-loss
        [entry_row(1, 130), stop(11, 1, 130), stop(12, 1, 65)],  # which of them?
    ],
)
def test_what_cannot_be_made_smaller_with_certainty_goes(rows: list[BookRow]) -> None:
    trim = trimmed_to(-65, rows)
    assert (ids(trim.cancel), trim.shrink) == (ids(rows[1:]), ())


def test_a_cover_that_works_comes_before_the_legs() -> None:
    book = [entry_row(1), entry_row(2), stop(11, 1), stop(12, 2), cover_row(3)]
    assert ids(trimmed_to(-130, book, {TAGS[3]}).cancel) == ["11"]
    assert ids(trimmed_to(-65, book, {TAGS[3]}).cancel) == ["11", "12"]
    assert not trimmed_to(-130, book)  # an order placed by hand is no cover of the gateway's
    assert not trimmed_to(-195, book, {TAGS[3]})


def test_a_leg_that_waits_for_its_entry_closes_nothing_yet() -> None:
    waiting = [entry_row(1, 130, 0), stop(11, 1, 130)]
    assert not trimmed_to(0, waiting)
    assert units_of_legs(waiting, "BUY") == 0
    half = [entry_row(1, 130, 65), stop(11, 1, 130)]
    assert units_of_legs(half, "BUY") == 65
    assert not trimmed_to(-65, half)
    assert ids(trimmed_to(0, half).cancel) == ["11"]


def test_of_a_stop_loss_and_its_take_profit_only_the_larger_one_counts() -> None:
    legs = [entry_row(1, 130), stop(11, 1, 65), target(12, 1, 130)]
    assert units_of_legs(legs, "BUY") == 130
    assert units_of_legs([*legs, stop(13, 1, 130)], "BUY") == 195
    assert units_of_legs(legs, "SELL") == 0


@given(st.lists(st.integers(1, 9), max_size=7), st.integers(0, 40), st.integers(0, 5))
def test_what_stays_is_as_much_as_can_be_and_never_more_than_is_open(sizes: list[int], short: int, done: int) -> None:
    entries = [entry_row(number, 65 * lots) for number, lots in enumerate(sizes, 1)]
    legs = [
        stop(10 + number, number, 65 * lots, filled_quantity=65 * min(lots, done))
        for number, lots in enumerate(sizes, 1)
    ]
    book = [*entries, *legs]
    trim = trimmed(holdings([], book).at(SYMBOL, "INTRADAY"), "BUY", 65 * short)
    assert trim == trimmed_to(-65 * short, book)
    smaller = {row.broker_order_id: units for row, units in trim.shrink}
    stay = sum(smaller.get(row.broker_order_id, row.working) for row in legs if row not in trim.cancel)
    working = [row.working for row in legs]
    fits = [sum(some) for count in range(len(working) + 1) for some in combinations(working, count)]
    as_they_are = max(total for total in fits if total <= 65 * short)
    assert stay == (as_they_are if done else min(65 * short, sum(working)))
    assert all(row.working for row in trim.cancel)


@pytest.mark.parametrize(
    "row",
    [
        stop(11, None),  # attached to the position by hand
        stop(11, 99),  # of an order that is not in the book
        stop(11, 2),  # of an entry placed by hand
        stop(11, status=OrderStatus.CANCELLED),
        stop(11, filled_quantity=65, status=OrderStatus.FILLED),
    ],
)
def test_only_working_legs_of_our_own_entries_are_cancelled(row: BookRow) -> None:
    assert not trimmed_to(None, [entry_row(1), entry_row(2, tag="by-hand"), row])


def test_each_contract_and_product_is_counted_for_itself() -> None:
    book = [
        *(entry_row(1), stop(11)),
        *(entry_row(2, symbol=OTHER), stop(12, 2, symbol=OTHER)),
        *(entry_row(3, product="MARGIN"), stop(13, 3, product="MARGIN")),
    ]
    assert ids(trimmed_to(-65, book).cancel) == ["12", "13"]
    assert ids(orphans(holdings([a_position(-65, symbol=OTHER)], book)).cancel) == ["11", "13"]
    assert ids(orphans(holdings([a_position(-65, "MARGIN")], book)).cancel) == ["11", "12"]


# -- covers that outlive their position


@pytest.mark.parametrize(("net", "left"), [(-130, []), (-65, ["4"]), (0, ["3", "4"]), (65, ["3", "4"]), (-100, ["4"])])
def test_covers_that_rest_are_kept_to_the_position(net: int, left: list[str]) -> None:
    book = [entry_row(1), entry_row(2), cover_row(3), cover_row(4)]
    gone = strays(holdings([a_position(net)], book, {TAGS[3], TAGS[4]}))
    assert len(ids(gone)) == len(left)
    assert sum(row.working for row in book[2:]) - sum(row.working for row in gone) <= max(0, -net)


def test_a_buy_that_is_no_cover_of_the_gateways_is_never_cancelled() -> None:
    book = [cover_row(3), cover_row(4, tag="by-hand"), stop(11)]
    assert strays(holdings([], book, {TAGS[5]})) == []


def overbought(positions: Sequence[Position], book: Sequence[BookRow], covers: Collection[str]) -> int:
    return holdings(positions, book, covers).at(SYMBOL, "INTRADAY").overbought


def test_what_is_long_by_covers_and_legs_is_told_and_what_was_bought_on_purpose_is_not() -> None:
    both_filled = [
        entry_row(1),
        stop(11, status=OrderStatus.FILLED, filled_quantity=65),
        cover_row(3, filled_quantity=65, status=OrderStatus.FILLED),
    ]
    covers = {TAGS[3]}
    assert overbought([a_position(65)], both_filled, covers) == 65
    assert overbought([a_position(195)], both_filled, covers) == 65
    assert overbought([a_position(0)], both_filled, covers) == 0
    assert overbought([a_position(65)], both_filled[:2], covers) == 0
    by_hand = [entry_row(1), cover_row(4, tag="by-hand", filled_quantity=130)]
    assert overbought([a_position(65)], by_hand, covers) == 0
    opened = [entry_row(1, side="BUY"), entry_row(2), cover_row(3, filled_quantity=65)]
    assert overbought([a_position(65)], opened, covers) == 0


# -- entries without a stop-loss


def test_an_entry_is_naked_by_what_no_stop_loss_protects() -> None:
    order, row = an_entry(), entry_row(1)
    assert naked([order], holdings([a_position(-65)], [row, stop(11), target(12)])) == []
    assert naked([order], holdings([a_position(-65)], [row, target(12)])) == [Naked(order, 65, 0)]
    gone = stop(11, status=OrderStatus.CANCELLED)
    assert naked([order], holdings([a_position(-65)], [row, gone])) == [Naked(order, 65, 1)]


def test_a_stop_loss_that_is_smaller_than_what_is_filled_leaves_the_rest_naked() -> None:
    order = an_entry(filled=130)
    assert naked([order], holdings([a_position(-130)], [entry_row(1, 130), stop(11)])) == [Naked(order, 65, 1)]


@pytest.mark.parametrize("net", [0, 65, None])
def test_what_is_closed_needs_no_stop_loss(net: int | None) -> None:
    positions = [] if net is None else [a_position(net)]
    assert naked([an_entry()], holdings(positions, [entry_row(1)])) == []


def test_neither_a_cover_nor_an_entry_that_was_not_filled_is_naked() -> None:
    cover = an_order(a_ticket(covers=True)).submitted(NOW).moved(OrderStatus.FILLED, NOW, filled_quantity=65)
    waiting = an_order(a_ticket()).submitted(NOW).moved(OrderStatus.ACCEPTED, NOW, broker_order_id="1")
    assert naked([cover, waiting], holdings([a_position(-65)], [entry_row(1)])) == []


def test_a_stop_loss_that_was_attached_to_the_position_by_hand_protects_too() -> None:
    assert naked([an_entry()], holdings([a_position(-65)], [entry_row(1), stop(11, None)])) == []
    assert naked([an_entry()], holdings([a_position(-65)], [entry_row(1), stop(11, 77)])) == []


def test_a_position_and_stop_loss_placed_by_hand_do_not_hide_the_gateways() -> None:
    order = an_entry()
    theirs = stop(11, None)
    assert naked([order], holdings([a_position(-130)], [entry_row(1), theirs])) == [Naked(order, 65, 1)]
    ours = stop(12)
    assert naked([order], holdings([a_position(-130)], [entry_row(1), ours])) == []  # theirs is not our business


def test_a_stop_loss_on_the_other_side_or_of_another_contract_protects_nothing() -> None:
    for row in (stop(11, None, side="SELL"), stop(11, None, symbol=OTHER), stop(11, None, product="MARGIN")):
        assert [one.units for one in naked([an_entry()], holdings([a_position(-65)], [entry_row(1), row]))] == [65]


def test_after_a_partial_cover_it_is_the_newest_entries_that_are_still_open() -> None:
    older, newer = an_entry(1), an_entry(2)
    book = [entry_row(1), entry_row(2)]
    assert naked([older, newer], holdings([a_position(-65)], book)) == [Naked(newer, 65, 0)]
    assert naked([older, newer], holdings([a_position(-65)], [*book, stop(12, 2)])) == []
    assert [one.order for one in naked([older, newer], holdings([a_position(-130)], [*book, stop(12, 2)]))] == [older]


def test_a_stop_loss_of_the_older_entry_protects_what_is_left_of_the_newer_one() -> None:
    """One position, one stop-loss of its size: which entry it came with makes no difference to the market."""
    book = [entry_row(1), entry_row(2), stop(11, 1)]
    assert naked([an_entry(1), an_entry(2)], holdings([a_position(-65)], book)) == []


def test_the_same_state_has_the_same_numbers_and_a_new_one_has_others() -> None:
    """The notice is told by these: once for each state, and again when a new stop-loss has gone as well."""
    gone = [stop(number, status=OrderStatus.CANCELLED) for number in (11, 12)]
    [first] = naked([an_entry()], holdings([a_position(-65)], [entry_row(1), gone[0]]))
    [again] = naked([an_entry()], holdings([a_position(-65)], [entry_row(1), gone[0]]))
    [later] = naked([an_entry()], holdings([a_position(-65)], [entry_row(1), *gone]))
    assert (first.units, first.stops) == (again.units, again.stops) != (later.units, later.stops)


def test_the_legs_of_an_order_are_found_by_its_id_at_the_broker() -> None:
    book = [entry_row(1), stop(11), target(12), stop(13, 2), stop(14, None)]
    assert ids(legs_of(an_entry(1), book)) == ["11", "12"]
    assert legs_of(an_order(), book) == []


# -- positions of an earlier day


@pytest.mark.parametrize(
    ("net", "book", "units"),
    [
        (-65, [], 65),
        (65, [], 65),
        (0, [], 0),
        (-65, [stop(11, None)], 0),  # it was protected by hand
        (-130, [stop(11, None)], 65),
        (-65, [stop(11, None, side="SELL")], 65),
        (-65, [stop(11, None, status=OrderStatus.CANCELLED)], 65),
        (-65, [entry_row(1), stop(11)], 0),  # it is of today, whatever protects it
        (-65, [entry_row(1)], 0),
        (-130, [entry_row(1), stop(11)], 65),
        (-130, [entry_row(1)], 65),  # the other half is the naked entry's
        (-65, [cover_row(2, filled_quantity=65)], 65),  # of two lots one is left
        (0, [cover_row(2, filled_quantity=65)], 0),
        (65, [cover_row(2, filled_quantity=65)], 0),
    ],
)
def test_a_position_of_an_earlier_day_is_bare_by_what_no_stop_loss_closes(
    net: int, book: list[BookRow], units: int
) -> None:
    held = holdings([a_position(net), a_position(-65, "MARGIN")], book)
    assert held.at(SYMBOL, "INTRADAY").overnight == units
    assert held.at(SYMBOL, "MARGIN").overnight == 65
