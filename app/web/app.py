"""The Flask app: its routes, request ids, and a JSON answer to every error."""

import re
import secrets
from http import HTTPStatus

from flask import Flask, Response, g, make_response, request
from werkzeug.exceptions import HTTPException, MethodNotAllowed

from app.domain.alert import MAX_BODY_BYTES
from app.operations.back_office import BackOffice
from app.runtime import log as log_context
from app.runtime.config import Config
from app.web.auth import Auth
from app.web.health import Health
from app.web.intake import Proxied, Strikes
from app.web.login import login_routes
from app.web.orders import order_routes
from app.web.tasks import task_routes
from app.web.webhook import Webhook

# On every answer. A browser shows one page of this app, the one after the login. It has a style and no script.
HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",  # the address of that page contains the auth code
    "Strict-Transport-Security": "max-age=31536000",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}

_TRACE = re.compile(r"[0-9a-f]{32}")


def create_app(office: BackOffice, config: Config) -> Flask:
    app = Flask("gateway", static_folder=None)
    # One byte above the limit: werkzeug cuts a body without a Content-Length here, and the extra byte shows it.
    app.config["MAX_CONTENT_LENGTH"] = MAX_BODY_BYTES + 1
    app.json.sort_keys = False  # type: ignore[attr-defined]  # the order of the documentation
    if config.trusted_proxies:
        app.wsgi_app = Proxied(app.wsgi_app, config.trusted_proxies)  # type: ignore[method-assign, assignment]  # as Flask says
    strikes = Strikes(office.desk.clock.monotonic)
    auth = Auth(office, strikes)
    for routes in (order_routes(office.desk, auth), login_routes(office, auth), task_routes(office, auth)):
        app.register_blueprint(routes)
    _add_webhook(app, Webhook(office.desk, config, strikes))
    _add_health(app, Health(office))
    _name_requests(app, config.project)
    app.register_error_handler(HTTPException, _refused)
    return app


def _add_webhook(app: Flask, webhook: Webhook) -> None:
    app.extensions["gateway"] = webhook

    @app.post("/webhook")
    def receive() -> Response:
        return webhook.answer(request, g.request_id)


def _add_health(app: Flask, health: Health) -> None:
    # On *.run.app Google's front end does not forward paths that end in "z"; from outside, use the other names.
    # During the start app/runtime/starting.py holds a request to /started until this app is ready.
    @app.get("/health")
    @app.get("/healthz")
    @app.get("/started")
    def alive() -> dict[str, str]:
        return {"status": "ok"}

    @app.get("/ready")
    @app.get("/readyz")
    def readyz() -> Response:
        ready, body = health.check()
        return make_response(body, 200 if ready else 503)


def _name_requests(app: Flask, project: str | None) -> None:
    """Each request gets an id, which stands in its log lines and in its answer."""

    @app.before_request
    def identify() -> None:
        g.request_id = secrets.token_hex(8)
        log_context.request_id.set(g.request_id)
        log_context.trace.set(_trace(project))

    @app.after_request
    def sign(response: Response) -> Response:
        response.headers["X-Request-Id"] = g.request_id
        response.headers.extend(HEADERS)
        return response

    @app.teardown_request
    def forget(_: BaseException | None) -> None:
        log_context.request_id.set(None)
        log_context.trace.set(None)


def _refused(error: HTTPException) -> Response:
    status = error.code or HTTPStatus.INTERNAL_SERVER_ERROR
    body = {"status": "ERROR", "message": HTTPStatus(status).phrase, "request_id": g.request_id}
    response = make_response(body, status)
    if isinstance(error, MethodNotAllowed) and error.valid_methods:
        response.headers["Allow"] = ", ".join(sorted(error.valid_methods))
    return response


def _trace(project: str | None) -> str | None:
    """The trace that Cloud Run started for this request, as Cloud Logging writes it."""
    found = _TRACE.match(request.headers.get("X-Cloud-Trace-Context", ""))
    return f"projects/{project}/traces/{found.group()}" if found and project else None
