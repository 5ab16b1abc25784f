"""`symbols refresh` and `symbols find`."""

import argparse
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack
from datetime import UTC, date, datetime
from decimal import Decimal
from functools import partial
from pathlib import Path

from app.cli.settings import configured
from app.domain.alert.parse import parse
from app.domain.alert.strict_json import decode
from app.domain.errors import AlertError
from app.domain.instrument import Wanted
from app.flow.hours import expiry_floor
from app.flow.ports import SymbolMaster
from app.runtime.config import Config
from app.runtime.openings import renew, stored_symbols, with_simulator

# The day from which expiries count, or a function of underlying and exchange that returns it.
From = date | Callable[[str, str | None], date]

_NAMES = ("symbol", "strikeprice", "optionType", "expiry")


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
    on = args.on or partial(expiry_floor, master, config.calendar, now=datetime.now(UTC), entering=True)
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


def find_one(
    master: SymbolMaster, row: Mapping[str, object], on: From, spot: Decimal | None = None
) -> dict[str, object]:
    """The contract that a row of the webhook's fields asks for, counting expiries from `on`.

    `spot` is the underlying's price in rupees, for a strike such as ATM. Prices are strings in rupees, as in the
    webhook's answer. If there is no contract, the only field is `error`.
    """
    fields = {name: str(value) if isinstance(value, int | float | Decimal) else value for name, value in row.items()}
    try:
        # An alert needs a side; it makes no difference to the contract.
        asked = parse({name: fields[name] for name in _NAMES if name in fields} | {"action": "SELL"})
        day = on(asked.underlying, asked.exchange) if callable(on) else on
        wanted = Wanted(asked.underlying, asked.exchange, asked.expiry, asked.strike, asked.option_type)
        contract = master.resolve(wanted, on=day, spot=spot)
    except AlertError as error:
        return {"error": error.message}
    return {
        "symbol": contract.symbol,
        "underlying": contract.underlying,
        "expiry": contract.expiry.isoformat(),
        "strike": str(contract.strike),
        "option_type": str(contract.option_type),
        "lot_size": contract.lot_size,
        "tick_size": str(contract.tick_size),
    }


def find_batch(
    master: SymbolMaster, lines: Iterable[bytes], on: From, spot: Decimal | None = None
) -> Iterator[dict[str, object]]:
    """One answer for each line, in order. A line is one JSON object as in `find_one`; empty lines are skipped."""
    for line in lines:
        if line.strip():
            try:
                yield find_one(master, decode(line), on, spot)
            except AlertError as error:
                yield {"error": error.message}
