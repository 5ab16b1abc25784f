"""The login's steps for the owner and the scheduler: start it, complete it, update its state.

SEBI's rules ended Fyers' refresh tokens in April 2026: the owner logs in once a trading day, after 06:30 IST. A refresh
token is still used if there is one, the PIN is set and Fyers accepts it. The new token has to pass `/profile` too.
"""

import hashlib
import logging
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from app.domain.calendar import IST
from app.domain.deadline import Deadline
from app.domain.errors import NotNow, Reason
from app.domain.notice import Notice, Severity
from app.domain.secret import Secret
from app.flow.ports import Clock
from app.login.current import CurrentToken, LoginState, LoginStatus, said
from app.login.holder import AccountHolder, OtherAccount
from app.login.links import LINK_LASTS, LoginLinks
from app.login.ports import BrokerLogin, ForeignToken, LoginRefused, TokenStore, TokenUnreadable
from app.login.token import Token

log = logging.getLogger("gateway.login")

CALL = 5.0  # seconds for one call to Fyers; a login has 15 in all
STORE = 4.0  # of these, kept for storing the token
_VALIDATED_ANEW = timedelta(minutes=10)  # a new validation is stored no more often
_LONGEST_CODE = 8192
_RENEWAL, _STORE = "the refresh token", "the token store"  # in notices, in place of a page


