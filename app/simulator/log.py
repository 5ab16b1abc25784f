"""The simulator's own record of every request: what it asked for, what it did to the account, what was answered."""

from __future__ import annotations

import json
import threading
from collections import deque
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from app.simulator.instruments import utc_now
from app.simulator.orders import Status
from app.simulator.wire import Answer, Request

_KEPT_ANSWER = 4096  # longer answers are not kept
_KEPT_ENTRIES = 100_000
_LOGIN = {"generate-authcode", "validate-authcode", "validate-refresh-token"}  # their bodies are secrets


@dataclass(slots=True)
class Entry:
    """The truth about one request. Times are UTC. Tokens and the contents of login calls are never kept.

    account: the account of the request's token; None for a request without one.
    fault: the kinds of fault that hit the request.
    orders: ids of the orders that the request brought into the book; live: the exchange took one of them.
    status and answer stay None where nothing was answered.
    """

    number: int
    at: datetime
    endpoint: str
    method: str
    path: str
    query: dict[str, str]
    body: Any
    account: str | None = None
    fault: str | None = None
    orders: tuple[str, ...] = ()
    live: bool = False
    status: int | None = None
    answer: Any = None
    answered_at: datetime | None = None

    def processed(self, answer: Answer) -> None:
        """Notes what the request did to the account."""
        self.orders = tuple(order.id for order in answer.orders)
        self.live = any(order.status is not Status.REJECTED for order in answer.orders)

    def answered(self, answer: Answer) -> None:
        """Notes what is about to be answered."""
        self.status = answer.status
        kept = self.endpoint not in _LOGIN and len(answer.body) <= _KEPT_ANSWER
        self.answer = answer.content if kept else None
        self.answered_at = utc_now()


class RequestLog:
    """The entries, oldest first; of very many the newest."""

    def __init__(self) -> None:
        self._entries: deque[Entry] = deque(maxlen=_KEPT_ENTRIES)
        self._lock = threading.Lock()
        self._requests = 0

    def open(self, endpoint: str, request: Request, account: str | None) -> Entry:
        """A new entry for a request that has just arrived."""
        with self._lock:
            self._requests += 1
            body, query = (None, {}) if endpoint in _LOGIN else (_readable(request.body), request.query)
            entry = Entry(self._requests, utc_now(), endpoint, request.method, request.path, query, body, account)
            self._entries.append(entry)
            return entry

    def entries(self) -> list[Entry]:
        with self._lock:
            return list(self._entries)

    def clear(self) -> None:
        with self._lock:
            self._entries.clear()


def _readable(body: bytes) -> Any:
    try:
        return json.loads(body) if body else None
    except ValueError:
        return body.decode(errors="replace")
