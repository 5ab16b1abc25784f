"""The token that the broker adapter uses now, and the steps to take if there is none.

    UNKNOWN        the store was not read, or did not answer
    AUTHENTICATED  there is a token that can be alive
    NEEDS_LOGIN    there is none: no login today, it has ended, Fyers refused it, or it is of another app or account

A token that is known to have ended is never tried at Fyers. After a refusal by Fyers the store is read again, since
another instance may have stored today's token. If it has no other, the owner is notified once a day for each dead
token. While a login is needed the store is read at most once a second, so one login reaches all instances. A store that
does not answer ends no login that can be alive.
"""

import hashlib
import logging
import threading
from concurrent.futures import Future
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from app.domain.calendar import IST, ist_day
from app.domain.deadline import Deadline
from app.domain.errors import NotNow, Reason
from app.domain.notice import Notice, Severity, hour_of
from app.domain.risk.controls import SYSTEM, Controls, TradingState
from app.flow.outbox import deliver
from app.flow.ports import Clock, Ledger, Notifier
from app.flow.single_flight import SingleFlight, apart
from app.login.holder import AccountHolder, OtherAccount
from app.login.links import PHONE_LINK_LASTS, LoginLinks
from app.login.ports import ForeignToken, LoginRefused, TokenStore, TokenUnreadable
from app.login.token import Token

log = logging.getLogger("gateway.login")

READ = 2.0  # seconds
AGAIN_AFTER = 1.0  # seconds that an answer is reused, a failure too; the next read finds a login at another instance
TELLING = 1.0  # seconds that a notice may take
MAKING_A_LINK = 0.5  # seconds of an alert that cannot be traded anyway
_LOGIN_DAY_BEGINS = timedelta(hours=6)  # after midnight IST: tokens end then, and the next login is due
_REMEMBERED = 8


class LoginState(StrEnum):
    UNKNOWN = "UNKNOWN"
    AUTHENTICATED = "AUTHENTICATED"
    NEEDS_LOGIN = "NEEDS_LOGIN"


MOVES: dict[LoginState, frozenset[LoginState]] = {
    LoginState.UNKNOWN: frozenset({LoginState.AUTHENTICATED, LoginState.NEEDS_LOGIN}),
    LoginState.AUTHENTICATED: frozenset({LoginState.NEEDS_LOGIN}),
    LoginState.NEEDS_LOGIN: frozenset({LoginState.AUTHENTICATED}),
}


@dataclass(frozen=True, slots=True)
class LoginStatus:
    """What is known without asking Fyers. `problem` is one sentence."""

    state: LoginState
    problem: str | None = None
    ends_at: datetime | None = None


