"""A Fyers access token, and how long it can be alive.

Fyers ends all tokens daily at 06:30 IST, and the `exp` of its JWTs is 06:00 IST of the next morning
(app/facts/fyers.py). So a token counts as dead at its own `exp`, and at the latest at the first 06:30 IST after its
issue. The JWT is read here but never verified: only Fyers can say whether a token is good.
"""

import base64
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, time, timedelta
from typing import Any

from app.domain.calendar import IST, utc_iso
from app.facts.fyers import ALL_TOKENS_END, TOKEN_EXPIRES

_YEARS = range(2000, 2100)  # a time outside them is no token's, and date arithmetic on it may overflow
_LONGEST = 8192  # characters of an access token; Fyers' have about 900


@dataclass(frozen=True, slots=True)
class Token:
    """Times are UTC with their zone. The repr has no secret.

    `last_validated_at` is when Fyers last confirmed the token; `seal` records that Fyers named the owner's account as
    its holder (app/login/holder.py).
    """

    access_token: str
    refresh_token: str | None = None
    issued_at: datetime | None = None
    expires_at: datetime | None = None
    app_id: str | None = None
    last_validated_at: datetime | None = None
    seal: str | None = None

    def __repr__(self) -> str:
        return f"Token(issued_at={self.issued_at}, expires_at={self.expires_at})"

    @property
    def ends_at(self) -> datetime | None:
        """When it is dead at the latest; None if neither its issue nor its expiry is known."""
        if self.issued_at is None:
            return self.expires_at
        expires = self.expires_at or _coming(TOKEN_EXPIRES, self.issued_at)
        return min(expires, _coming(ALL_TOKENS_END, self.issued_at))

    @property
    def ends_on_its_day(self) -> bool:
        """True for a token issued before 06:30 IST: it is dead before the market opens."""
        if self.issued_at is None or self.ends_at is None:
            return False
        return self.ends_at <= datetime.combine(self.issued_at.astimezone(IST), ALL_TOKENS_END, IST)

    def can_be_alive(self, now: datetime) -> bool:
        return self.ends_at is None or now < self.ends_at

    def is_older_than(self, other: "Token") -> bool:
        """By the time of issue. A token without one is older than any that has one."""
        if other.issued_at is None:
            return False
        return self.issued_at is None or self.issued_at < other.issued_at

    @property
    def claimed_account(self) -> str | None:
        """The account that its unverified JWT names; None if it names none."""
        account = _jwt_claims(self.access_token).get("fy_id")
        return account if isinstance(account, str) and account else None

    def dated(self) -> "Token":
        """With the times of its JWT: Fyers' time of issue replaces the gateway's, and the earlier expiry counts."""
        claims = _jwt_claims(self.access_token)
        issued, expires = _from_seconds(claims.get("iat")), _from_seconds(claims.get("exp"))
        ends = [at for at in (self.expires_at, expires) if at is not None]
        return replace(self, issued_at=issued or self.issued_at, expires_at=min(ends, default=None))

    def document(self) -> dict[str, str | None]:
        """The token object as it is stored, with its secrets."""
        fields = {
            name: utc_iso(value) if isinstance(value, datetime) else value for name, value in asdict(self).items()
        }
        if self.seal is None:
            del fields["seal"]
        return fields


def parse(text: bytes) -> Token:
    """The stored token object. Raises ValueError; its text says what to change and has no secret."""
    try:
        stored = json.loads(text.decode("utf-8-sig"))
    except (ValueError, RecursionError):
        stored = None  # the error would carry the text, and the text is the secret
    if not isinstance(stored, dict):
        raise ValueError('the token object is not JSON of the form {"access_token": "..."}')
    access_token = _secret(stored, "access_token")
    if access_token is None:
        raise ValueError("the token object has no access_token")
    return Token(
        access_token=access_token,
        refresh_token=_secret(stored, "refresh_token"),
        issued_at=_moment(stored, "issued_at"),
        expires_at=_moment(stored, "expires_at"),
        app_id=_secret(stored, "app_id"),
        last_validated_at=_moment(stored, "last_validated_at"),
        seal=_secret(stored, "seal"),
    ).dated()


def _secret(stored: Mapping[str, Any], name: str) -> str | None:
    """A value that fits into an HTTP header; empty counts as absent."""
    word = stored.get(name)
    if word is None or word == "":
        return None
    if not isinstance(word, str) or len(word) > _LONGEST or not all("!" <= letter <= "~" for letter in word):
        raise ValueError(f"{name} in the token object is not one word of printable ASCII")
    return word


def _moment(stored: Mapping[str, Any], name: str) -> datetime | None:
    text = stored.get(name)
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except (TypeError, ValueError):
        raise ValueError(f"{name} in the token object is no time like 2026-11-20T03:00:00Z") from None
    if moment.year not in _YEARS:
        raise ValueError(f"{name} in the token object is in the year {moment.year}; write it like 2026-11-20T03:00:00Z")
    if moment.tzinfo is None:
        raise ValueError(f"{name} in the token object has no zone; write it like 2026-11-20T03:00:00Z")
    return moment.astimezone(UTC)


def _jwt_claims(access_token: str) -> Mapping[str, Any]:
    """The claims of the JWT; empty if this is no JWT."""
    payload = access_token.split(".")[1] if access_token.count(".") == 2 else ""
    try:
        claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    except (ValueError, RecursionError):
        return {}
    return claims if isinstance(claims, dict) else {}


def _from_seconds(claim: object) -> datetime | None:
    if isinstance(claim, bool) or not isinstance(claim, int | float):
        return None
    try:
        moment = datetime.fromtimestamp(claim, UTC)
    except (ValueError, OverflowError, OSError):
        return None
    return moment if moment.year in _YEARS else None


def _coming(at: time, after: datetime) -> datetime:
    """The first such IST time of day after the moment."""
    local = after.astimezone(IST)
    today = datetime.combine(local.date(), at, IST)
    return today if local < today else today + timedelta(days=1)
