"""The daily login over HTTP: the link, the page that Fyers' login ends on, and the scheduler's look at the state."""

from html import escape

from flask import Blueprint, Response, jsonify, request

from app.domain.alert.strict_json import decode
from app.domain.deadline import Deadline
from app.domain.errors import AlertError, Malformed, NotNow
from app.login.current import LoginState
from app.login.login import Login
from app.login.ports import LoginRefused
from app.operations.back_office import BackOffice
from app.web.auth import Auth, blueprint, error

SECONDS = 14.0

_PAGE = """<!doctype html><html lang="en"><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1"><title>{title}</title>
<style>body{{font:1.1rem system-ui;margin:3rem auto;max-width:32rem;padding:0 1rem}}</style>
<h1>{title}</h1>{lines}</html>"""


def login_routes(office: BackOffice, auth: Auth) -> Blueprint:
    routes, views = blueprint("login"), _Views(office, auth)
    routes.register_error_handler(LoginRefused, _not_logged_in)
    routes.get("/auth-url")(auth.operator(views.auth_url, SECONDS))
    routes.post("/generate-token")(auth.operator(views.generate_token, SECONDS))
    routes.get("/auth/callback")(views.callback)
    routes.post("/refresh-token")(auth.operator(views.refresh_token, SECONDS, task=True))
    return routes


class _Views:
    def __init__(self, office: BackOffice, auth: Auth) -> None:
        self._office = office
        self._auth = auth

    def auth_url(self, deadline: Deadline) -> Response:
        return jsonify({"auth_url": self._login().begin(deadline)})

    def generate_token(self, deadline: Deadline) -> Response:
        auth_code = decode(request.get_data(cache=False)).get("auth_code")
        if not isinstance(auth_code, str):
            raise Malformed("auth_code", "is missing; it stands in the address that Fyers' login ends on")
        result = self._login().exchange(auth_code, request.path, deadline)
        ends_at = result.ends_at.isoformat() if result.ends_at else None
        return jsonify(login=result.state, account=result.account, ends_at=ends_at, warnings=list(result.warnings))

    def callback(self) -> tuple[str, int]:
        """Fyers' login sends the owner's browser here. The signed, single-use state is the proof."""
        deadline = Deadline(self._office.desk.clock.monotonic, SECONDS)
        code, state = request.args.get("auth_code"), request.args.get("state")
        try:
            result = self._login().complete(code, state, request.path, deadline)
        except NotNow as problem:
            return page("Not logged in", problem.message), 503
        except (LoginRefused, AlertError) as problem:
            self._auth.strike()
            return page("Not logged in", problem.message), 422
        ends_at = f"The login ends {result.ends_at:%d %B %H:%M} UTC." if result.ends_at else ""
        said = f"The account {result.account} is logged in: alerts are traded again. This page can be closed."
        return page("Logged in", said, ends_at, *result.warnings), 200

    def refresh_token(self, deadline: Deadline) -> Response:
        login = self._office.login
        state = login.refresh(deadline) if login else LoginState.AUTHENTICATED
        if state is LoginState.UNKNOWN:
            return error(503, "the login state cannot be told: the token store or Fyers does not answer")
        return jsonify({"login": state})

    def _login(self) -> Login:
        if self._office.login is None:
            raise LoginRefused("paper trading needs no login; it is for BROKER=fyers")
        return self._office.login


def page(title: str, *lines: str) -> str:
    """A page of HTML with these lines of text; empty ones are left out."""
    return _PAGE.format(title=escape(title), lines="".join(f"<p>{escape(line)}</p>" for line in lines if line))


def _not_logged_in(refusal: LoginRefused) -> Response:
    return error(422, refusal.message)