class CurrentToken:
    """Implements `ports.TokenSource`; one for the process, used by all its threads."""

    def __init__(
        self,
        store: TokenStore,
        ledger: Ledger,
        notifier: Notifier,
        clock: Clock,
        links: LoginLinks,
        holder: AccountHolder,
        app_id: str,
    ) -> None:
        self._store = store
        self._reads: SingleFlight[Token | None] = SingleFlight(clock.monotonic, apart("token-read"))
        self._holder = holder
        self._ledger = ledger
        self._notifier = notifier
        self._clock = clock
        self._links = links
        self._app_id = app_id
        self._lock = threading.Lock()  # guards what follows; no call is made under it
        self._state = LoginState.UNKNOWN
        self._token: Token | None = None
        self._judged: tuple[str, Token | str] | None = None  # the last token asked about: proved, or its other account
        self._refused: dict[str, tuple[datetime, str]] = {}
        self._told: dict[str, str] = {}  # the last notice of each kind

    @property
    def state(self) -> LoginState:
        return self._state

    def token(self, deadline: Deadline) -> Token:
        """Makes no call while the token can be alive. Raises NotNow, and notifies the owner, if there is none."""
        return self.alive or self.look(deadline)

    def look(self, deadline: Deadline, *, fresh: bool = False, tell: bool = True) -> Token:
        """Uses the stored token. Raises NotNow; the state stays if the store does not answer."""
        try:
            stored = self.stored(deadline, fresh)
        except TokenUnreadable as unreadable:
            if tell and isinstance(unreadable, ForeignToken):
                self.tell_refused(unreadable.account, "the token store", deadline)
            return self._without(None, unreadable.message, deadline, tell)
        except NotNow as down:
            problem = self._token and self.problem_of(self._token)
            if problem is None:
                raise
            return self._without(self._token, f"{problem} ({down.message})", deadline, tell)
        problem = self.problem_of(stored)
        if stored is None or problem is not None:
            return self._without(stored, problem or "", deadline, tell)
        return self.adopt(stored)

    def stored(self, deadline: Deadline, fresh: bool = True) -> Token | None:
        """The stored token, dead or alive; one that can be alive is the owner's. Raises NotNow.

        All callers share one read, in a thread of its own; each waits by its own deadline. `fresh` ignores a finished
        read. A read that should have ended long ago is given up.
        """

        def again(read: "Future[Token | None]", age: float) -> bool:
            return age >= READ + AGAIN_AFTER or (read.done() and (fresh or age >= AGAIN_AFTER))

        try:
            return self._reads.run(self._read, again).result(deadline.cap(READ))
        except TimeoutError:
            raise NotNow(Reason.NEEDS_LOGIN, "the token store does not answer in time; nothing was sent") from None

    def _read(self) -> Token | None:
        deadline = Deadline(self._clock.monotonic, READ)
        token = self._store.load(deadline)
        return None if token is None else self._owned(token, deadline)

    @property
    def alive(self) -> Token | None:
        """The token in use, if it can be alive."""
        token = self._token
        return None if self.problem_of(token) is not None else token

    def _owned(self, token: Token, deadline: Deadline) -> Token:
        """The stored token, if it is the owner's. Raises ForeignToken, and NotNow if Fyers names no account.

        Anyone with write access to the store can put any token there. Fyers is asked once about a token that no login
        here has sealed, before its first use. Runs in one thread at a time (`_read`).
        """
        if self.problem_of(token) is not None or self._holder.knows(token):
            return token
        if self._judged is None or self._judged[0] != token.access_token:
            try:
                judged: Token | str = self._holder.proved(token, deadline)
            except OtherAccount as other:
                judged = other.account
            except LoginRefused as refusal:
                self.refuse(token, refusal.message)
                return token
            self._judged = token.access_token, judged
        judged = self._judged[1]
        if isinstance(judged, str):
            raise ForeignToken(judged)
        return judged

    def adopt(self, token: Token) -> Token:
        """Uses a token that can be alive, unless the one in use is newer. Returns the one in use."""
        with self._lock:
            if (current := self.alive) is not None and token.is_older_than(current):
                return current
            self._token = token
            self._refused.pop(token.access_token, None)
            self._move(LoginState.AUTHENTICATED, f"a token that ends {said(token.ends_at)}")
            return token

    def refuse(self, token: Token, message: str) -> None:
        """Remembers that Fyers refuses this token."""
        words = _in_short(message.replace(token.access_token, "…"))
        with self._lock:
            self._refused[token.access_token] = (self._clock.now(), words)
            for oldest in list(self._refused)[:-_REMEMBERED]:
                del self._refused[oldest]

    def refused(self, token: Token, message: str, deadline: Deadline) -> bool:
        if (current := self.alive) is not None and current.access_token != token.access_token:
            return True  # the answer to a request from before the login
        self.refuse(token, message)
        try:
            return self.look(deadline, fresh=True).access_token != token.access_token
        except NotNow:
            return False

    def forbidden(self, message: str, deadline: Deadline) -> None:
        now = self._clock.now()
        why = f"Fyers takes no orders from this app: {_in_short(message)}"
        log.critical("trading has to halt", extra={"why": why})

        def halt(controls: Controls) -> Controls:
            halted = controls.state is TradingState.HALTED
            return controls if halted else controls.switched(TradingState.HALTED, why, SYSTEM, now)

        try:
            self._ledger.change_controls(halt, deadline)
        except NotNow:
            text = f"{why}. Trading could not be halted, since the ledger does not answer."
            self._notifier.send(Notice(f"forbidden:{ist_day(now)}", "forbidden", Severity.CRITICAL, text), deadline)

    def status(self, deadline: Deadline, needed_until: datetime | None = None) -> LoginStatus:
        """For `/readyz` and preflight: sends no notice and never raises. `needed_until`: the end of the session."""
        try:
            token = self.alive or self.look(deadline, tell=False)
        except NotNow as none:
            return LoginStatus(self._state, none.message)
        short = needed_until is not None and token.ends_at is not None and token.ends_at < needed_until
        problem = f"the login ends {said(token.ends_at)}: log in again after 06:30 IST" if short else None
        return LoginStatus(self._state, problem, token.ends_at)

    def problem_of(self, token: Token | None) -> str | None:
        """Why this token must not be used; None if it can be alive."""
        if token is None:
            return "there is no login at Fyers; nothing was sent"
        if token.app_id is not None and token.app_id != self._app_id:
            return "the stored Fyers token is of another app than FYERS_APP_ID: log in again; nothing was sent"
        if not token.can_be_alive(self._clock.now()):
            return f"the Fyers login ended {said(token.ends_at)}: log in again; nothing was sent"
        refused = self._refused.get(token.access_token)
        validated = token.last_validated_at
        if refused is None or (validated is not None and validated > refused[0]):
            return None
        return f"Fyers refuses the token ({refused[1]}): log in again; nothing was sent"

    def tell(self, notice: Notice, deadline: Deadline) -> None:
        """Publishes a notice through the ledger, once for all instances; directly if the ledger is down."""
        with self._lock:
            if self._told.get(notice.kind) == notice.id:
                return
            self._told[notice.kind] = notice.id
        within = deadline.within(TELLING)
        try:
            if self._ledger.notify(notice, within):
                deliver(notice, self._ledger, self._notifier, within)
        except NotNow:
            if not self._notifier.send(notice, within):
                log.critical("the owner could not be notified", extra={"notice": notice.id})  # the text may have a link
                self._told.pop(notice.kind, None)

    def tell_refused(self, account: str, page: str, deadline: Deadline) -> None:
        """For a login of another account: one notice an hour for each account and page."""
        text = (
            f"A login of the Fyers account {account} came through {page} and was refused, since it is not "
            "FYERS_CLIENT_ID. The former login stays in force. If you did not do this, another person has a "
            "login link, the operator's token or the token store: check who can read notices and store, and change "
            "OPERATOR_TOKEN."
        )
        which = hashlib.sha256(f"{account} {page}".encode()).hexdigest()[:8]
        notice_id = f"refused-login:{hour_of(self._clock.now())}:{which}"
        self.tell(Notice(notice_id, "login-refused", Severity.CRITICAL, text, {"page": page}), deadline)

    def way_in(self, deadline: Deadline) -> str:
        """A login link for a notice; if none can be made, the reason."""
        try:
            link = self._links.new(PHONE_LINK_LASTS, deadline.within(MAKING_A_LINK))
        except NotNow as problem:
            return f"ask for a link (GET /auth-url); this notice has none, since {problem.message}."
        return f"{link} The link works once, for {PHONE_LINK_LASTS.seconds // 60} minutes."

    def _without(self, stored: Token | None, problem: str, deadline: Deadline, tell: bool) -> Token:
        """Raises NotNow: no token can be alive. If a login was completed meanwhile, returns its token."""
        with self._lock:
            if (current := self.alive) is not None:
                return current
            self._token = None
            self._move(LoginState.NEEDS_LOGIN, problem)
        if tell:
            self._tell_needed(stored, problem, deadline)
        raise NotNow(Reason.NEEDS_LOGIN, problem)

    def _tell_needed(self, stored: Token | None, problem: str, deadline: Deadline) -> None:
        day = ist_day(self._clock.now() - _LOGIN_DAY_BEGINS)
        which = "none" if stored is None else hashlib.sha256(stored.access_token.encode()).hexdigest()[:8]
        notice_id, kind = f"login:needed:{day}:{which}", "login-needed"
        if self._told.get(kind) != notice_id:  # a link costs a read of the store
            text = f"Alerts are not traded: {problem}. Log in (after 06:30 IST): {self.way_in(deadline)}"
            self.tell(Notice(notice_id, kind, Severity.CRITICAL, text), deadline)

    def _move(self, to: LoginState, why: str) -> None:
        if to is self._state:
            return
        if to not in MOVES[self._state]:
            raise ValueError(f"the login cannot go from {self._state} to {to}")
        log.warning("login %s -> %s", self._state, to, extra={"why": why})
        self._state = to


def _in_short(message: str) -> str:
    """The message on one line of at most 200 characters."""
    return " ".join(message.split())[:200]


def said(moment: datetime | None) -> str:
    """A time in IST for a sentence: "at 06:00 IST on 21-Nov-2026"."""
    return "when Fyers says so" if moment is None else f"{moment.astimezone(IST):at %H:%M IST on %d-%b-%Y}"
