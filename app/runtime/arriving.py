"""One HTTP/1.1 request as its bytes come: its head as it was sent, its body as llhttp (httptools) reads it.

gunicorn's own parser reads the head once the request is whole, so a thread that works on a request never waits for its
sender, and no byte of a body is read twice. Everything but the body has one common limit: the head, and the sizes,
extensions and trailers of chunks.
"""

from httptools import HttpParserError, HttpParserUpgrade, HttpRequestParser

MOST_AROUND_BODY = 32 * 1024  # bytes; Google's front end takes a head of 64 KiB, TradingView sends some 300 bytes

_END = b"\r\n\r\n"
# RFC 9110 section 6.5.1: fields that say how to read a message may not follow it.
_NO_TRAILERS = (b"host", b"content-length", b"transfer-encoding", b"trailer", b"authorization", b"te")


class Arriving:
    """`whole`: head and body have arrived, or more body than the app takes. `broken`: this is not HTTP/1.1.

    `most_body`: bytes of body that the app takes; bytes beyond them need not arrive. `behind`: what was sent after the
    request. `last`: no further request can be read from the connection, since it is unknown where one would begin.
    """

    def __init__(self, most_body: int) -> None:
        self.head = bytearray()
        self.behind = b""
        self.whole = False
        self.broken = False
        self.last = False
        self.continues = False  # the sender waits for "100 Continue" before it sends the body
        self._most_body = most_body
        self._heard = _Heard(most_body)
        self._parser = HttpRequestParser(self._heard)
        self._taken = 0

    @property
    def body(self) -> bytearray:
        return self._heard.body

    @property
    def names_no_version(self) -> bool:
        """Whether this is HTTP/0.9, whose request is one line. llhttp would wait for more for ever."""
        line, end, _ = self.head.lstrip(b"\r\n").partition(b"\r\n")
        return bool(end) and b" HTTP/" not in line

    def take(self, data: bytes) -> None:
        """Adds bytes to a request that is neither whole nor broken."""
        self._taken += len(data)
        try:
            if self._heard.in_head:
                data = self._take_head(data)
            if not self._heard.in_head:
                self._take_body(data)
        except HttpParserError:
            self.broken = True
        if self.broken or (not self.whole and self._taken - len(self.body) > MOST_AROUND_BODY):
            self.broken, self.whole = True, False

    def _take_head(self, data: bytes) -> bytes:
        """Returns the bytes after the head."""
        known = len(self.head)
        self.head += data
        found = self.head.find(_END, max(0, known - len(_END) + 1))
        end = len(self.head) if found < 0 else found + len(_END)
        data = bytes(self.head[end:])
        del self.head[end:]
        try:
            self._parser.feed_data(self.head[known:])
        except HttpParserUpgrade:
            # No other protocol is spoken here, and the request counts as it is. llhttp does not read its body.
            self.broken = self._heard.chunked or self._heard.length > 0
        self.continues = self._heard.continues
        if self._heard.in_head is (found >= 0):
            self.broken = True  # more than one empty line before the head, which gunicorn refuses as well
        return data

    def _take_body(self, data: bytes) -> None:
        if self._heard.chunked:
            self._take_chunks(data)
            return
        wanted = self._heard.length - len(self.body)
        self.body.extend(data[:wanted])
        self.behind = data[wanted:]
        self.whole = wanted <= len(data) or self._heard.length > self._most_body
        self.last = wanted > len(data)

    def _take_chunks(self, data: bytes) -> None:
        """llhttp does not say where chunks end. If that is not at the last byte here, other bytes follow."""
        for part, left in ((data[:-1], data[-1:]), (data[-1:], b"")):
            try:
                self._parser.feed_data(part)
            except HttpParserError:
                over = len(self.body) > self._most_body
                if not (self._heard.ended or over):
                    raise
                self.whole = True
                self.last = over or bool(left)
                return


class _Enough(Exception):
    """Stops llhttp: enough has been read."""


class _Heard:
    """llhttp's callbacks. It refers to neither parser nor request, so no cycle keeps the three in memory."""

    def __init__(self, most_body: int) -> None:
        self.body = bytearray()
        self.in_head = True
        self.length = 0  # as the head says it
        self.chunked = False
        self.continues = False
        self.ended = False  # the last byte of a body in chunks has arrived
        self._most_body = most_body

    def on_header(self, name: bytes, value: bytes) -> None:
        name = name.lower()
        if not self.in_head:
            if name in _NO_TRAILERS:
                raise HttpParserError("a field that may not be a trailer")
        elif name == b"content-length":
            self.length = int(value)
        elif name == b"transfer-encoding":
            self.chunked = True  # llhttp refuses any other coding
        elif name == b"expect":
            self.continues = value.lower() == b"100-continue"

    def on_headers_complete(self) -> None:
        self.in_head = False

    def on_body(self, part: bytes) -> None:
        self.body += part
        if len(self.body) > self._most_body:
            raise _Enough

    def on_message_complete(self) -> None:
        if self.chunked:
            self.ended = True
            raise _Enough
