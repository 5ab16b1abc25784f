"""POST /webhook: raw bytes in, one answer out."""

import logging
import time
from collections.abc import Callable
from contextvars import copy_context
from functools import partial
from typing import Any

from flask import Request, Response
from werkzeug.exceptions import ClientDisconnected, RequestEntityTooLarge

from app.domain.alert import MAX_BODY_BYTES, Alert
from app.domain.alert.parse import FIELDS, parse
from app.domain.alert.secrets import Secrets
from app.domain.alert.strict_json import BODY, Poison, decode, token_in
from app.domain.deadline import ANSWER_AT, CLAIM, Deadline
from app.domain.errors import AddressNotAllowed, AlertError, Malformed, NotNow, Reason, TooManyRequests, Unauthorized
from app.flow.desk import Desk
from app.flow.execution import Receipt, execute
from app.flow.timings import Steps, begin, step
from app.runtime.config import AllowlistMode, Config
from app.web.answers import answer_error, answer_receipt, too_large
from app.web.intake import Strikes, peer_of
from app.web.refused import Refused

log = logging.getLogger("gateway.webhook")

Later = list[Callable[[], None]]  # calls to make after the answer has left


class Webhook:
    def __init__(self, desk: Desk, config: Config, strikes: Strikes) -> None:
        self._desk = desk
        self._config = config
        self._secrets = Secrets(secret.reveal() for secret in config.webhook_secrets)
        self._strikes = strikes
        self._refused = Refused(desk, self._secrets)
        self.closing = False

    def answer(self, request: Request, request_id: str) -> Response:
        started = time.perf_counter()
        steps = begin(self._desk.clock.monotonic)
        deadline = Deadline(self._desk.clock.monotonic, ANSWER_AT - self._waited(request))
        later: Later = []
        try:
            receipt = self._execute(request, deadline, request_id, later)
            with step("answer"):
                response = answer_receipt(receipt, request_id)
            _log_receipt(receipt, _served(request, response, steps, started))
        except AlertError as error:
            response = answer_error(error, request_id)
            _log_error(error, _served(request, response, steps, started))
        except Exception:
            # Nothing was sent: once an order has left, the flow records its outcome and raises nothing.
            log.exception("an alert failed unexpectedly")
            problem = NotNow(Reason.INTERNAL)
            response = answer_error(problem, request_id)
            _log_error(problem, _served(request, response, steps, started))
        for work in later:
            response.call_on_close(partial(copy_context().run, _afterwards, work))
        return response

    def _waited(self, request: Request) -> float:
        """Seconds that the request has waited for a thread (app/runtime/server.py). The sender counts them.

        Time for the claim is left in any case. If the sender has gone, the alert lapses, which notifies the operator.
        """
        arrived: float | None = request.environ.get("gateway.arrived")
        waited = 0.0 if arrived is None else self._desk.clock.monotonic() - arrived
        return min(max(0.0, waited), ANSWER_AT - CLAIM)

    def _execute(self, request: Request, deadline: Deadline, request_id: str, later: Later) -> Receipt:
        with step("parse"):
            peer = peer_of(request)
            body = _body(request)
            self._check_address(peer, body, later)
            alert = self._authentic_alert(body, request.headers.get("Idempotency-Key"), peer, later)
        self._warn_of_stranger(peer)
        if alert.unknown:
            named = [name for name in alert.unknown if not self._secrets.hint_in(name)]
            log.info("unknown fields were ignored", extra={"fields": named})
        if self.closing:
            raise NotNow(Reason.SHUTTING_DOWN)
        desk, now = self._desk, self._desk.clock.monotonic()
        if desk.symbols.look_due(now):
            desk.readers.submit(desk.symbols.reload_if_changed, now)  # for the next alert
        return execute(alert, desk, deadline, request_id)

    def _authentic_alert(self, body: bytes, idempotency_key: str | None, peer: str, later: Later) -> Alert:
        """The alert, if its secret is right. Up to the answer no branch and no message depends on the secret's text.

        A body that cannot be read is searched for the secret after its answer has left.
        """
        if self._strikes.over(peer) and not self._holds_secret(body):
            self._strikes.add(peer)
            raise TooManyRequests
        try:
            document = decode(body)
            if isinstance(token := document.get("token"), Poison):
                raise Malformed("token", token.problem)
        except Malformed as malformed:
            self._strikes.add(peer)
            problem = malformed if malformed.field in FIELDS else Malformed(BODY, malformed.problem)
            later.append(partial(self._look_into_unreadable, body, problem, peer))
            raise problem from None
        try:
            self._secrets.authenticate(token)
        except Unauthorized:
            self._strikes.add(peer)
            raise
        try:
            return parse(document, idempotency_key, self._config.needs_timenow, self._secrets)
        except Malformed as malformed:
            problem = self._refused.fit_to_show(malformed)
            later.append(partial(self._refused.tell_of_alert, body, problem))
            raise problem from None

    def _look_into_unreadable(self, body: bytes, problem: Malformed, peer: str) -> None:
        right = self._holds_secret(body)
        if right:
            self._strikes.take_back(peer)
        if right or peer in self._config.tradingview_ips:
            self._refused.tell_of_unreadable(problem, peer, right)

    def _check_address(self, peer: str, body: bytes, later: Later) -> None:
        """TradingView does not promise its addresses, so a refused one that has the secret notifies the operator."""
        if self._config.ip_allowlist is not AllowlistMode.ENFORCE or peer in self._config.tradingview_ips:
            return
        log.warning("an address that is not on the list was refused", extra={"peer": peer})
        later.append(partial(self._look_into_stranger, body, peer))
        raise AddressNotAllowed

    def _look_into_stranger(self, body: bytes, peer: str) -> None:
        if self._holds_secret(body):
            self._refused.tell_of_stranger(peer)

    def _holds_secret(self, body: bytes) -> bool:
        """Whether the body's token is right. It is found without decoding; of several tokens one is checked."""
        try:
            self._secrets.authenticate(token_in(body))
        except Unauthorized:
            return False
        return True

    def _warn_of_stranger(self, peer: str) -> None:
        if self._config.ip_allowlist is AllowlistMode.WARN and peer not in self._config.tradingview_ips:
            log.warning("the right secret came from an address that is not TradingView's", extra={"peer": peer})


