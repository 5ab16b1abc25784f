"""The secrets of the alerts: whether a token is one of them, and whether a text shows one or a part of one."""

import hashlib
import hmac
from collections.abc import Iterable, Iterator

from app.domain.alert import INDICES
from app.domain.alert.strict_json import Number
from app.domain.errors import Unauthorized

PART = 8  # characters of a secret in a row that are shown nowhere, in any case
HINT = 5  # the same for texts that stand side by side, where two of four would show no part
_BLOCK = PART // 2  # every part of a secret contains one of the blocks it is cut into


class Secrets:
    """Its repr shows no secret."""

    __slots__ = ("_blocks", "_digests", "_hints", "_parts", "_whole")

    def __init__(self, texts: Iterable[str] = ()) -> None:
        texts = tuple(texts)
        self._digests = [_digest(text) for text in texts]
        self._whole = tuple(text.casefold() for text in texts)
        public = {part for name in INDICES for part in _windows(name.casefold(), PART)}
        self._parts = {part for text in self._whole for part in _windows(text, PART)} - public
        self._hints = {hint for text in self._whole for hint in _windows(text, HINT)}
        self._blocks = [text[at : at + _BLOCK] for text in self._whole for at in range(0, len(text) - 3, _BLOCK)]

    def authenticate(self, token: object) -> None:
        """Compares the token of a body with each secret in constant time, on digests of bytes.

        Raises Unauthorized, with the same message whatever was wrong. A token that stands twice is always wrong.
        """
        text = token if isinstance(token, str) and not isinstance(token, Number) else ""
        digest = _digest(text)
        if not sum(hmac.compare_digest(digest, known) for known in self._digests):  # a sum compares with every one
            raise Unauthorized

    # Only for what an authenticated sender wrote: the time these take depends on the secret.

    def may_show(self, text: str) -> bool:
        """False where the text has no part of a secret. It is quick, and sometimes true of a text that has none."""
        folded = text.casefold()
        for block in self._blocks:  # noqa: SIM110 (any() takes twice as long, and every alert comes through here)
            if block in folded:
                return True
        return False

    def whole_in(self, text: str) -> bool:
        folded = text.casefold()
        return any(secret in folded for secret in self._whole)

    def part_in(self, text: str) -> bool:
        """The names of the indices do not count as part of a secret: ordinary alerts have them."""
        if not self.may_show(text):
            return False
        folded = text.casefold()
        return any(part in folded for part in self._parts)

    def hint_in(self, text: str) -> bool:
        folded = text.casefold()
        return any(hint in folded for hint in self._hints)


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()


def _windows(text: str, length: int) -> Iterator[str]:
    return (text[start : start + length] for start in range(len(text) - length + 1))
