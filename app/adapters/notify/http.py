"""Notices to any HTTP endpoint, by one POST each: no redirect, no retry, one time-out for the whole call.

All of the address may be secret (a Telegram token stands in its path, an ntfy topic is one). Only its host is shown.
"""

from urllib.parse import urlsplit

from app.adapters.http.transport import CallFailed, Transport
from app.adapters.notify.shapes import shaped
from app.adapters.notify.sink import NotTaken
from app.domain.notice import Notice
from app.domain.secret import Secret

CONNECT = 1.0  # seconds
_ABOUT_THE_NOTICE = (400, 413, 422)
_FROM_A_PROXY = (502, 504)


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
