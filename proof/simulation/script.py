"""One history from one seed: who sends what and when, what breaks, and what everybody saw of it."""

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from decimal import Decimal
from random import Random
from types import SimpleNamespace
from typing import Any

from app.adapters.fyers import FyersBroker
from app.adapters.fyers import broker as fyers_broker
from app.alert import Alert, OptionType, parse
from app.alert.strict_json import decode
from app.calendar import Calendar
from app.contract import Contract
from app.deadline import ANSWER_AT, Deadline
from app.desk import AgeRules, Desk
from app.errors import AlertError, NotNow
from app.execution import execute
from app.notice import Notice
from app.order import Order, OrderType
from app.ports import Ledger, Token
from app.pricing import PriceRules
from app.reconcile import reconcile
from app.risk import SYSTEM, Account, Limits, TradingState
from app.ticket import BuyMode, TicketRules
from app.web.answers import HTTP_OF_STATUS, http_of
from proof.faulty_ledger import Fate, FaultyLedger
from proof.faulty_ledger import Faults as LedgerFaults
from proof.history import Delivery, Halt, History, Notification, Pause, Violation, check
from proof.simulation.fyers import LOT, SYMBOLS, Fyers
from proof.simulation.memory import MemoryLedger
from proof.simulation.world import EPOCH, Host, Killed, Readers, World

ACCOUNT = "SIMULATED"
RESENDS, RESEND_AFTER = 3, 5.0  # TradingView's, and only after 500-599 except 504
MINUTE = 60.0
RECONCILE_HAS = 50.0  # seconds of the scheduler's minute
ENTRY_AGE, EXIT_AGE, WINDOW = 60.0, 120.0, 60.0
STRIKES = (Decimal(26000), Decimal(26100))

_TICKETS = TicketRules(PriceRules(OrderType.LIMIT, Decimal(200), Decimal(15), Decimal(25), Decimal(10)), BuyMode.COVER)
_AGES = AgeRules(timedelta(seconds=ENTRY_AGE), timedelta(seconds=EXIT_AGE), timedelta(seconds=WINDOW))
_CONTRACTS = {
    strike: Contract(symbol, "NIFTY", date(2026, 11, 26), strike, OptionType.CE, LOT, Decimal("0.05"))
    for strike, symbol in zip(STRIKES, SYMBOLS, strict=True)
}
_BODY = {"token": "", "symbol": "NIFTY", "strikeprice": 26000, "optionType": "CE", "expiry": "WEEKLY"}
_ALERTS = {side: parse(decode(json.dumps(_BODY | {"action": side}).encode())) for side in ("BUY", "SELL")}
_BY_SYMBOL = {contract.symbol: contract for contract in _CONTRACTS.values()}


class Symbols:
    """Two contracts of one underlying. Implements `ports.SymbolMaster`."""

    as_of = EPOCH.date()

    def lookup_symbol(self, symbol: str) -> Contract | None:
        return _BY_SYMBOL.get(symbol)

    def spot_symbol(self, underlying: str, exchange: str | None) -> str:
        raise NotImplementedError("no alert here says its strike by its place")

    def resolve(self, underlying: str, exchange: str | None, expiry: Any, strike: Any, *_: Any, **__: Any) -> Contract:  # noqa: ARG002
        return _CONTRACTS[strike]


@contextmanager
def one_process_only(world: World) -> Iterator[None]:
    """The adapter waits between two reads of the real time; here of the world's."""
    real = fyers_broker.time, fyers_broker.random
    fyers_broker.time = SimpleNamespace(sleep=world.sleep)  # type: ignore[assignment]
    fyers_broker.random = SimpleNamespace(uniform=world.random.uniform)  # type: ignore[assignment]
    try:
        yield
    finally:
        fyers_broker.time, fyers_broker.random = real


