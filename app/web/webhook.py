"""POST /webhook: raw bytes in, one answer out."""

import hashlib
import logging
import time
from collections.abc import Sequence
from typing import Any

from flask import Request, Response
from werkzeug.exceptions import RequestEntityTooLarge

from app.alert import MAX_BODY_BYTES, Alert, authenticate, parse
from app.alert.strict_json import decode, tokens_in_broken
from app.config import AllowlistMode, Config
from app.deadline import ANSWER_AT, CLAIM, Deadline
from app.desk import Desk
from app.errors import AddressNotAllowed, AlertError, Malformed, NotNow, Reason, TooManyRequests, Unauthorized
from app.execution import Receipt, execute
from app.notice import Notice, Severity
from app.outbox import post
from app.steps import Steps, begin, step
from app.web.answers import answer_error, answer_receipt, too_large
from app.web.intake import Strikes, peer_of

log = logging.getLogger("gateway.webhook")


class Webhook:
    def __init__(self, desk: Desk, config: Config) -> None:
        self._desk = desk
        self._config = config
        self._secrets: Sequence[bytes] = [secret.reveal().encode() for secret in config.webhook_secrets]
        self._strikes = Strikes(desk.clock.monotonic)
        self.closing = False

    def answer(self, request: Request, request_id: str) -> Response:
        started = time.perf_counter()
        steps = begin(self._desk.clock.monotonic)
        deadline = Deadline(self._desk.clock.monotonic, ANSWER_AT - self._waited(request))
        try:
            receipt = self._execute(request, deadline, request_id)
            with step("answer"):
                response = answer_receipt(receipt, request_id)
            _log_receipt(receipt, response, _cost(steps, started))
        except AlertError as error:
            response = answer_error(error, request_id)
            _log_error(error, response, _cost(steps, started))
        except Exception:
            # Whatever was sent was recorded by the flow itself, which raises nothing afterwards: here nothing was.
            log.exception("an alert failed for a reason that nobody foresaw")
            problem = NotNow(Reason.INTERNAL)
            response = answer_error(problem, request_id)
            _log_error(problem, response, _cost(steps, started))
        return response

    def _waited(self, request: Request) -> float:
        """Seconds that the request has waited for a thread of this process (app/server.py): the sender counts them.

        Time to write the alert down is left in any case: where its sender is gone, it lapses, and that rings.
        """
        arrived: float | None = request.environ.get("gateway.arrived")
        waited = 0.0 if arrived is None else self._desk.clock.monotonic() - arrived
        return min(max(0.0, waited), ANSWER_AT - CLAIM)

    def _execute(self, request: Request, deadline: Deadline, request_id: str) -> Receipt:
        with step("parse"):
            peer = peer_of(request)
            self._check_address(peer)
            body = _body(request)
            alert = self._authentic_alert(body, request.headers.get("Idempotency-Key"), peer, deadline)
        self._warn_of_stranger(peer)
        if alert.unknown:
            log.info("fields that the gateway does not know were ignored", extra={"fields": list(alert.unknown)})
        if self.closing:
            raise NotNow(Reason.SHUTTING_DOWN)
        desk = self._desk
        desk.readers.submit(desk.symbols.reload_if_changed, desk.clock.monotonic())  # for the next alert, not for this
        return execute(alert, self._desk, deadline, request_id)

    def _authentic_alert(self, body: bytes, idempotency_key: str | None, peer: str, deadline: Deadline) -> Alert:
        """The alert, if its secret is right. The owner is told of one of his own that makes no sense."""
        try:
            document = decode(body)
        except Malformed as malformed:
            if any(self._is_right(token) for token in tokens_in_broken(body)):
                self._tell_refused(body, malformed, deadline)
            raise
        try:
            authenticate(document.get("token"), self._secrets)
        except Unauthorized:
            if self._strikes.add(peer):
                raise TooManyRequests from None
            raise
        try:
            return parse(document, idempotency_key)
        except Malformed as malformed:
            self._tell_refused(body, malformed, deadline)
            raise

    def _is_right(self, token: str) -> bool:
        try:
            authenticate(token, self._secrets)
        except Unauthorized:
            return False
        return True

    def _tell_refused(self, body: bytes, malformed: Malformed, deadline: Deadline) -> None:
        notice_id = f"refused:{hashlib.sha256(body).hexdigest()[:32]}"
        text = f"An alert was refused, because it cannot be read: {malformed.message}. No order was sent."
        notice = Notice(notice_id, "refused", Severity.WARNING, text, {"field": malformed.field})
        post(notice, self._desk.ledger, self._desk.notifier, deadline)

    def _check_address(self, peer: str) -> None:
        if self._config.ip_allowlist is AllowlistMode.ENFORCE and peer not in self._config.tradingview_ips:
            log.warning("an address that is not on the list was turned away", extra={"peer": peer})
            raise AddressNotAllowed

    def _warn_of_stranger(self, peer: str) -> None:
        if self._config.ip_allowlist is AllowlistMode.WARN and peer not in self._config.tradingview_ips:
            log.warning("the right secret came from an address that is not TradingView's", extra={"peer": peer})


def _body(request: Request) -> bytes:
    try:
        body = request.get_data(cache=False)
    except RequestEntityTooLarge:
        raise too_large() from None
    if len(body) > MAX_BODY_BYTES:
        raise too_large()
    return body


def _cost(steps: Steps, started: float) -> dict[str, Any]:
    """Milliseconds, in all and step by step, and how often the broker was asked."""
    took = round((time.perf_counter() - started) * 1000, 2)
    return {"ms": took, "steps": steps.milliseconds, "broker_calls": steps.broker_calls}


# Alerts and metrics are made of these two lines (deploy/): their messages and the names of their fields stay.


def _log_receipt(receipt: Receipt, response: Response, cost: dict[str, Any]) -> None:
    order = receipt.order
    log.info(
        "alert answered",
        extra={
            "key": order.key,
            "status": order.status,
            "http": response.status_code,
            "duplicate": receipt.duplicate,
            "reason": receipt.problem.reason if receipt.problem else order.reason,
            "strategy": order.strategy,
            "symbol": order.ticket.symbol if order.ticket else None,
            "broker_order_id": order.broker_order_id,
            "asked": dict(order.asked),
            **cost,
        },
    )


def _log_error(error: AlertError, response: Response, cost: dict[str, Any]) -> None:
    log.warning(
        "alert refused",
        extra={
            "http": response.status_code,
            "reason": error.reason,
            "field": getattr(error, "field", None),
            **cost,
        },
    )
