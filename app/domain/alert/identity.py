"""The identity of an alert. Its key decides whether an order may be sent, so no version may change it.

    tier 1   the sender's own id (alert_id, id, idempotency_key, or the Idempotency-Key header)
    tier 2   the order asked for, the strategy's order id, and `timenow`, the second in which the alert fired
    tier 3   the order asked for, the strategy's order id, and `time`, the opening time of the bar
    tier 4   none of these: the order asked for, once in a sliding window

In the first three tiers the key is a function of the alert alone. In the fourth the ledger stores, under the identity,
which order the window belongs to; the key of that order also depends on the moment at which the window opened.

Nothing here reads the secret. Numbers have one canonical form, so 48400, "48400" and 48400.0 are one alert.
"""

import hashlib
import hmac
import json
import re
from base64 import b32encode
from dataclasses import dataclass
from datetime import UTC, datetime

from app.domain.alert import Alert

VERSION = "v1"
TAG = re.compile(r"tv[a-z2-7]{18}")
_ENCODE = json.JSONEncoder(ensure_ascii=True, separators=(",", ":")).encode


@dataclass(frozen=True, slots=True)
class Identity:
    """`digest` identifies the alert; `fingerprint` identifies the order it asks for, whichever alert asks."""

    tier: int
    digest: str
    fingerprint: str

    @property
    def windowed(self) -> bool:
        """True where only the time between two alerts can tell them apart."""
        return self.tier == 4

    def key(self, window_opened: datetime | None = None) -> str:
        """The order's key: 64 hex digits. For a windowed alert it depends on the moment at which the window opened."""
        if not self.windowed:
            return self.digest
        if window_opened is None:
            raise ValueError("a windowed alert's key needs the moment its window opened")
        return _digest(VERSION, "window", self.digest, window_opened.astimezone(UTC).isoformat())


def identify(alert: Alert, account: str) -> Identity:
    """The alert's identity within one broker account."""
    asked = alert.asked()
    said = sorted(f"{name}={value}" for name, value in asked.items() if (name, value) != ("lots", "1"))  # the default
    fingerprint = _digest(VERSION, "order", *said)
    order = (
        asked["symbol"],
        asked["strikeprice"],
        asked["optionType"],
        asked["expiry"],
        asked["action"],
        f"qty={asked['qty']}" if "qty" in asked else f"lots={asked.get('lots', '1')}",
        alert.order_id or "",
    )
    tier: int
    parts: tuple[str, ...]
    if alert.client_id is not None:
        tier, parts = 1, (alert.client_id,)
    elif alert.fired_at is not None:
        tier, parts = 2, (*order, _utc(alert.fired_at))
    elif alert.bar_time is not None:
        tier, parts = 3, (*order, _utc(alert.bar_time))
    else:
        tier, parts = 4, order
    return Identity(tier, _digest(VERSION, account, str(tier), *parts), fingerprint)


def tag_of(key: str) -> str:
    """The order tag at the broker: "tv" and 18 letters and digits (90 bits), a function of the key alone.

    Fyers documents 1-30 alphanumerics and one integrator saw a limit of 20, so it has 20. Compare it without regard to
    case.
    """
    digest = hmac.digest(b"tag/" + VERSION.encode(), bytes.fromhex(key), "sha256")
    return "tv" + b32encode(digest[:15]).decode().lower()[:18]


def _digest(*parts: str) -> str:
    """One hash over the parts. JSON keeps their borders, so different lists of parts have different texts."""
    return hashlib.sha256(_ENCODE(parts).encode()).hexdigest()


def _utc(moment: datetime) -> str:
    """To the second, as TradingView renders it: a time has one text, in whatever form it came."""
    return moment.astimezone(UTC).isoformat(timespec="seconds")
