"""The daily login at Fyers: the address of its login page, and the exchange of the auth code for a token."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from app.adapters.fyers.classify import TOKEN_CODES
from app.adapters.fyers.json_text import Body, read_object, whole, write
from app.adapters.fyers.sdk import HEADERS, Config, Model, SessionModel, Wire
from app.adapters.fyers.words import clean
from app.adapters.http.transport import CallFailed, Reply, Transport
from app.domain.deadline import Deadline
from app.domain.errors import NotNow, Reason
from app.facts.fyers import API_URL
from app.login.ports import LoginRefused
from app.login.token import Token

CONNECT = 2.0  # seconds; no order waits for a login
TOTAL = 12.0
_REFRESH = "/validate-refresh-token"  # the SDK has no name for it
_IN_A_HEADER = re.compile(r"[!-~]+")


@dataclass(frozen=True, slots=True, repr=False)
class FyersLogin:
    """Implements `ports.BrokerLogin`. Nothing is retried: an auth code works once, and a lost reply has used it up."""

    app_id: str
    secret_id: str
    redirect_uri: str
    transport: Transport
    api_url: str = API_URL
    client_id: str = ""

    def auth_url(self, state: str) -> str:
        """The page to log in on. Fyers then sends the account holder's browser to the redirect URI with `auth_code`."""
        made = SessionModel(self.app_id, self.redirect_uri, response_type="code", state=state).generate_authcode()
        return f"{self.api_url}{Config.auth}?{urlsplit(made).query}"

    def exchange(self, auth_code: str, deadline: Deadline) -> Token:
        fields = {"grant_type": "authorization_code", "code": auth_code}
        return self._token(self._post(Config.generate_access_token, fields, (auth_code,), deadline))

    def refresh(self, refresh_token: str, pin: str, deadline: Deadline) -> Token:
        """A new access token without a login, where Fyers still allows it (not for retail since 1-Apr-2026)."""
        fields = {"grant_type": "refresh_token", "refresh_token": refresh_token, "pin": pin}
        return self._token(self._post(_REFRESH, fields, (refresh_token, pin), deadline))

    def profile(self, token: Token, deadline: Deadline) -> str | None:
        """The account's id ("F12345", `fy_id`). None where the reply has none."""
        total = deadline.cap(TOTAL)
        wire = Wire(self.transport, self.api_url, "", min(CONNECT, total), total)
        try:
            reply: Reply = Model(self.app_id, token.access_token, wire).get_profile()
            account = _ok(reply, (token.access_token, self.app_id, self.client_id)).get("data")
        except CallFailed as failed:
            raise _down(failed.why) from None
        except LoginRefused as refused:
            if refused.code in TOKEN_CODES:
                raise
            raise _down(refused.message) from None
        fy_id = account.get("fy_id") if isinstance(account, dict) else None
        return fy_id if isinstance(fy_id, str) and fy_id.strip() else None

    def _post(self, path: str, fields: Mapping[str, str], secrets: tuple[str, ...], deadline: Deadline) -> Body:
        hashed = SessionModel(self.app_id, secret_key=self.secret_id).get_hash().hexdigest()
        total = deadline.cap(TOTAL)
        try:
            reply = self.transport.call(
                "POST",
                self.api_url + path,
                headers=HEADERS,
                body=write({"appIdHash": hashed, **fields}),
                connect=min(CONNECT, total),
                total=total,
            )
        except CallFailed as failed:
            raise _down(failed.why) from None
        return _ok(reply, (*secrets, hashed, self.secret_id, self.app_id, self.client_id))

    def _token(self, body: Body) -> Token:
        access_token, refresh_token = body.get("access_token"), body.get("refresh_token")
        if not isinstance(access_token, str) or not _IN_A_HEADER.fullmatch(access_token):
            raise _down("the answer has no access token")
        kept = refresh_token if isinstance(refresh_token, str) and _IN_A_HEADER.fullmatch(refresh_token) else None
        return Token(access_token, kept, app_id=self.app_id).dated()


def _ok(reply: Reply, secrets: tuple[str, ...]) -> Body:
    body = read_object(reply.body) or {}
    code = whole(body.get("code"))
    if reply.status == 200 and body.get("s") == "ok":
        return body
    if reply.status == 429:
        raise NotNow(Reason.BROKER_BUSY)
    if body.get("s") == "error" and code is not None and reply.status < 500:
        raise LoginRefused(clean(body.get("message"), secrets) or "Fyers gave no reason", code)
    raise _down(f"HTTP {reply.status} with a body that is not the broker's")


def _down(why: str) -> NotNow:
    return NotNow(Reason.BROKER_DOWN, f"the login could not be talked over with Fyers: {why}")
