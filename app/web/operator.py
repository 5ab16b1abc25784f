"""The operator's and the scheduler's routes. Each asks for proof first; a test walks the URL map for that."""

import functools
import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from datetime import date
from html import escape
from typing import Any

from flask import Blueprint, Response, g, jsonify, request

from app.adapters.google import GoogleIdTokens
from app.domain.alert.strict_json import decode
from app.domain.book import BookRow
from app.domain.calendar import ist_day
from app.domain.deadline import Deadline
from app.domain.errors import AlertError, Malformed, NotNow, TooManyRequests
from app.domain.order import Order
from app.domain.protection import legs_of
from app.domain.risk import Controls, TradingState
from app.flow.desk import Desk
from app.flow.reconcile import reconcile
from app.flow.square_off import square_off
from app.login import Login, LoginState
from app.login.ports import LoginRefused
from app.operations.operators import (
    CannotVerify,
    NobodyIsOperator,
    NoCredentials,
    NotAnOperator,
    Operator,
    OperatorAuth,
    OtherIdentity,
    TasksOnly,
)
from app.operations.preflight import PreflightTask
from app.runtime.config import Config
from app.web.answers import detailed, has_legs, http_of, shown_leg
from app.web.intake import Strikes, peer_of
from app.web.push import notice_of_push

log = logging.getLogger("gateway.operator")

QUICK = 10.0  # seconds for a look into the ledger
BOOK = 2.0  # of these, for a look at the protective legs
LOGIN = 14.0
TASK = 50.0  # within Cloud Scheduler's minute
RELAY = 8.0  # Pub/Sub waits ten for an acknowledgement, unless its subscription says more

View = Callable[..., Response]

HTTP_OF_REFUSAL: dict[type[NotAnOperator], int] = {
    NobodyIsOperator: 403,
    NoCredentials: 401,
    OtherIdentity: 403,
    TasksOnly: 403,
    CannotVerify: 503,
}

_PAGE = """<!doctype html><html lang="en"><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1"><title>{title}</title>
<style>body{{font:1.1rem system-ui;margin:3rem auto;max-width:32rem;padding:0 1rem}}</style>
<h1>{title}</h1>{lines}</html>"""


