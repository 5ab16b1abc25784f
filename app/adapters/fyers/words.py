"""Fyers' own words, made fit to be shown: on one line, of bounded length, without secrets and amounts."""

import re
import unicodedata
from collections.abc import Iterable

from app.domain.masking import without_private

MOST = 300
SHORTEST_SECRET = 4  # a shorter one would be found in many words


def clean(message: object, secrets: Iterable[str] = ()) -> str:
    """The message without control characters, secrets, account ids and amounts, at most 300 characters.

    "" for what is no text.
    """
    if not isinstance(message, str):
        return ""
    shown = "".join(" " if unicodedata.category(letter)[0] in "CZ" else letter for letter in message[:4096])
    shown = " ".join(shown.split())
    for secret in sorted(secrets, key=len, reverse=True):
        if len(secret) >= SHORTEST_SECRET:
            shown = re.sub(re.escape(secret), "***", shown, flags=re.IGNORECASE)
    shown = without_private(shown)
    return shown if len(shown) <= MOST else shown[: MOST - 1] + "…"
