"""GET /readyz: can this instance trade now? Bounded to two seconds, the deep checks remembered for ten."""

from threading import Lock
from typing import Any

from app import checks
from app.checks import Check, Look, Mark, look_at
from app.deadline import Deadline
from app.desk import Desk

REMEMBERED = 10.0
BOUND = 1.8

LOOKS: dict[str, Look] = {
    "login": checks.login,
    "ledger": checks.ledger,
    "symbols": checks.symbols,
    "broker": checks.broker,
}


class Health:
    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._lock = Lock()
        self._known: tuple[float, list[Check]] | None = None

    def check(self) -> tuple[bool, dict[str, Any]]:
        now = self._desk.clock.monotonic()
        with self._lock:
            if self._known is None or now - self._known[0] >= REMEMBERED:
                self._known = (now, look_at(LOOKS, self._desk, Deadline(self._desk.clock.monotonic, BOUND)))
            found = self._known[1]
        ready = all(check.mark is not Mark.FAIL for check in found)
        said = {check.name: f"failing: {check.found}" if check.mark is Mark.FAIL else "ok" for check in found}
        return ready, {"status": "ready" if ready else "not ready", "checks": said}
