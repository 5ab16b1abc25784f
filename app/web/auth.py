"""Who may call: every route but the public ones asks for proof before it touches anything."""

import functools
import logging
from collections.abc import Callable

from flask import Blueprint, Response, g, make_response, request

from app.domain.deadline import Deadline
from app.domain.errors import AlertError, TooManyRequests
from app.operations.back_office import BackOffice
from app.operations.operators import (
    CannotVerify,
    NobodyIsOperator,
    NoCredentials,
    NotAnOperator,
    Operator,
    OtherIdentity,
    TasksOnly,
)
from app.web.answers import http_of
from app.web.intake import Strikes, peer_of

log = logging.getLogger("gateway.operator")

HTTP_OF_REFUSAL: dict[type[NotAnOperator], int] = {
    NobodyIsOperator: 403,
    NoCredentials: 401,
    OtherIdentity: 403,
    TasksOnly: 403,
    CannotVerify: 503,
}

View = Callable[..., Response]


class Auth:
    """`strikes` counts wrong credentials, together with the webhook's. Right credentials are never limited."""

    def __init__(self, office: BackOffice, strikes: Strikes) -> None:
        self._operators = office.operators
        self._clock = office.desk.clock
        self._strikes = strikes

    def operator(self, view: View, seconds: float, task: bool = False) -> View:
        """The view for the operator alone; a `task` is for the scheduler as well.

        Its first argument is its deadline, so many seconds from the arrival of the request at this guard.
        """

        @functools.wraps(view)
        def guarded(**values: str) -> Response:
            deadline = Deadline(self._clock.monotonic, seconds)
            g.operator = self._caller(deadline, task).name
            return view(deadline, **values)

        guarded.for_operators = True  # type: ignore[attr-defined]  # what the test over the URL map looks for
        return guarded

    def strike(self) -> None:
        """Counts wrong credentials. Raises TooManyRequests for an address that sent too many."""
        if self._strikes.add(peer_of(request)):
            raise TooManyRequests from None

    def _caller(self, deadline: Deadline, task: bool) -> Operator:
        try:
            return self._operators.check(request.headers.get("Authorization"), deadline, task)
        except (NoCredentials, OtherIdentity, CannotVerify):
            self.strike()
            raise


def blueprint(name: str) -> Blueprint:
    """A blueprint that answers refused callers and failed requests."""
    routes = Blueprint(name, __name__)
    routes.register_error_handler(NotAnOperator, _refused)
    routes.register_error_handler(AlertError, _failed)
    return routes


def error(status: int, message: str, reason: str | None = None) -> Response:
    body = {"status": "ERROR", "reason": reason, "message": message, "request_id": g.request_id}
    return make_response(body, status)


def _refused(refusal: NotAnOperator) -> Response:
    return error(HTTP_OF_REFUSAL[type(refusal)], type(refusal).__doc__ or "")


def _failed(problem: AlertError) -> Response:
    log.warning("an operator's request failed", extra={"reason": problem.reason, "why": problem.message})
    return error(http_of(problem), problem.message, problem.reason)
