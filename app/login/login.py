"""What a person and the scheduler do about the login: start it, complete it, bring its state up to date.

SEBI's rules ended Fyers' refresh tokens in April 2026: somebody logs in once a trading day, after 06:30 IST. A refresh
token is still used where there is one, the PIN is set and Fyers takes it; whatever comes of it has to pass `/profile`.
"""

import logging
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from app.calendar import IST
from app.deadline import Deadline
from app.errors import NotNow
from app.login.current import CurrentToken, LoginState, LoginStatus, said
from app.login.links import LINK_LASTS, PHONE_LINK_LASTS, LoginLinks
from app.notice import Notice, Severity
from app.ports import BrokerLogin, Clock, LoginRefused, TokenStore, TokenUnreadable
from app.secret import Secret
from app.token import Token

log = logging.getLogger("gateway.login")

CALL = 5.0  # seconds for one call to Fyers; a login has 15 in all
STORE = 4.0  # of these, kept back for storing the token
_VALIDATED_ANEW = timedelta(minutes=10)  # a validation is worth a write to the store no more often
_LONGEST_CODE = 8192


@dataclass(frozen=True, slots=True)
class LoginResult:
    """`account` is whose token Fyers says it is, where it says so; `warnings` are for a person."""

    state: LoginState
    validated: bool
    account: str | None
    ends_at: datetime | None
    warnings: tuple[str, ...] = ()


class Login:
    def __init__(
        self,
        broker: BrokerLogin,
        store: TokenStore,
        current: CurrentToken,
        links: LoginLinks,
        clock: Clock,
        app_id: str,
        pin: Secret | None,
    ) -> None:
        self._broker = broker
        self._store = store
        self._current = current
        self._links = links
        self._clock = clock
        self._app_id = app_id
        self._pin = pin

    def begin(self) -> str:
        """The Fyers login page, for a person who opens it now."""
        return self._links.new(LINK_LASTS)

    def status(self, deadline: Deadline, needed_until: datetime | None = None) -> LoginStatus:
        """What can be said without asking Fyers; tells nobody, never raises."""
        return self._current.status(deadline, needed_until)

    def complete(self, auth_code: str | None, state: str | None, deadline: Deadline) -> LoginResult:
        """The end of a login by link. Raises LoginRefused, and NotNow where it cannot be told or stored."""
        self._links.use(state or "", deadline)
        return self.exchange(auth_code, deadline)

    def exchange(self, auth_code: str | None, deadline: Deadline) -> LoginResult:
        """The same for an auth code that the operator brings. The token is stored only if Fyers does not refuse it."""
        if not auth_code or len(auth_code) > _LONGEST_CODE or not auth_code.isascii() or not auth_code.isprintable():
            raise LoginRefused(
                "there is no auth_code; Fyers hands it over in the parameter of that name, not in `code`"
            )
        token = self._checked(self._broker.exchange(auth_code, deadline.within(CALL, tail=STORE)))
        account: str | None = None
        warnings: list[str] = []
        try:
            token, account = self._validated(token, deadline.within(CALL, tail=STORE))
        except NotNow:
            warnings.append("Fyers did not answer when the new token was tried; it is stored all the same")
        kept = self._store.save(token, deadline)
        if kept.access_token != token.access_token:
            warnings.append("somebody logged in after this login began; that newer token stays in use")
        if kept.ends_on_its_day:
            warnings.append(f"got before 06:30 IST, this token ends {said(kept.ends_at)}: log in again after 06:30")
        self._current.adopt(kept)
        log.warning("logged in at Fyers", extra={"ends_at": str(kept.ends_at), "warnings": warnings})
        validated = token.last_validated_at is not None
        return LoginResult(self._current.state, validated, account, kept.ends_at, tuple(warnings))

    def refresh(self, deadline: Deadline) -> LoginState:
        """Brings the state up to date, and sends the login link to the phone where a login is needed.

        UNKNOWN where the store or Fyers does not answer: then nothing is changed and nobody is told.
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
        except TokenUnreadable:
            return None

    def _is_alive(self, token: Token, deadline: Deadline) -> bool:
        """Asks Fyers, also about a token that it refused before. Raises NotNow where Fyers does not answer."""
        now = self._clock.now()
        if not token.can_be_alive(now) or token.app_id not in (None, self._app_id):
            return False
        try:
            validated, _ = self._validated(token, deadline.within(CALL, tail=STORE))
        except LoginRefused as refusal:
            self._current.refuse(token, refusal.message)
            return False
        before = token.last_validated_at
        if before is None or now - before > _VALIDATED_ANEW or self._current.problem_of(token) is not None:
            self._note_validation(validated, deadline)
        self._current.adopt(validated)
        return True

    def _note_validation(self, token: Token, deadline: Deadline) -> None:
        """Other instances that saw the token refused go by this and use it again."""
        try:
            self._store.save(token, deadline)
        except NotNow:
            log.warning("the token is good, but that could not be noted in the store")

    def _is_renewed(self, token: Token, deadline: Deadline) -> bool:
        if self._pin is None or token.refresh_token is None:
            return False
        try:
            renewed = self._broker.refresh(token.refresh_token, self._pin.reveal(), deadline.within(CALL, tail=STORE))
            renewed = self._checked(replace(renewed, refresh_token=renewed.refresh_token or token.refresh_token))
            renewed, _ = self._validated(renewed, deadline.within(CALL, tail=STORE))
            self._current.adopt(self._store.save(renewed, deadline))
        except (LoginRefused, NotNow) as problem:
            log.warning("the refresh token is of no use", extra={"why": problem.message})
            return False
        return True

    def _send_link(self, deadline: Deadline) -> LoginState:
        try:
            self._current.look(deadline, tell=False)
            return LoginState.AUTHENTICATED  # a login came in between
        except NotNow:
            pass  # as expected
        local = self._clock.now().astimezone(IST)
        quarter = local.replace(minute=local.minute // 15 * 15)
        text = (
            f"Log in at Fyers for today (after 06:30 IST): {self._links.new(PHONE_LINK_LASTS)} "
            f"The link works once, for {PHONE_LINK_LASTS.seconds // 60} minutes."
        )
        notice = Notice(f"login:link:{quarter:%Y-%m-%dT%H:%M}", "login-link", Severity.WARNING, text)
        self._current.tell(notice, deadline)
        return LoginState.NEEDS_LOGIN

    def _checked(self, token: Token) -> Token:
        """The token as it may be stored. Raises LoginRefused where it is of another app, or dead."""
        now = self._clock.now()
        token = token.dated()
        token = replace(token, issued_at=token.issued_at or now, app_id=token.app_id or self._app_id)
        if token.app_id != self._app_id:
            raise LoginRefused("this login was made for another app than FYERS_APP_ID")
        if not token.can_be_alive(now):
            raise LoginRefused(
                f"Fyers gave a token that ended {said(token.ends_at)} already; check this machine's clock"
            )
        return token

    def _validated(self, token: Token, deadline: Deadline) -> tuple[Token, str | None]:
        account = self._broker.profile(token, deadline)
        return replace(token, last_validated_at=self._clock.now()), account