def operator_routes(desk: Desk, config: Config, strikes: Strikes) -> Blueprint:
    """`strikes` counts wrong credentials, together with the webhook's; right ones are never limited."""
    routes = Blueprint("operator", __name__)
    auth = OperatorAuth(
        config.operator_token,
        config.oidc_audience,
        config.oidc_service_account,
        GoogleIdTokens(desk.clock.monotonic),
        config.webhook_secrets,
    )

    preflight = PreflightTask(desk, config)

    def operator(seconds: float, task: bool = False) -> Callable[[View], View]:
        """Only for the operator (and for the scheduler, a `task`), with so many seconds, which the view gets first."""

        def guard(view: View) -> View:
            @functools.wraps(view)
            def guarded(**values: str) -> Response:
                deadline = Deadline(desk.clock.monotonic, seconds)
                g.operator = proved(deadline, task).name
                return view(deadline, **values)

            guarded.for_operators = True  # type: ignore[attr-defined]  # what the test over the URL map looks for
            return guarded

        return guard

    def proved(deadline: Deadline, task: bool) -> Operator:
        try:
            return auth.check(request.headers.get("Authorization"), deadline, task)
        except (NoCredentials, OtherIdentity, CannotVerify):
            strike()
            raise

    def strike() -> None:
        """Counts wrong credentials. Raises TooManyRequests where they are too many from one address."""
        if strikes.add(peer_of(request)):
            raise TooManyRequests from None

    @routes.errorhandler(NotAnOperator)
    def refuse(refusal: NotAnOperator) -> Response:
        return _error(HTTP_OF_REFUSAL[type(refusal)], type(refusal).__doc__ or "")

    @routes.errorhandler(AlertError)
    def fail(error: AlertError) -> Response:
        log.warning("an operator's request failed", extra={"reason": error.reason, "why": error.message})
        return _error(http_of(error), error.message, error.reason)

    @routes.errorhandler(LoginRefused)
    def not_logged_in(refusal: LoginRefused) -> Response:
        return _error(422, refusal.message)

    @routes.get("/orders")
    @operator(QUICK)
    def orders(deadline: Deadline) -> Response:
        day = _day(request.args.get("day"))
        found = desk.ledger.orders(deadline, day=day, in_flight=request.args.get("in_flight") == "1")
        return jsonify({"orders": [detailed(order) | legs for order, legs in _with_legs(found, desk, deadline)]})

    @routes.get("/orders/<key>")
    @operator(QUICK)
    def order(deadline: Deadline, key: str) -> Response:
        found = desk.ledger.get(key, deadline)
        if found is None:
            return _error(404, "the ledger has no order with this key")
        [(_, legs)] = _with_legs([found], desk, deadline)
        return jsonify(detailed(found) | legs)

    @routes.get("/trading-state")
    @operator(QUICK)
    def trading_state(deadline: Deadline) -> Response:
        return _state(desk.ledger.controls(deadline))

    @routes.post("/trading-state")
    @operator(QUICK)
    def switch(deadline: Deadline) -> Response:
        wanted = decode(request.get_data(cache=False))
        state, reason = _wanted_state(wanted), wanted.get("reason")
        if not isinstance(reason, str) or not (reason := reason.strip()):
            raise Malformed("reason", "is missing; say why, so that others know")
        author, now = g.operator, desk.clock.now()
        return _state(
            desk.ledger.change_controls(lambda account: account.switched(state, reason, author, now), deadline)
        )

    @routes.get("/auth-url")
    @operator(LOGIN)
    def auth_url(deadline: Deadline) -> Response:
        return jsonify({"auth_url": _login(desk).begin(deadline)})

    @routes.post("/generate-token")
    @operator(LOGIN)
    def generate_token(deadline: Deadline) -> Response:
        auth_code = decode(request.get_data(cache=False)).get("auth_code")
        if not isinstance(auth_code, str):
            raise Malformed("auth_code", "is missing; it stands in the address that Fyers' login ends on")
        result = _login(desk).exchange(auth_code, request.path, deadline)
        ends_at = result.ends_at.isoformat() if result.ends_at else None
        said = {"login": result.state, "account": result.account, "ends_at": ends_at}
        return jsonify(said | {"warnings": list(result.warnings)})

    @routes.get("/auth/callback")
    def callback() -> tuple[str, int]:
        """Where Fyers' login sends the owner's browser; its proof is the signed, single-use state."""
        deadline = Deadline(desk.clock.monotonic, LOGIN)
        code, state = request.args.get("auth_code"), request.args.get("state")
        try:
            result = _login(desk).complete(code, state, request.path, deadline)
        except NotNow as problem:
            return _page("Not logged in", problem.message), 503
        except (LoginRefused, AlertError) as problem:
            strike()
            return _page("Not logged in", problem.message), 422
        ends_at = f"The login ends {result.ends_at:%d %B %H:%M} UTC." if result.ends_at else ""
        said = f"The account {result.account} is logged in: alerts are traded again. This page can be closed."
        return _page("Logged in", said, ends_at, *result.warnings), 200

    @routes.post("/refresh-token")
    @operator(LOGIN, task=True)
    def refresh_token(deadline: Deadline) -> Response:
        state = desk.login.refresh(deadline) if desk.login else LoginState.AUTHENTICATED
        if state is LoginState.UNKNOWN:
            return _error(503, "the login state cannot be told: the token store or Fyers does not answer")
        return jsonify({"login": state})

    @routes.post("/tasks/reconcile")
    @operator(TASK, task=True)
    def task_reconcile(deadline: Deadline) -> Response:
        desk.symbols.reload_if_changed(desk.clock.monotonic())  # so that no alert has to be the day's first to look
        report = reconcile(desk, deadline)
        # The heartbeat that an alert in deploy/ waits for: its message and the names of its fields stay.
        took = round((TASK - deadline.left()) * 1000)
        log.info("reconciled", extra={"clean": report.clean, "ms": took, "report": report.document()})
        return jsonify(report.document())

    @routes.post("/tasks/square-off")
    @operator(TASK, task=True)
    def task_square_off(deadline: Deadline) -> Response:
        report = asdict(square_off(desk, deadline))
        log.warning("squared off", extra={"report": report})
        return jsonify(report)

    @routes.post("/tasks/preflight")
    @operator(TASK, task=True)
    def task_preflight(deadline: Deadline) -> Response:
        desk.symbols.reload_if_changed(desk.clock.monotonic())
        return jsonify(preflight.run(deadline).document())

    @routes.post("/tasks/relay")
    @operator(RELAY, task=True)
    def task_relay(deadline: Deadline) -> Response:
        """A push subscription's message. Any answer but 2xx makes Pub/Sub bring it again."""
        notice = notice_of_push(request.get_data(cache=False))
        if desk.relay is None:
            return _error(503, "there is nowhere to relay it to; set NOTIFICATION_URL")
        if not desk.relay.send(notice, deadline):
            return _error(503, "not every address took it; the log says which")
        return jsonify({"relayed": notice.id})

    @routes.post("/tasks/refresh-symbols")
    @operator(TASK, task=True)
    def task_refresh_symbols(deadline: Deadline) -> Response:
        report = desk.refresh_symbols(deadline)
        response = jsonify(report)
        response.status_code = 200 if report["accepted"] else 503
        return response

    return routes


