"""Serves while the gateway is being set up: health checks are answered at once, other requests wait.

Setting up loads the SDK and Google's clients and connects to Firestore and the bucket. That takes a third of a second,
and much longer if one of them does not answer. An alert that arrives meanwhile runs as soon as the gateway is ready. If
that is too late it is answered 503, so that TradingView sends it again.
"""

import gc
import json
import logging
import os
import secrets
import threading
import time
from collections.abc import Callable, Iterable
from typing import Any

from app.domain.errors import AlertError, Reason
from app.runtime.log import close as close_log

log = logging.getLogger("gateway.starting")

PATIENCE = 2.0  # seconds from a request's arrival; an alert that began later could only be answered 503
LAST_WORDS = 0.5  # seconds for the waiting requests to be answered 503, before the process ends
ALIVE = ("/health", "/healthz")
RETRY_AFTER = "5"
_NO_ORDER: dict[str, None] = dict.fromkeys(
    ("key", "tag", "broker_order_id", "symbol", "side", "quantity", "ltp", "limit_price", "stop_loss", "take_profit")
)
_COULD_NOT_START = 3  # the worker's exit code that stops gunicorn; after any other it starts a new worker

Request = dict[str, Any]
App = Callable[[Request, Any], Iterable[bytes]]


def give_up() -> None:
    close_log()
    os._exit(_COULD_NOT_START)


class Starting:
    """The WSGI app. `make` sets up the real one, in a thread that starts now and never handles an alert."""

    def __init__(self, make: Callable[[], Any], give_up: Callable[[], None] = give_up) -> None:
        self._make = make
        self._give_up = give_up
        self._app: Any = None
        self._closing = False
        self._decided = threading.Event()
        gc.disable()  # the modules being loaded are no garbage, and collecting takes a tenth of the start
        threading.Thread(target=self._set_up, name="set-up", daemon=True).start()

    def __call__(self, request: Request, start_response: Any) -> Iterable[bytes]:
        if self._app is None:
            if request["PATH_INFO"] in ALIVE:
                return _answered(start_response, "200 OK", {"status": "ok"})
            if not self._is_there_in_time(request):
                return _not_yet(request, start_response)
        answer: Iterable[bytes] = self._app(request, start_response)
        return answer

    def stop_claiming(self) -> None:
        """Answers alerts 503 from now on: the process has been told to end."""
        self._closing = True
        if self._app is not None:
            self._app.extensions["gateway"].closing = True

    def _is_there_in_time(self, request: Request) -> bool:
        """Waits for the real app. The request's time goes on from its arrival."""
        arrived = request.get("gateway.arrived") or time.monotonic()
        request["gateway.arrived"] = arrived
        self._decided.wait(max(0.0, arrived + PATIENCE - time.monotonic()))
        return self._app is not None

    def _set_up(self) -> None:
        try:
            self._app = self._make()
            if self._closing:
                self.stop_claiming()
        except BaseException as problem:
            # The gateway's own errors say what to change and have no secret; of any other only the trace is shown.
            why = problem.message if isinstance(problem, AlertError) else None
            log.critical("the gateway cannot be set up, so it ends", exc_info=why is None, extra={"why": why})
            self._decided.set()
            time.sleep(LAST_WORDS)
            self._give_up()
        finally:
            gc.freeze()  # what is loaded now stays; the collector need not walk it while an alert waits
            gc.enable()
            self._decided.set()


def _not_yet(request: Request, start_response: Any) -> Iterable[bytes]:
    reason, request_id = Reason.STARTING, secrets.token_hex(8)
    said = {"http": 503, "reason": reason, "field": None, "why": reason.meaning, "request_id": request_id}
    log.warning("alert refused" if request["PATH_INFO"] == "/webhook" else "a request was refused", extra=said)
    headers = [("Retry-After", RETRY_AFTER), ("X-Request-Id", request_id)]
    return _answered(start_response, "503 Service Unavailable", no_order(reason, request_id), headers)


def no_order(reason: Reason, request_id: str, message: str | None = None) -> dict[str, Any]:
    """The body of an error that comes before there is an order."""
    said = {"reason": reason, "message": message or reason.meaning, "request_id": request_id}
    return {"status": "ERROR", **_NO_ORDER, "duplicate": False, **said}


def _answered(
    start_response: Any, status: str, body: dict[str, Any], headers: Iterable[tuple[str, str]] = ()
) -> Iterable[bytes]:
    content = json.dumps(body).encode()
    length = ("Content-Length", str(len(content)))
    start_response(status, [("Content-Type", "application/json"), ("Cache-Control", "no-store"), length, *headers])
    return [content]
