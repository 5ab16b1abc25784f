"""GET /readyz: can this instance trade now? An answer takes two seconds at most and is reused for ten."""

from threading import Lock
from typing import Any

from app.domain.deadline import Deadline
from app.operations import checks
from app.operations.back_office import BackOffice
from app.operations.check import Check, Mark
from app.operations.checks import Look, look_at

REMEMBERED = 10.0  # seconds
BOUND = 1.8  # seconds

LOOKS: dict[str, Look] = {
    "login": checks.login,
    "ledger": checks.ledger,
    "symbols": checks.symbols,
    "broker": checks.broker,
}


class Health:
    def __init__(self, office: BackOffice) -> None:
        self._office = office
        self._clock = office.desk.clock
        self._lock = Lock()
        self._known: tuple[float, list[Check]] | None = None

    def check(self) -> tuple[bool, dict[str, Any]]:
        """Whether the instance is ready, and the body of the answer. One caller at a time runs the checks.

        The others get the last result at once and hold no thread.
        """
        if self._is_due() and self._lock.acquire(blocking=False):
            try:
                if self._is_due():  # no other caller has run them since
                    found = look_at(LOOKS, self._office, Deadline(self._clock.monotonic, BOUND))
                    self._known = (self._clock.monotonic(), found)
            finally:
                self._lock.release()
        if self._known is None:
            return False, {"status": "not ready", "checks": {}}  # the first run is under way
        found = self._known[1]
        ready = all(check.mark is not Mark.FAIL for check in found)
        said = {check.name: f"failing: {check.found}" if check.mark is Mark.FAIL else "ok" for check in found}
        return ready, {"status": "ready" if ready else "not ready", "checks": said}

    def _is_due(self) -> bool:
        return self._known is None or self._clock.monotonic() - self._known[0] >= REMEMBERED
