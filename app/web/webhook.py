"""POST /webhook: raw bytes in, one answer out."""

import hashlib
import logging
import socket
import time
from collections.abc import Sequence
from typing import Any

from flask import Request, Response
from werkzeug.exceptions import ClientDisconnected, RequestEntityTooLarge

from app.alert import MAX_BODY_BYTES, Alert, authenticate, parse
from app.alert.strict_json import decode, tokens_in_broken
from app.config import AllowlistMode, Config
from app.config.reader import MIN_SECRET
from app.deadline import ANSWER_AT, CLAIM, Deadline
from app.desk import Desk
from app.errors import AddressNotAllowed, AlertError, Malformed, NotNow, Reason, TooManyRequests, Unauthorized
from app.execution import Receipt, execute
from app.notice import Notice, Severity, hour_of
from app.outbox import post
from app.steps import Steps, begin, step
from app.web.answers import answer_error, answer_receipt, too_large
from app.web.intake import Strikes, peer_of

log = logging.getLogger("gateway.webhook")

BODY_ARRIVES = 2.0  # seconds


class Webhook:
    def __init__(self, desk: Desk, config: Config, strikes: Strikes) -> None:
        self._desk = desk
        self._config = config
        self._secrets: Sequence[bytes] = [secret.reveal().encode() for secret in config.webhook_secrets]
        self._strikes = strikes
        self.closing = False

    def answer(self, request: Request, request_id: str) -> Response:
        started = time.perf_counter()
        steps = begin(self._desk.clock.monotonic)
        deadline = Deadline(self._desk.clock.monotonic, ANSWER_AT - self._waited(request))
        try:
            receipt = self._execute(request, deadline, request_id)
            with step("answer"):
                response = answer_receipt(receipt, request_id)
            _log_receipt(receipt, _served(request, response, steps, started))
        except AlertError as error:
            response = answer_error(error, request_id)
            _log_error(error, _served(request, response, steps, started))
        except Exception:
            # Whatever was sent was recorded by the flow itself, which raises nothing afterwards: here nothing was.
            log.exception("an alert failed for a reason that nobody foresaw")
            problem = NotNow(Reason.INTERNAL)
            response = answer_error(problem, request_id)
            _log_error(problem, _served(request, response, steps, started))
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
            body = _body(request)
            self._check_address(peer, body, deadline)
            alert = self._authentic_alert(body, request.headers.get("Idempotency-Key"), peer, deadline)
        self._warn_of_stranger(peer)
        if alert.unknown:
            log.info("fields that the gateway does not know were ignored", extra={"fields": list(alert.unknown)})
        if self.closing:
            raise NotNow(Reason.SHUTTING_DOWN)
        desk, now = self._desk, self._desk.clock.monotonic()
        if desk.symbols.look_due(now):
            desk.readers.submit(desk.symbols.reload_if_changed, now)  # for the next alert, not for this
        return execute(alert, self._desk, deadline, request_id)

    def _authentic_alert(self, body: bytes, idempotency_key: str | None, peer: str, deadline: Deadline) -> Alert:
        """The alert, if its secret is right. The owner is told of one of his own that makes no sense."""
        try:
            document = decode(body)
        except Malformed as malformed:
            problem = self._fit_to_show(malformed)
            if any(self._is_right(token) for token in tokens_in_broken(body)):
                self._tell_refused(body, problem, deadline)
            raise problem from None
        try:
            authenticate(document.get("token"), self._secrets)
        except Unauthorized:
            if self._strikes.add(peer):
                raise TooManyRequests from None
            raise
        try:
            return parse(document, idempotency_key, self._config.needs_timenow)
        except Malformed as malformed:
            problem = self._fit_to_show(malformed)
            self._tell_refused(body, problem, deadline)
            raise problem from None

    def _fit_to_show(self, malformed: Malformed) -> Malformed:
        """A field may be named by the secret itself, whole or cut off: then nothing of it is repeated."""
        if any(secret.decode()[:MIN_SECRET] in malformed.message for secret in self._secrets):
            return Malformed("body", "has the secret in another place than token; it belongs in token alone")
        return malformed

    def _is_right(self, token: str) -> bool:
        try:
            authenticate(token, self._secrets)
        except Unauthorized:
            return False
        return True

    def _tell_refused(self, body: bytes, malformed: Malformed, deadline: Deadline) -> None:
        hour = hour_of(self._desk.clock.now())
        notice_id = f"refused:{hashlib.sha256(body).hexdigest()[:32]}:{hour}"
        text = f"An alert was refused, because it cannot be read: {malformed.message}. No order was sent."
        notice = Notice(notice_id, "refused", Severity.WARNING, text, {"field": malformed.field})
        post(notice, self._desk.ledger, self._desk.notifier, deadline)

    def _check_address(self, peer: str, body: bytes, deadline: Deadline) -> None:
        """TradingView does not promise its addresses: the owner is told where one with his secret is turned away."""
        if self._config.ip_allowlist is not AllowlistMode.ENFORCE or peer in self._config.tradingview_ips:
            return
        log.warning("an address that is not on the list was turned away", extra={"peer": peer})
        if any(self._is_right(token) for token in tokens_in_broken(body)):
            text = f"An alert with the right secret came from {peer}, which is not in TRADINGVIEW_IPS, and was refused."
            notice_id = f"address:{peer}:{hour_of(self._desk.clock.now())}"
            notice = Notice(notice_id, "address", Severity.CRITICAL, text, {"peer": peer})
            post(notice, self._desk.ledger, self._desk.notifier, deadline)
        raise AddressNotAllowed

    def _warn_of_stranger(self, peer: str) -> None:
        if self._config.ip_allowlist is AllowlistMode.WARN and peer not in self._config.tradingview_ips:
            log.warning("the right secret came from an address that is not TradingView's", extra={"peer": peer})


def _body(request: Request) -> bytes:
    """The whole body. Who sends half of one may not keep a thread: sixteen of them would be the whole instance."""
    connection: socket.socket | None = request.environ.get("gunicorn.socket")
    if connection is not None:
        connection.settimeout(BODY_ARRIVES)
    try:
        body = request.get_data(cache=False)
    except RequestEntityTooLarge:
        raise too_large() from None
    except (ClientDisconnected, OSError):
        raise Malformed("body", f"did not arrive whole within {BODY_ARRIVES:.0f} s") from None
    finally:
        if connection is not None:
            connection.settimeout(None)
    if len(body) > MAX_BODY_BYTES:
        raise too_large()
    return body


def _served(request: Request, response: Response, steps: Steps, started: float) -> dict[str, Any]:
    """What was answered and what it took: milliseconds, in all and step by step, and how often the broker was asked.

    `httpRequest` is Cloud Logging's own; of what a sender says of himself, nothing is in it.
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


# Alerts and metrics are made of these two lines (deploy/): their messages and the names of their fields stay.


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
    why = error.message if isinstance(error, NotNow) else None  # the others may quote what was sent
    log.warning("alert refused", extra={**said, "why": why, **served})
