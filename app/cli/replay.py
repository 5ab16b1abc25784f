"""`replay`: the outcome of a past alert under today's settings and program.

It runs in paper trading at the order's own moment, with the option at its price of that time. Each order is replayed
alone: the trading state and the day's counters of that time are not restored.
"""

import argparse
import json
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from decimal import Decimal
from pathlib import Path

from app.cli.rehearsal import Stage, folder, on_paper, outcome, outcome_of
from app.cli.settings import configured
from app.cli.table import table
from app.domain.alert import Moneyness, OptionType
from app.domain.alert.parse import parse
from app.domain.deadline import Deadline
from app.domain.errors import AlertError
from app.domain.money import plain
from app.domain.order import Order, Ticket
from app.flow.execution import Receipt
from app.runtime.config import Config
from app.runtime.openings import open_ledger

_PATIENCE = 10.0  # seconds
TOUCH = Decimal("0.005")  # of the last price: bid and ask were not stored, so a limit may differ by this much
SHOWN = ("symbol", "side", "product", "quantity", "limit_price", "stop_loss", "take_profit")


@dataclass(frozen=True, slots=True)
class Difference:
    what: str
    then: str
    now: str


def add_commands(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    command = commands.add_parser("replay", help="run a past alert in paper trading, with today's settings")
    which = command.add_mutually_exclusive_group(required=True)
    which.add_argument("key", nargs="?", help="the order's key, or its first 8 digits or more")
    which.add_argument("--day", metavar="YYYY-MM-DD", help="all orders of one IST day instead")
    command.add_argument("--json", action="store_true", help="one JSON document on standard output")
    command.set_defaults(run=_replay)


def _replay(args: argparse.Namespace) -> int:
    config = configured()
    orders = _orders(config, args.key, args.day)
    if not orders:
        print(f"error: the ledger has no such order ({args.key or args.day})")
        return 1
    with folder() as place:
        found = {order.key: replay(order, config, place) for order in orders}
    if args.json:
        print(json.dumps({"orders": [_document(order, found[order.key]) for order in orders]}, indent=2))
    else:
        print("\n\n".join(_sentences(order, found[order.key]) for order in orders))
    return 0


def replay(order: Order, config: Config, place: Path) -> list[Difference]:
    """The differences between then and now. `place` is a folder for the rehearsal's files."""
    before = _said(outcome_of(order), order.message)
    with on_paper(config, order.received_at, place) as stage:
        if order.ticket is not None and stage.exchange.instrument(order.ticket.symbol) is None:
            unlisted = f"unknown: the simulated account does not list {order.ticket.symbol}"
            return [Difference("outcome", before, unlisted)]
        _set(stage, order)
        result = stage.alert(order.asked, fired_at=order.alert_at)
    differences: list[Difference] = []
    if outcome_of(order) != outcome(result):
        differences.append(Difference("outcome", before, _said(outcome(result), _why(result))))
    now = result.order.ticket if isinstance(result, Receipt) else None
    return differences + (_compared(order.ticket, now) if order.ticket and now else [])


def _set(stage: Stage, order: Order) -> None:
    """Restores the option's price, an underlying that resolves to its contract, and the short to cover."""
    ticket = order.ticket
    listed = stage.exchange.instrument(ticket.symbol) if ticket else None
    if ticket is None or listed is None:
        return
    alert = parse(dict(order.asked))
    if isinstance(alert.strike, Moneyness) and listed.strike is not None:
        up = alert.strike.steps if alert.option_type is OptionType.CE else -alert.strike.steps
        at_the_money = listed.strike - up * listed.underlying.strike_step
        stage.exchange.set_quote(listed.underlying.quote_symbol, at_the_money)
    half_spread = max(1, int(ticket.ltp / ticket.tick_size / 1000)) * ticket.tick_size
    stage.exchange.set_quote(ticket.symbol, ticket.ltp, ticket.ltp - half_spread, ticket.ltp + half_spread)
    if ticket.covers:
        stage.ensure_short(ticket.symbol, ticket.quantity, ticket.product)


def _compared(then: Ticket, now: Ticket) -> list[Difference]:
    is_near = abs(then.limit_price - now.limit_price) <= TOUCH * then.ltp
    names = [name for name in SHOWN if not (is_near and name == "limit_price")]
    compared = [Difference(name, _shown(then, name), _shown(now, name)) for name in names]
    return [each for each in compared if each.then != each.now]


def _orders(config: Config, key: str | None, day: str | None) -> Sequence[Order]:
    with ExitStack() as resources:
        ledger, deadline = open_ledger(config, resources), Deadline(time.monotonic, _PATIENCE)
        if key is None:
            return ledger.orders(deadline, day=day)[::-1]
        if (order := ledger.get(key, deadline)) is not None:
            return [order]
        matching = [order for order in ledger.orders(deadline) if len(key) >= 8 and order.key.startswith(key)]
        return matching if len(matching) == 1 else []


def _why(result: Receipt | AlertError) -> str | None:
    if isinstance(result, AlertError):
        return result.message
    return result.problem.message if result.problem else result.order.message


def _said(outcome: str, message: str | None) -> str:
    return f"{outcome}: {message}" if message and outcome != "sent" else outcome


def _shown(ticket: Ticket, name: str) -> str:
    value = getattr(ticket, name)
    return "none" if value is None else plain(value) if name in SHOWN[4:] else str(value)


def _document(order: Order, differences: Sequence[Difference]) -> dict[str, object]:
    return {"key": order.key, "asked": dict(order.asked), "differences": [asdict(each) for each in differences]}


def _sentences(order: Order, differences: Sequence[Difference]) -> str:
    asked = " ".join(str(value) for value in order.asked.values())
    head = f"{order.key[:12]}  {order.received_at:%Y-%m-%d %H:%M:%S} UTC  {asked}"
    if not differences:
        return f"{head}\nnothing would differ: {outcome_of(order)}"
    return f"{head}\n" + table([{"": each.what, "then": each.then, "now": each.now} for each in differences])
