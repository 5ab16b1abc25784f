"""Tokens as Fyers makes them, for tests."""

import base64
import itertools
import json
from datetime import UTC, datetime, timedelta
from typing import Any

from app.domain.calendar import IST
from app.login.token import Token

APP_ID = "TESTAPP-200"
CLIENT_ID = "XY01234"  # the owner's account
OTHER_ID = "AB98765"  # an attacker's
_count = itertools.count()


def ist(hour: int, minute: int = 0, day: int = 20, second: int = 0) -> datetime:
    """A time of November 2026; the 20th is a Friday."""
    return datetime(2026, 11, day, hour, minute, second, tzinfo=IST)


def jwt(issued: datetime, expires: datetime | None = None, account: str = CLIENT_ID) -> str:
    """A new access token. Without an expiry it has the one that was observed: 06:00 IST next morning."""
    issued = issued.astimezone(UTC)
    if expires is None:
        local = issued.astimezone(IST)
        expires = datetime(local.year, local.month, local.day, 6, tzinfo=IST)
        expires += timedelta(days=0 if local < expires else 1)
    claims = {"iat": int(issued.timestamp()), "exp": int(expires.timestamp()), "n": next(_count), "fy_id": account}
    return signed(claims)


def signed(claims: object) -> str:
    parts = ({"alg": "HS256", "typ": "JWT"}, claims)
    head, body = (base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode() for part in parts)
    return f"{head}.{body}.c2lnbmF0dXJl"


def token(issued: datetime, **fields: Any) -> Token:
    account = fields.pop("account", CLIENT_ID)
    return Token(jwt(issued, account=account), **{"app_id": APP_ID, **fields}).dated()