@dataclass(slots=True)
class Story:
    """What one history is like: drawn from the seed before anything happens."""

    hosts: int
    trouble: float
    read_trouble: float
    store_trouble: float
    death: float  # of a process, at each port call
    sink_trouble: float
    lag: float
    positions_lag: float
    limits: Limits
    short: dict[str, int]
    after_close: bool

    @classmethod
    def drawn(cls, dice: Random) -> "Story":
        wild = dice.random()
        short = {symbol: LOT * dice.choice((0, 0, 1, 2)) for symbol in SYMBOLS} if dice.random() < 0.5 else {}
        return cls(
            hosts=dice.choice((1, 2, 3)),
            trouble=dice.choice((0.0, 0.3, 0.6, 1.0)),
            read_trouble=dice.choice((0.0, 0.0, 0.1, 0.3)) * wild,
            # With store and sink both out of reach nobody can be told of anything: not both in one history.
            store_trouble=dice.choice((0.0, 0.0, 0.05, 0.15)) * wild if wild >= 0.3 else 0.0,
            death=dice.choice((0.0, 0.0, 0.02, 0.05)) * wild,
            sink_trouble=dice.choice((0.0, 0.0, 0.2)) if wild < 0.3 else 0.0,
            lag=dice.choice((0.0, 0.0, 1.0, 10.0, 80.0)),
            positions_lag=dice.choice((0.0, 0.0, 0.3, 2.0)),
            limits=_limits(dice, sum(short.values()) // LOT),
            short=short,
            after_close=dice.random() < 0.3,
        )


def _limits(dice: Random, held: int) -> Limits:
    """Often so tight that the next order is the last one."""
    tight = dice.random() < 0.6
    return Limits(
        lots_per_order=dice.choice((1, 2, 10)) if tight else 10,
        lots_open=held + dice.choice((1, 2, 3)) if tight else 1000,
        orders_per_day=dice.choice((1, 2, 3, 50)) if tight else 1000,
        orders_per_second=dice.choice((1, 2, None)) if tight else None,
        orders_per_minute=dice.choice((2, 3, None, None)) if tight else None,
        premium_per_order=None,
        premium_per_day=dice.choice((None, None, None, Decimal(25000))) if tight else None,
        daily_loss=None,
        repeats=dice.choice((None, None, None, 2)) if tight else None,
        cooldown=dice.choice((None, None, None, timedelta(seconds=20))) if tight else None,
    )


@dataclass(slots=True)
class Record:
    """What a history is made of while it happens."""

    deliveries: list[Delivery] = field(default_factory=list)
    notifications: list[Notification] = field(default_factory=list)
    halts: list[Halt] = field(default_factory=list)
    committed: dict[tuple[str, int], datetime] = field(default_factory=dict)
    pauses: list[Pause] = field(default_factory=list)


class StoreFaults(LedgerFaults):
    """The store's trouble, drawn from the seed; and the deaths of processes around each of its calls."""

    def __init__(self, play: "Play") -> None:
        self._play = play
        self._world = play.world

    def fate(self, name: str) -> Fate:
        return self._play.store_fate(name)

    def times(self, patience: float) -> tuple[float, float]:
        dice = self._world.random
        before, after = 0.002 + 0.05 * dice.random() ** 3, 0.002 + 0.05 * dice.random() ** 3
        if dice.random() < 0.03:
            before *= 6
        return min(before, patience * 0.6), min(after, patience * 0.4)

    def sleep(self, seconds: float) -> None:
        self._world.sleep(seconds)

    def step(self) -> None:
        self._play.maybe_die()

    def applied(self, name: str, result: object) -> None:
        self._play.stored(name, result)


class Sink:
    """The owner's phone. Implements `ports.Notifier`."""

    def __init__(self, play: "Play") -> None:
        self._play = play

    def send(self, notice: Notice, deadline: Deadline) -> bool:
        play = self._play
        play.maybe_die()
        failing = play.sink_trouble and play.world.random.random() < play.sink_trouble
        play.world.sleep(min(0.02, max(0.0, deadline.left())))
        if failing:
            return False
        play.record.notifications.append(Notification(play.world.now(), notice.id, notice.kind, notice.text))
        return True


class Tokens:
    """One token that is always good; whatever Fyers says of it. Implements `ports.TokenSource`."""

    def __init__(self, play: "Play") -> None:
        self._play = play
        self._token = Token("a.b.c")

    def token(self, deadline: Deadline) -> Token:  # noqa: ARG002
        return self._token

    def refused(self, token: Token, message: str, deadline: Deadline) -> bool:  # noqa: ARG002
        return False

    def forbidden(self, message: str, deadline: Deadline) -> None:
        try:
            self._play.switch(TradingState.HALTED, message, deadline)
        except NotNow:
            pass  # the real one tells the owner directly


@dataclass(frozen=True, slots=True)
class Shot:
    """One alert as its sender fires it: by what name, when, and how often besides."""

    name: str
    alert: Alert
    fired_at: float = 0.0

    @property
    def is_windowed(self) -> bool:
        """True where only time can tell it from another firing."""
        alert = self.alert
        return alert.client_id is None and alert.fired_at is None and alert.bar_time is None


def a_shot(number: int, tier: int, covers: bool, at: float, age: int = 0, **changes: Any) -> Shot:
    """The alert by that number, which fired `age` seconds before `at` (seconds of the world)."""
    alert = replace(_ALERTS["BUY" if covers else "SELL"], **changes)
    born = EPOCH + timedelta(seconds=int(at) - age)
    match tier:
        case 1:
            alert = replace(alert, client_id=f"id-{number}", fired_at=born if age else None)
        case 2:
            alert = replace(alert, order_id=f"o-{number}", fired_at=born)
        case 3:
            alert = replace(alert, order_id=f"o-{number}", bar_time=EPOCH)
        case _:
            # Without an identity of its own only its order tells it from another of the same minute.
            alert = replace(alert, strategy=None, order_id=f"o-{number}")
    return Shot(f"alert {number}", alert, at)


class Play:
    """Everybody of one history, and what they do."""

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
        self.store_trouble, self.sink_trouble, self.death = (
            self.story.store_trouble,
            self.story.sink_trouble,
            self.story.death,
        )
        self.desk = self._desk()
        self._number = 0
        self._state = TradingState.ACTIVE
        self._last_shot = 0.0
        self._oldest = ENTRY_AGE  # seconds after which nobody may send an alert of this history any more
        self._reconciled = False

    def run(self) -> History:
        with one_process_only(self.world):
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
                times.append(first + dice.choice((0.0, dice.uniform(0, 0.3), dice.uniform(0, 3), dice.uniform(0, 40))))
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
        held = [strike for strike, contract in _CONTRACTS.items() if self.story.short.get(contract.symbol)]
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
        delivery = Delivery(shot.name, sent_at)
        try:
            status, answer = self._answer(shot.alert, request_id)
        except Killed:
            # The front end answers for a dead process, or the sender hears nothing at all.
            self.record.deliveries.append(replace(delivery, paused=True))
            if self.dice.random() < 0.5:
                self._send_again(shot, number)
            raise
        answered_at = self.world.now()
        self.record.deliveries.append(replace(delivery, answered_at=answered_at, status=status, answer=answer))
        if 500 <= status < 600 and status != 504:
            self._send_again(shot, number)

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
        """The owner, with the command line and all patience; nobody is halted before the store says so."""
        while True:
            try:
                self.switch(state, "by hand", Deadline(self.world.monotonic, 10.0))
            except NotNow:
                self.world.sleep(1.0)
            else:
                return

    def switch(self, state: TradingState, reason: str, deadline: Deadline) -> None:
        now = self.world.now()

        def change(account: Account) -> Account:
            return account if account.state is state else account.switched(state, reason, SYSTEM, now)

        self.desk.ledger.change_account(change, deadline)

    def _scheduler(self) -> None:
        """Cloud Scheduler, each minute; until everything has come to rest and was read twice in calm."""
        calm = 0
        while calm < 2:
            if self._is_over():
                self._calm_down()
                calm += 1
            self._tick(last=calm == 2)
            self.world.sleep(MINUTE)

    def _tick(self, last: bool) -> None:
        self.world.spawn(lambda: self.reconcile_once(last), host=self.a_host())

    def a_host(self) -> Host:
        """A process that lives."""
        place = self.dice.randrange(len(self.hosts))
        if self.hosts[place].dead:
            self.hosts[place] = Host()
        return self.hosts[place]

    def reconcile_once(self, last: bool = False) -> None:
        began, went_well = self.world.now(), False
        after_close = last and self.story.after_close
        try:
            deadline = Deadline(self.world.monotonic, RECONCILE_HAS)
            report = reconcile(self.desk, deadline, after_close=after_close)
            went_well = report.book is None and report.positions is None and report.notices_waiting == 0
        except NotNow:
            pass
        finally:
            if not went_well:
                self.record.pauses.append(Pause(began, began + timedelta(seconds=MINUTE)))
            self._reconciled = went_well

    def _is_over(self) -> bool:
        return self.world.seconds > max(self._last_shot + self._oldest + 10.0, self.fyers.quiet_at())

    def _calm_down(self) -> None:
        self.store_trouble = self.sink_trouble = self.death = 0.0
        self.fyers.read_trouble = 0.0

    # -- what happens to processes and in the store

    def store_fate(self, name: str) -> Fate:
        if not self.store_trouble or self.dice.random() >= self.store_trouble:
            return Fate.FINE
        fates = (Fate.SLOW, Fate.REFUSED, Fate.DOWN, Fate.LOST) + ((Fate.CONTENDED,) if name == "submit" else ())
        return self.dice.choice(fates)

    def maybe_die(self) -> None:
        if self.death and self.dice.random() < self.death:
            self.world.die()

    def stored(self, name: str, result: object) -> None:
        """Notes when each step was in the store, and from when to when trading was halted."""
        now = self.world.now()
        if isinstance(result, Order) and name in ("claim", "submit", "record"):
            self.record.committed.setdefault((result.key, result.sequence), now)
        if name not in ("submit", "change_account"):
            return
        state = self.store.account(Deadline(self.world.monotonic, 1.0)).state
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
        broker = FyersBroker("APP-200", tokens, self.fyers, "https://api", "https://data")  # type: ignore[arg-type]
        return Desk(
            account=ACCOUNT,
            broker=broker,
            ledger=FaultyLedger(self.store, StoreFaults(self)),
            symbols=Symbols(),
            notifier=Sink(self),
            clock=self.world,
            calendar=Calendar(),
            tickets=_TICKETS,
            limits=self.story.limits,
            ages=_AGES,
            readers=Readers(self.world),  # type: ignore[arg-type]
            resources=ExitStack(),
            tokens=tokens,
            login=None,
            refresh_symbols=lambda _: {},
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


def simulate(seed: int, ledger: Ledger | None = None) -> list[Violation]:
    """What one history breaks; nothing, if all promises hold."""
    play = Play(seed, ledger)
    violations = check(play.run())
    violations += [Violation("crash", "", f"{type(crash).__name__}: {crash}") for crash in play.world.crashes]
    if play.is_at_rest and (strays := play.fyers.stray_legs()):
        violations.append(Violation("I14", "", f"legs of {strays} units outlived their position"))
    return violations
