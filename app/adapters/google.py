"""Google-signed OIDC tokens, verified by google-auth's `jwt` against certificates that this module keeps.

No client that keeps keys by itself could be bounded by a Deadline:

* google-auth's `id_token.verify_token` (2.62.2) keeps none: it fetches the certificates for each token.
* PyJWT's `PyJWKClient` (2.15.1) bounds each read of a socket and not the call: a server that drips held a caller for
  6 s at a time-out of 0.3 s. Its callers fetch one after the other: with a server that hung, the last of 16 waited 8 s
  at a time-out of 0.5 s. It reads a body of any size, and its keys live for a fixed time, whatever Cache-Control says.

google-auth is imported on first use, which costs 0.1 s.
"""

import json
import logging
import math
import re
import threading
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from typing import Any

from app.adapters.http.transport import CallFailed, Transport
from app.domain.deadline import Deadline
from app.facts.services import GOOGLE_CERTS_URL
from app.flow.single_flight import SingleFlight
from app.operations.operators import CannotVerify, NoCredentials

log = logging.getLogger("gateway.operators")

FETCH = 2.0  # seconds
_LARGEST = 65536  # bytes; Google's have about 2,500
_KEPT_AT_MOST = 6 * 3600.0
_KEPT_AT_LEAST = 60.0  # also the pause before an unknown key id asks again: any caller can make one up
_FAILED_PAUSE = 2.0  # from the end of a fetch that failed
_HELD_AT_MOST = 3  # threads: one fetches, the others wait for it
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
        self._certs: _Certs | None = None
        self._asked_at = -math.inf  # when the last fetch ended
        self._fetches: SingleFlight[Mapping[str, str]] = SingleFlight(monotonic)
        self._places = threading.BoundedSemaphore(_HELD_AT_MOST)

    def claims(self, token: str, audience: str, deadline: Deadline) -> Mapping[str, Any]:
        from google.auth import jwt
        from google.auth.exceptions import GoogleAuthError

        if not audience:
            raise ValueError("without an audience google-auth would take a token made for any service")
        # The errors that a made-up token raises quote it, so the log names their kind alone.
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

        One caller fetches, two wait for it, and all others get CannotVerify at once: made-up tokens hold no more
        threads than these, however long Google hangs.
        """
        known = self._known(key_id)
        if known is not None:
            return known
        if not self._places.acquire(blocking=False):
            raise CannotVerify
        try:
            return self._fetches.run(
                partial(self._fetched, deadline.within(FETCH)),
                again=lambda last, _: last.done() and self._known(key_id) is None,
            ).result(deadline.cap(FETCH))
        except TimeoutError:
            raise CannotVerify from None
        finally:
            self._places.release()

    def _known(self, key_id: object) -> Mapping[str, str] | None:
        """What is known without a fetch, or None where one is due. Raises CannotVerify soon after one that failed."""
        now, certs = self._monotonic(), self._certs
        since = now - self._asked_at
        if certs is not None and now < certs.kept_until:
            return certs.by_key if key_id in certs.by_key or since < _KEPT_AT_LEAST else None
        if since < _FAILED_PAUSE:
            raise CannotVerify
        return None

    def _fetched(self, within: Deadline) -> Mapping[str, str]:
        total = within.left()
        try:
            with closing(Transport(connections=1)) as transport:
                reply = transport.call("GET", self._certs_url, headers={}, connect=total, total=total, most=_LARGEST)
            by_key = json.loads(reply.body)
            if reply.status != 200 or not isinstance(by_key, dict):
                raise ValueError(f"HTTP {reply.status}")
            self._certs = _Certs(by_key, self._monotonic() + _max_age(reply.headers.get("cache-control", "")))
            return by_key
        except (CallFailed, ValueError, RecursionError) as error:
            log.error("Google's certificates cannot be had: %s", type(error).__name__)
            raise CannotVerify from None
        finally:
            self._asked_at = self._monotonic()


def _max_age(cache_control: str) -> float:
    found = re.search(r"max-age=([0-9]{1,9})", cache_control)
    return min(_KEPT_AT_MOST, max(_KEPT_AT_LEAST, float(found[1]) if found else 0.0))
