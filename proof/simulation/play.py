"""One history, played: the sender, the processes, Cloud Scheduler, the owner."""

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from random import Random
from typing import Any

from app.adapters.fyers.broker import FyersBroker
from app.domain.alert import Alert
from app.domain.calendar import Calendar
from app.domain.deadline import ANSWER_AT, Deadline
from app.domain.errors import AlertError, NotNow
from app.domain.order import Order
from app.domain.risk.controls import SYSTEM, Controls, TradingState
from app.flow.desk import Desk
from app.flow.execution import execute
from app.flow.market_status import MarketStatus
from app.flow.ports import Ledger
from app.flow.reconcile import reconcile
from app.web.answers import HTTP_OF_STATUS, http_of
from proof.faulty_ledger import Fate, FaultyLedger
from proof.history import Delivery, Halt, History, Pause, Violation, check
from proof.simulation.fyers import RECONCILE, Fyers
from proof.simulation.memory import MemoryLedger
from proof.simulation.parts import Record, Sink, StoreFaults, Tokens, waits_in
from proof.simulation.story import (
    ACCOUNT,
    AGES,
    CONTRACTS,
    ENTRY_AGE,
    EXIT_AGE,
    STRIKES,
    TICKETS,
    Shot,
    Story,
    Symbols,
    a_shot,
)
from proof.simulation.world import Host, Killed, Readers, World

# TradingView's: another delivery only after 500-599 except 504, and never after it hung up.
RESENDS, RESEND_AFTER, HANGS_UP_AFTER = 3, 5.0, 3.0
MINUTE = 60.0
RECONCILE_HAS = 50.0  # seconds of the scheduler's minute
QUICK = 8.0  # a run that takes longer was held up
LONGEST = 120 * MINUTE  # of a history; a tenth of it is enough


