"""Several instances that share store, ledger and phone, and a Fyers in memory that can be down."""

import json
import re
import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, NoReturn

from app.adapters.sqlite.ledger import SqliteLedger
from app.adapters.tokens import FileTokens
from app.domain.deadline import Deadline
from app.domain.errors import NotNow, Reason
from app.domain.notice import Notice
from app.domain.secret import Secret
from app.login import AccountHolder, CurrentToken, Login, LoginLinks
from app.login.holder import seal_of
from app.login.ports import LoginRefused
from app.login.token import Token
from tests.present import present
from tests.tokens import APP_ID, CLIENT_ID, ist, token

SECRET_ID = "CANARY-SECRET-ID"
PIN = "CANARY-4711"


class Clock:
    def __init__(self, at: datetime) -> None:
        self.at = at
        self.seconds = 0.0

    def now(self) -> datetime:
        return self.at + timedelta(seconds=self.seconds)

    def monotonic(self) -> float:
        return self.seconds

    def pass_by(self, seconds: float) -> None:
        self.seconds += seconds

    def sleep(self, seconds: float) -> None:
        self.pass_by(seconds)

    def go_to(self, moment: datetime) -> None:
        self.seconds = (moment - self.at).total_seconds()


class Phone:
    """A sink that can be out of reach."""

    def __init__(self) -> None:
        self.received: list[Notice] = []
        self.works = True

    def send(self, notice: Notice, deadline: Deadline) -> bool:
        if self.works:
            self.received.append(notice)
        return self.works

    def of(self, kind: str) -> list[Notice]:
        return [notice for notice in self.received if notice.kind == kind]


class Store:
    """The file store, which can also be slow, down, and counted."""

    def __init__(self, path: Path, knows: Callable[[Token], bool]) -> None:
        self.file = FileTokens(path, knows)
        self.path = path
        self.loads = 0
        self.is_down = False
        self.hangs = 0  # so many of the next reads wait for `answers`
        self.answers = threading.Event()

    def load(self, deadline: Deadline) -> Token | None:
        self.loads += 1
        if self.hangs:
            self.hangs -= 1
            self.answers.wait(5)
        if self.is_down:
            raise NotNow(Reason.NEEDS_LOGIN, "the token store cannot be read; nothing was sent")
        return self.file.load(deadline)

    def save(self, token: Token, deadline: Deadline) -> Token:
        if self.is_down:
            raise NotNow(Reason.NEEDS_LOGIN, "the token store cannot be written; nothing was sent")
        return self.file.save(token, deadline)

    def link_key(self, deadline: Deadline) -> str:
        if self.is_down:
            raise NotNow(Reason.NEEDS_LOGIN, "the token store cannot be read; nothing was sent")
        return self.file.link_key(deadline)

    def new_link_key(self, deadline: Deadline) -> str:
        if self.is_down:
            raise NotNow(Reason.NEEDS_LOGIN, "the token store cannot be written; nothing was sent")
        return self.file.new_link_key(deadline)


class LedgerDown:
    def down(self, *_: object) -> NoReturn:
        raise NotNow(Reason.LEDGER_DOWN)

    notify = change_controls = once = down


class Fyers:
    """The login side of the broker, in memory: what it was asked, which tokens it takes, and whose they are."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.asked: list[str] = []
        self.dead: set[str] = set()
        self.is_down = False
        self.takes_refresh_tokens = False
        self.gives: dict[str, Token] = {}
        self.says: Callable[[Token], str | None] = lambda token: token.claimed_account

    def auth_url(self, state: str) -> str:
        return f"https://fyers.invalid/generate-authcode?client_id={APP_ID}&state={state}"

    def exchange(self, auth_code: str, deadline: Deadline) -> Token:
        self._hear("exchange")
        if auth_code not in self.gives:
            raise LoginRefused("invalid auth code", -437)
        return self.gives.pop(auth_code)

    def refresh(self, refresh_token: str, pin: str, deadline: Deadline) -> Token:
        self._hear("refresh")
        assert pin == PIN
        if not self.takes_refresh_tokens:
            raise LoginRefused("Please provide valid refresh token", -501)
        return replace(token(self.clock.now()), app_id=None)

    def profile(self, token: Token, deadline: Deadline) -> str | None:
        self._hear("profile")
        if token.access_token in self.dead or present(token.ends_at) <= self.clock.now():
            raise LoginRefused("Token is Invalid or Expired", -16)
        return self.says(token)

    def _hear(self, what: str) -> None:
        self.asked.append(what)
        if self.is_down:
            raise NotNow(Reason.BROKER_DOWN)


class Instance:
    """One of several instances of the service: they share the store, the ledger and the phone."""

    def __init__(self, world: "World", ledger: Any = None, pin: str | None = None) -> None:
        ledger = ledger or world.ledger
        holder = AccountHolder(world.fyers, CLIENT_ID, Secret(SECRET_ID))
        self.links = LoginLinks(world.store, world.fyers.auth_url, ledger, world.clock)
        self.current = CurrentToken(world.store, ledger, world.phone, world.clock, self.links, holder, APP_ID)
        secret = Secret(pin) if pin else None
        self.login = Login(world.fyers, world.store, self.current, self.links, world.clock, holder, APP_ID, secret)

    def begin(self, world: "World") -> str:
        return self.login.begin(world.soon())


class World:
    def __init__(self, folder: Path) -> None:
        self.clock = Clock(ist(9, 16))
        self.phone = Phone()
        self.ledger = SqliteLedger(folder / "ledger.db")
        self.fyers = Fyers(self.clock)
        self.holder = AccountHolder(self.fyers, CLIENT_ID, Secret(SECRET_ID))
        self.store = Store(folder / "tokens.json", self.holder.knows)

    def soon(self, seconds: float = 15.0) -> Deadline:
        return Deadline(self.clock.monotonic, seconds)

    def instance(self, **options: Any) -> Instance:
        return Instance(self, **options)

    def put(self, token: Token) -> Token:
        """What a login of the owner's leaves in the store."""
        token = replace(token, seal=seal_of(token.access_token, CLIENT_ID, Secret(SECRET_ID)))
        self.store.file.save(token, self.soon())
        return token

    def slip_in(self, token: Token) -> Token:
        """A token object that no login of this gateway wrote."""
        self.store.path.write_text(json.dumps(token.document()))
        return token

    def alert(self, instance: Instance, seconds: float = 2.0) -> Token | str:
        """What an alert does about the token: the token, or the sentence it is put off with."""
        try:
            return instance.current.token(self.soon(seconds))
        except NotNow as not_now:
            return f"{not_now.reason}: {not_now.message}"

    def served(self, instance: Instance) -> Token:
        """The token, which an alert gets."""
        got = self.alert(instance)
        assert isinstance(got, Token)
        return got

    def put_off(self, instance: Instance, seconds: float = 2.0) -> str:
        """The sentence that an alert is put off with."""
        got = self.alert(instance, seconds)
        assert isinstance(got, str)
        return got


def state_of(url: str) -> str:
    return present(re.search(r"state=([0-9a-f.]+)", url))[1]
