"""The operator's notices of refused bodies, and the text that may be repeated from one.

They are sent after the answer, so that an answer's time says nothing about the secret. On Cloud Run the processor stops
soon after an answer, so they take little time. The log has what is lost of them: "alert refused".
"""

import hashlib
from threading import Lock

from app.domain.alert.secrets import Secrets
from app.domain.deadline import Deadline
from app.domain.errors import Malformed
from app.domain.notice import Notice, Severity, hour_of
from app.flow.desk import Desk
from app.flow.outbox import post

TOLD_WITHIN = 0.3  # seconds
APART = 60.0  # seconds between two notices of bodies that are not JSON


class Refused:
    def __init__(self, desk: Desk, secrets: Secrets) -> None:
        self._desk = desk
        self._secrets = secrets
        self._lock = Lock()
        self._quiet_until = 0.0
        self._untold = 0

    def fit_to_show(self, malformed: Malformed) -> Malformed:
        """The error to answer with. A message that contains a part of the secret is replaced."""
        if self._secrets.part_in(malformed.message):
            return Malformed("body", "has a fault that is not repeated here, because it contains part of the secret")
        return malformed

    def tell_of_alert(self, body: bytes, malformed: Malformed) -> None:
        """For a malformed alert with the right secret: one notice an hour for the same text."""
        notice_id = f"refused:{hashlib.sha256(body).hexdigest()[:32]}:{hour_of(self._desk.clock.now())}"
        text = f"An alert was refused, because it cannot be read: {malformed.message}. No order was sent."
        self._post(Notice(notice_id, "refused", Severity.WARNING, text, {"field": malformed.field}))

    def tell_of_unreadable(self, malformed: Malformed, peer: str, right: bool) -> None:
        """For a body that is not JSON: at most one notice a minute, since anyone can make TradingView send some."""
        with self._lock:
            now = self._desk.clock.monotonic()
            if now < self._quiet_until:
                self._untold += 1
                return
            self._quiet_until = now + APART
            untold, self._untold = self._untold, 0
        whose = "An alert" if right else f"A message from TradingView ({peer}), in which the secret was not found,"
        more = f" {untold} more since the last such notice: see the log." if untold else ""
        text = f"{whose} was refused, because it cannot be read: {malformed.message}. No order was sent.{more}"
        notice_id = f"unreadable:{self._desk.clock.now():%Y%m%d%H%M}"
        self._post(Notice(notice_id, "refused", Severity.WARNING, text, {"field": malformed.field}))

    def tell_of_stranger(self, peer: str) -> None:
        """For the right secret from an address that is not on the list: one notice an hour for each address."""
        text = f"An alert with the right secret came from {peer}, which is not in TRADINGVIEW_IPS, and was refused."
        notice_id = f"address:{peer}:{hour_of(self._desk.clock.now())}"
        self._post(Notice(notice_id, "address", Severity.CRITICAL, text, {"peer": peer}))

    def _post(self, notice: Notice) -> None:
        desk = self._desk
        post(notice, desk.ledger, desk.notifier, Deadline(desk.clock.monotonic, TOLD_WITHIN))