def _with_legs(
    orders: Sequence[Order], desk: Desk, deadline: Deadline
) -> Iterator[tuple[Order, dict[str, list[dict[str, Any]] | None]]]:
    """Each order with its protective legs as they stand at Fyers now; None where that cannot be told.

    Fyers' order book holds the legs of today; they are not kept beyond it, since they move without us.
    """
    today = str(ist_day(desk.clock.now()))
    asked = {order.key for order in orders if has_legs(order) and order.day == today}
    book: Sequence[BookRow] = ()
    try:
        book = desk.broker.order_book(deadline.within(BOOK)) if asked else ()
    except NotNow:
        asked = set()
    for order in orders:
        known = order.key in asked or not has_legs(order)
        yield order, {"legs": [shown_leg(row) for row in legs_of(order, book)] if known else None}


def _login(desk: Desk) -> Login:
    if desk.login is None:
        raise LoginRefused("paper trading needs no login; it is for BROKER=fyers")
    return desk.login


def _wanted_state(wanted: dict[str, object]) -> TradingState:
    state = wanted.get("state")
    try:
        return TradingState(state.upper() if isinstance(state, str) else "")
    except ValueError:
        raise Malformed("state", f"is unknown; send {', '.join(TradingState)}") from None


def _day(text: str | None) -> str | None:
    try:
        return str(date.fromisoformat(text)) if text else None
    except ValueError:
        raise Malformed("day", "is no date; send one such as 2026-11-20") from None


def _state(account: Controls) -> Response:
    changed_at = account.changed_at.isoformat() if account.changed_at else None
    return jsonify(
        {"state": account.state, "reason": account.reason, "author": account.author, "changed_at": changed_at}
    )


def _page(title: str, *lines: str) -> str:
    return _PAGE.format(title=escape(title), lines="".join(f"<p>{escape(line)}</p>" for line in lines if line))


def _error(status: int, message: str, reason: str | None = None) -> Response:
    body: dict[str, Any] = {"status": "ERROR", "reason": reason, "message": message, "request_id": g.request_id}
    response = jsonify(body)
    response.status_code = status
    return response
