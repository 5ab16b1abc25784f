"""Which callers are let in: the daily login, access tokens, and the Authorization header."""

from __future__ import annotations

import hashlib
import html
import re
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import urlencode

from app.simulator.rules import Refused
from app.simulator.tokens import Mint
from app.simulator.wire import DATA, HTML_TYPE, Answer, Request, error, json_object, ok, token_message, token_refusal

ANY_APP = "SIMULATED-200"
_APP_ID = re.compile(r"[A-Za-z0-9]+(-\d+)?")


@dataclass(frozen=True, slots=True)
class Terms:
    """The settings of the broker's side.

    app_id, secret_id: None accepts any app; redirect_uri: None accepts any address.
    accept_any_token: True accepts every `<app>:<token>` that has not been killed.
    algo_orders: whether apps may trade; None decides by the suffix: `-100` may not.
    refresh_tokens: False refuses them all, as the broker does since 1-Apr-2026.
    reject_status: the HTTP status of a -99 with an id, which is not documented.
    """

    app_id: str | None = None
    secret_id: str | None = None
    redirect_uri: str | None = None
    accept_any_token: bool = False
    algo_orders: bool | None = None
    refresh_tokens: bool = False
    pin: str | None = None
    reject_status: int = 200


class Sessions:
    """Issues and checks tokens, and answers the login endpoints."""

    def __init__(self, terms: Terms, mint: Mint, now: Callable[[], datetime]) -> None:
        self.terms = terms
        self._mint = mint
        self._now = now
        self._lock = threading.Lock()
        self._dead: dict[str, int] = {}
        self._known: set[str] = set()
        self._used_codes: set[str] = set()
        self.routes: dict[str, Callable[[Request], Answer]] = {
            "logout": self._logout,
            "generate-authcode": self._generate_authcode,
            "validate-authcode": self._validate_authcode,
            "validate-refresh-token": self._validate_refresh_token,
        }

    def issue_token(self, app_id: str | None = None, client_id: str | None = None) -> str:
        """An access token, valid until the next 06:00 IST; for another account where `client_id` names one."""
        token = self._mint.access_token(app_id or self.terms.app_id or ANY_APP, self._now(), client_id)
        self._known.add(token)
        return token

    def issue_auth_code(self, app_id: str | None = None, client_id: str | None = None) -> str:
        """The auth code of the login page, valid once; for another account where `client_id` names one."""
        return self._mint.auth_code(app_id or self.terms.app_id or ANY_APP, self._now(), client_id)

    def account_of(self, request: Request) -> str:
        """The account of the request's token."""
        return self._mint.account_of(request.authorization.partition(":")[2])

    def kill_token(self, token: str | None = None, code: int = -16) -> None:
        """Ends one token, or all known so far: a call with it gets 401 with this code."""
        with self._lock:
            for dying in [token] if token else list(self._known):
                self._dead[dying] = code

    def unauthorised(self, request: Request) -> Answer | None:
        """The refusal of a request whose Authorization header is not `<app id>:<live access token>`, or None."""
        app_id, _, token = request.authorization.partition(":")
        if not token or not _APP_ID.fullmatch(app_id) or self.terms.app_id not in (None, app_id):
            return _stranger(request)
        if token in self._dead:
            return token_refusal(self._dead[token])
        if not self.terms.accept_any_token:
            claims = self._mint.read(token) or {}
            if claims.get("sub") != "access_token" or claims.get("at_hash") != self._mint.app_hash(app_id):
                return _stranger(request)
            if claims["exp"] <= self._now().timestamp():
                return token_refusal(-8)
        self._known.add(token)
        return None

    def _logout(self, request: Request) -> Answer:
        self.kill_token(request.authorization.partition(":")[2])
        return Answer(200, {"s": "ok", "code": 200, "message": "you are successfully logged out"})

    def _generate_authcode(self, request: Request) -> Answer:
        """The login page. It redirects the browser back at once.

        The account holder logs in, or the account that `fy_id` names. That parameter is the simulator's own.
        """
        query = request.query
        app_id, back = query.get("client_id", ""), query.get("redirect_uri", "")
        if not _APP_ID.fullmatch(app_id) or self.terms.app_id not in (None, app_id):
            return error(-352, "invalid app id")
        if not back or self.terms.redirect_uri not in (None, back):
            return error(-50, "invalid redirect uri")
        answered = {"s": "ok", "code": "200", "auth_code": self.issue_auth_code(app_id, query.get("fy_id"))}
        if "state" in query:
            answered["state"] = query["state"]
        location = f"{back}{'&' if '?' in back else '?'}{urlencode(answered)}"
        page = f'<!doctype html><title>Login</title><a href="{html.escape(location)}">Continue</a>'
        return Answer(302, page, {"Location": location}, HTML_TYPE)

    def _validate_authcode(self, request: Request) -> Answer:
        payload = json_object(request)
        self._check_hash(payload, "authorization_code")
        code = payload.get("code")
        if not isinstance(code, str) or not code:
            raise Refused("auth code is missing", -374)
        claims, now = self._mint.read(code), self._now()
        with self._lock:
            fresh = claims and claims.get("sub") == "auth_code" and code not in self._used_codes
            if not claims or not fresh or claims["exp"] <= now.timestamp():
                raise Refused("invalid auth code", -437)
            self._used_codes.add(code)
        app_id, who = str(claims["app_id"]), str(claims["fy_id"])
        refresh_token = self._mint.refresh_token(app_id, now, who)
        return ok(access_token=self.issue_token(app_id, who), refresh_token=refresh_token)

    def _validate_refresh_token(self, request: Request) -> Answer:
        payload = json_object(request)
        token = payload.get("refresh_token")
        claims = self._mint.read(token) if self.terms.refresh_tokens and isinstance(token, str) else None
        alive = claims and claims.get("sub") == "refresh_token" and claims["exp"] > self._now().timestamp()
        if not alive or not payload.get("pin") or self.terms.pin not in (None, payload["pin"]):
            raise Refused("Please provide valid refresh token", -501)
        self._check_hash(payload, "refresh_token")
        return ok(access_token=self.issue_token(client_id=str(claims["fy_id"]) if claims else None))

    def _check_hash(self, payload: Mapping[str, Any], grant: str) -> None:
        if payload.get("grant_type") != grant:
            raise Refused("invalid grant type")
        app_id, secret = self.terms.app_id, self.terms.secret_id
        if app_id and secret:
            expected = hashlib.sha256(f"{app_id}:{secret}".encode()).hexdigest()
            if payload.get("appIdHash") != expected:
                raise Refused("invalid app id hash", -371)


def _stranger(request: Request) -> Answer:
    """The refusal of a header that makes no sense. Each host has its own code."""
    if request.path.startswith(DATA):
        return error(-15, token_message(-15), 401)
    return error(-16, "Could not authenticate the user", 401)
