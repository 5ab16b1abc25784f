"""Login links: Fyers' login page with a state that only the gateway can make, that expires, and that works once.

Fyers returns the state with the auth code, through the owner's browser. It is `nonce.expiry.mac`. The key is random and
stored beside the token, for all instances. Each login replaces it, which ends every link issued before.
"""

import hmac
import math
import re
import secrets
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from app.domain.deadline import Deadline
from app.domain.errors import NotNow, Reason
from app.flow.ports import Clock, Ledger
from app.login.ports import LinkKeys, LoginRefused

LINK_LASTS = timedelta(minutes=10)
PHONE_LINK_LASTS = timedelta(minutes=20)  # one is sent every 15 minutes, and the last one must still work

_STATE = re.compile(r"([0-9a-f]{32})\.([0-9]{10})\.([0-9a-f]{64})", re.ASCII)
_AGAIN = "ask for a new one (GET /auth-url, or POST /refresh-token)"
_READ = 2.0  # seconds
_AGAIN_AFTER = 0.2  # seconds that a read of the key is reused, a failed one too


class LinkRefused(LoginRefused):
    """The state of a link that the gateway did not issue, or that has expired, was used, or was ended."""


class LoginLinks:
    def __init__(self, keys: LinkKeys, auth_url: Callable[[str], str], ledger: Ledger, clock: Clock) -> None:
        self._keys = keys
        self._auth_url = auth_url
        self._ledger = ledger
        self._clock = clock
        self._reading = threading.Lock()
        self._known: tuple[str | None, float] = None, -math.inf  # the key, None after a failure, and when it was read

    def new(self, lasts: timedelta, deadline: Deadline) -> str:
        """A link for one login. Raises NotNow if the key cannot be read."""
        signed = f"{secrets.token_hex(16)}.{int((self._clock.now() + lasts).timestamp())}"
        return self._auth_url(f"{signed}.{_mac(self._read(deadline), signed)}")

    def use(self, state: str, deadline: Deadline) -> None:
        """Uses up the state of a link. Raises LinkRefused, and NotNow if key or ledger cannot be read."""
        parts = _STATE.fullmatch(state)
        if parts is None or not self._is_signed(parts, self._lately_read(deadline)):
            raise LinkRefused(f"this login does not come from a link of this service that is still open; {_AGAIN}")
        if datetime.fromtimestamp(int(parts[2]), UTC) <= self._clock.now():
            raise LinkRefused(f"this login link has expired; {_AGAIN}")
        if not self._is_signed(parts, self._read(deadline)):
            raise LinkRefused(f"this login link was ended by a later login; {_AGAIN}")
        if not self._ledger.once(f"login-link:{parts[1]}", deadline):
            raise LinkRefused(f"this login link was used before; {_AGAIN}")

    def end_all(self, deadline: Deadline) -> None:
        """Ends every link issued until now, on all instances. Raises NotNow."""
        self._known = self._keys.new_link_key(deadline), self._clock.monotonic()

    def _lately_read(self, deadline: Deadline) -> str:
        """The key as it was read a moment ago. Raises NotNow.

        Anyone may send a state, so wrong ones share one read of the store, and at most one thread waits for it.
        """
        key, read_at = self._known
        if self._clock.monotonic() - read_at < _AGAIN_AFTER:
            if key is None:
                raise _unreadable()
            return key
        if not self._reading.acquire(blocking=False):
            raise _unreadable()
        try:
            return self._read(deadline)
        finally:
            self._reading.release()

    def _read(self, deadline: Deadline) -> str:
        """The stored key. Raises NotNow."""
        try:
            key = self._keys.link_key(deadline.within(_READ))
        except NotNow:
            self._known = None, self._clock.monotonic()
            raise _unreadable() from None
        self._known = key, self._clock.monotonic()
        return key

    def _is_signed(self, parts: "re.Match[str]", key: str) -> bool:
        return hmac.compare_digest(parts[3], _mac(key, f"{parts[1]}.{parts[2]}"))


def _mac(key: str, signed: str) -> str:
    return hmac.digest(bytes.fromhex(key), signed.encode(), "sha256").hex()


def _unreadable() -> NotNow:
    text = "login links can neither be made nor checked: their key in the token store cannot be read; try again"
    return NotNow(Reason.NEEDS_LOGIN, text)