@dataclass(frozen=True, slots=True)
class LoginResult:
    """`account` is the token's account, masked. `warnings` are sentences for the owner."""

    state: LoginState
    account: str
    ends_at: datetime | None
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, repr=False)
class Login:
    _broker: BrokerLogin
    _store: TokenStore
    _current: CurrentToken
    _links: LoginLinks
    _clock: Clock
    _holder: AccountHolder
    _app_id: str
    _pin: Secret | None

    def begin(self, deadline: Deadline) -> str:
        """The Fyers login page, for the owner to open now. Raises NotNow if no link can be made."""
        return self._links.new(LINK_LASTS, deadline)

    def status(self, deadline: Deadline, needed_until: datetime | None = None) -> LoginStatus:
        """The state without asking Fyers. Sends no notice and never raises."""
        return self._current.status(deadline, needed_until)

    def complete(self, auth_code: str | None, state: str | None, page: str, deadline: Deadline) -> LoginResult:
        """Completes a login by link. Raises LoginRefused, and NotNow if it cannot be checked or stored."""
        self._links.use(state or "", deadline)
        return self.exchange(auth_code, page, deadline)

    def exchange(self, auth_code: str | None, page: str, deadline: Deadline) -> LoginResult:
        """Completes a login by an auth code; `page` names the route for the notice. Raises as `complete` does.

        The token is stored only after Fyers has named the owner's account; until then the former token stays.
        """
        if not auth_code or len(auth_code) > _LONGEST_CODE or not auth_code.isascii() or not auth_code.isprintable():
            raise LoginRefused("there is no auth_code; Fyers returns it in the parameter of that name, not in `code`")
        token = self._checked(self._broker.exchange(auth_code, deadline.within(CALL, tail=STORE)))
        try:
            token = self._proved(token, deadline)
        except OtherAccount as other:
            self._current.tell_refused(other.account, page, deadline)
            raise
        kept = self._kept(token, page, deadline)
        warnings: list[str] = []
        if kept.access_token != token.access_token:
            warnings.append("a later login was completed meanwhile; its newer token stays in use")
        if kept.ends_on_its_day:
            warnings.append(f"issued before 06:30 IST, this token ends {said(kept.ends_at)}: log in again after 06:30")
        log.warning("logged in at Fyers", extra={"ends_at": str(kept.ends_at), "warnings": warnings})
        return LoginResult(self._current.state, self._holder.name, kept.ends_at, tuple(warnings))

    def refresh(self, deadline: Deadline) -> LoginState:
        """Updates the state, and sends the login link to the owner's phone if a login is needed.

        UNKNOWN if the store or Fyers does not answer: then nothing changes and no notice is sent.
        """
        try:
            token = self._stored(deadline)
            if token is not None and (self._is_alive(token, deadline) or self._is_renewed(token, deadline)):
                return LoginState.AUTHENTICATED
            return self._send_link(deadline)
        except NotNow as problem:
            log.error("the login state cannot be told", extra={"why": problem.message})
            return LoginState.UNKNOWN

    def _stored(self, deadline: Deadline) -> Token | None:
        try:
            return self._current.stored(deadline)
        except ForeignToken as foreign:  # the owner's token, if this process still has it, goes back into the store
            self._current.tell_refused(foreign.account, _STORE, deadline)
            token = self._current.alive
            return None if token is None else self._store.save(token, deadline)
        except TokenUnreadable:
            return None

    def _is_alive(self, token: Token, deadline: Deadline) -> bool:
        """Asks Fyers, also about a token that it refused before. Raises NotNow if Fyers does not answer."""
        now = self._clock.now()
        if not token.can_be_alive(now) or token.app_id not in (None, self._app_id):
            return False
        try:
            validated = self._validated(token, deadline)
        except LoginRefused as refusal:
            if isinstance(refusal, OtherAccount):
                self._current.tell_refused(refusal.account, _STORE, deadline)
            self._current.refuse(token, refusal.message)
            return False
        before = token.last_validated_at
        if before is None or now - before > _VALIDATED_ANEW or self._current.problem_of(token) is not None:
            self._note_validation(validated, deadline)
        self._current.adopt(validated)
        return True

    def _note_validation(self, token: Token, deadline: Deadline) -> None:
        """Stores the validation: other instances that saw the token refused then use it again."""
        try:
            self._store.save(token, deadline)
        except NotNow:
            log.warning("the token is valid, but its validation could not be stored")

    def _is_renewed(self, token: Token, deadline: Deadline) -> bool:
        if self._pin is None or token.refresh_token is None:
            return False
        try:
            renewed = self._broker.refresh(token.refresh_token, self._pin.reveal(), deadline.within(CALL, tail=STORE))
            renewed = self._checked(replace(renewed, refresh_token=renewed.refresh_token or token.refresh_token))
            self._kept(self._validated(renewed, deadline), _RENEWAL, deadline)
        except OtherAccount as other:
            self._current.tell_refused(other.account, _RENEWAL, deadline)
            return False
        except (LoginRefused, NotNow) as problem:
            log.warning("the refresh token gave no new token", extra={"why": problem.message})
            return False
        return True

    def _send_link(self, deadline: Deadline) -> LoginState:
        with suppress(NotNow):
            self._current.look(deadline, tell=False)
            return LoginState.AUTHENTICATED  # a login was completed meanwhile
        local = self._clock.now().astimezone(IST)
        quarter = local.replace(minute=local.minute // 15 * 15)
        text = f"Log in at Fyers for today (after 06:30 IST): {self._current.way_in(deadline)}"
        notice = Notice(f"login:link:{quarter:%Y-%m-%dT%H:%M}", "login-link", Severity.WARNING, text)
        self._current.tell(notice, deadline)
        return LoginState.NEEDS_LOGIN

    def _checked(self, token: Token) -> Token:
        """The token with its times and app. Raises LoginRefused if it belongs to another app or is dead."""
        now = self._clock.now()
        token = token.dated()
        token = replace(token, issued_at=token.issued_at or now, app_id=token.app_id or self._app_id)
        if token.app_id != self._app_id:
            raise LoginRefused("this login was made for another app than FYERS_APP_ID")
        if not token.can_be_alive(now):
            ended = said(token.ends_at)
            raise LoginRefused(f"Fyers gave a token that ended {ended} already; check this machine's clock")
        return token

    def _proved(self, token: Token, deadline: Deadline) -> Token:
        """As `_validated`, with a second try: the auth code is used up, so a failure costs the owner another login."""
        try:
            return self._validated(token, deadline)
        except NotNow as problem:
            log.warning("Fyers did not say whose login this is", extra={"why": problem.message})
        try:
            return self._validated(token, deadline)
        except NotNow:
            text = "Fyers did not say whose login this is, so it was refused: log in again"
            raise NotNow(Reason.BROKER_DOWN, text) from None

    def _validated(self, token: Token, deadline: Deadline) -> Token:
        proved = self._holder.proved(token, deadline.within(CALL, tail=STORE))
        return replace(proved, last_validated_at=self._clock.now())

    def _kept(self, token: Token, page: str, deadline: Deadline) -> Token:
        """Ends every open link, then stores and uses a proved token, and sends a notice. Returns the stored token."""
        self._links.end_all(deadline)
        kept = self._current.adopt(self._store.save(token, deadline))
        text = f"Logged in at Fyers as {self._holder.name} through {page}; it ends {said(kept.ends_at)}."
        notice_id = f"logged-in:{hashlib.sha256(token.access_token.encode()).hexdigest()[:16]}"
        self._current.tell(Notice(notice_id, "logged-in", Severity.INFO, text, {"page": page}), deadline)
        return kept
