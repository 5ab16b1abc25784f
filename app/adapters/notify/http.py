"""Notices to any HTTP endpoint, by one POST each: no redirect, no retry, one time-out for the whole call.

All of the address may be secret (a Telegram token stands in its path, an ntfy topic is one). Only its host is shown.

Each kind of address takes the gateway's own JSON, or the form of a well-known sink. Three forms are enough, so there
is no library for them: those that know a hundred services retry and log by themselves, which prints addresses, and none
has one time-out for a whole call.
"""

import json
import re
from base64 import b64encode
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit, urlunsplit

from app.adapters.http.transport import CallFailed, Transport
from app.adapters.notify.sink import NotTaken
from app.domain.notice import Notice, Severity
from app.domain.secret import Secret

CONNECT = 1.0  # seconds
_ABOUT_THE_NOTICE = (400, 413, 422)
_FROM_A_PROXY = (502, 504)
_LONGEST = 3_500  # characters; Telegram takes 4096, ntfy 4096 bytes as a message
_JSON = {"Content-Type": "application/json"}
_MARK = {Severity.INFO: "ℹ️", Severity.WARNING: "⚠️", Severity.CRITICAL: "🚨"}
_PRIORITY = {Severity.INFO: "3", Severity.WARNING: "4", Severity.CRITICAL: "5"}
_TAG = {Severity.INFO: "information_source", Severity.WARNING: "warning", Severity.CRITICAL: "rotating_light"}


class HttpNotifier:
    """Implements `Sink` for one address. `transport` is not the broker's, whose calls wait for their turn."""

    def __init__(self, url: Secret, transport: Transport) -> None:
        self._url = url
        self._transport = transport
        self.name = f"{urlsplit(url.reveal()).hostname}#{url.fingerprint()}"

    def push(self, notice: Notice, seconds: float) -> None:
        post = shaped(self._url.reveal(), notice)
        try:
            reply = self._transport.call(
                "POST", post.url, headers=post.headers, body=post.body, connect=min(CONNECT, seconds), total=seconds
            )
        except CallFailed as failed:
            raise NotTaken(failed.why, arrived=failed.wrote) from None
        if not 200 <= reply.status <= 299:
            raise NotTaken(
                f"HTTP {reply.status}",
                arrived=reply.status in _FROM_A_PROXY,
                about_notice=reply.status in _ABOUT_THE_NOTICE,
            )


@dataclass(frozen=True, slots=True)
class Post:
    url: str
    headers: dict[str, str]
    body: bytes


def shaped(url: str, notice: Notice) -> Post:
    """The request that sends this notice to this address."""
    name, at, _ = urlsplit(url).netloc.rpartition("@")
    headers = {"Idempotency-Key": _in_a_header(notice.id)}
    if at:  # https://name:password@host/…
        url = url.replace(f"{name}@", "", 1)
        headers["Authorization"] = f"Basic {b64encode(unquote(name).encode()).decode()}"
    parts = urlsplit(url)
    shape = next((shape for fits, shape in _SHAPES if fits(parts)), _own)
    post = shape(url, parts, notice)
    return Post(post.url, post.headers | headers, post.body)


def _own(url: str, parts: SplitResult, notice: Notice) -> Post:  # noqa: ARG001
    return Post(url, _JSON, json.dumps(notice.document()).encode())


def _telegram(url: str, parts: SplitResult, notice: Notice) -> Post:  # noqa: ARG001
    """https://core.telegram.org/bots/api#sendmessage: chat_id, and message_thread_id, stand in the address's query."""
    fields = dict(parse_qsl(parts.query)) | {"text": _marked(notice), "link_preview_options": {"is_disabled": True}}
    return Post(urlunsplit(parts._replace(query="")), _JSON, json.dumps(fields).encode())


def _slack(url: str, parts: SplitResult, notice: Notice) -> Post:  # noqa: ARG001
    """https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks: three characters are its own."""
    text = _marked(notice).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return Post(url, _JSON, json.dumps({"text": text, "unfurl_links": False}).encode())


def _ntfy(url: str, parts: SplitResult, notice: Notice) -> Post:  # noqa: ARG001
    """https://docs.ntfy.sh/publish: the body is the message."""
    headers = {
        "Title": _in_a_header(notice.kind),
        "Priority": _PRIORITY[notice.severity],
        "Tags": _TAG[notice.severity],
    }
    return Post(url, headers, _short(notice.text).encode("utf-8", "replace"))


_SHAPES: tuple[tuple[Callable[[SplitResult], object], Callable[[str, SplitResult, Notice], Post]], ...] = (
    (lambda parts: re.fullmatch(r"/bot[^/]+/sendMessage", parts.path), _telegram),
    (lambda parts: parts.hostname == "hooks.slack.com" or re.match(r"/services/T\w+/B\w+/", parts.path), _slack),
    (lambda parts: (parts.hostname or "").startswith("ntfy.") or parts.path.startswith("/ntfy/"), _ntfy),
)


def _marked(notice: Notice) -> str:
    return _short(f"{_MARK[notice.severity]} {notice.text}")


def _short(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"


def _in_a_header(text: str) -> str:
    return re.sub(r"[^ -~]", "?", text)
