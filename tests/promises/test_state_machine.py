"""Any order of deliveries, broker fates, store faults, deaths, restarts, flips and an operator's words: the promises
hold at each step, and in the end ledger and book agree."""

import logging
import tempfile
from collections import deque
from dataclasses import replace
from pathlib import Path

from hypothesis import HealthCheck, event, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from app.adapters.sqlite.ledger import SqliteLedger
from app.domain.order import OrderStatus
from app.domain.risk import TradingState
from app.flow.reconcile import SETTLE
from proof.faulty_ledger import Fate
from proof.history import check
from proof.simulation import Play, Shot, Story, a_shot, memory_disk
from proof.simulation.fyers import POSTS
from tests.builders import no_limits
from tests.examples import examples

FATES = [(name, become) for name, _, becoming, _ in POSTS for become in becoming.split()]
CALM = Story(
    hosts=1,
    trouble=0.0,
    read_trouble=0.0,
    store_trouble=0.0,
    death=0.0,
    stop=0.0,
    sink_trouble=0.0,
    lag=0.0,
    positions_lag=0.0,
    limits=no_limits(lots_open=4, orders_per_day=6),
    short={"NSE:NIFTY26NOV26000CE": 65},
    after_close=False,
    partial=0.0,
)


class Bench(Play):
    """A play without a script: each thing happens when it is told to."""

    def __init__(self, ledger: SqliteLedger) -> None:
        super().__init__(7, ledger, CALM)
        self.dies_after: int | None = None
        self.store_fates: deque[Fate] = deque()
        self.come_again: list[Shot] = []

    def step(self) -> None:
        if self.dies_after is not None:
            self.dies_after -= 1
            if self.dies_after < 0:
                self.dies_after = None
                self.world.die()

    def store_fate(self, name: str) -> Fate:
        return self.store_fates.popleft() if self.store_fates else Fate.FINE

    def calm(self) -> None:
        self.store_fates.clear()
        self.dies_after = None

    def _send_again(self, shot: Shot, number: int) -> None:
        self.come_again.append(shot)


class Gateway(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory(dir=memory_disk())
        self.path = Path(self.folder.name) / "ledger.db"
        self.on_disk = SqliteLedger(self.path)
        self.bench = Bench(self.on_disk)
        logging.disable(logging.CRITICAL)
        self.shots: list[Shot] = []
        self.next_minute = 60.0

    def teardown(self) -> None:
        self.bench.fyers.chosen = None
        self.pass_time(max(400.0, self.bench.fyers.quiet_at() - self.bench.world.seconds + 120))
        history = self.bench.history(reconciled=True)
        if history.broker_orders:
            event("the broker took an order")  # `proof` counts them
        violations = check(history)
        logging.disable(logging.NOTSET)
        self.on_disk.close()
        self.folder.cleanup()
        assert violations == []
        assert self.bench.world.crashes == []

    # -- the sender

    @initialize()
    def first(self) -> None:
        self.fire(1, covers=False, fate=("accepted", "live"))

    @rule(
        tier=st.sampled_from([1, 2, 3, 4]),
        covers=st.booleans(),
        fate=st.sampled_from(FATES),
    )
    def fire(self, tier: int, covers: bool, fate: tuple[str, str]) -> None:
        shot = a_shot(len(self.shots), tier, covers, self.bench.world.seconds)
        self.shots.append(shot)
        self.bench.fyers.chosen = fate
        self.deliver(shot)

    @rule(number=st.integers(0, 99), fate=st.sampled_from(FATES))
    def fire_again(self, number: int, fate: tuple[str, str]) -> None:
        """The same bytes: a resend, or a second firing within the minute."""
        shot = self.shots[number % len(self.shots)]
        if shot.is_windowed and self.bench.world.seconds - shot.fired_at > 40:
            return  # after its window it is another alert, and this would have to know of it
        self.bench.fyers.chosen = fate
        self.deliver(shot)

    @rule(fate=st.sampled_from(FATES))
    @precondition(lambda self: self.bench.come_again)
    def send_again_after_503(self, fate: tuple[str, str]) -> None:
        self.bench.fyers.chosen = fate
        self.deliver(self.bench.come_again.pop(0))

    @rule(number=st.integers(0, 99))
    def fire_another_order_with_the_same_id(self, number: int) -> None:
        shot = self.shots[number % len(self.shots)]
        if shot.alert.client_id is not None:
            other = replace(shot, name=f"{shot.name}, another order", alert=replace(shot.alert, lots=3))
            self.deliver(other)

    def deliver(self, shot: Shot) -> None:
        if shot.is_windowed and self.bench.world.seconds - shot.fired_at > 40:
            return
        self.bench.world.run_now(lambda: self.bench.deliver(shot), self.bench.a_host())
        self.bench.fyers.chosen = None
        self.bench.calm()

    # -- what goes wrong in the next delivery

    @rule(after=st.integers(0, 16))
    def let_the_next_process_die(self, after: int) -> None:
        self.bench.dies_after = after

    @rule(
        fine=st.integers(0, 6),
        fate=st.sampled_from([Fate.SLOW, Fate.REFUSED, Fate.DOWN, Fate.LOST]),
    )
    def let_the_store_fail(self, fine: int, fate: Fate) -> None:
        self.bench.store_fates.extend([Fate.FINE] * fine + [fate])

    # -- the others

    @rule(seconds=st.sampled_from([0.1, 1.0, 5.0, 20.0, 61.0, 130.0]))
    def pass_time(self, seconds: float) -> None:
        """And with it Cloud Scheduler's minutes."""
        self.bench.calm()
        ends = self.bench.world.seconds + seconds
        while self.next_minute <= ends:
            self.bench.world.seconds = max(self.bench.world.seconds, self.next_minute)
            self.next_minute += 60.0
            self.reconcile()
        self.bench.world.seconds = max(self.bench.world.seconds, ends)

    @rule()
    def reconcile(self) -> None:
        self.bench.world.run_now(self.bench.reconcile_once, self.bench.a_host())

    @rule()
    def restart(self) -> None:
        self.on_disk.close()
        self.on_disk = SqliteLedger(self.path)
        self.bench.use(self.on_disk)

    @rule(state=st.sampled_from(list(TradingState)))
    def flip(self, state: TradingState) -> None:
        self.bench.calm()
        self.bench.switch(state, "by hand", self.bench.deadline())

    @rule()
    def a_human_says_what_is_not_there(self) -> None:
        """As `orders resolve` does, of orders that truly are not at the broker and never will be."""
        self.bench.calm()
        there = {row.tag for row in self.bench.fyers.rows}
        for order in self.bench.store.orders(self.bench.deadline(), in_flight=True):
            old = order.submitted_at and self.bench.world.now() - order.submitted_at >= SETTLE
            if order.status is OrderStatus.SUBMITTED and order.tag not in there and old:
                step = order.moved(OrderStatus.NOT_PLACED, self.bench.world.now(), message="looked")
                self.bench.desk.ledger.record(step, self.bench.deadline())

    @invariant()
    def every_promise_holds(self) -> None:
        """All but I14: an entry without legs is told by the next reconcile, so I14 is checked in the end."""
        found = check(self.bench.history(reconciled=False))
        assert [violation for violation in found if violation.promise != "I14"] == []


Gateway.TestCase.settings = settings(
    max_examples=examples(150),
    stateful_step_count=30,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
TestAnyOrderOfEvents = Gateway.TestCase
