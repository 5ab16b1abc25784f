"""Login links: Fyers' login page with a state that only we can make, that ends, and that works once.

The state comes back with the auth code, through the owner's browser. Without it anybody could hand the service an auth
code of his own account. It is `nonce.expiry.mac`; the key is derived from the app's secret and is not the secret.
"""

import hmac
import re
import secrets
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from app.deadline import Deadline
from app.ports import Clock, Ledger, LoginRefused
from app.secret import Secret

LINK_LASTS = timedelta(minutes=10)
PHONE_LINK_LASTS = timedelta(minutes=20)  # one is sent each quarter of an hour, and the last sent has to work

_STATE = re.compile(r"([0-9a-f]{32})\.([0-9]{10})\.([0-9a-f]{64})", re.ASCII)
_AGAIN = "ask for a new one (GET /auth-url, or POST /refresh-token)"


def _nonce() -> str:
    return secrets.token_hex(16)


class LoginLinks:
    def __init__(
        self,
        secret: Secret,
        app_id: str,
        auth_url: Callable[[str], str],
        ledger: Ledger,
        clock: Clock,
        nonce: Callable[[], str] = _nonce,
    ) -> None:
        """`nonce` gives 32 hex digits, each time others."""
        self._key = hmac.digest(secret.reveal().encode(), f"state of a login link, 1, {app_id}".encode(), "sha256")
        self._auth_url = auth_url
        self._ledger = ledger
        self._clock = clock
        self._nonce = nonce

    def new(self, lasts: timedelta) -> str:
        """A link for one login."""
        signed = f"{self._nonce()}.{int((self._clock.now() + lasts).timestamp())}"
        return self._auth_url(f"{signed}.{self._mac(signed)}")

    def use(self, state: str, deadline: Deadline) -> None:
        """Uses up the state of a link of ours. Raises LoginRefused, and NotNow where the ledger does not answer."""
        parts = _STATE.fullmatch(state)
        if parts is None or not hmac.compare_digest(parts[3], self._mac(f"{parts[1]}.{parts[2]}")):
            raise LoginRefused(f"this login does not come from a link of this service; {_AGAIN}")
        if datetime.fromtimestamp(int(parts[2]), UTC) <= self._clock.now():
            raise LoginRefused(f"this login link has expired; {_AGAIN}")
        if not self._ledger.once(f"login-link:{parts[1]}", deadline):
            raise LoginRefused(f"this login link was used before; {_AGAIN}")

    def _mac(self, signed: str) -> str:
        return hmac.digest(self._key, signed.encode(), "sha256").hex()
