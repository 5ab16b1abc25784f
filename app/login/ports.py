"""What the login needs of the outside, on one page. Each call takes its deadline and names what it raises."""

from typing import Protocol

from app.domain.deadline import Deadline
from app.domain.errors import NotNow, Reason
from app.login.token import Token


class TokenUnreadable(NotNow):
    """The token store has something other than a token; the next login replaces it."""

    def __init__(self, problem: str = "cannot be read") -> None:
        super().__init__(Reason.NEEDS_LOGIN, f"the stored Fyers token {problem}: log in again; nothing was sent")


class ForeignToken(TokenUnreadable):
    """The stored token belongs to another account (`account`, masked); the next login replaces it."""

    def __init__(self, account: str) -> None:
        super().__init__(f"belongs to the account {account}, which is not FYERS_CLIENT_ID")
        self.account = account


class TokenStore(Protocol):
    """One token object, shared by all instances. Each call raises NotNow if the store does not answer in time."""

    def load(self, deadline: Deadline) -> Token | None:
        """The stored token, or None. Raises TokenUnreadable for anything else in the store."""

    def save(self, token: Token, deadline: Deadline) -> Token:
        """Replaces the stored token atomically, and returns the stored one afterwards.

        A later issued token stays, if it is known to be the owner's.
        """


class LinkKeys(Protocol):
    """The key that signs login links: 64 hex digits, one for all instances. Raises NotNow as TokenStore does."""

    def link_key(self, deadline: Deadline) -> str:
        """The stored key. A missing one is made; concurrent callers get the same."""

    def new_link_key(self, deadline: Deadline) -> str:
        """Replaces the key and returns the new one."""


class LoginRefused(Exception):
    """Fyers (with its `code`) or the gateway refused a step of the login. `message` says why and has no secret."""

    def __init__(self, message: str, code: int | None = None) -> None:
        super().__init__(message if code is None else f"{message} ({code})")
        self.message = message
        self.code = code


class BrokerLogin(Protocol):
    """Fyers' login. Calls raise LoginRefused with Fyers' message if it refuses, and NotNow for any other failure."""

    def auth_url(self, state: str) -> str:
        """The page where the owner logs in. Fyers returns the state with the auth code. Makes no call."""

    def exchange(self, auth_code: str, deadline: Deadline) -> Token:
        """The day's token for a fresh auth code, which works once."""

    def refresh(self, refresh_token: str, pin: str, deadline: Deadline) -> Token:
        """A new token without a login, if Fyers still allows that."""

    def profile(self, token: Token, deadline: Deadline) -> str | None:
        """The account id that Fyers gives for the token, None if it names none. Either proves the token alive.

        Raises LoginRefused only if Fyers says that the token is dead.
        """


class TokenSource(Protocol):
    """Gives the broker adapter today's token, and is informed if Fyers refuses it."""

    def token(self, deadline: Deadline) -> Token:
        """The token to use now. Raises NotNow(NEEDS_LOGIN) if there is none that can be alive."""

    def refused(self, token: Token, message: str, deadline: Deadline) -> bool:
        """Fyers refused this token with this message. True if the store has another one by now: try once more."""

    def forbidden(self, message: str, deadline: Deadline) -> None:
        """Fyers refuses all orders of this app (app type, permission or address): halts trading."""
