"""`symbols refresh` and `symbols find`."""

import argparse
import json
from collections.abc import Mapping
from contextlib import ExitStack
from datetime import UTC, date, datetime
from decimal import Decimal
from functools import partial
from pathlib import Path

from app.cli.find import find_batch, find_one
from app.cli.settings import configured
from app.domain.calendar import Calendar
from app.flow.hours import expiry_floor
from app.flow.ports import SymbolMaster
from app.runtime.config import Config
from app.runtime.openings import with_simulator
from app.runtime.symbols import renew, stored_symbols


def add_commands(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    symbols = commands.add_parser("symbols", help="refresh the symbol master, or find a contract in it")
    verbs = symbols.add_subparsers(dest="verb", required=True, metavar="refresh|find")
    renew = verbs.add_parser("refresh", help="fetch the master and, if it is good, store it")
    renew.add_argument("--json", action="store_true")
    renew.set_defaults(run=_refresh)
    find = verbs.add_parser("find", help="show the contract of an alert's fields")
    find.add_argument("terms", nargs="*", metavar="UNDERLYING STRIKE TYPE EXPIRY")
    find.add_argument("--batch", type=Path, metavar="FILE", help="one JSON object a line, with the webhook's fields")
    find.add_argument("--on", type=date.fromisoformat, metavar="DATE", help="count expiries from here; default: today")
    find.add_argument("--spot", type=Decimal, metavar="PRICE", help="the underlying's price, for ATM, ITMn and OTMn")
    find.add_argument("--json", action="store_true")
    find.set_defaults(run=_find)


def _refresh(args: argparse.Namespace) -> int:
    report = _renewed(configured())
    if args.json:
        print(json.dumps(report))
    elif report["accepted"]:
        print(f"{report['rows']} option contracts as of {report['as_of']}, in {report['seconds']} s")
    else:
        print(f"refused: {report['reason']}; kept: {report['kept'] or 'nothing'}")
    return 0 if report["accepted"] else 1


def _find(args: argparse.Namespace) -> int:
    config = configured()
    master = _master(config)
    on = args.on or partial(_expiry_floor, master, config.calendar)
    if args.batch is not None:
        with args.batch.open("rb") as lines:
            answers = list(find_batch(master, lines, on, args.spot))
        for answer in answers:
            print(json.dumps(answer))
        return 0 if all("error" not in answer for answer in answers) else 1
    if len(args.terms) != 4:
        raise SystemExit("usage: symbols find UNDERLYING STRIKE TYPE EXPIRY [--on DATE] [--spot PRICE] [--json]")
    row = dict(zip(("symbol", "strikeprice", "optionType", "expiry"), args.terms, strict=True))
    answer = find_one(master, row, on, args.spot)
    print(json.dumps(answer) if args.json else _sentence(answer))
    return 0 if "error" not in answer else 1


def _expiry_floor(master: SymbolMaster, calendar: Calendar, underlying: str, exchange: str | None) -> date:
    """The day from which expiries count for an entry now."""
    return expiry_floor(master, calendar, underlying, exchange, datetime.now(UTC), entering=True)


def _master(config: Config) -> SymbolMaster:
    """The cached master; a missing one is fetched first."""
    master = stored_symbols(config)
    if master.problem is not None:
        _renewed(config)
        master.reload()
    return master


def _renewed(config: Config) -> dict[str, object]:
    """The report of a refresh. Paper trading without an address fetches from a simulator of its own."""
    with ExitStack() as resources:
        return renew(with_simulator(config, resources), datetime.now(UTC))


def _sentence(answer: Mapping[str, object]) -> str:
    if "error" in answer:
        return f"error: {answer['error']}"
    return (
        f"{answer['symbol']}: {answer['underlying']} {answer['strike']} {answer['option_type']}, expires "
        f"{answer['expiry']}, lot {answer['lot_size']}, tick {answer['tick_size']}"
    )
