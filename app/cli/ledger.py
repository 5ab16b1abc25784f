"""`orders` and `trading-state`: read the ledger, change the trading state."""

import argparse
import json
import sys
import time
from contextlib import ExitStack
from datetime import UTC, date, datetime

from app.cli.settings import configured
from app.cli.table import table
from app.domain.deadline import Deadline
from app.domain.errors import Reason
from app.domain.order import Order
from app.domain.order.status import OrderStatus
from app.domain.risk.controls import TradingState
from app.flow.ports import Overtaken
from app.flow.reconcile import SETTLE
from app.runtime.openings import open_ledger
from app.web.answers import detailed

_PATIENCE = 10.0  # seconds


def add_commands(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    orders = commands.add_parser("orders", help="list the orders of the ledger")
    orders.add_argument("--json", action="store_true", help="one JSON document on standard output")
    orders.add_argument("--day", type=date.fromisoformat, metavar="YYYY-MM-DD", help="orders of one IST day")
    orders.add_argument("--in-flight", action="store_true", help="only orders that may still change")
    orders.set_defaults(run=_orders)
    verbs = orders.add_subparsers(dest="verb", metavar="resolve")
    resolve = verbs.add_parser("resolve", help="decide an order in doubt by hand")
    resolve.add_argument("key", help="the order's key, or its first 8 digits or more")
    resolve.add_argument("--not-placed", action="store_true", required=True, help="you checked: it is not at Fyers")
    resolve.add_argument("--reason", required=True)
    resolve.set_defaults(run=_resolve)
    reasons = commands.add_parser("reasons", help="the reason codes of an answer, as a table for the README")
    reasons.set_defaults(run=_reasons)
    state = commands.add_parser("trading-state", help="set the trading state: active, reducing (covers only) or halted")
    state.add_argument("state", choices=[state.lower() for state in TradingState])
    state.add_argument("--reason", required=True)
    state.set_defaults(run=_trading_state)


def _orders(args: argparse.Namespace) -> int:
    day = str(args.day) if args.day else None
    with ExitStack() as resources:
        orders = open_ledger(configured(), resources).orders(_deadline(), day=day, in_flight=args.in_flight)
    if args.json:
        print(json.dumps({"orders": [detailed(order) for order in orders]}, indent=2))
    else:
        print(table([_row(order) for order in orders]) if orders else "no orders")
    return 0


def _resolve(args: argparse.Namespace) -> int:
    with ExitStack() as resources:
        ledger = open_ledger(configured(), resources)
        matching = [order for order in ledger.orders(_deadline(), in_flight=True) if order.key.startswith(args.key)]
        if len(args.key) < 8 or len(matching) != 1:
            return _refused(f"{len(matching)} orders in flight begin with {args.key}; name one, by 8 digits or more")
        order, now = matching[0], datetime.now(UTC)
        if order.status is not OrderStatus.SUBMITTED:
            return _refused(f"the order is {order.status}; only an order in doubt can be resolved")
        if now - (order.submitted_at or now) < SETTLE:
            return _refused("the request that sent the order may still be running; try again in a few seconds")
        try:
            ledger.record(order.moved(OrderStatus.NOT_PLACED, now, message=args.reason), _deadline())
        except Overtaken as overtaken:
            return _refused(f"the order has just become {overtaken.current.status}")
    print(f"{order.key} is NOT_PLACED: {args.reason}")
    return 0


def _refused(why: str) -> int:
    print(f"error: {why}", file=sys.stderr)
    return 1


def _row(order: Order) -> dict[str, str]:
    ticket = order.ticket
    return {
        "received (UTC)": order.received_at.strftime("%m-%d %H:%M:%S"),
        "status": order.status,
        "side": order.asked["action"],
        "symbol": ticket.symbol if ticket else order.asked["symbol"],
        "quantity": str(ticket.quantity) if ticket else "",
        "broker order": order.broker_order_id or "",
        "key": order.key[:12],
        "why": order.message or "",
    }


def _reasons(args: argparse.Namespace) -> int:  # noqa: ARG001 -- it has no arguments
    print(reason_table())
    return 0


def reason_table() -> str:
    return "\n".join(("| reason | |", "|---|---|", *(f"| `{reason}` | {reason.meaning} |" for reason in Reason)))


def _trading_state(args: argparse.Namespace) -> int:
    state, now = TradingState(args.state.upper()), datetime.now(UTC)
    with ExitStack() as resources:
        switched = open_ledger(configured(), resources).change_controls(
            lambda controls: controls.switched(state, args.reason, "command line", now), _deadline()
        )
    print(f"trading is {switched.state}: {switched.reason}")
    return 0


def _deadline() -> Deadline:
    return Deadline(time.monotonic, _PATIENCE)
