"""`reconcile`: the scheduler's task, run by hand."""

import argparse
import json
import sys
import time

from app.cli.settings import configured
from app.domain.deadline import Deadline
from app.flow.reconcile import Report, reconcile
from app.runtime import log
from app.runtime.bootstrap import bootstrap

_PATIENCE = 60.0  # seconds
_ANOTHER_ACCOUNT = (
    "note: the simulated account of `serve` lives in that process, and this one is new and empty. "
    "POST /tasks/reconcile asks the one of `serve`; `simulate` makes one for both."
)


def add_commands(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    command = commands.add_parser("reconcile", help="update the ledger from Fyers' order book")
    command.add_argument("--after-close", action="store_true", help="the order book is final: the session is over")
    command.add_argument("--json", action="store_true")
    command.set_defaults(run=_reconcile)


def _reconcile(args: argparse.Namespace) -> int:
    config = configured()
    log.configure("ERROR" if config.cloud_log is None else config.log_level, sys.stderr, config.cloud_log)
    if not config.live and config.fyers.api_url is None:
        print(_ANOTHER_ACCOUNT, file=sys.stderr)
    office = bootstrap(config)
    with office.resources:
        report = reconcile(office.desk, Deadline(time.monotonic, _PATIENCE), after_close=args.after_close)
    print(json.dumps(report.document()) if args.json else in_words(report))
    return 0 if report.clean else 1


def in_words(report: Report) -> str:
    """The report in words, one line for each finding."""
    lines = [f"{report.looked_at} orders looked at"]
    lines += [f"{count} moved from {move}" for move, count in report.moved.items()]
    if report.book is not None:
        lines.append(f"the order book could not be read: {report.book}")
    if report.positions is not None:
        lines.append(f"the positions could not be read: {report.positions}")
    found = {
        "too old to be sent": report.lapsed,
        "in doubt": report.in_doubt,
        "at Fyers with the gateway's tag and unknown to the ledger": len(report.strangers),
        "in the ledger and not in the order book": len(report.missing),
        "twice at Fyers": len(report.doubled),
        "open without a stop-loss": len(report.naked),
        "of an earlier day open without a stop-loss": len(report.overnight),
        "on the wrong side: closed more than was open": len(report.overbought),
        "legs cancelled or made smaller": report.legs_cancelled,
        "covers cancelled": report.covers_cancelled,
        "notices still waiting": report.notices_waiting,
    }
    lines += [f"{count} {what}" for what, count in found.items() if count]
    return "\n".join(lines)
