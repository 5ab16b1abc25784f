"""Google-signed OIDC tokens, verified by google-auth against certificates that are kept for as long as Google allows.

Its `id_token.verify_token` would fetch them on every call, so its `jwt.decode` is used. It is imported on first use,
since that costs 0.1 s.
"""

import json
import logging
import math
import re
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from app.domain.deadline import Deadline
from app.facts.services import GOOGLE_CERTS_URL
from app.operations.operators import CannotVerify, NoCredentials

log = logging.getLogger("gateway.operators")

FETCH = 2.0  # seconds
_LARGEST = 65536  # bytes; Google's have about 2,500
_KEPT_AT_MOST = 6 * 3600.0
_KEPT_AT_LEAST = 60.0  # also the pause before an unknown key id asks again, and anybody can make one up
_FAILED_PAUSE = 2.0  # from the end of a fetch that failed
_WAIT_AT_MOST = 2  # threads, for the one that fetches
_CLOCKS_DIFFER = 10  # seconds


@dataclass(frozen=True, slots=True)
class _Certs:
    by_key: Mapping[str, str]
    kept_until: float


class GoogleIdTokens:
    """Implements `operators.IdTokens`."""

    def __init__(self, monotonic: Callable[[], float], certs_url: str = GOOGLE_CERTS_URL) -> None:
        self._monotonic = monotonic
        self._certs_url = certs_url
        self._lock = threading.Lock()
        self._certs: _Certs | None = None
        self._asked_at: float | None = None  # when the last fetch ended
        self._waiting = threading.BoundedSemaphore(_WAIT_AT_MOST)

    def claims(self, token: str, audience: str, deadline: Deadline) -> Mapping[str, Any]:
        from google.auth import jwt
        from google.auth.exceptions import GoogleAuthError

        if not audience:
            raise ValueError("without an audience google-auth would take a token made for anybody")
        # What breaks on a made-up token quotes it, so only the kind of error is told.
        broken = (GoogleAuthError, ValueError, TypeError, KeyError, AttributeError, RecursionError)
        try:
            key_id = jwt.decode_header(token).get("kid")  # type: ignore[no-untyped-call]
            certs = self._current(key_id, deadline)
            claims: Mapping[str, Any] = jwt.decode(  # type: ignore[no-untyped-call]
                token, certs=certs, audience=audience, clock_skew_in_seconds=_CLOCKS_DIFFER
            )
        except broken as error:
            hint = "; Cloud Run's own IAM check takes the signature away" if "SIGNATURE_REMOVED" in token else ""
            log.warning("an OIDC token was refused: %s%s", type(error).__name__, hint)
            raise NoCredentials from None
        return claims

    def _current(self, key_id: object, deadline: Deadline) -> Mapping[str, str]:
        """Certificates that are valid now, and fresh ones for a key that they do not have.

        One caller fetches, few wait for it, and all others are told at once that it cannot be said now: tokens that
        anybody makes up take no more threads than these, however long Google hangs.
        """
        known = self._known(key_id)
        if known is not None:
            return known
        self._take_turn(deadline)
        try:
            known = self._known(key_id)  # by now, perhaps
            if known is None:
                try:
                    self._certs = self._fetched(deadline.within(FETCH))
                finally:
                    self._asked_at = self._monotonic()
                known = self._certs.by_key
            return known
        finally:
            self._lock.release()

    def _known(self, key_id: object) -> Mapping[str, str] | None:
        """What is known without a fetch, or None where one is due. Raises CannotVerify soon after one that failed."""
        now, certs, asked_at = self._monotonic(), self._certs, self._asked_at
        since = math.inf if asked_at is None else now - asked_at
        if certs is not None and now < certs.kept_until:
            return certs.by_key if key_id in certs.by_key or since < _KEPT_AT_LEAST else None
        if since < _FAILED_PAUSE:
            raise CannotVerify
        return None

    def _take_turn(self, deadline: Deadline) -> None:
        if self._lock.acquire(blocking=False):
            return
        if not self._waiting.acquire(blocking=False):
            raise CannotVerify
        try:
            if not self._lock.acquire(timeout=deadline.cap(FETCH)):
                raise CannotVerify
        finally:
            self._waiting.release()

    def _fetched(self, within: Deadline) -> _Certs:
        import requests
        from urllib3.exceptions import HTTPError

        if within.left() <= 0:
            raise CannotVerify
        try:
            with requests.Session() as session:
                session.trust_env = False
                time_out = (within.left(), within.left())
                with session.get(self._certs_url, timeout=time_out, stream=True, allow_redirects=False) as reply:
                    by_key = json.loads(_read(reply.raw, within))
                    if reply.status_code != 200 or not isinstance(by_key, dict):
                        raise ValueError(f"HTTP {reply.status_code}")
                    kept_for = _max_age(reply.headers.get("Cache-Control", ""))
        except (requests.RequestException, HTTPError, ValueError, RecursionError, OSError) as error:
            log.error("Google's certificates cannot be had: %s", type(error).__name__)
            raise CannotVerify from None
        return _Certs(by_key, self._monotonic() + kept_for)


def _read(raw: Any, within: Deadline) -> bytes:
    """The body, bounded in size, and in time also where it comes in drips."""
    body = b""
    while chunk := raw.read1(_LARGEST, decode_content=True):
        body += chunk
        if len(body) > _LARGEST or within.left() <= 0:
            raise ValueError("too long")
    return body


def _max_age(cache_control: str) -> float:
    found = re.search(r"max-age=([0-9]{1,9})", cache_control)
    return min(_KEPT_AT_MOST, max(_KEPT_AT_LEAST, float(found[1]) if found else 0.0))
