"""A Fyers account in virtual time, below the real adapter: what it really did, and what it says on the wire.

`Fyers.call` stands where the transport stands, so that the adapter above it, its SDK calls, retries, classification
and parsing are the product's own. The truth is kept apart from the replies: an order may live and its reply be lost, be
refused and its refusal be lost, be taken half a minute later, and show in the order book later still.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from functools import cache
from typing import Any

from app.adapters.http.transport import CallFailed, Reply
from app.domain.deadline import Deadline
from proof.history import BrokerOrder, Holding, Post
from proof.simulation.world import EPOCH, World

LOT = 65
SYMBOLS = ("NSE:NIFTY26NOV26000CE", "NSE:NIFTY26NOV26100CE")
BOOK_LAG = 80.0  # seconds that an order may be missing from the book; the product allows for ninety
TAKEN_LATE = 40.0  # seconds that an order may lie in a queue at the broker before it is taken

RECONCILE = "reconcile"  # the task that may get a part of the book: the flow itself never does, by assumption

CANCELLED, FILLED, REJECTED, PENDING, EXPIRED, STRANGE = 1, 2, 5, 6, 7, 90
_NAMES = {CANCELLED: "CANCELLED", FILLED: "FILLED", REJECTED: "REJECTED", EXPIRED: "EXPIRED"}
_NAMES |= {PENDING: "ACCEPTED", STRANGE: "ACCEPTED"}
_FINAL = (CANCELLED, FILLED, REJECTED, EXPIRED)
_NEVER = 1e9

Step = tuple[float, int, int]  # from when, status, units filled by then


@dataclass(slots=True)
class Row:
    """One order at the broker: when it was taken, when the book shows it, and its whole life."""

    id: str
    tag: str
    symbol: str
    side: int
    quantity: int
    price: float
    taken_at: float
    shown_at: float
    life: list[Step]
    parent: "Row | None" = None
    stop: bool = False
    legs: "list[Row]" = field(default_factory=list)

    def at(self, moment: float) -> tuple[int, int]:
        """Status and filled units at a moment after it was taken."""
        now = (PENDING, 0)
        for since, status, filled in self.life:
            if since > moment:
                break
            now = (status, filled)
        return now

    def working(self, moment: float) -> int:
        status, filled = self.at(moment)
        return 0 if status in _FINAL else self.size(moment) - filled

    def size(self, moment: float) -> int:
        """Units; a leg is as large as what its entry has filled."""
        return self.quantity if self.parent is None else self.parent.at(moment)[1]


def _broken(why: str) -> Callable[[str], Reply]:
    def answer(_: str) -> Reply:
        raise CallFailed(why, wrote=True)

    return answer


def _fault(_: str) -> Reply:
    raise RuntimeError("a fault in the adapter")


def _json(status: int, headers: Mapping[str, str] | None = None, **body: Any) -> Callable[[str], Reply]:
    def answer(broker_id: str) -> Reply:
        filled = {name: broker_id if value == "ID" else value for name, value in body.items()}
        return Reply(status, headers or {}, json.dumps(filled).encode())

    return answer


def _page(status: int) -> Callable[[str], Reply]:
    return lambda _: Reply(status, {}, b"<!DOCTYPE html><title>Bad gateway</title>")


def _raw(status: int, body: bytes) -> Callable[[str], Reply]:
    return lambda broker_id: Reply(status, {}, body.replace(b"ID", broker_id.encode()))


_OK: dict[str, Any] = {"s": "ok", "code": 1101, "message": "Order submitted successfully", "id": "ID"}
_REJECTION: dict[str, Any] = {"s": "error", "code": -99, "message": "RED:Margin Shortfall", "id": "ID"}
_LOST = "live not late"  # an order whose reply says nothing: taken, not taken, or taken a while later

# Each fate of a POST: its weight, what may have become of the order, and the reply.
POSTS: tuple[tuple[str, float, str, Callable[[str], Reply]], ...] = (
    ("accepted", 100, "live", _json(200, **_OK)),
    ("accepted with HTTP 201", 1, "live", _json(201, **_OK)),
    ("rejected", 6, "rejected", _json(200, **_REJECTION)),
    ("rejected with HTTP 400", 2, "rejected", _json(400, **_REJECTION)),
    ("refused", 4, "not", _json(400, s="error", code=-50, message="Invalid input")),
    ("dead token", 2, "not", _json(401, s="error", code=-16, message="Could not authenticate the user")),
    ("not for this app", 1, "not", _json(400, s="error", code=-50, message="Orders are not allowed from this app")),
    ("turned away", 6, "away", _json(429, {"retry-after": "1"}, s="error", code=-429, message="Request limit reached")),
    ("timed out", 12, _LOST, _broken("timed out while waiting for the reply")),
    ("reset", 6, _LOST, _broken("the connection broke while waiting for the reply")),
    ("cut short", 3, _LOST, _broken("the reply was cut short")),
    ("502", 6, _LOST, _page(502)),
    ("504", 2, _LOST, _page(504)),
    ("503 in JSON", 3, _LOST, _json(503, s="error", code=-50, message="Service unavailable")),
    ("200 page", 3, _LOST, _page(200)),
    ("403 page", 2, "not", _page(403)),
    ("429 page", 2, "not", _page(429)),
    ("not acknowledged", 6, "live late not", _json(200, s="ok", code=201, message="acknowledgement not received")),
    ("ok without an id", 4, "live not", _json(200, s="ok", code=1101, message="")),
    ("id as a number", 2, "live not", _raw(200, b'{"s":"ok","code":1101,"id":ID}')),
    ("ok with another code", 2, "live not", _json(200, s="ok", code=200, id="ID")),
    ("in a list", 2, "live not", _raw(200, b'[{"s":"ok","code":1101,"id":"ID"}]')),
    ("empty", 3, _LOST, _raw(200, b"")),
    ("half a body", 2, _LOST, _raw(200, b'{"s":"ok","code":1101,"id":"I')),
    ("bad request of a proxy", 4, _LOST, _json(200, s="error", code=-99, message="Bad request")),
    ("unknown code", 4, _LOST, _json(200, s="error", code=-96, message="An unexpected error occurred")),
    ("refusal code with 500", 2, _LOST, _json(500, s="error", code=-300, message="invalid symbol")),
    ("redirect", 2, "not", _json(307, {"location": "/elsewhere"})),
    ("a fault in the gateway", 3, _LOST, _fault),
)
_WEIGHTS = [weight for _, weight, _, _ in POSTS]
NEVER_CONNECTED = 0.05

_BAD_READS: tuple[Callable[[str], Reply], ...] = (
    _broken("timed out while waiting for the reply"),
    _page(502),
    _json(429, {"retry-after": "1"}, s="error", code=-429, message="Request limit reached"),
    _raw(200, b'{"s":"ok","code":200'),
    _json(200, s="ok", code=200, message="nothing else"),
)


class Fyers:
    """One account. Implements what the adapter needs of a transport."""

    def __init__(self, world: World, trouble: float, lag: float, positions_lag: float) -> None:
        """`trouble`: how often a POST gets anything else than its due; lags in seconds."""
        self._world = world
        self.rows: list[Row] = []
        self.posts: list[Post] = []
        self.short: dict[str, int] = {}  # units short before the history began
        self.trouble = trouble
        self.read_trouble = 0.0
        self.lag = lag
        self.positions_lag = positions_lag
        self.partial = 0.0
        self.step: Callable[[], None] = lambda: None
        self.is_known: Callable[[str], bool] = lambda _: False
        self.fates: list[str] = []
        self.chosen: tuple[str, str] | None = None  # what the next POST meets, by name, and what becomes of the order

    def call(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str],  # noqa: ARG002 -- the transport's own signature
        params: Mapping[str, str] | None = None,
        body: bytes | None = None,
        connect: float,
        total: float,
        window: Deadline | None = None,
        most: int = 0,  # noqa: ARG002
    ) -> Reply:
        self.step()
        if connect <= 0 or total <= 0:
            raise CallFailed("there was no time left for the call", wrote=False)
        if method == "POST":
            return self._place(json.loads(body or b""), connect, total, window)
        if method == "DELETE":
            return self._cancel(json.loads(body or b"")["id"], total)
        return self._read(url.rpartition("/")[2], params or {}, total)

    def begin(self, url: str, **_: Any) -> None:
        """No connection is ever at hand."""

    # -- orders

    def _place(self, payload: dict[str, Any], connect: float, total: float, window: Deadline | None) -> Reply:
        dice, began = self._world.random, self._world.seconds
        chosen, self.chosen = self.chosen, None
        if chosen is None and dice.random() < self.trouble * NEVER_CONNECTED:
            self._world.sleep(dice.uniform(0, connect))
            raise CallFailed("the connection was refused while connecting", wrote=False)
        self._world.sleep(dice.uniform(0, connect) * dice.random())
        self.step()
        if window is not None and window.left() <= 0:
            raise CallFailed("the time to send was over", wrote=False)
        name, _, become, answer = POSTS[0]
        if dice.random() < self.trouble:
            name, _, become, answer = dice.choices(POSTS, _WEIGHTS)[0]
        fate = dice.choice(become.split())
        if chosen is not None:
            name, fate = chosen
            answer = next(reply for fated, _, _, reply in POSTS if fated == name)
        self.fates.append(name)
        self.posts.append(Post(self._world.now(), payload["orderTag"], fate == "away", self._world.task_name))
        left = max(0.0, total - (self._world.seconds - began))
        if name == "timed out":
            take, wait = dice.random() * left, left
        else:
            take = dice.random() * 0.3 * left
            wait = take + dice.random() * 0.3 * left
        broker_id = self._take(payload, fate, take)
        self._world.sleep(wait)
        self.step()
        return answer(broker_id)

    def _take(self, payload: dict[str, Any], fate: str, after: float) -> str:
        """Brings the order into the book, at once or in a while, unless it never gets there."""
        dice = self._world.random
        broker_id = f"2611200000{len(self.posts):04d}"
        if fate in ("not", "away"):
            return broker_id
        taken = self._world.seconds + after + (dice.uniform(0.0, TAKEN_LATE) if fate == "late" else 0.0)
        shown = taken + (dice.random() * self.lag if dice.random() < 0.5 else 0.0)
        shown = min(shown, self._world.seconds + BOOK_LAG)
        life: list[Step] = [(taken, REJECTED, 0)]
        if fate != "rejected":
            life = [(taken + after, status, filled) for after, status, filled in self._life(payload["qty"])]
        row = Row(
            broker_id,
            payload["orderTag"],
            payload["symbol"],
            payload["side"],
            payload["qty"],
            payload["limitPrice"],
            taken,
            shown,
            life,
        )
        self.rows.append(row)
        if "stopLoss" in payload and fate != "rejected" and dice.random() < 0.95:
            self._attach(row)
        return broker_id

    def _attach(self, row: Row) -> None:
        """The protective legs: there from the first fill on, and never reached by the market."""
        filled_at = next((at for at, _, filled in row.life if filled), None)
        if filled_at is None:
            return
        for number, stop in ((1, True), (2, False)):
            leg = Row(
                f"{row.id}{number}", "", row.symbol, -row.side, row.quantity, 200.0, filled_at, filled_at, [], row, stop
            )
            self.rows.append(leg)
            row.legs.append(leg)

    def _life(self, quantity: int) -> list[Step]:
        """What becomes of an order once it was taken, in seconds from then."""
        dice = self._world.random
        first, second = dice.uniform(0.0, 5.0), dice.uniform(5.0, 50.0)
        part = quantity - LOT  # trades are of whole lots
        return dice.choice(
            (
                [(0.0, FILLED, quantity)],
                [(first, FILLED, quantity)],
                [(second, FILLED, quantity)],
                [],
                [(first, PENDING, part), (second, FILLED, quantity)],
                [(first, STRANGE, part), (second, FILLED, quantity)],
                [(first, PENDING, part), (second, CANCELLED, part)],
                [(first, PENDING, part)],
                [(second, CANCELLED, 0)],
                [(first, CANCELLED, 0), (second, FILLED, quantity)] if dice.random() < 0.3 else [],
                [(second, REJECTED, 0)],
                [(second, EXPIRED, 0)],
            )
        )

    def _cancel(self, broker_id: str, total: float) -> Reply:
        self._pass(total)
        row = next(row for row in self.rows if row.id == broker_id)
        status, filled = row.at(self._world.seconds)
        if status in _FINAL:
            return _json(400, s="error", code=-161, message="Order is already cancelled")("")
        row.life.append((self._world.seconds, CANCELLED, filled))
        return _json(200, s="ok", code=1103, id=broker_id)("")

    # -- reads

    def _read(self, what: str, params: Mapping[str, str], total: float) -> Reply:
        dice = self._world.random
        if self.read_trouble and dice.random() < self.read_trouble:
            self._world.sleep(total * dice.random())
            return dice.choice(_BAD_READS)("")
        self._pass(0.8 * total)
        now = self._world.seconds
        match what:
            case "quotes":
                content = _quotes(params["symbols"])
            case "positions":
                content = _rows("netPositions", self._positions(now - self.positions_lag))
            case _:
                content = _rows("orderBook", [_shown(row, now) for row in self._book(now)])
        self._pass(0.2 * total)
        return Reply(200, {}, content)

    def _pass(self, total: float) -> None:
        dice = self._world.random
        seconds = 0.004 + 0.1 * dice.random() ** 3
        if dice.random() < 0.02:
            seconds = total * dice.random()
        self._world.sleep(min(seconds, total))

    def _book(self, now: float) -> list[Row]:
        """What is shown by now; at times only its beginning, in a way that a reader who knows more orders can tell."""
        rows = [row for row in self.rows if row.shown_at <= now and row.taken_at <= now]
        dice = self._world.random
        if self.partial and rows and self._world.task_name == RECONCILE and dice.random() < self.partial:
            keep = dice.randrange(len(rows))
            if any(self.is_known(row.id) for row in rows[keep:]):
                return rows[:keep]
        return rows

    def _positions(self, now: float) -> list[dict[str, Any]]:
        shown = []
        for symbol in SYMBOLS:
            carried = self.short.get(symbol, 0)
            bought = self._filled(symbol, 1, now)
            sold = self._filled(symbol, -1, now) + carried
            if bought or sold:
                shown.append(
                    {
                        "symbol": symbol,
                        "productType": "INTRADAY",
                        "netQty": bought - sold,
                        "buyQty": bought,
                        "sellQty": sold,
                        "cfSellQty": carried,
                        "realized_profit": 0,
                    }
                )
        return shown

    def _filled(self, symbol: str, side: int, now: float) -> int:
        mine = (row for row in self.rows if row.symbol == symbol and row.side == side and row.taken_at <= now)
        return sum(row.at(now)[1] for row in mine)

    # -- the truth

    def broker_orders(self) -> list[BrokerOrder]:
        now = self._world.seconds
        return [self._truth(row, now) for row in self.rows if row.parent is None and row.taken_at <= now]

    def holdings(self) -> list[Holding]:
        """What was held after each change.

        Empty where an order was filled after the book had called it cancelled: the gateway could not know of it.
        """
        orders = [row for row in self.rows if row.parent is None]
        if any(len({status for _, status, _ in row.life if status in _FINAL}) > 1 for row in orders):
            return []
        moments = {row.taken_at for row in orders} | {at for row in orders for at, _, _ in row.life}
        return [self._held(orders, moment) for moment in sorted(moments) if moment <= self._world.seconds]

    def stray_legs(self) -> int:
        """Units of working stop-losses beyond the open short; an entry that still works may need its own."""
        now = self._world.seconds
        waiting = sum(row.legs[0].working(now) for row in self.rows if row.legs and row.working(now))
        strays = sum(max(0, self._stops(symbol, now) - max(0, self._short(symbol, now))) for symbol in SYMBOLS)
        return max(0, strays - waiting)

    def quiet_at(self) -> float:
        """When the last order has been taken and shown, and has lived its life."""
        moments = [max(row.shown_at, row.taken_at, *(at for at, _, _ in row.life), 0.0) for row in self.rows]
        return max(moments, default=0.0)

    def _truth(self, row: Row, now: float) -> BrokerOrder:
        status, filled = row.at(now)
        name = "PARTIALLY_FILLED" if status in (PENDING, STRANGE) and filled else _NAMES[status]
        return BrokerOrder(
            row.id,
            row.tag,
            EPOCH + timedelta(seconds=row.taken_at),
            name,
            live=status != REJECTED,
            side="BUY" if row.side > 0 else "SELL",
            lots=row.quantity // LOT,
            filled_quantity=filled,
            premium=row.price * row.quantity,
            protected=None if row.side > 0 or not filled else bool(row.legs) or self._is_protected(row.symbol, now),
        )

    def _is_protected(self, symbol: str, now: float) -> bool:
        """Stop-losses of whatever entry close as much as is short."""
        return self._stops(symbol, now) >= self._short(symbol, now)

    def _stops(self, symbol: str, now: float) -> int:
        stops = (row for row in self.rows if row.symbol == symbol and row.stop and row.taken_at <= now)
        return sum(row.working(now) for row in stops)

    def _short(self, symbol: str, now: float) -> int:
        return self.short.get(symbol, 0) + self._filled(symbol, -1, now) - self._filled(symbol, 1, now)

    def _held(self, orders: list[Row], moment: float) -> Holding:
        lots, beyond = 0, 0
        for symbol in SYMBOLS:
            net, opening = -self.short.get(symbol, 0), 0
            for row in orders:
                if row.symbol == symbol and row.taken_at <= moment:
                    net += row.side * row.at(moment)[1]
                    opening += row.working(moment) if row.side < 0 else 0
            lots += (max(0, -net) + opening) // LOT
            beyond += max(0, net)
        return Holding(EPOCH + timedelta(seconds=moment), lots, beyond)


def _shown(row: Row, now: float) -> dict[str, Any]:
    status, filled = row.at(now)
    shown = {
        "id": row.id,
        "orderTag": f"1:{row.tag}" if row.tag else "2:Untagged",
        "symbol": row.symbol,
        "side": row.side,
        "productType": "INTRADAY",
        "status": status,
        "qty": row.size(now),
        "filledQty": filled,
        "limitPrice": row.price,
        "tradedPrice": row.price if filled else 0,
        "message": "",
    }
    if row.parent is not None:
        shown["parentId"] = row.parent.id
    if row.stop:
        shown["stopPrice"] = row.price
    return shown


def _rows(name: str, rows: list[dict[str, Any]]) -> bytes:
    return json.dumps({"s": "ok", "code": 200, name: rows}).encode()


@cache
def _quotes(symbols: str) -> bytes:
    values = {"lp": 165.15, "bid": 165.1, "ask": 165.2}
    return _rows("d", [{"n": symbol, "s": "ok", "v": values} for symbol in symbols.split(",")])
