"""One HTTP/1.1 exchange as bytes: the request as it is written, and the reply as llhttp reads it (httptools).

llhttp is the parser of Node.js, in C. It takes a tenth of http.client's time for a reply, and it is strict. Two lengths
or a bare line feed, which other parsers accept, are no reply here, and bytes after the reply end its connection.
"""

import re
import zlib
from collections.abc import Mapping

from httptools import HttpParserError, HttpParserUpgrade, HttpResponseParser

MOST_HEADERS = 100
_MOST_HEAD = 64 * 1024  # bytes; also of trailers, and of all that chunks hold besides data
_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_VALUE = re.compile(r"[\t\x20-\x7e\x80-\xff]*")
_TARGET = re.compile(r"[!-~]+")


class NotHttp(Exception):
    """The bytes are not HTTP/1."""


class TooLarge(Exception):
    """The reply is larger than the caller allows."""


class CutShort(Exception):
    """The connection ended before the reply did."""


class CannotUnpack(Exception):
    """The body is packed in a form that is not read here."""


def request(method: str, target: str, host: str, headers: Mapping[str, str], body: bytes | None) -> bytes:
    """The request, whole. Raises ValueError, without the value, for what would not be one."""
    if not _TARGET.fullmatch(target):
        raise ValueError("a target with characters that no target has")
    lines = [f"{method} {target} HTTP/1.1", f"Host: {host}"]
    for name, value in headers.items():
        if not _NAME.fullmatch(name) or not _VALUE.fullmatch(value):
            raise ValueError("a header with characters that no header has")
        lines.append(f"{name}: {value}")
    if body is not None or method != "GET":
        lines.append(f"Content-Length: {len(body or b'')}")
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + (body or b"")


class Response:
    """A reply while its bytes come in. `status` and `headers` (names in lower case) are those of the final reply.

    `has_begun` once its head is there, `complete` once all of it is; `reusable`: its connection may serve another call.
    """

    def __init__(self, most: int) -> None:
        self.status = 0
        self.headers: dict[str, str] = {}
        self.has_begun = False
        self.complete = False
        self.reusable = False
        self._body = bytearray()
        self._most = most
        self._beside = 0  # bytes since the start, or since the body last grew
        self._lines = 0
        self._parser = HttpResponseParser(self)

    def feed(self, part: bytes) -> None:
        """Raises NotHttp and TooLarge."""
        before = len(self._body)
        try:
            self._parser.feed_data(part)
        except HttpParserUpgrade:
            raise NotHttp from None
        except HttpParserError:
            if not self.complete:
                raise NotHttp from None
            self.reusable = False  # more than the reply
        self._beside = self._beside + len(part) if len(self._body) == before else 0
        if self._lines > MOST_HEADERS or self._beside > _MOST_HEAD or len(self._body) > self._most:
            raise TooLarge

    def end(self) -> None:
        """The connection ended. Raises CutShort, unless that is how this reply ends."""
        if not self.has_begun or "content-length" in self.headers or "transfer-encoding" in self.headers:
            raise CutShort
        self.complete = True

    @property
    def body(self) -> bytes:
        """The body, unpacked. Raises CannotUnpack and TooLarge."""
        packed = self.headers.get("content-encoding", "identity").strip().lower()
        return bytes(self._body) if packed == "identity" else _unpacked(self._body, packed, self._most)

    # -- llhttp's callbacks

    def on_message_begin(self) -> None:
        self.reusable = False  # where another reply has begun already

    def on_header(self, name: bytes, value: bytes) -> None:
        self._lines += 1
        if not self.has_begun:  # and no trailer
            self.headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_headers_complete(self) -> None:
        if not self.complete:
            self.status = self._parser.get_status_code()
            self.has_begun = True

    def on_body(self, part: bytes) -> None:
        if not self.complete:
            self._body += part

    def on_message_complete(self) -> None:
        if self.complete:
            return
        if 100 <= self.status < 200:  # an interim reply; the final one follows
            self.headers.clear()
            self.has_begun = False
            return
        self.complete = True
        self.reusable = self._parser.should_keep_alive()


def _unpacked(body: bytes | bytearray, how: str, most: int) -> bytes:
    """No request asks for a packed reply. The two forms that every server knows are read all the same."""
    if how not in ("gzip", "x-gzip", "deflate"):
        raise CannotUnpack
    unpacking = zlib.decompressobj(zlib.MAX_WBITS | 32)  # tells gzip from zlib by itself
    try:
        unpacked = unpacking.decompress(body, most + 1)
    except zlib.error:
        raise CannotUnpack from None
    if len(unpacked) > most:
        raise TooLarge
    if not unpacking.eof:
        raise CannotUnpack
    return unpacked
