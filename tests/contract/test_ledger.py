"""One contract for every ledger: in every race an order is stored once, submitted once and counted once."""

import multiprocessing
import os
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, NoReturn

import pytest

from app.adapters.sqlite.ledger import SqliteLedger
from app.domain.deadline import Deadline
from app.domain.errors import NotNow, Reason
from app.domain.notice import Notice, Severity
from app.domain.order import NotSent, Order, OrderStatus, Unresolved
from app.domain.risk import BREAKER_FAILURES, BREAKER_OPEN, Controls, Decision, TradingState
from app.flow.ports import Ledger, Overtaken, Window
from tests.builders import NOW, WAYS, no_limits, order_in
from tests.contract.ledgers import (
    InFirestore,
    InSqlite,
    Rivals,
    ask_once,
    check,
    claim_one,
    claim_window,
    instance,
    order_named,
    patient,
    record_one,
    soon,
    submit_and_fail,
    submit_in_vain,
    submit_one,
    submit_own,
    submit_until_killed,
)
from tests.emulators import firestore_project  # noqa: F401
from tests.present import present
from tests.waiting import wait_until

S = OrderStatus


@pytest.fixture(scope="module")
def rivals() -> Iterator[Rivals]:
    rivals = Rivals()
    yield rivals
    rivals.close()


