"""TradingView, as it sends: three seconds of patience, and another delivery after 500-599 except 504, never after a
time-out or a lost connection (its support pages 43000529348 and 43000735201)."""

import http.client
import json
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from proof.history import Delivery
from proof.processes.lab import CONTRACT, SECRET, utc_now
from tests.waiting import finish

HANGS_UP_AFTER = 3.0
RESENDS = 3
_ALL_RESENDS = 120.0  # seconds at the most; a process may have to be started for one of them

NextPort = Callable[[], int]  # where the next delivery arrives


@dataclass(frozen=True, slots=True)
class Text:
    """One alert as the sender knows it: its own name for it, and the bytes."""

    name: str
    body: bytes


def an_alert(name: str, tier: int = 1, **changes: Any) -> Text:
    """An entry. What tells it from the next: its id (tier 1), the second it fired (2), or nothing at all (4)."""
    fields: dict[str, Any] = {
        "token": SECRET,
        **CONTRACT.fields(),
        "action": "SELL",
    }
    if tier == 1:
        fields["alert_id"] = name
    elif tier == 2:
        fields["timenow"] = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return Text(name, json.dumps(fields | changes).encode())


class Sender:
    """Delivers alerts and writes down what it saw.

    `proxied`: a proxy stands before the gateways and answers 502 for one that died, so that the alert is sent again;
    without it the connection is lost, and TradingView never comes back. `again_after` is TradingView's five seconds.
    """

    def __init__(self, proxied: bool, again_after: float = 0.0) -> None:
        self.deliveries: list[Delivery] = []
        self.slowest = 0.0
        self._proxied = proxied
        self._again_after = again_after
        self._lock = threading.Lock()

    def deliver(self, text: Text, port: NextPort, paused: bool = False) -> Delivery:
        """One alert, with its resends; returns the last delivery. `paused`: its times are not to be judged."""
        for left in reversed(range(1 + RESENDS)):
            delivery = self._once(text, port(), paused)
            with self._lock:
                self.deliveries.append(delivery)
            if not left or not self._comes_again(delivery.status):
                break
            time.sleep(self._again_after)
        return delivery

    def together(self, text: Text, ports: list[NextPort], paused: bool = False) -> None:
        """As many deliveries at once as there are ports."""
        threads = [
            threading.Thread(target=self.deliver, args=(text, port, paused), name=f"sender of {text.name}", daemon=True)
            for port in ports
        ]
        for thread in threads:
            thread.start()
        finish(*threads, within=_ALL_RESENDS)

    def _comes_again(self, status: int | None) -> bool:
        if status is None:
            return self._proxied
        return 500 <= status <= 599 and status != 504

    def _once(self, text: Text, port: int, paused: bool) -> Delivery:
        sent_at, started = utc_now(), time.monotonic()
        status, answer = post(port, text.body)
        took = time.monotonic() - started
        if status is None:
            return Delivery(text.name, sent_at, paused=True)
        self.slowest = max(self.slowest, took)
        return Delivery(text.name, sent_at, utc_now(), status, answer, paused=paused)


def post(
    port: int, body: bytes, seconds: float = HANGS_UP_AFTER, path: str = "/webhook", bearer: str = ""
) -> tuple[int | None, dict[str, Any]]:
    """Status and answer of one POST; None where no answer came in time."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=seconds)
    try:
        headers = {"Content-Type": "application/json; charset=utf-8", "Authorization": f"Bearer {bearer}"}
        connection.request("POST", path, body, headers)
        reply = connection.getresponse()
        answer = json.loads(reply.read())
        return reply.status, answer if isinstance(answer, dict) else {}
    except (OSError, http.client.HTTPException, ValueError):
        return None, {}
    finally:
        connection.close()
