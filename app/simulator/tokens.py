"""Access tokens and auth codes: JWTs that a client can decode, signed so that they outlive a restart."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import itertools
import json
from datetime import datetime, time, timedelta
from typing import Any

from app.simulator.instruments import IST

EXPIRES_AT = time(6, 0)  # IST, next morning: the `exp` that was seen, half an hour before the documented 06:30


def next_expiry(now: datetime) -> datetime:
    """The next 06:00 IST."""
    local = now.astimezone(IST)
    today = datetime.combine(local.date(), EXPIRES_AT, IST)
    return today if local < today else today + timedelta(days=1)


class Mint:
    """Issues and reads tokens of one simulated broker. The signing key depends on the seed alone."""

    def __init__(self, seed: int, client_id: str) -> None:
        self._key = hashlib.sha256(f"simulated tokens {seed}".encode()).digest()
        self._client_id = client_id
        self._serials = itertools.count(1)

    def access_token(self, app_id: str, now: datetime, client_id: str | None = None) -> str:
        """A token with the claims of a real one: the data socket's client needs `hsm_key`, a gateway needs `exp`.

        Here and below `client_id` is the account of the token; by default the simulated one.
        """
        client_id = client_id or self._client_id
        return self._sign(
            {
                "aud": ["d:1", "d:2", "x:0", "x:1", "x:2"],
                "at_hash": self.app_hash(app_id),
                "display_name": "SIMULATED ACCOUNT",
                "oms": "K1",
                "hsm_key": hashlib.sha256(f"{client_id}{app_id}".encode()).hexdigest()[:56],
                "isDdpiEnabled": "N",
                "isMtfEnabled": "N",
                "fy_id": client_id,
                "appType": 200 if app_id.endswith("-200") else 100,
                "sub": "access_token",
            },
            now,
            next_expiry(now),
        )

    def refresh_token(self, app_id: str, now: datetime, client_id: str | None = None) -> str:
        claims = {"sub": "refresh_token", "fy_id": client_id or self._client_id, "at_hash": self.app_hash(app_id)}
        return self._sign(claims, now, now + timedelta(days=15))

    def auth_code(self, app_id: str, now: datetime, client_id: str | None = None) -> str:
        """An auth code that is valid for an hour."""
        claims = {"sub": "auth_code", "app_id": app_id, "fy_id": client_id or self._client_id}
        return self._sign(claims, now, now + timedelta(hours=1))

    def read(self, token: str) -> dict[str, Any] | None:
        """The claims, or None for a token that this mint did not issue."""
        head, _, signature = token.rpartition(".")
        if not head or not hmac.compare_digest(signature.encode(), self._signature(head).encode()):
            return None
        try:
            claims = json.loads(_unpack(head.partition(".")[2]))
        except (ValueError, binascii.Error):
            return None
        return claims if isinstance(claims, dict) else None

    def account_of(self, token: str) -> str:
        """The account that the token claims, unverified; the simulated account where it claims none."""
        try:
            claims = json.loads(_unpack(token.split(".")[1])) if token.count(".") == 2 else {}
        except (ValueError, binascii.Error):
            claims = {}
        account = claims.get("fy_id") if isinstance(claims, dict) else None
        return account if isinstance(account, str) and account else self._client_id

    def app_hash(self, app_id: str) -> str:
        return _pack(hashlib.sha256(app_id.encode()).digest())[:22]

    def _sign(self, claims: dict[str, Any], now: datetime, expires: datetime) -> str:
        issued = int(now.timestamp())
        claims |= {
            "exp": int(expires.timestamp()),
            "iat": issued,
            "nbf": issued,
            "iss": "api.fyers.in",
            "n": next(self._serials),
        }
        head = f"{_HEADER}.{_pack(json.dumps(claims).encode())}"
        return f"{head}.{self._signature(head)}"

    def _signature(self, head: str) -> str:
        return _pack(hmac.digest(self._key, head.encode(), "sha256"))


def _pack(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def _unpack(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


_HEADER = _pack(b'{"typ":"JWT","alg":"HS256"}')
