"""Who may call the operator's and the scheduler's routes, and by which proof.

OPERATOR_TOKEN as a bearer token opens every route. The scheduler's OIDC token, signed by Google for OIDC_AUDIENCE and
OIDC_SERVICE_ACCOUNT, opens the tasks alone: it cannot read orders or change the trading state. The webhook secret
proves nothing here, since TradingView's servers know it. A refusal answers with its docstring; the log has the rest.
"""

import hashlib
import hmac
import logging
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from app.domain.deadline import Deadline
from app.domain.secret import Secret
from app.facts.services import GOOGLE_ISSUERS

log = logging.getLogger("gateway.operators")

SHORTEST_TOKEN = 16
_LONGEST_HEADER = 8192


class NotAnOperator(Exception):
    """The caller may not do this."""


class NobodyIsOperator(NotAnOperator):
    """No operator is configured: set OPERATOR_TOKEN, or for the tasks alone OIDC_AUDIENCE and OIDC_SERVICE_ACCOUNT."""


class NoCredentials(NotAnOperator):
    """An operator's bearer token is needed."""


class OtherIdentity(NotAnOperator):
    """This identity is neither the operator's nor the scheduler's."""


class TasksOnly(NotAnOperator):
    """This identity is the scheduler's: it may call /tasks/* and /refresh-token; anything else needs OPERATOR_TOKEN."""


class CannotVerify(NotAnOperator):
    """The identity cannot be verified at the moment."""


class IdTokens(Protocol):
    def claims(self, token: str, audience: str, deadline: Deadline) -> Mapping[str, Any]:
        """The claims of a token that Google signed for this audience and that is valid now.

        Raises NoCredentials for any other token, and CannotVerify if Google's certificates cannot be fetched.
        """


@dataclass(frozen=True, slots=True)
class Operator:
    """The caller's name for the log; the scheduler is `tasks_only`."""

    name: str
    tasks_only: bool = False


class OperatorAuth:
    """Checks callers. Raises ValueError for settings that would let others in."""

    def __init__(
        self,
        operator_token: Secret | None,
        audience: str | None,
        service_account: str | None,
        id_tokens: IdTokens,
        webhook_secrets: Collection[Secret],
    ) -> None:
        if operator_token is not None and len(operator_token.reveal()) < SHORTEST_TOKEN:
            raise ValueError(f"OPERATOR_TOKEN needs at least {SHORTEST_TOKEN} characters")
        if bool(audience) != bool(service_account):
            raise ValueError("OIDC_AUDIENCE and OIDC_SERVICE_ACCOUNT belong together; set both or neither")
        self._token = None if operator_token is None else _digest(operator_token.reveal())
        self._audience = audience or None
        self._service_account = service_account
        self._id_tokens = id_tokens
        self._webhook_secrets = [_digest(secret.reveal()) for secret in webhook_secrets]

    def check(self, authorization: str | None, deadline: Deadline, task: bool = False) -> Operator:
        """The caller with this Authorization header; `task` admits the scheduler too. Raises NotAnOperator."""
        caller = self._caller(authorization, deadline)
        if caller.tasks_only and not task:
            log.warning("the scheduler's identity was refused at a route for the operator alone")
            raise TasksOnly
        return caller

    def _caller(self, authorization: str | None, deadline: Deadline) -> Operator:
        if self._token is None and self._audience is None:
            raise NobodyIsOperator
        bearer = _bearer(authorization)
        digest = _digest(bearer)
        if any([hmac.compare_digest(digest, secret) for secret in self._webhook_secrets]):  # noqa: C419 (all of them)
            log.warning("the webhook secret was sent as an operator's token, and was refused")
            raise NoCredentials
        if self._token is not None and hmac.compare_digest(digest, self._token):
            return Operator("operator")
        if self._audience is None or bearer.count(".") != 2:
            raise NoCredentials
        return self._identified(self._id_tokens.claims(bearer, self._audience, deadline), self._audience)

    def _identified(self, claims: Mapping[str, Any], audience: str) -> Operator:
        """Checks each claim here too: the adapter is trusted with the signature alone."""
        if claims.get("iss") not in GOOGLE_ISSUERS or claims.get("aud") != audience:
            raise NoCredentials
        email = claims.get("email")
        if email != self._service_account or claims.get("email_verified") is not True:
            log.warning("a Google identity that is not OIDC_SERVICE_ACCOUNT was refused")
            raise OtherIdentity
        return Operator(str(email), tasks_only=True)


def _bearer(authorization: str | None) -> str:
    scheme, _, bearer = (authorization or "").strip().partition(" ")
    if scheme.lower() != "bearer" or not bearer.strip() or len(bearer) > _LONGEST_HEADER:
        raise NoCredentials
    return bearer.strip()


def _digest(text: str) -> bytes:
    """Bytes of one length for any text. Comparing strings would raise on text that is not ASCII."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()
