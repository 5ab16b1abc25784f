"""The broker's answers when nothing goes wrong on its side: authorisation, limits, orders, the account."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

from app.simulator import rows
from app.simulator.exchange import Exchange
from app.simulator.limits import RateLimiter, RateLimits, retry_headers
from app.simulator.market_data import MarketData
from app.simulator.orders import Order, Status
from app.simulator.rules import Refused
from app.simulator.sessions import Sessions, Terms
from app.simulator.tokens import Mint
from app.simulator.wire import Answer, Request, app_refusal, cancel_id, endpoint_of, error, json_object, ok, page

_OPEN = {"generate-authcode", "validate-authcode", "validate-refresh-token", "master"}
_TRANSACTIONAL = {"place", "modify", "cancel", "place-multi", "modify-multi", "cancel-multi", "exit", "attach"}
_ORDER_LIMITED = {"place", "modify", "cancel"}


class Api:
    """Answers requests for one account, and for every other account that logs in. Those start empty."""

    def __init__(
        self, exchange: Exchange, terms: Terms, limits: RateLimits | None, sessions: Sessions | None = None
    ) -> None:
        self.exchange = exchange
        self.terms = terms
        self.sessions = sessions or Sessions(terms, Mint(exchange.seed, exchange.client_id), exchange.market.now)
        self._limits = limits
        self._others: dict[str, Api] = {}
        self._limiter = RateLimiter(limits) if limits else None
        self._routes: dict[str, Callable[[Request], Answer]] = {
            "place": self._place,
            "modify": self._modify,
            "cancel": self._cancel,
            "orders": self._orders,
            "place-multi": lambda request: self._multi(request, self._place_one),
            "modify-multi": lambda request: self._multi(request, self._modify_one),
            "cancel-multi": lambda request: self._multi(request, self._cancel_one),
            "margin": self._margin,
            "positions": self._positions,
            "exit": self._exit,
            "attach": self._attach,
            "tradebook": self._tradebook,
            "funds": self._funds,
            "profile": self._profile,
            **self.sessions.routes,
            **MarketData(exchange).routes,
        }

    def respond(self, request: Request) -> Answer:
        """The broker's answer when nothing goes wrong on its side."""
        endpoint = endpoint_of(request.method, request.path)
        if endpoint is None:
            # In July 2026 a POST to the bare path got the proxy's page. What other unknown paths get is not recorded.
            return page(403) if request.method == "POST" else error(-50, "Not found", 404)
        if endpoint not in _OPEN:
            if unauthorised := self.sessions.unauthorised(request):
                return unauthorised
            if (who := self.sessions.account_of(request)) != self.exchange.client_id:
                return self.of(who).respond(request)
            if stopped := self._over_limit(endpoint) or self._app_refused(request, endpoint):
                return stopped
        try:
            return self._routes[endpoint](request)
        except Refused as refused:
            return error(refused.code, refused.message, refused.status)

    def of(self, client_id: str) -> Api:
        """The answers of that account."""
        if client_id == self.exchange.client_id:
            return self
        if client_id not in self._others:
            mine = self.exchange
            beside = Exchange(mine.seed, mine.market.now, client_id=client_id)
            self._others.setdefault(client_id, Api(beside, self.terms, self._limits, self.sessions))
        return self._others[client_id]

    def _over_limit(self, endpoint: str) -> Answer | None:
        wait = self._limiter.wait(is_order=endpoint in _ORDER_LIMITED) if self._limiter else 0.0
        return error(-429, "Request limit reached", 429, **retry_headers(wait)) if wait else None

    def _app_refused(self, request: Request, endpoint: str) -> Answer | None:
        if endpoint not in _TRANSACTIONAL:
            return None
        app_id = request.authorization.partition(":")[0]
        allowed = self.terms.algo_orders if self.terms.algo_orders is not None else not app_id.endswith("-100")
        return None if allowed else app_refusal(app_id)

    # -- orders

    def _place(self, request: Request) -> Answer:
        payload = json_object(request)
        if payload.get("isSliceOrder") is True:
            orders = self.exchange.place_slices(payload)
            content = [_child(self._placed(order), "OK") for order in orders]
            body = {"code": 1101, "message": "Order Slice placed successfully", "data": content}
            return Answer(200, body, orders=tuple(orders))
        return self._placed(self.exchange.place(payload, reject=request.reject))

    def _place_one(self, payload: Mapping[str, Any]) -> Answer:
        return self._placed(self.exchange.place(payload))

    def _placed(self, order: Order) -> Answer:
        if order.status is Status.REJECTED:
            body = {"code": -99, "s": "error", "message": order.message, "id": order.id}
            return Answer(self.terms.reject_status, body, orders=(order,))
        message = f"Order submitted successfully. Your Order Ref. No.{order.id}"
        return Answer(200, {"s": "ok", "code": 1101, "message": message, "id": order.id}, orders=(order,))

    def _modify(self, request: Request) -> Answer:
        return self._modify_one(json_object(request))

    def _modify_one(self, payload: Mapping[str, Any]) -> Answer:
        order = self.exchange.modify(payload)
        return Answer(200, {"s": "ok", "code": 1102, "message": "Successfully modified order", "id": order.id})

    def _cancel(self, request: Request) -> Answer:
        in_path = cancel_id(request.path)
        return self._cancel_one({"id": in_path} if in_path else json_object(request))

    def _cancel_one(self, payload: Mapping[str, Any]) -> Answer:
        order = self.exchange.cancel(payload.get("id"))
        return Answer(200, {"s": "ok", "code": 1103, "message": "Successfully cancelled order", "id": order.id})

    def _multi(self, request: Request, each: Callable[[Mapping[str, Any]], Answer]) -> Answer:
        payloads = request.json()
        if not isinstance(payloads, list) or not 1 <= len(payloads) <= 10:
            raise Refused("Between 1 and 10 orders are allowed")
        answers = [_attempt(each, payload) for payload in payloads]
        data = [_child(answer, "HTTP OK" if answer.status == 200 else "400 Bad Request") for answer in answers]
        orders = tuple(order for answer in answers for order in answer.orders)
        return Answer(200, {"s": "ok", "code": 200, "message": "", "data": data}, orders=orders)

    def _orders(self, request: Request) -> Answer:
        ids, tag = request.query.get("id"), request.query.get("order_tag")
        with self.exchange.lock:
            found = (
                self.exchange.find_orders(ids.split(",") if ids else (), tag) if ids or tag else self.exchange.orders()
            )
            if request.hide_seconds:
                oldest = time.monotonic() - request.hide_seconds
                found = [order for order in found if order.created <= oldest]
            found = found[: request.keep_rows]
            return ok(orderBook=[rows.order_row(self.exchange, order, order.number) for order in found])

    def _margin(self, request: Request) -> Answer:
        payload = json_object(request)
        if not isinstance(payload.get("data"), list):
            raise Refused("data should be a list of orders")
        total, together = self.exchange.margin(payload)
        amounts = {"margin_avail": self.exchange.available(), "margin_total": total, "margin_new_order": together}
        return ok(data={name: rows.number(round(amount, 2)) for name, amount in amounts.items()})

    # -- the account

    def _positions(self, _: Request) -> Answer:
        with self.exchange.lock:
            held = self.exchange.positions()
            net = [rows.position_row(self.exchange, position, serial) for serial, position in enumerate(held, 1)]
        return ok(netPositions=net, overall=rows.overall_row(net))

    def _exit(self, request: Request) -> Answer:
        with self.exchange.lock:
            before = len(self.exchange.orders())
            closed = self.exchange.exit(json_object(request))
            orders = tuple(self.exchange.orders()[before:])
        code, message = (200, "The position is closed.") if closed else (201, "The exit order is placed.")
        return Answer(200, {"s": "ok", "code": code, "message": message}, orders=orders)

    def _attach(self, request: Request) -> Answer:
        position = self.exchange.attach(json_object(request))
        reference = rows.reference(f"{position.id}{len(self.exchange.orders())}")
        body = {"code": 1102, "message": "Successfully modified order", "s": "ok", "id_fyers": reference}
        return Answer(200, body)

    def _tradebook(self, request: Request) -> Answer:
        tag = request.query.get("order_tag")
        trades = self.exchange.trades()
        chosen = [trade for trade in trades if tag is None or trade.order.tag == tag]
        return ok(tradeBook=[rows.trade_row(self.exchange, trade, serial) for serial, trade in enumerate(chosen, 1)])

    def _funds(self, _: Request) -> Answer:
        with self.exchange.lock:
            self.exchange.refresh()
            return ok(fund_limit=rows.fund_rows(self.exchange))

    def _profile(self, _: Request) -> Answer:
        return ok(data=rows.profile(self.exchange.client_id))


def _attempt(each: Callable[[Mapping[str, Any]], Answer], payload: object) -> Answer:
    try:
        return each(payload) if isinstance(payload, dict) else error(-50, "Invalid input")
    except Refused as refused:
        return Answer(400, {"s": "error", "code": refused.code, "message": refused.message, "id": ""})


def _child(answer: Answer, description: str) -> dict[str, Any]:
    return {"statusCode": answer.status, "body": answer.content, "statusDescription": description}