class Play:
    """All parties of one history, and what they do."""

    def __init__(self, seed: int, ledger: Ledger | None = None, story: Story | None = None) -> None:
        self.dice = Random(seed)  # noqa: S311 -- repeatable on purpose
        self.story = story or Story.drawn(self.dice)
        self.world = World(self.dice)
        self.record = Record()
        self.store = ledger if ledger is not None else MemoryLedger()
        self.hosts = [Host() for _ in range(self.story.hosts)]
        self.fyers = Fyers(self.world, self.story.trouble, self.story.lag, self.story.positions_lag)
        self.fyers.short = self.story.short
        self.fyers.read_trouble = self.story.read_trouble
        self.store_trouble, self.sink_trouble = self.story.store_trouble, self.story.sink_trouble
        self.death, self.stop = self.story.death, self.story.stop
        self.fyers.partial = self.story.partial
        self.fyers.step = self.step
        self.fyers.is_known = self._is_known
        self.desk = self._desk()
        self._number = 0
        self._state = TradingState.ACTIVE
        self._last_shot = 0.0
        self._oldest = ENTRY_AGE  # seconds after which no alert of this history may be sent any more
        self._reconciled = False
        self._meddled = False  # the last run of reconcile cancelled something at the broker: another one has to see it
        self.kills = 0

    def run(self) -> History:
        self._write_script()
        self.world.spawn(self._scheduler, after=self.dice.uniform(0.0, MINUTE))
        self.world.run()
        return self.history(self._reconciled)

    @property
    def is_at_rest(self) -> bool:
        return self._reconciled

    # -- the script

    def _write_script(self) -> None:
        dice = self.dice
        for number in range(dice.choice((1, 1, 2, 2, 3, 4))):
            first = dice.choice((0.0, 0.0, dice.uniform(0, 3), dice.uniform(0, 60), dice.uniform(60, 120)))
            shot = self._shot(number, first)
            times = [first]
            while dice.random() < 0.45 and len(times) < 4:
                # With their resends they all fall into the window of one that only time can tell from the next.
                late = dice.uniform(0, 25 if shot.is_windowed else 40)
                times.append(first + dice.choice((0.0, dice.uniform(0, 0.3), dice.uniform(0, 3), late)))
            for at in times:
                self._fire(shot, at)
            if shot.alert.client_id is not None and dice.random() < 0.05:
                other = replace(shot, name=f"{shot.name}, another order", alert=replace(shot.alert, lots=3))
                self._fire(other, first + dice.uniform(0, 20))
            if shot.is_windowed and dice.random() < 0.3:  # the window is over whichever delivery opened it
                self._fire(replace(shot, name=f"{shot.name}, fired again"), first + dice.uniform(120, 150))
        if dice.random() < 0.25:
            self._plan_switches()

    def _shot(self, number: int, first: float) -> Shot:
        dice = self.dice
        held = [strike for strike, contract in CONTRACTS.items() if self.story.short.get(contract.symbol)]
        covers = dice.random() < (0.6 if held else 0.15)
        self._oldest = EXIT_AGE if covers else self._oldest
        return a_shot(
            number,
            dice.choice((1, 1, 1, 2, 3, 4)),
            covers,
            first,
            age=dice.choice((0, 0, 0, 1, 55, 59, 61, 115)),
            strike=dice.choice(held) if covers and held else dice.choice((STRIKES[0], STRIKES[0], STRIKES[1])),
            lots=dice.choice((None, 1, 1, 2)),
            strategy=dice.choice((None, "a", "b")),
        )

    def _fire(self, shot: Shot, at: float) -> None:
        self._last_shot = max(self._last_shot, at)
        self.world.spawn(self._on_a_host(lambda: self.deliver(shot, 0)), after=at)

    def _plan_switches(self) -> None:
        dice = self.dice
        for _ in range(dice.choice((1, 2))):
            state = dice.choice((TradingState.HALTED, TradingState.REDUCING))
            began = dice.uniform(0, 30)
            self.world.spawn(lambda state=state: self._operate(state), after=began)  # type: ignore[misc]
            if dice.random() < 0.7:
                ended = began + dice.uniform(0.05, 30)
                self.world.spawn(lambda: self._operate(TradingState.ACTIVE), after=ended)

    # -- the sender

    def _on_a_host(self, job: Callable[[], None]) -> Callable[[], None]:
        """The load balancer: any process that lives, or a new one in the place of one that died."""

        def start() -> None:
            self.world.spawn(job, host=self.a_host())

        return start

    def deliver(self, shot: Shot, number: int = 0) -> None:
        sent_at = self.world.now()
        self._number += 1
        request_id = f"request-{self._number}"
        delivery = Delivery(shot.name, sent_at, fired_at=shot.alert.fired_at)
        try:
            status, answer = self._answer(shot.alert, request_id)
        except Killed:
            # The front end answers for a dead process, or the sender hears nothing at all.
            self.record.deliveries.append(replace(delivery, paused=True))
            if self.dice.random() < 0.5 and not self._hung_up(sent_at):
                self._send_again(shot, number)
            raise
        if self._hung_up(sent_at):
            self.record.deliveries.append(replace(delivery, paused=True))
            return
        stood_still = self.world.task_stood_still
        delivery = replace(delivery, answered_at=self.world.now(), status=status, answer=answer, paused=stood_still)
        self.record.deliveries.append(delivery)
        if 500 <= status < 600 and status != 504:
            self._send_again(shot, number)

    def _hung_up(self, sent_at: datetime) -> bool:
        return (self.world.now() - sent_at).total_seconds() > HANGS_UP_AFTER

    def _send_again(self, shot: Shot, number: int) -> None:
        if number < RESENDS:
            job = self._on_a_host(lambda: self.deliver(shot, number + 1))
            self.world.spawn(job, after=RESEND_AFTER)
            self._last_shot = max(self._last_shot, self.world.seconds + RESEND_AFTER)

    def _answer(self, alert: Alert, request_id: str) -> tuple[int, dict[str, Any]]:
        """As the webhook answers: by the two tables."""
        deadline = Deadline(self.world.monotonic, ANSWER_AT)
        self.world.name_task(request_id)
        try:
            receipt = execute(alert, self.desk, deadline, request_id)
        except AlertError as error:
            return http_of(error), {"request_id": request_id}
        except Exception as problem:  # noqa: BLE001 -- the webhook says 503 to it, so it is a violation in itself
            self.world.crashes.append(problem)
            return 503, {"request_id": request_id}
        order = receipt.order
        answer = {"key": order.key, "tag": order.tag, "duplicate": receipt.duplicate, "request_id": request_id}
        return HTTP_OF_STATUS[order.status], answer

    # -- the others

    def _operate(self, state: TradingState) -> None:
        """The operator at the command line, who waits for the store; trading is halted only once the store says so."""
        while True:
            try:
                self.switch(state, "by hand", Deadline(self.world.monotonic, 10.0))
            except NotNow:
                self.world.sleep(1.0)
            else:
                return

    def switch(self, state: TradingState, reason: str, deadline: Deadline) -> None:
        now = self.world.now()

        def change(account: Controls) -> Controls:
            return account if account.state is state else account.switched(state, reason, SYSTEM, now)

        self.desk.ledger.change_controls(change, deadline)

    def _scheduler(self) -> None:
        """Cloud Scheduler, each minute; until all is at rest and was read twice in calm, with nothing done to it."""
        calm = 0
        while calm < 2 or self._meddled:
            if self.world.seconds > LONGEST:
                raise TimeoutError(f"after {LONGEST / MINUTE:.0f} minutes reconcile still found something to do")
            if self._is_over():
                self._calm_down()
                calm += 1
            self._tick(rested=calm > 0, last=calm >= 2)
            self.world.sleep(MINUTE)

    def _tick(self, rested: bool, last: bool) -> None:
        self.fyers.partial = 0.0 if last else self.fyers.partial
        self.world.spawn(lambda: self.reconcile_once(after_close=rested and self.story.after_close), host=self.a_host())

    def a_host(self) -> Host:
        """A process that lives."""
        place = self.dice.randrange(len(self.hosts))
        if self.hosts[place].dead:
            self.hosts[place] = Host()
        return self.hosts[place]

    def reconcile_once(self, after_close: bool = False) -> None:
        began, read, went_well = self.world.now(), False, False
        self.world.name_task(RECONCILE)
        try:
            deadline = Deadline(self.world.monotonic, RECONCILE_HAS)
            report = reconcile(self.desk, deadline, after_close=after_close)
            in_time = (self.world.now() - began).total_seconds() < QUICK
            read = report.book is None and report.positions is None and in_time
            self._meddled = report.legs_cancelled + report.covers_cancelled > 0
            went_well = read and not report.missing and report.notices_waiting == 0
        except NotNow:
            pass
        finally:
            if not went_well:
                self.record.pauses.append(Pause(began, began + timedelta(seconds=MINUTE)))
            self._reconciled = read

    def _is_over(self) -> bool:
        return self.world.seconds > max(self._last_shot + self._oldest + 10.0, self.fyers.quiet_at())

    def _calm_down(self) -> None:
        self.store_trouble = self.sink_trouble = self.death = self.stop = 0.0
        self.fyers.read_trouble = 0.0

    # -- what happens to processes and in the store

    def store_fate(self, name: str) -> Fate:
        if not self.store_trouble or self.dice.random() >= self.store_trouble:
            return Fate.FINE
        fates = (Fate.SLOW, Fate.REFUSED, Fate.DOWN, Fate.LOST) + ((Fate.CONTENDED,) if name == "submit" else ())
        return self.dice.choice(fates)

    def step(self) -> None:
        """Before and after each effect: here a process dies, or stands still."""
        if self.death and self.dice.random() < self.death:
            self.kills += self.world.host is not None
            self.world.die()
        if self.stop and self.dice.random() < self.stop:
            self.world.stand_still(self.dice.choice((0.3, 1.0, 2.0, 10.0, 70.0)) * self.dice.random())

    def _is_known(self, broker_id: str) -> bool:
        """Whether the ledger has an order by that id of the broker's."""
        return any(order.broker_order_id == broker_id for order in self.store.orders(self.deadline()))

    def stored(self, name: str, result: object) -> None:
        """Notes when each step was in the store, and from when to when trading was halted."""
        now = self.world.now()
        if isinstance(result, Order) and name in ("claim", "submit", "record"):
            self.record.committed.setdefault((result.key, result.sequence), now)
        if name not in ("submit", "change_controls"):
            return
        state = self.store.controls(Deadline(self.world.monotonic, 1.0)).state
        if state is self._state:
            return
        halts = self.record.halts
        if halts and halts[-1].ended is None:
            halts[-1] = replace(halts[-1], ended=now)
        if state is not TradingState.ACTIVE:
            halts.append(Halt(now, covers_allowed=state is TradingState.REDUCING))
        self._state = state

    def _desk(self) -> Desk:
        tokens = Tokens(self)
        readers: Any = Readers(self.world)
        wire: Any = self.fyers
        urls, waits = ("https://api", "https://data"), waits_in(self.world)
        broker = FyersBroker("APP-200", tokens, wire, *urls, readers, waits=waits)
        calendar = Calendar()
        return Desk(
            account=ACCOUNT,
            broker=broker,
            ledger=FaultyLedger(self.store, StoreFaults(self)),
            symbols=Symbols(),  # type: ignore[arg-type]  # the rest of the port is for a master that changes
            notifier=Sink(self),
            clock=self.world,
            calendar=calendar,
            market_status=MarketStatus(broker, self.world, calendar),
            tickets=TICKETS,
            limits=self.story.limits,
            ages=AGES,
            readers=readers,
            beside_claim=readers,
        )

    def deadline(self, seconds: float = 10.0) -> Deadline:
        return Deadline(self.world.monotonic, seconds)

    def use(self, store: Ledger) -> None:
        """Another connection to the store: the service was started anew."""
        self.store = store
        self.desk = self._desk()

    def history(self, reconciled: bool) -> History:
        """`reconciled`: everything has come to rest, and nothing happens in the minutes that follow."""
        rest = 3 * MINUTE if reconciled else 0.0
        return History(
            ended_at=self.world.now() + timedelta(seconds=rest),
            deliveries=self.record.deliveries,
            posts=self.fyers.posts,
            broker_orders=self.fyers.broker_orders(),
            orders=self.store.orders(self.deadline()),
            notifications=self.record.notifications,
            holdings=self.fyers.holdings(),
            halts=self.record.halts,
            pauses=self.record.pauses,
            committed=self.record.committed,
            limits=self.story.limits,
            entry_age=ENTRY_AGE,
            exit_age=EXIT_AGE,
            reconciled=reconciled,
        )


def simulate(seed: int, ledger: Ledger | None = None, seen: Counter[str] | None = None) -> list[Violation]:
    """What one history breaks; nothing, if all promises hold. Into `seen` goes what happened in it."""
    play = Play(seed, ledger)
    history = play.run()
    if seen is not None:
        seen["orders"] += len(history.broker_orders)
        seen["fills"] += sum(order.filled_quantity > 0 for order in history.broker_orders)
        seen["kills"] += play.kills
    violations = check(history)
    violations += [Violation("crash", "", f"{type(crash).__name__}: {crash}") for crash in play.world.crashes]
    if play.is_at_rest and (strays := play.fyers.stray_legs()):
        violations.append(Violation("I14", "", f"legs of {strays} units outlived their position"))
    return violations
