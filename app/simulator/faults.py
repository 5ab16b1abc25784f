"""Faults on demand: what can go wrong between a client and the broker, each kind by its name."""

from __future__ import annotations

import json
import random
import threading
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, fields
from enum import StrEnum
from typing import Any

from app.simulator.limits import retry_headers
from app.simulator.wire import ENDPOINTS, HTML_TYPE, Answer, Request, app_refusal, error, page, token_refusal


class FaultKind(StrEnum):
    """What happens. `Fault.processed` says whether the request takes effect first."""

    LATENCY = "latency"  # wait `seconds`, then go on
    HANG = "hang"  # never answer (for `seconds`, if given; then close)
    DROP = "drop"  # close the connection without an answer
    RESET = "reset"  # reset it
    NO_ACK = "no_ack"  # code 201: the order is live, nothing acknowledges it
    HTML = "html"  # a page in place of JSON, with `status` 200, 403, 502, 503 …
    ANSWER = "answer"  # any `status`, `body`, `headers`
    RATE_LIMITED = "rate_limited"  # 429 in the broker's JSON, with its headers; `seconds` to wait
    RATE_LIMITED_HTML = "rate_limited_html"  # 429 as a page, without headers
    TRUNCATED = "truncated"  # half the body that Content-Length promises, then closed
    EMPTY = "empty"  # 200 without a body
    DRIP = "drip"  # byte by byte, `interval` seconds apart, head and body
    OK_WITHOUT_ID = "ok_without_id"
    ARRAY = "array"  # the right object in a list
    NUMBER_ID = "number_id"  # the id as a number
    REDIRECT = "redirect"  # 307 to the same place
    REJECT = "reject"  # -99 with an id: the order is in the book with status 5
    REJECT_LATER = "reject_later"  # 1101, then status 5 in the book
    REFUSE = "refuse"  # -50 without an id: nothing in the book
    APP_REFUSED = "app_refused"  # "not allowed from this app"
    TOKEN_DEAD = "token_dead"  # noqa: S105 - 401 with `code` -8, -15, -16 or -17
    LATE_BOOK = "late_book"  # the order book lacks orders younger than `seconds`
    PARTIAL_BOOK = "partial_book"  # the order book has only the oldest `rows` orders
    OVERSIZED = "oversized"  # the right object with `size` bytes of padding