def _body(request: Request) -> bytes:
    """The whole body. This never waits: a thread takes a request once all of it is here (app/runtime/worker.py)."""
    try:
        body = request.get_data(cache=False)
    except RequestEntityTooLarge:
        raise too_large() from None
    except ClientDisconnected:
        raise Malformed("body", "did not arrive whole") from None
    if len(body) > MAX_BODY_BYTES:
        raise too_large()
    return body


def _served(request: Request, response: Response, steps: Steps, started: float) -> dict[str, Any]:
    """The answer's status, its milliseconds in total and by step, and the number of calls to the broker.

    `httpRequest` is a field of Cloud Logging. Nothing in it is the sender's own word.
    """
    took = round((time.perf_counter() - started) * 1000, 2)
    seen = {"requestMethod": request.method, "requestUrl": request.path, "status": response.status_code}
    return {
        "http": response.status_code,
        "ms": took,
        "steps": steps.milliseconds,
        "broker_calls": steps.broker_calls,
        "httpRequest": {**seen, "remoteIp": peer_of(request), "latency": f"{took / 1000:.3f}s"},
    }


def _afterwards(work: Callable[[], None]) -> None:
    """Runs after the answer has left. A failure changes neither the answer nor its log line."""
    try:
        work()
    except Exception:
        log.exception("the operator could not be notified of a refused body")


# Alert policies and metrics in deploy/ read these two lines: their messages and the names of their fields stay.


def _log_receipt(receipt: Receipt, served: dict[str, Any]) -> None:
    order = receipt.order
    log.info(
        "alert answered",
        extra={
            "key": order.key,
            "status": order.status,
            "duplicate": receipt.duplicate,
            "reason": receipt.problem.reason if receipt.problem else order.reason,
            "why": receipt.problem.message if receipt.problem else order.message,
            "strategy": order.strategy,
            "symbol": order.ticket.symbol if order.ticket else None,
            "broker_order_id": order.broker_order_id,
            "asked": dict(order.asked),
            **served,
        },
    )


def _log_error(error: AlertError, served: dict[str, Any]) -> None:
    said = {"reason": error.reason, "field": getattr(error, "field", None)}
    why = error.message if isinstance(error, NotNow) else None  # other messages may quote the body
    log.warning("alert refused", extra={**said, "why": why, **served})
