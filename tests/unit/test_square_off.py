"""Square off, step by step: the book says what is the gateway's, and one exit at a time is on its way."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from app.adapters.fyers.venue import FYERS
from app.adapters.sqlite.ledger import SqliteLedger
from app.domain.book import BookRow, Position
from app.domain.deadline import Deadline
from app.domain.errors import NotNow, Reason
from app.domain.order import Accepted, NotSent, Outcome, Rejected, Unresolved
from app.domain.order.status import OrderStatus
from app.domain.risk.check import check
from app.domain.risk.controls import TradingState
from app.flow.square_off import SquareOff, square_off
from tests.builders import (
    NOW,
    SYMBOL,
    a_book_row,
    a_position,
    a_ticket,
    an_account,
    an_order,
    holdings,
    no_limits,
    sent,
)

PLACE = f"{SYMBOL}-INTRADAY"
OURS = "tvaaaaaaaaaaaaaaaaaa"


def sold(units: int = 65, tag: str = OURS, **changes: Any) -> BookRow:
    fields = {"quantity": units, "filled_quantity": units, "status": OrderStatus.FILLED, "tag": tag}
    return a_book_row(**fields | {"broker_order_id": f"{tag}{units}"} | changes)


def bought(units: int = 65, tag: str = "by-hand", **changes: Any) -> BookRow:
    return sold(units, tag, side="BUY", **changes)


def short(units: int = 65, **changes: Any) -> Position:
    return a_position(-units, **changes)


class Broker:
    """A book and positions as given; exits and cancellations have the outcomes that are given."""

    def __init__(self, book: list[BookRow], positions: list[Position], outcome: Outcome | None = None) -> None:
        self.book, self.held = book, positions
        self.outcome = outcome or Accepted("exit")
        self.closes = False  # whatever the outcome says
        self.exits: list[str] = []
        self.cancelled: list[str] = []

    def order_book(self, deadline: Deadline) -> tuple[BookRow, ...]:
        return tuple(self.book)

    def positions(self, deadline: Deadline) -> tuple[Position, ...]:
        return tuple(self.held)

    def exit_position(self, position_id: str, deadline: Deadline) -> Outcome:
        self.exits.append(position_id)
        if isinstance(self.outcome, Accepted) or self.closes:
            for row in self.held:
                if f"{row.symbol}-{row.product}" == position_id:
                    self.book.append(bought(-row.net_quantity, "untagged", symbol=row.symbol, product=row.product))
            self.held = [
                replace(row, net_quantity=0) if f"{row.symbol}-{row.product}" == position_id else row
                for row in self.held
            ]
        return self.outcome

    def cancel(self, broker_order_id: str, deadline: Deadline) -> Outcome:
        self.cancelled.append(broker_order_id)
        self.book = [
            replace(row, status=OrderStatus.CANCELLED) if row.broker_order_id == broker_order_id else row
            for row in self.book
        ]
        return Accepted(broker_order_id)


class House:
    """A desk of which square off sees broker, ledger, clock, notifier and limits."""

    def __init__(self, folder: Path, broker: Broker) -> None:
        self.now: datetime = NOW
        self.told: list[str] = []
        self.broker = broker
        self.ledger = SqliteLedger(folder / "ledger.db")
        clock = SimpleNamespace(now=lambda: self.now, sleep=lambda seconds: None)
        self.desk: Any = SimpleNamespace(
            broker=broker, ledger=self.ledger, clock=clock, notifier=self, limits=no_limits()
        )

    def send(self, notice: Any, deadline: Deadline) -> bool:
        self.told.append(notice.text)
        return True

    def square_off(self) -> SquareOff:
        return square_off(self.desk, Deadline(lambda: 0.0, 10.0))

    def notices(self) -> list[str]:
        with self.ledger.reading(Deadline(lambda: 0.0, 1.0)) as db:
            return [row[0] for row in db.execute("SELECT id FROM outbox ORDER BY number")]


@pytest.fixture
def house(tmp_path: Path):  # type: ignore[no-untyped-def]
    with ExitStack() as stack:

        def build(book: list[BookRow], positions: list[Position], outcome: Outcome | None = None) -> House:
            made = House(tmp_path, Broker(book, positions, outcome))
            stack.callback(made.ledger.close)
            return made

        yield build


def test_what_we_opened_is_closed_by_its_position_and_by_nothing_wider(house: Any) -> None:
    run = house([sold()], [short()])
    assert run.square_off() == SquareOff(closed=[PLACE])
    assert run.broker.exits == [PLACE]


@pytest.mark.parametrize(
    ("book", "positions"),
    [
        ([], []),
        ([], [short()]),
        ([sold(tag="by-hand")], [short()]),
        ([sold()], [short(0)]),
        ([sold(), bought()], [short(0)]),
        ([sold(status=OrderStatus.REJECTED, filled_quantity=0)], [short()]),
        ([sold(product="MARGIN")], [short(), short(0, product="MARGIN")]),
        ([sold()], [a_position(0), short(130, symbol="NSE:SBIN-EQ")]),
    ],
)
def test_what_we_did_not_open_is_not_touched_and_not_told(
    house: Any, book: list[BookRow], positions: list[Position]
) -> None:
    run = house(book, positions)
    assert run.square_off() == SquareOff()
    assert (run.broker.exits, run.notices()) == ([], [])


@pytest.mark.parametrize(
    ("book", "positions", "opened"),
    [
        ([sold()], [short(130)], 65),
        ([sold(), bought(65)], [short(65)], 0),
        ([sold(130), bought(65)], [short(130)], 65),
        ([sold()], [a_position(130)], None),
    ],
)
def test_a_position_that_is_mixed_with_units_opened_by_hand_is_left_and_told_by_its_numbers(
    house: Any, book: list[BookRow], positions: list[Position], opened: int | None
) -> None:
    run = house(book, positions)
    report = run.square_off()
    assert run.broker.exits == []
    if opened is None:  # it is long, and the gateway only ever sold: none of it is the gateway's
        assert report == SquareOff()
        return
    assert report.left == {PLACE: f"{positions[0].net_quantity} units are open and the gateway opened {opened} of them"}
    assert len(run.notices()) == 1
    run.square_off()
    assert len(run.notices()) == 1  # told once


def test_what_was_closed_in_part_by_a_leg_or_by_hand_is_closed_in_full(house: Any) -> None:
    run = house([sold(195), bought(65), bought(65, protects="1")], [short(65)])
    assert run.square_off().closed == [PLACE]


def test_a_second_run_finds_nothing_to_close(house: Any) -> None:
    run = house([sold()], [short()])
    run.square_off()
    assert run.square_off() == SquareOff()
    assert run.broker.exits == [PLACE]


def test_an_exit_that_works_in_the_book_is_not_sent_again(house: Any) -> None:
    working = bought(65, status=OrderStatus.ACCEPTED, filled_quantity=0)
    run = house([sold(), working], [short()])
    report = run.square_off()
    assert (run.broker.exits, list(report.left)) == ([], [PLACE])
    assert "in the book already" in report.left[PLACE]


def test_a_stop_loss_of_the_gateways_is_no_exit(house: Any) -> None:
    leg = bought(65, status=OrderStatus.ACCEPTED, filled_quantity=0, protects=f"{OURS}65", broker_order_id="leg")
    run = house([sold(), leg], [short()])
    report = run.square_off()
    assert (report.closed, report.legs_cancelled, run.broker.cancelled) == ([PLACE], 1, ["leg"])


def test_an_exit_with_an_unknown_outcome_is_not_repeated_until_the_book_must_show_it(house: Any) -> None:
    run = house([sold()], [short()], Unresolved("time-out"))
    assert "not known" in run.square_off().left[PLACE]
    for seconds in (0, 30, 59):
        run.now = NOW + timedelta(seconds=seconds)
        assert "moments ago" in run.square_off().left[PLACE]
    assert run.broker.exits == [PLACE]
    run.now = NOW + FYERS.book_lag
    run.square_off()
    assert run.broker.exits == [PLACE, PLACE]


def test_an_exit_with_an_unknown_outcome_that_closed_the_position_counts_as_closed(house: Any) -> None:
    run = house([sold()], [short()], Unresolved("code 201"))
    run.broker.closes = True
    assert run.square_off() == SquareOff(closed=[PLACE])
    assert run.notices() == []


@pytest.mark.parametrize("outcome", [Rejected(-50, "no"), NotSent("the connection was refused")])
def test_an_exit_that_is_certainly_not_there_may_be_sent_again_at_once(house: Any, outcome: Outcome) -> None:
    run = house([sold()], [short()], outcome)
    assert run.square_off().left[PLACE].endswith(("no", "refused"))
    run.broker.outcome = Accepted("exit")
    assert run.square_off().closed == [PLACE]


def test_two_runs_at_once_send_one_exit(house: Any) -> None:
    run = house([sold()], [short()], Unresolved("slow"))
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda _: run.square_off(), range(8)))
    assert run.broker.exits == [PLACE]


@pytest.mark.parametrize("shown", [True, False])
def test_a_cover_that_is_on_its_way_is_waited_for(house: Any, shown: bool) -> None:
    cover = sent(5, covers=True, side="BUY", tag="tvcccccccccccccccccc")
    book = [sold()] + ([bought(65, cover.tag, status=OrderStatus.CANCELLED, filled_quantity=0)] if shown else [])
    run = house(book, [short()])
    run.ledger.change_controls(lambda account: an_account(recent=(cover,)), Deadline(lambda: 0.0, 1.0))
    report = run.square_off()
    assert run.broker.exits == ([PLACE] if shown else [])
    assert ("moments ago" in report.left.get(PLACE, "")) is not shown


def test_an_exit_keeps_a_cover_of_the_same_contract_back(house: Any) -> None:
    run = house([sold()], [short()], Unresolved("slow"))
    run.square_off()
    account = run.ledger.controls(Deadline(lambda: 0.0, 1.0))
    cover, held = an_order(a_ticket(covers=True)), holdings(positions=(short(),), book=(sold(),))
    with pytest.raises(NotNow) as caught:
        check(cover, account, no_limits(), held, NOW + timedelta(seconds=30))
    assert caught.value.reason is Reason.POSITION_UNKNOWN
    check(cover, account, no_limits(), held, NOW + FYERS.book_lag)


def test_an_entry_that_still_works_is_cancelled_first_and_its_fill_is_closed_with_the_rest(house: Any) -> None:
    resting = sold(130, filled_quantity=65, status=OrderStatus.PARTIALLY_FILLED, broker_order_id="resting")
    run = house([resting], [short(65)])
    report = run.square_off()
    assert (report.entries_cancelled, report.closed) == (1, [PLACE])
    assert run.broker.cancelled == ["resting"]


def test_an_entry_that_cannot_be_cancelled_is_told(house: Any) -> None:
    resting = sold(65, filled_quantity=0, status=OrderStatus.ACCEPTED, broker_order_id="resting")
    run = house([resting], [])
    run.broker.cancel = lambda broker_order_id, deadline: Unresolved("time-out")
    assert list(run.square_off().left) == ["order resting"]
    assert len(run.notices()) == 1


def test_a_cover_of_the_gateways_that_works_is_not_cancelled_as_an_entry(house: Any) -> None:
    cover = bought(65, OURS, filled_quantity=0, status=OrderStatus.ACCEPTED)
    run = house([sold(tag="tvbbbbbbbbbbbbbbbbbb"), cover], [short()])
    order = an_order(tag=OURS)
    run.ledger.claim(order, None, Deadline(lambda: 0.0, 1.0))
    covering = replace(order, ticket=a_ticket(covers=True))
    run.ledger.submit(covering, lambda account: (covering.submitted(NOW), account), Deadline(lambda: 0.0, 1.0))
    report = run.square_off()
    assert (run.broker.cancelled, report.entries_cancelled) == ([], 0)
    assert "in the book already" in report.left[PLACE]


def test_an_entry_that_is_on_its_way_is_named(house: Any) -> None:
    run = house([], [])
    entry = sent(5, tag="tvcccccccccccccccccc")
    run.ledger.change_controls(lambda account: an_account(recent=(entry,)), Deadline(lambda: 0.0, 1.0))
    assert "does not show it yet" in run.square_off().left[SYMBOL]


def test_positions_that_are_older_than_the_book_close_nothing(house: Any) -> None:
    run = house([sold(), bought()], [short(65, sold=65, bought=0)])
    with pytest.raises(NotNow) as caught:
        run.square_off()
    assert caught.value.reason is Reason.POSITION_UNKNOWN
    assert run.broker.exits == []


def test_the_kill_switch_does_not_keep_positions_open(house: Any) -> None:
    run = house([sold()], [short()])
    halt = an_account(state=TradingState.HALTED)
    run.ledger.change_controls(lambda account: halt, Deadline(lambda: 0.0, 1.0))
    assert run.square_off().closed == [PLACE]


def a_leg(**changes: Any) -> BookRow:
    row = bought(65, filled_quantity=0, status=OrderStatus.ACCEPTED, protects=f"{OURS}65", broker_order_id="leg")
    return replace(row, **changes)


def test_legs_are_gone_before_the_exit_is_sent(house: Any) -> None:
    run = house([sold(), a_leg()], [short()])
    exit_position: Callable[[str, Deadline], Outcome] = run.broker.exit_position

    def looked_at(position_id: str, deadline: Deadline) -> Outcome:
        assert not [row for row in run.broker.book if row.protects and row.working]
        return exit_position(position_id, deadline)

    run.broker.exit_position = looked_at
    assert run.square_off().closed == [PLACE]


def test_where_a_leg_cannot_be_cancelled_nothing_is_closed_and_the_next_run_may(house: Any) -> None:
    """What is left of an exit that fills in part would rest beside the leg, and the two could open a position."""
    run = house([sold(), a_leg()], [short()])
    cancel, run.broker.cancel = run.broker.cancel, lambda broker_order_id, deadline: Unresolved("time-out")
    report = run.square_off()
    assert (run.broker.exits, "still stand" in report.left[PLACE]) == ([], True)
    run.broker.cancel = cancel
    assert run.square_off().closed == [PLACE]


def test_an_entry_of_that_contract_that_is_on_its_way_keeps_the_exit_back(house: Any) -> None:
    run = house([sold()], [short()])
    entry = sent(5, tag="tvcccccccccccccccccc")
    run.ledger.change_controls(lambda account: an_account(recent=(entry,)), Deadline(lambda: 0.0, 1.0))
    assert "to open 65 units" in run.square_off().left[PLACE]
    assert run.broker.exits == []
    run.now = NOW + FYERS.book_lag
    assert run.square_off().closed == [PLACE]


def raises_not_now(*_: object) -> Any:
    raise NotNow(Reason.NEEDS_LOGIN, "there is no token")


def test_where_the_legs_cannot_be_taken_away_without_a_token_nothing_is_closed(house: Any) -> None:
    leg = bought(65, status=OrderStatus.ACCEPTED, filled_quantity=0, protects=f"{OURS}65", broker_order_id="leg")
    run = house([sold(), leg], [short()])
    run.broker.cancel = raises_not_now
    assert run.square_off().left[PLACE] == "it could not be sent: there is no token"
    assert run.broker.exits == []


def test_an_exit_in_doubt_stays_in_doubt_where_the_book_cannot_be_read_afterwards(house: Any) -> None:
    run = house([sold()], [short()], Unresolved("time-out"))
    exit_position = run.broker.exit_position

    def the_last_call(*call: Any) -> Outcome:
        run.broker.order_book = raises_not_now
        outcome: Outcome = exit_position(*call)
        return outcome

    run.broker.exit_position = the_last_call
    assert "not known" in run.square_off().left[PLACE]
    assert run.broker.exits == [PLACE]


def test_an_entry_on_its_way_in_another_contract_keeps_no_position_open(house: Any) -> None:
    run = house([sold()], [short()])
    entry = sent(5, tag="tvcccccccccccccccccc", symbol="NSE:NIFTY26NOV27000CE")
    run.ledger.change_controls(lambda account: an_account(recent=(entry,)), Deadline(lambda: 0.0, 1.0))
    report = run.square_off()
    assert (report.closed, list(report.left)) == ([PLACE], ["NSE:NIFTY26NOV27000CE"])