_BEFORE = {
    FaultKind.LATENCY,
    FaultKind.RATE_LIMITED,
    FaultKind.RATE_LIMITED_HTML,
    FaultKind.REDIRECT,
    FaultKind.REFUSE,
    FaultKind.APP_REFUSED,
    FaultKind.TOKEN_DEAD,
}
_ALWAYS_PROCESSED = {FaultKind.REJECT, FaultKind.REJECT_LATER, FaultKind.LATE_BOOK, FaultKind.PARTIAL_BOOK}


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that goes wrong.

    times: how many requests it hits, None for all; after: how many it lets pass first; probability: of hitting each.
    processed: whether the request takes effect first. By default it does, except for latency, 429, redirect, refusals
    and dead tokens. The kind says what the other fields mean; seconds and interval are in seconds, size in bytes.
    """

    kind: FaultKind
    times: int | None = 1
    after: int = 0
    probability: float = 1.0
    processed: bool | None = None
    seconds: float = 0.0
    interval: float = 0.02
    status: int | None = None
    code: int | None = None
    message: str | None = None
    body: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)
    rows: int = 0
    size: int = 1_000_000

    def __post_init__(self) -> None:
        object.__setattr__(self, "kind", FaultKind(self.kind))

    @property
    def takes_effect(self) -> bool:
        if self.processed is None or self.kind in _ALWAYS_PROCESSED:
            return self.kind not in _BEFORE
        return self.processed

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Fault:
        """Raises ValueError that names an unknown field or kind."""
        known = {entry.name for entry in fields(cls)}
        unknown = sorted(set(value) - known)
        if unknown:
            raise ValueError(f"unknown fault field {unknown[0]!r}; known: {', '.join(sorted(known))}")
        if value.get("kind") not in tuple(FaultKind):
            raise ValueError(f"unknown fault kind {value.get('kind')!r}; known: {', '.join(FaultKind)}")
        return cls(**value)


@dataclass(slots=True)
class _Armed:
    fault: Fault
    seen: int = 0
    used: int = 0

    def hits(self, dice: random.Random) -> bool:
        fault = self.fault
        if self.seen <= fault.after or (fault.times is not None and self.used >= fault.times):
            return False
        return fault.probability >= 1 or dice.random() < fault.probability


class FaultBook:
    """The faults that are armed, per endpoint name; `*` stands for all."""

    def __init__(self, seed: int) -> None:
        self._dice = random.Random(seed)  # noqa: S311 - repeatable on purpose
        self._lock = threading.Lock()
        self._armed: dict[str, list[_Armed]] = {}

    def arm(self, endpoint: str, fault: Fault) -> None:
        """Raises ValueError for an endpoint that does not exist."""
        if endpoint != "*" and endpoint not in ENDPOINTS.values():
            raise ValueError(f"unknown endpoint {endpoint!r}; known: *, {', '.join(sorted(set(ENDPOINTS.values())))}")
        with self._lock:
            self._armed.setdefault(endpoint, []).append(_Armed(fault))

    def clear(self) -> None:
        with self._lock:
            self._armed.clear()

    def take(self, endpoint: str) -> list[Fault]:
        """The faults that hit this request: any latencies, and at most one of the others."""
        with self._lock:
            candidates = self._armed.get(endpoint, []) + self._armed.get("*", [])
            for armed in candidates:
                armed.seen += 1
            taken: list[Fault] = []
            for armed in candidates:
                if armed.hits(self._dice):
                    armed.used += 1
                    taken.append(armed.fault)
                    if armed.fault.kind is not FaultKind.LATENCY:
                        break
            return taken

    def listed(self) -> list[dict[str, Any]]:
        with self._lock:
            return [
                {"endpoint": endpoint, **asdict(armed.fault), "seen": armed.seen, "used": armed.used}
                for endpoint, all_armed in self._armed.items()
                for armed in all_armed
            ]


def read_faults(text: str) -> list[tuple[str, Fault]]:
    """The faults in a JSON object or a list of them, each with a Fault's fields and an `endpoint`.

    Raises ValueError, saying what is wrong.
    """
    try:
        value = json.loads(text)
    except ValueError as broken:
        raise ValueError(f"faults are not JSON: {broken}") from None
    items: Iterable[Any] = value if isinstance(value, list) else [value]
    read = []
    for item in items:
        if not isinstance(item, dict) or not isinstance(item.get("endpoint"), str):
            raise ValueError("each fault needs an object with an endpoint: place, orders, quotes, … or *")
        read.append((item["endpoint"], Fault.from_json({name: item[name] for name in item if name != "endpoint"})))
    return read


def prepare(fault: Fault, request: Request) -> None:
    """Changes the request as the fault says, before it is answered."""
    if fault.kind is FaultKind.REJECT:
        request.reject = fault.message or "RED:RULE:{Allowed Basket} in Basket NSE.MIS"
    elif fault.kind is FaultKind.LATE_BOOK:
        request.hide_seconds = fault.seconds
    elif fault.kind is FaultKind.PARTIAL_BOOK:
        request.keep_rows = fault.rows


def disguise(fault: Fault, answer: Answer, request: Request) -> Answer:
    """The answer that the fault gives in place of the right one."""
    match fault.kind:
        case FaultKind.NO_ACK:
            # The JSON code is documented, the HTTP status is not.
            body = {"s": "ok", "code": 201, "message": "Order request made, acknowledgement not received"}
            return Answer(fault.status or 200, body)
        case FaultKind.HTML:
            return page(fault.status or 200)
        case FaultKind.ANSWER:
            return Answer(fault.status or 200, {} if fault.body is None else fault.body, dict(fault.headers))
        case FaultKind.RATE_LIMITED:
            return error(-429, "Request limit reached", 429, **retry_headers(fault.seconds or 1.0))
        case FaultKind.RATE_LIMITED_HTML:
            return page(429)
        case FaultKind.EMPTY:
            return Answer(fault.status or 200, b"")
        case FaultKind.REDIRECT:
            return Answer(307, "", {"Location": fault.message or request.base_url + request.path}, HTML_TYPE)
        case FaultKind.REFUSE:
            return error(fault.code or -50, fault.message or "Invalid input", fault.status or 400)
        case FaultKind.APP_REFUSED:
            return app_refusal(request.authorization.partition(":")[0])
        case FaultKind.TOKEN_DEAD:
            return token_refusal(fault.code or -16)
        case FaultKind.OK_WITHOUT_ID | FaultKind.ARRAY | FaultKind.NUMBER_ID | FaultKind.OVERSIZED:
            return Answer(answer.status, _misshapen(fault, answer.content), answer.headers)
        case _:
            return answer


def _misshapen(fault: Fault, content: Any) -> Any:
    if fault.kind is FaultKind.ARRAY or not isinstance(content, dict):
        return [content]
    if fault.kind is FaultKind.OVERSIZED:
        return {**content, "pad": "x" * fault.size}
    if fault.kind is FaultKind.NUMBER_ID and str(content.get("id", "")).isdigit():
        return {**content, "id": int(content["id"])}
    return {name: value for name, value in content.items() if name != "id"}
