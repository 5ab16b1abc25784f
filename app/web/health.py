"""GET /readyz: can this instance trade now? Bounded to two seconds, the deep checks remembered for ten."""

from collections.abc import Callable
from concurrent.futures import Future
from threading import Lock
from typing import Any

from app.deadline import Deadline
from app.desk import Desk
from app.errors import AlertError

REMEMBERED = 10.0
BOUND = 1.8


class Health:
    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._lock = Lock()
        self._known: tuple[float, dict[str, str]] | None = None

    def check(self) -> tuple[bool, dict[str, Any]]:
        now = self._desk.clock.monotonic()
        with self._lock:
            if self._known is None or now - self._known[0] >= REMEMBERED:
                self._known = (now, self._look())
            checks = self._known[1]
        ready = all(result == "ok" for result in checks.values())
        return ready, {"status": "ready" if ready else "not ready", "checks": checks}

    def _look(self) -> dict[str, str]:
        """Asks each part, side by side."""
        desk, deadline = self._desk, Deadline(self._desk.clock.monotonic, BOUND)
        asked: dict[str, Future[Any]] = {
            "login": desk.readers.submit(lambda: desk.tokens.token(deadline)),
            "ledger": desk.readers.submit(lambda: desk.ledger.account(deadline)),
            "symbols": desk.readers.submit(lambda: desk.symbols.as_of),
            "broker": desk.readers.submit(lambda: desk.broker.positions(deadline)),
        }
        return {name: _said(answer.result, deadline) for name, answer in asked.items()}


def _said(result: Callable[[float], Any], deadline: Deadline) -> str:
    try:
        result(max(0.0, deadline.left()))
    except AlertError as error:
        return f"failing: {error.message}"
    except TimeoutError:
        return "failing: no answer in time"
    return "ok"
