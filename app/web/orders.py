"""The operator's look at the orders, and the trading state."""

from collections.abc import Iterator, Sequence
from datetime import date
from typing import Any

from flask import Blueprint, Response, g, jsonify, request

from app.domain.alert.strict_json import decode
from app.domain.book import BookRow
from app.domain.calendar import ist_day
from app.domain.deadline import Deadline
from app.domain.errors import Malformed, NotNow
from app.domain.order import Order
from app.domain.protection import legs_of
from app.domain.risk.controls import Controls, TradingState
from app.flow.desk import Desk
from app.web.answers import detailed, has_legs, shown_leg
from app.web.auth import Auth, blueprint, error

QUICK = 10.0  # seconds for a request to the ledger
BOOK = 2.0  # of these, for the order book with the protective legs

Legs = dict[str, list[dict[str, Any]] | None]


def order_routes(desk: Desk, auth: Auth) -> Blueprint:
    routes, views = blueprint("orders"), _Views(desk)
    routes.get("/orders")(auth.operator(views.orders, QUICK))
    routes.get("/orders/<key>")(auth.operator(views.order, QUICK))
    routes.get("/trading-state")(auth.operator(views.trading_state, QUICK))
    routes.post("/trading-state")(auth.operator(views.switch, QUICK))
    return routes


class _Views:
    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def orders(self, deadline: Deadline) -> Response:
        day = _day(request.args.get("day"))
        found = self._desk.ledger.orders(deadline, day=day, in_flight=request.args.get("in_flight") == "1")
        return jsonify({"orders": [detailed(order) | legs for order, legs in self._with_legs(found, deadline)]})

    def order(self, deadline: Deadline, key: str) -> Response:
        found = self._desk.ledger.get(key, deadline)
        if found is None:
            return error(404, "the ledger has no order with this key")
        [(_, legs)] = self._with_legs([found], deadline)
        return jsonify(detailed(found) | legs)

    def trading_state(self, deadline: Deadline) -> Response:
        return _state(self._desk.ledger.controls(deadline))

    def switch(self, deadline: Deadline) -> Response:
        wanted = decode(request.get_data(cache=False))
        state, reason = _wanted_state(wanted), wanted.get("reason")
        if not isinstance(reason, str) or not (reason := reason.strip()):
            raise Malformed("reason", "is missing; say why, so that others know")
        author, now = g.operator, self._desk.clock.now()
        ledger = self._desk.ledger
        return _state(ledger.change_controls(lambda controls: controls.switched(state, reason, author, now), deadline))

    def _with_legs(self, orders: Sequence[Order], deadline: Deadline) -> Iterator[tuple[Order, Legs]]:
        """Each order with its protective legs as the broker has them now; None where they are not known.

        The order book holds today's legs. The ledger does not: they move without the gateway.
        """
        today = str(ist_day(self._desk.clock.now()))
        asked = {order.key for order in orders if has_legs(order) and order.day == today}
        book: Sequence[BookRow] = ()
        try:
            book = self._desk.broker.order_book(deadline.within(BOOK)) if asked else ()
        except NotNow:
            asked = set()
        for order in orders:
            known = order.key in asked or not has_legs(order)
            yield order, {"legs": [shown_leg(row) for row in legs_of(order, book)] if known else None}


def _wanted_state(wanted: dict[str, object]) -> TradingState:
    state = wanted.get("state")
    try:
        return TradingState(state.upper() if isinstance(state, str) else "")
    except ValueError:
        raise Malformed("state", f"is unknown; send {', '.join(TradingState)}") from None


def _day(text: str | None) -> str | None:
    try:
        return str(date.fromisoformat(text)) if text else None
    except ValueError:
        raise Malformed("day", "is no date; send one such as 2026-11-20") from None


def _state(controls: Controls) -> Response:
    changed_at = controls.changed_at.isoformat() if controls.changed_at else None
    return jsonify(state=controls.state, reason=controls.reason, author=controls.author, changed_at=changed_at)
