"""What the login asks of the outside, on one page. Each call takes its deadline and names what it raises."""

from typing import Protocol

from app.domain.deadline import Deadline
from app.domain.errors import NotNow, Reason
from app.login.token import Token


class TokenUnreadable(NotNow):
    """The token store holds something else than a token; the next login replaces it."""

    def __init__(self, problem: str = "cannot be read") -> None:
        super().__init__(Reason.NEEDS_LOGIN, f"the stored Fyers token {problem}: log in again; nothing was sent")


class ForeignToken(TokenUnreadable):
    """The token store holds the token of another account (`account`, masked); the next login replaces it."""

    def __init__(self, account: str) -> None:
        super().__init__(f"belongs to the account {account}, which is not FYERS_CLIENT_ID")
        self.account = account


class TokenStore(Protocol):
    """One token object, shared by all instances. Each call raises NotNow where the store does not answer in time."""

    def load(self, deadline: Deadline) -> Token | None:
        """The stored token, or None. Raises TokenUnreadable where the store holds nonsense."""

    def save(self, token: Token, deadline: Deadline) -> Token:
        """Replaces the stored token, wholly or not at all, unless that one was issued later: the newer login stays.

        A stored token that is not known to be the owner's is replaced however new it says it is. Returns what the
        store holds afterwards: this token, or the newer one.
        """


class LinkKeys(Protocol):
    """The key that signs login links: 64 hex digits, kept beside the token, one for all instances.

    Each call raises NotNow where the store does not answer in time.
    """

    def link_key(self, deadline: Deadline) -> str:
        """The key as the store has it; where there is none it is made, one for all who ask at the same time."""

    def new_link_key(self, deadline: Deadline) -> str:
        """Replaces it by another one, which is returned."""


class LoginRefused(Exception):
    """Fyers (with its code) or we did not take a step of the login; `message` says why, and has no secret in it."""

    def __init__(self, message: str, code: int | None = None) -> None:
        super().__init__(message if code is None else f"{message} ({code})")
        self.message = message
        self.code = code


class BrokerLogin(Protocol):
    """Fyers' login. Calls raise LoginRefused, in Fyers' words, where it answers no, and NotNow for anything else."""

    def auth_url(self, state: str) -> str:
        """The page where the owner logs in; Fyers hands the state back with the auth code. No call is made."""

    def exchange(self, auth_code: str, deadline: Deadline) -> Token:
        """The day's token for a fresh auth code, which works once."""

    def refresh(self, refresh_token: str, pin: str, deadline: Deadline) -> Token:
        """A new token without a login, where Fyers still allows that."""

    def profile(self, token: Token, deadline: Deadline) -> str | None:
        """The id of the account whose token it is, asked of Fyers: proof that it is alive. None where it says none.

        LoginRefused only where Fyers says that the token is dead; any other trouble is NotNow.
        """


class TokenSource(Protocol):
    """Where the broker adapter gets today's token from, and whom it tells when Fyers does not take it."""

    def token(self, deadline: Deadline) -> Token:
        """The token to use now. Raises NotNow(NEEDS_LOGIN) where there is none that can be alive."""

    def refused(self, token: Token, message: str, deadline: Deadline) -> bool:
        """Fyers refused this token, in these words. True where the store holds another one by now: try once more."""

    def forbidden(self, message: str, deadline: Deadline) -> None:
        """Fyers lets this app place no orders (app type, permission or address): trading has to halt."""
