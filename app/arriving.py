"""One HTTP/1.1 request as its bytes come: whether all of it is here, as llhttp (httptools) reads it.

It decides nothing else. The bytes are kept, and gunicorn's own parser reads them once the request is whole, so a thread
that works on a request never waits for its sender.
"""

from httptools import HttpParserError, HttpParserUpgrade, HttpRequestParser

LONGEST_HEAD = 32 * 1024  # bytes; Google's front end takes 64 KiB, TradingView sends some 300 bytes


class Arriving:
    """`whole`: head and body are here, or more of the body than the app takes. `broken`: it is no HTTP/1.1.

    `most_body`: bytes of body that the app takes; what comes beyond them need not arrive.
    """

    def __init__(self, most_body: int) -> None:
        self.bytes = bytearray()
        self.whole = False
        self.broken = False
        self.continues = False  # the sender waits for "100 Continue" before it sends the body
        self._most_body = most_body
        self._parser = HttpRequestParser(self)
        self._in_head = True
        self._length = 0  # as the head says it
        self._body = 0
        self._upgrades = False

    def take(self, data: bytes) -> None:
        """More bytes have come."""
        self.bytes += data
        try:
            if self._upgrades:
                self._count(len(data))
            else:
                self._parser.feed_data(data)
        except HttpParserUpgrade as upgrade:
            # No other protocol is spoken here, and the request counts as it is; llhttp leaves its body alone.
            self._upgrades = True
            self._count(len(data) - upgrade.args[0])
        except HttpParserError:
            self.broken = not self.whole  # behind a whole request it is the next one's fault
        if self._in_head and len(self.bytes) > LONGEST_HEAD:
            self.broken = True
        if self.whole or self.broken:
            del self._parser  # it refers to this object, and only the collector would free the two

    @property
    def names_no_version(self) -> bool:
        """HTTP/0.9, whose request is one line: llhttp would wait for its head for ever."""
        line, end, _ = self.bytes.lstrip(b"\r\n").partition(b"\r\n")
        return bool(end) and b" HTTP/" not in line

    # -- llhttp calls these, and for what was sent behind a whole request as well

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._in_head:
            match name.lower():
                case b"content-length":
                    self._length = int(value)
                case b"expect":
                    self.continues = value.lower() == b"100-continue"

    def on_headers_complete(self) -> None:
        self._in_head = False
        self.whole = self.whole or self._length > self._most_body

    def on_body(self, part: bytes) -> None:
        self._body += len(part)
        self.whole = self.whole or self._body > self._most_body

    def on_message_complete(self) -> None:
        self.whole = self.whole or not self._parser.should_upgrade() or not self._length

    def _count(self, more: int) -> None:
        self._body += more
        self.whole = self._body >= min(self._length, self._most_body + 1)