@pytest.fixture(params=["sqlite", "firestore"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> InFirestore | InSqlite:
    if request.param == "sqlite":
        return InSqlite(tmp_path / "ledger.db")
    return InFirestore(request.getfixturevalue("firestore_project"))


@pytest.fixture
def ledger(store: InFirestore | InSqlite) -> Iterator[Ledger]:
    with instance(store.url) as ledger:
        yield ledger


def claimed(ledger: Ledger, name: str = "an order", **changes: Any) -> Order:
    return ledger.claim(order_named(name, **changes), None, patient())


def submitted(ledger: Ledger, name: str = "an order", **changes: Any) -> Order:
    order = claimed(ledger, name, **changes)
    return ledger.submit(order, check(order), patient())


def brought_to(ledger: Ledger, status: OrderStatus, name: str = "an order", **changes: Any) -> Order:
    """An order that the ledger has in that state, every step of the way recorded."""
    order = claimed(ledger, name, **changes)
    for number, step in enumerate(WAYS[status], start=1):
        if step is S.SUBMITTED:
            order = ledger.submit(order, check(order), patient())
        else:
            order = ledger.record(order.moved(step, NOW + timedelta(seconds=number)), patient())
    return order


def notice(number: int, **changes: Any) -> Notice:
    return replace(Notice(f"n{number}", "test", Severity.INFO, f"notice {number}"), **changes)


def switch(ledger: Ledger, state: TradingState, deadline: Deadline | None = None) -> Controls:
    return ledger.change_controls(lambda account: account.switched(state, "a test", "me", NOW), deadline or patient())


def refused(call: Callable[[], object]) -> Reason:
    """The reason of the NotNow that the call ends in."""
    with pytest.raises(NotNow) as problem:
        call()
    return problem.value.reason


# Claims


def test_of_16_claims_of_one_key_one_is_stored(store: InFirestore | InSqlite, ledger: Ledger, rivals: Rivals) -> None:
    stored_by = rivals.race(store.url, claim_one, "ab" * 32)
    assert len(stored_by) == 16
    assert len(set(stored_by)) == 1
    assert [order.request_id for order in ledger.orders(patient())] == stored_by[:1]


def test_a_second_claim_is_answered_with_the_order_as_it_stands(ledger: Ledger) -> None:
    order = submitted(ledger)
    assert ledger.claim(order_named("an order"), None, patient()) == order


def test_an_order_comes_back_as_it_was_stored_in_every_state(ledger: Ledger) -> None:
    for status in S:
        order = brought_to(ledger, status, name=status)
        assert ledger.get(order.key, patient()) == order
    assert ledger.get("00" * 32, patient()) is None


def test_an_order_keeps_whatever_text_the_broker_wrote(ledger: Ledger) -> None:
    order = submitted(ledger)
    rejected = order.moved(S.REJECTED, NOW, message="₹1,00,000 short \ud800 \x00 \N{GRINNING FACE}")
    ledger.record(rejected, patient())
    assert ledger.get(order.key, patient()) == rejected


def test_of_16_claims_of_one_window_one_is_stored(
    store: InFirestore | InSqlite, ledger: Ledger, rivals: Rivals
) -> None:
    keys = rivals.race(store.url, claim_window, "a digest", 0)
    assert len(set(keys)) == 1
    assert [order.key for order in ledger.orders(patient())] == keys[:1]


def test_of_16_claims_after_a_window_one_opens_the_next(
    store: InFirestore | InSqlite, ledger: Ledger, rivals: Rivals
) -> None:
    first = claimed_in(ledger, "first", 0)
    keys = rivals.race(store.url, claim_window, "a digest", 45)
    assert len(set(keys)) == 1
    assert {order.key for order in ledger.orders(patient())} == {first.key, keys[0]}
    assert len(ledger.orders(patient())) == 2


def claimed_in(ledger: Ledger, name: str, second: float, digest: str = "a digest") -> Order:
    order = order_named(name, received_at=NOW + timedelta(seconds=second))
    return ledger.claim(order, Window(digest, 30), patient())


def test_a_window_slides_from_the_claim_that_opened_it(ledger: Ledger) -> None:
    first = claimed_in(ledger, "first", 0)
    assert claimed_in(ledger, "within", 29).key == first.key
    assert claimed_in(ledger, "still within, for a claim does not prolong it", 29.9).key == first.key
    later = claimed_in(ledger, "after", 30)
    assert later.key == order_named("after").key
    assert claimed_in(ledger, "within the second", 59).key == later.key


def test_a_claim_from_a_clock_that_lags_falls_into_the_window(ledger: Ledger) -> None:
    first = claimed_in(ledger, "first", 10)
    assert claimed_in(ledger, "second", 8).key == first.key


def test_windows_of_different_digests_do_not_meet(ledger: Ledger) -> None:
    claimed_in(ledger, "one", 0)
    assert claimed_in(ledger, "two", 0, digest="another digest").key == order_named("two").key


# Submits


def test_of_16_submits_of_one_order_one_wins(store: InFirestore | InSqlite, ledger: Ledger, rivals: Rivals) -> None:
    order = claimed(ledger)
    came_to = Counter(rivals.race(store.url, submit_one, order))
    assert came_to["won"] == 1
    assert came_to["won"] + came_to["SUBMITTED"] + came_to["gave up"] == 16
    assert present(ledger.get(order.key, patient())).sequence == 1
    assert ledger.controls(patient()).orders == 1


def test_the_loser_of_a_submit_is_told_the_order_as_it_is(ledger: Ledger) -> None:
    order = claimed(ledger)
    won = ledger.submit(order, check(order), patient())
    with pytest.raises(Overtaken) as overtaken:
        ledger.submit(order, check(order), patient())
    assert overtaken.value.current == won
    assert ledger.controls(patient()).orders == 1


@pytest.mark.parametrize("status", [status for status in S if status is not S.RECEIVED])
def test_an_order_that_moved_on_is_not_submitted(ledger: Ledger, status: OrderStatus) -> None:
    order = brought_to(ledger, status)
    as_received = order_named("an order")
    with pytest.raises(Overtaken):
        ledger.submit(as_received, check(as_received), patient())
    assert ledger.get(order.key, patient()) == order


def test_an_order_taken_back_is_submitted_again_only_from_what_it_is_now(
    ledger: Ledger,
) -> None:
    order = submitted(ledger)
    again = ledger.record(order.after(NotSent("refused"), NOW), patient())
    with pytest.raises(Overtaken):
        ledger.submit(order_named("an order"), check(order_named("an order")), patient())
    assert ledger.submit(again, check(again), patient()).attempt == 2
    assert ledger.controls(patient()).orders == 1


def test_an_order_the_ledger_does_not_know_is_not_submitted(ledger: Ledger) -> None:
    order = order_named("never claimed")
    assert refused(lambda: ledger.submit(order, check(order), patient())) is Reason.LEDGER_DOWN


def test_16_submits_at_once_do_not_pass_a_limit(store: InFirestore | InSqlite, ledger: Ledger, rivals: Rivals) -> None:
    came_to = Counter(rivals.race(store.url, submit_own, no_limits(orders_per_day=5)))
    assert came_to == {"SUBMITTED": 5, "DENIED": 11}
    orders = ledger.orders(patient())
    account = ledger.controls(patient())
    assert Counter(str(order.status) for order in orders) == came_to
    assert account.orders == 5
    assert account.premium == 5 * present(order_named("any").ticket).premium
    assert {one.tag for one in account.recent} == {order.tag for order in orders if order.status is S.SUBMITTED}
    assert len(ledger.outbox(patient())) == 11


def test_a_halt_holds_for_every_submit_that_commits_after_it(store: InFirestore | InSqlite, ledger: Ledger) -> None:
    orders = [claimed(ledger, f"order {number}") for number in range(40)]
    with instance(store.url) as other, ThreadPoolExecutor(8) as threads:

        def submit(number: int) -> OrderStatus:
            order = orders[number]
            mine: Ledger = (ledger, other)[number % 2]
            try:
                return mine.submit(order, check(order), patient()).status
            except NotNow:
                return S.RECEIVED

        running = [threads.submit(submit, number) for number in range(40)]
        wait_for_orders(ledger, 3)
        at_the_halt = halted(ledger)
        came_to = Counter(each.result(60) for each in running)
    assert ledger.controls(patient()).orders == at_the_halt.orders
    assert Counter(order.status for order in ledger.orders(patient()))[S.SUBMITTED] == at_the_halt.orders
    assert came_to[S.DENIED] > 0


def halted(ledger: Ledger) -> Controls:
    """Keeps asking while the submits leave no gap."""
    for _ in range(50):
        try:
            return switch(ledger, TradingState.HALTED)
        except NotNow:
            continue
    raise AssertionError("the halt never came through")


def test_what_decide_saw_is_what_the_commit_was_made_on(store: InFirestore | InSqlite, ledger: Ledger) -> None:
    """A rival halts trading between the check and the commit; where the store lets it, the check runs again."""
    order = claimed(ledger)
    seen: list[TradingState | str] = []
    with instance(store.url) as rival:

        def decide(account: Controls) -> Decision:
            seen.append(account.state)
            if len(seen) == 1:
                try:
                    switch(rival, TradingState.HALTED, soon(0.1))
                except NotNow:
                    seen.append("the rival waited")
            return check(order)(account)

        decided = ledger.submit(order, decide, patient())
    if "the rival waited" in seen:
        assert (decided.status, ledger.controls(patient()).state) == (S.SUBMITTED, TradingState.ACTIVE)
    else:
        assert seen == [TradingState.ACTIVE, TradingState.HALTED]
        assert (decided.status, ledger.controls(patient()).orders) == (S.DENIED, 0)
    assert ledger.get(order.key, patient()) == decided


def test_an_order_that_a_rival_moves_during_the_check_is_not_submitted_as_well(
    store: InFirestore | InSqlite, ledger: Ledger
) -> None:
    order = claimed(ledger)
    steps = []
    with instance(store.url) as rival:

        def decide(account: Controls) -> Decision:
            try:
                steps.append(rival.record(order.lapsed(NOW, "too old"), soon(0.1)))
            except NotNow:
                pass  # the store made the rival wait
            return check(order)(account)

        try:
            steps.append(ledger.submit(order, decide, patient()))
        except Overtaken as overtaken:
            steps.append(overtaken.current)
    assert all(step == ledger.get(order.key, patient()) for step in steps)


def test_a_check_that_puts_the_order_off_writes_nothing(ledger: Ledger) -> None:
    order = claimed(ledger)

    def decide(account: Controls) -> NoReturn:
        raise NotNow(Reason.POSITION_UNKNOWN)

    assert refused(lambda: ledger.submit(order, decide, patient())) is Reason.POSITION_UNKNOWN
    assert ledger.get(order.key, patient()) == order
    assert ledger.controls(patient()) == Controls()
    assert ledger.submit(order, check(order), patient()).status is S.SUBMITTED


def test_a_denied_order_is_stored_with_its_notice_and_counts_for_nothing(
    ledger: Ledger,
) -> None:
    switch(ledger, TradingState.HALTED)
    order = claimed(ledger)
    denied = ledger.submit(order, check(order), patient())
    assert (denied.status, denied.reason) == (S.DENIED, Reason.TRADING_HALTED)
    assert ledger.get(order.key, patient()) == denied
    assert ledger.controls(patient()).orders == 0
    assert [notice.kind for notice in ledger.outbox(patient())] == ["trading-state", "denied"]


def test_a_check_that_stops_entries_tells_of_the_order_and_of_the_state(ledger: Ledger) -> None:
    for name in ("one", "two"):
        submitted(ledger, name)
    order = claimed(ledger, "three")
    denied = ledger.submit(order, check(order, no_limits(repeats=2)), patient())
    assert denied.reason is Reason.REPEATED_ORDER
    assert ledger.controls(patient()).state is TradingState.REDUCING
    assert {notice.kind for notice in ledger.outbox(patient())} == {"denied", "trading-state"}


def test_an_account_that_cannot_be_read_is_halted(store: InFirestore | InSqlite, ledger: Ledger) -> None:
    order = claimed(ledger)
    store.spoil_account()
    assert ledger.controls(patient()).state is TradingState.HALTED
    assert ledger.submit(order, check(order), patient()).reason is Reason.TRADING_HALTED
    assert ledger.controls(patient()).state is TradingState.HALTED


# Records


def test_of_16_records_of_one_step_one_is_stored(store: InFirestore | InSqlite, ledger: Ledger, rivals: Rivals) -> None:
    order = submitted(ledger)
    broker_ids = rivals.race(store.url, record_one, order)
    assert len(set(broker_ids)) == 1
    kept = present(ledger.get(order.key, patient()))
    assert (kept.broker_order_id, kept.sequence) == (broker_ids[0], 2)


def test_a_step_is_recorded_on_the_step_before_it_and_on_no_other(ledger: Ledger) -> None:
    order = submitted(ledger)
    accepted = ledger.record(order.moved(S.ACCEPTED, NOW, broker_order_id="1"), patient())
    filled = accepted.moved(S.FILLED, NOW, filled_quantity=65, average_price=Decimal("165.15"))
    another_way = order.moved(S.REJECTED, NOW)
    two_steps_on = accepted.moved(S.PARTIALLY_FILLED, NOW).moved(S.FILLED, NOW)
    for other in (another_way, two_steps_on, accepted):
        with pytest.raises(Overtaken) as overtaken:
            ledger.record(other, patient())
        assert overtaken.value.current == accepted
    assert ledger.record(filled, patient()) == filled
    assert ledger.get(order.key, patient()) == filled


def test_the_record_of_an_order_that_was_never_claimed_is_refused(ledger: Ledger) -> None:
    assert refused(lambda: ledger.record(order_in(S.SUBMITTED), patient())) is Reason.LEDGER_DOWN


@pytest.mark.parametrize("status", [step for step in S if WAYS[step][:1] == (S.SUBMITTED,) and step is not S.SUBMITTED])
def test_only_what_is_not_at_the_broker_is_given_back(ledger: Ledger, status: OrderStatus) -> None:
    brought_to(ledger, status)
    account = ledger.controls(patient())
    given_back = status in (S.REJECTED, S.NOT_PLACED)
    assert account.orders == (0 if given_back else 1)
    assert (account.premium == 0) is given_back
    assert [one.quantity for one in account.recent] == [0 if given_back else 65]


def test_an_order_that_was_not_sent_is_given_back(ledger: Ledger) -> None:
    order = submitted(ledger)
    ledger.record(order.after(NotSent("refused"), NOW), patient())
    assert ledger.controls(patient()).orders == 0


def test_16_orders_given_back_at_once_leave_nothing_counted(
    store: InFirestore | InSqlite, ledger: Ledger, rivals: Rivals
) -> None:
    kept = submitted(ledger, "kept")
    assert set(rivals.race(store.url, submit_and_fail)) == {"REJECTED"}
    account = ledger.controls(patient())
    assert (account.orders, account.premium) == (1, present(kept.ticket).premium)
    assert [one.tag for one in account.recent if one.quantity] == [kept.tag]
    assert len(ledger.outbox(patient())) == 16


@pytest.mark.parametrize("outcome", [NotSent("refused"), Unresolved("time-out")])
def test_a_failure_of_the_line_is_counted_in_the_commit_of_its_step_and_the_last_one_opens_the_breaker(
    ledger: Ledger, outcome: NotSent | Unresolved
) -> None:
    for number in range(BREAKER_FAILURES):
        assert ledger.controls(patient()).open_until is None
        order = submitted(ledger, f"order {number}")
        ledger.record(order.after(outcome, NOW), patient())
    assert ledger.controls(patient()).open_until == NOW + BREAKER_OPEN
    assert "breaker" in {notice.kind for notice in ledger.outbox(patient())}


def test_a_step_that_lost_its_race_counts_no_failure(ledger: Ledger) -> None:
    order = submitted(ledger)
    ledger.record(order.moved(S.ACCEPTED, NOW, broker_order_id="1"), patient())
    with pytest.raises(Overtaken):
        ledger.record(order.after(Unresolved("time-out"), NOW), patient())
    assert ledger.controls(patient()).failures == ()


def test_16_failures_at_once_are_all_counted(store: InFirestore | InSqlite, ledger: Ledger, rivals: Rivals) -> None:
    assert set(rivals.race(store.url, submit_in_vain)) == {"RECEIVED"}
    account = ledger.controls(patient())
    assert (account.orders, account.open_until) == (0, NOW + BREAKER_OPEN)
    assert len(account.failures) == 16 % BREAKER_FAILURES


def test_each_step_that_the_operator_must_know_of_leaves_its_notice(ledger: Ledger) -> None:
    told = set()
    for status in S:
        order = brought_to(ledger, status, name=status)
        if f"{order.key}:{order.sequence}" in {notice.id for notice in ledger.outbox(patient())}:
            told.add(status)
    assert told == {S.DENIED, S.LAPSED, S.REJECTED, S.CANCELLED, S.EXPIRED, S.NOT_PLACED}


def test_an_order_in_doubt_leaves_its_notice(ledger: Ledger) -> None:
    order = submitted(ledger)
    ledger.record(order.unresolved(NOW, "time-out"), patient())
    assert [notice.kind for notice in ledger.outbox(patient())] == ["unresolved"]


# A crash


def test_a_kill_between_two_steps_leaves_order_account_and_outbox_in_agreement(
    store: InFirestore | InSqlite, ledger: Ledger
) -> None:
    context = multiprocessing.get_context("spawn")
    for kill in range(1, 4):
        victim = context.Process(target=submit_until_killed, args=(store.url,))
        victim.start()
        wait_for_orders(ledger, 8 * kill)
        assert victim.pid is not None
        os.kill(victim.pid, signal.SIGKILL)
        victim.join(10)
        orders, account = ledger.orders(patient()), ledger.controls(patient())
        live = [order for order in orders if order.status is S.SUBMITTED]
        assert account.orders == len(live)
        assert account.premium == sum((present(order.ticket).premium for order in live), Decimal(0))
        assert {one.tag for one in account.recent if one.quantity} == {order.tag for order in live}
        told = {f"{order.key}:{order.sequence}" for order in orders if order.status is S.REJECTED}
        assert {notice.id for notice in ledger.outbox(patient())} == told
        victim.close()


def wait_for_orders(ledger: Ledger, count: int) -> None:
    wait_until(f"{count} orders", lambda: ledger.controls(patient()).orders >= count)


def test_instances_that_start_together_on_a_new_store_all_serve(store: InFirestore | InSqlite, rivals: Rivals) -> None:
    for number in range(12):
        answers = rivals.race(store.another(number).url, ask_once, "who is first")
        assert Counter(answers) == {True: 1, False: 15}


def test_a_submit_and_every_step_with_a_notice_wait_for_the_disk(tmp_path: Path) -> None:
    ledger = SqliteLedger(tmp_path / "ledger.db")
    settings = [one.execute("PRAGMA synchronous").fetchone() for one in (ledger.writer, ledger.quick)]
    orders = [ledger.claim(order_named(name), None, patient()) for name in "ab"]
    ledger.quick.close()
    sent = [ledger.submit(one, check(one), patient()) for one in orders]
    ledger.record(sent[0].after(Unresolved("timed out"), NOW), patient())
    ledger.record(sent[1].after(NotSent("refused"), NOW), patient())
    assert (settings, [one.id for one in ledger.outbox(patient())]) == ([(2,), (1,)], [f"{sent[0].key}:2"])
    ledger.close()


# Notices and names


def test_the_outbox_gives_the_oldest_first_and_at_most_a_hundred(ledger: Ledger) -> None:
    for number in range(104):
        ledger.notify(notice(number), patient())
    assert [one.id for one in ledger.outbox(patient())] == [f"n{number}" for number in range(100)]


def test_a_delivered_notice_leaves_the_outbox_and_its_id_stays_known(ledger: Ledger) -> None:
    assert ledger.notify(notice(1), patient())
    assert ledger.notify(notice(2, facts={"key": "ab", "symbol": "NSE:X"}), patient())
    ledger.delivered("n1", patient())
    ledger.delivered("n1", patient())
    assert ledger.outbox(patient()) == [notice(2, facts={"key": "ab", "symbol": "NSE:X"})]
    assert not ledger.notify(notice(1), patient())
    assert not ledger.notify(notice(2), patient())
    assert [one.id for one in ledger.outbox(patient())] == ["n2"]


def test_a_notice_that_some_sinks_have_goes_to_the_end_of_the_outbox_and_says_which(
    ledger: Ledger,
) -> None:
    for number in range(3):
        ledger.notify(notice(number), patient())
    ledger.taken("n0", ["b"], patient())
    ledger.notify(notice(3), patient())
    ledger.taken("n0", ["c", "a"], patient())
    assert [one.id for one in ledger.outbox(patient())] == ["n1", "n2", "n3", "n0"]
    assert ledger.outbox(patient())[-1] == notice(0, taken=("a", "b", "c"))
    ledger.delivered("n0", patient())
    assert [one.id for one in ledger.outbox(patient())] == ["n1", "n2", "n3"]


def test_what_was_delivered_does_not_come_back_because_one_sink_has_it(ledger: Ledger) -> None:
    ledger.notify(notice(1), patient())
    ledger.delivered("n1", patient())
    ledger.taken("n1", ["a"], patient())
    ledger.taken("never posted", ["a"], patient())
    assert ledger.outbox(patient()) == []
    assert not ledger.notify(notice(1), patient())


def test_a_new_trading_state_is_notified_with_its_commit_and_an_old_one_is_not(
    ledger: Ledger,
) -> None:
    assert switch(ledger, TradingState.REDUCING).state is TradingState.REDUCING
    switch(ledger, TradingState.REDUCING)
    [told] = ledger.outbox(patient())
    assert (told.kind, told.severity) == ("trading-state", Severity.CRITICAL)
    assert ledger.controls(patient()).reason == "a test"


def test_the_same_notice_twice_in_the_outbox_is_one(ledger: Ledger) -> None:
    """Back and forth within one tick of the clock: the third change has the first one's id."""
    for state in (TradingState.HALTED, TradingState.ACTIVE, TradingState.HALTED):
        switch(ledger, state)
    assert ledger.controls(patient()).state is TradingState.HALTED
    assert sorted(one.text.split()[2] for one in ledger.outbox(patient())) == ["ACTIVE", "HALTED"]


def test_of_16_that_ask_with_one_name_one_is_the_first(
    store: InFirestore | InSqlite, ledger: Ledger, rivals: Rivals
) -> None:
    answers = rivals.race(store.url, ask_once, "login/state ✓")
    assert Counter(answers) == {True: 1, False: 15}
    assert not ledger.once("login/state ✓", patient())
    assert ledger.once("another", patient())


def test_changes_of_the_account_at_once_are_all_kept(store: InFirestore | InSqlite, ledger: Ledger) -> None:
    def count(number: int) -> Controls:
        mine: Ledger = (ledger, other)[number % 2]
        for _ in range(50):
            try:
                return mine.change_controls(lambda account: replace(account, orders=account.orders + 1), patient())
            except NotNow:
                continue
        raise AssertionError("never came through")

    with instance(store.url) as other, ThreadPoolExecutor(4) as threads:
        seen = [account.orders for account in threads.map(count, range(20))]
    assert sorted(seen) == list(range(1, 21))


def test_the_kill_switch_waits_out_what_an_order_would_not(ledger: Ledger) -> None:
    """Another writer holds the controls for longer than an order may take."""
    at_it = threading.Event()

    def slowly(account: Controls) -> Controls:
        at_it.set()
        time.sleep(1)
        return replace(account, orders=account.orders + 1)

    with ThreadPoolExecutor(1) as threads:
        slow = threads.submit(ledger.change_controls, slowly, soon(10))
        assert at_it.wait(5)
        halted = switch(ledger, TradingState.HALTED, soon(10))
        slow.result(10)
    assert (halted.state, halted.orders) == (TradingState.HALTED, 1)


# Queries


def test_orders_come_newest_first_by_day_or_all(ledger: Ledger) -> None:
    for number in (2, 0, 1):
        claimed(ledger, f"today {number}", received_at=NOW + timedelta(seconds=number))
    claimed(ledger, "yesterday", day="2026-11-19", received_at=NOW - timedelta(days=1))
    assert named(ledger.orders(patient())) == ["today 2", "today 1", "today 0", "yesterday"]
    assert named(ledger.orders(patient(), day="2026-11-19")) == ["yesterday"]
    assert ledger.orders(patient(), day="2026-11-18") == []


def test_what_is_in_flight_is_what_may_still_change(ledger: Ledger) -> None:
    for number, status in enumerate(S):
        brought_to(ledger, status, name=status, received_at=NOW + timedelta(seconds=number))
    claimed(ledger, "old", day="2026-11-19", received_at=NOW - timedelta(days=1))
    open_now = ["PARTIALLY_FILLED", "ACCEPTED", "SUBMITTED", "RECEIVED"]
    assert named(ledger.orders(patient(), in_flight=True)) == [*open_now, "old"]
    assert named(ledger.orders(patient(), day="2026-11-20", in_flight=True)) == open_now


def named(orders: list[Order]) -> list[str]:
    return [order.request_id for order in orders]


def test_only_the_list_of_the_latest_is_cut(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("app.adapters.sqlite.ledger", "app.adapters.firestore.ledger"):
        monkeypatch.setattr(f"{module}._LATEST", 3)
    for number in range(5):
        claimed(ledger, str(number), received_at=NOW + timedelta(seconds=number))
    assert named(ledger.orders(patient())) == ["4", "3", "2"]
    assert len(ledger.orders(patient(), in_flight=True)) == 5
    assert len(ledger.orders(patient(), day="2026-11-20")) == 5


def test_an_order_is_unresolved_once_it_was_submitted_before_the_moment(ledger: Ledger) -> None:
    submitted(ledger)
    claimed(ledger, "received")
    brought_to(ledger, S.ACCEPTED, name="accepted")
    assert ledger.unresolved(NOW, patient()) == 0
    assert ledger.unresolved(NOW + timedelta(seconds=1), patient()) == 1


def test_trying_out_the_ledger_leaves_nothing_behind(ledger: Ledger) -> None:
    for whole in (False, True):
        ledger.try_out(patient(), whole)
    assert ledger.orders(patient()) == []
    assert ledger.outbox(patient()) == []
    assert ledger.controls(patient()) == Controls()
