"""What every proof with real processes stands on: a simulated account, a ledger of each kind, settings, a desk."""

import itertools
import logging
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from pathlib import Path
from tempfile import TemporaryDirectory
from uuid import uuid4

from app.adapters.clock import SystemClock
from app.domain.deadline import Deadline
from app.domain.errors import NotNow
from app.domain.notice import Notice
from app.flow.desk import Desk
from app.flow.reconcile import reconcile
from app.runtime.bootstrap import bootstrap
from app.runtime.config import Config
from app.runtime.processes import bare_environment
from app.simulator import FixtureContract, FixtureExchange, Simulator
from proof.history import Notification

ROOT = Path(__file__).parents[2]
SECRET = "canary-kestrel-over-the-weir"  # noqa: S105 - opens nothing; no output may ever hold it
SCHEDULER = (20, 50, 70, 130, 370)  # seconds from now; the last one is late enough for covers to have lapsed
_RUNS = 10
CONTRACT = FixtureContract.of()
_names = itertools.count()


class LedgerKind(StrEnum):
    SQLITE = "sqlite"
    FIRESTORE = "firestore"


@dataclass(frozen=True, slots=True)
class Lab:
    """Where one run keeps its files, and which kind of ledger its gateways share."""

    folder: Path
    kind: LedgerKind = LedgerKind.SQLITE
    firestore: str | None = None  # host:port of an emulator

    def settings(self, account: Simulator, ledger_url: str, **changes: str) -> dict[str, str]:
        """The whole environment of a gateway. Limits are off or far away: here only the protocol is on trial."""
        settings = {
            **bare_environment(),
            "WEBHOOK_SECRET_TOKEN": SECRET,
            "FYERS_API_URL": account.api_url,
            "FYERS_DATA_URL": account.data_url,
            "SYMBOL_MASTER_URLS": ",".join(account.master_urls),
            "SYMBOL_CACHE": str(self.folder / "symbols"),
            "LEDGER_URL": ledger_url,
            "MARKET_HOURS": "always",
            "IP_ALLOWLIST": "off",
            "TRUSTED_PROXIES": "1",
            "MAX_ORDERS_PER_DAY": "100000",
            "MAX_LOTS_OPEN": "100000",
            "PACE_CALLS": "no",
            "MAX_ORDERS_PER_SECOND": "0",
            "MAX_ORDERS_PER_MINUTE": "0",
            "MAX_REPEATS": "0",
            "MAX_DAILY_LOSS": "0",
            "MAX_PREMIUM_PER_ORDER": "0",
        }
        if self.firestore is not None:
            settings["FIRESTORE_EMULATOR_HOST"] = self.firestore
        return settings | changes

    def new_ledger(self) -> str:
        """The address of a new ledger."""
        if self.kind is LedgerKind.FIRESTORE:
            return f"firestore://proof-{uuid4().hex[:12]}"
        return f"sqlite:///{self.new_file('ledger')}.db"

    def new_file(self, name: str) -> Path:
        return self.folder / f"{name}-{next(_names)}"


@contextmanager
def a_lab(kind: LedgerKind, firestore: str | None = None) -> Iterator[Lab]:
    """A lab in a folder of its own, with the symbols of today in it: no gateway has to fetch them."""
    with TemporaryDirectory(prefix="proof-") as folder:
        lab = Lab(Path(folder), kind, firestore)
        with an_account() as account, an_office(lab.settings(account, f"sqlite:///{lab.new_file('first')}.db")):
            yield lab


@contextmanager
def an_account() -> Iterator[Simulator]:
    """An account in the fixture market with money for everything and no rate limits."""
    exchange = FixtureExchange(capital=Decimal(10**12))
    with Simulator(exchange, accept_any_token=True, rate_limits=False) as account:
        yield account


class MovableClock(SystemClock):
    """The real time and `ahead` of it: what would come minutes later need not be waited for."""

    def __init__(self, ahead: float = 0.0) -> None:
        self.ahead = timedelta(seconds=ahead)

    def now(self) -> datetime:
        return super().now() + self.ahead


class Recorder(logging.Handler):
    """A notifier that remembers what it delivered, by the clock of its desk.

    As a log handler it remembers which notices were summed up: the operator hears of those in the summary alone.
    """

    def __init__(self, clock: MovableClock) -> None:
        super().__init__()
        self.notifications: list[Notification] = []
        self._clock = clock

    def emit(self, record: logging.LogRecord) -> None:
        folded = getattr(record, "notices", ())
        self.notifications += [Notification(self._clock.now(), notice_id, "folded") for notice_id in folded]

    def send(self, notice: Notice, deadline: Deadline) -> bool:  # noqa: ARG002 - a list needs no time
        self.notifications.append(Notification(self._clock.now(), notice.id, notice.kind, notice.text))
        return True


@dataclass(frozen=True, slots=True)
class Office:
    """A desk outside the gateways under test, on their ledger: the scheduler's and the operator's."""

    desk: Desk
    clock: MovableClock
    recorder: Recorder

    def deadline(self, seconds: float = 20.0) -> Deadline:
        return Deadline(self.clock.monotonic, seconds)

    def minutes_pass(self, account: Simulator, since: float = 0.0) -> None:
        """The scheduler's runs, as the broker is; then one over the final book, when the broker is well again."""
        for seconds in SCHEDULER:
            self.clock.ahead = timedelta(seconds=since + seconds)
            self._reconcile(after_close=False)
        account.clear_faults()
        self._reconcile(after_close=True)

    def _reconcile(self, after_close: bool) -> None:
        """One run; where a busy ledger does not answer, the next one comes."""
        for left in reversed(range(_RUNS)):
            try:
                reconcile(self.desk, self.deadline(), after_close)
                return
            except NotNow:
                if not left:
                    raise


@contextmanager
def an_office(settings: Mapping[str, str]) -> Iterator[Office]:
    with emulators_named(settings):
        office = bootstrap(Config.from_env(settings))
    clock = MovableClock()
    recorder = Recorder(clock)
    outbox = logging.getLogger("gateway.outbox")
    outbox.addHandler(recorder)
    try:
        with office.resources:
            yield Office(replace(office.desk, clock=clock, notifier=recorder), clock, recorder)
    finally:
        outbox.removeHandler(recorder)


@contextmanager
def emulators_named(settings: Mapping[str, str]) -> Iterator[None]:
    """Google's clients read the emulator's address from the process's own environment."""
    name = "FIRESTORE_EMULATOR_HOST"
    before = os.environ.get(name)
    if name in settings:
        os.environ[name] = settings[name]
    try:
        yield
    finally:
        if before is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = before


def utc_now() -> datetime:
    return datetime.now(UTC)
