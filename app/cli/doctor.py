"""`doctor`: checks everything that orders need, and says what to change."""

import argparse
import json
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime

from app.cli.settings import configured
from app.cli.table import table
from app.domain.deadline import Deadline
from app.domain.errors import AlertError
from app.domain.notice import Notice, Severity
from app.operations.back_office import BackOffice
from app.operations.check import Check, Mark
from app.operations.checks import examine
from app.runtime import log
from app.runtime.bootstrap import bootstrap
from app.runtime.config import ConfigFaults
from app.runtime.openings import caller_address

_PATIENCE = 20.0  # seconds
_SIGN = {Mark.OK: "ok", Mark.WARN: "warn", Mark.FAIL: "FAIL"}


def add_commands(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    command = commands.add_parser("doctor", help="check everything that orders need")
    command.add_argument("--json", action="store_true", help="one JSON document on standard output")
    command.add_argument("--notify", action="store_true", help="send a test notice to every sink")
    command.add_argument("--egress", metavar="URL", help="a page that answers with the caller's own address")
    command.add_argument("--registered", metavar="ADDRESS", help="the address registered at Fyers, to compare with")
    command.add_argument("--truth-table", action="store_true", help="show an alert's outcome under every switch")
    command.set_defaults(run=_doctor)


def _doctor(args: argparse.Namespace) -> int:
    if args.truth_table:
        from app.cli.truth_table import truth_table

        rows = truth_table()
        print(json.dumps({"rows": rows}, indent=2) if args.json else table(rows))
        return 0
    log.configure("CRITICAL", sys.stderr)
    checks = _checks(args)
    fine = all(check.mark is not Mark.FAIL for check in checks)
    if args.json:
        print(json.dumps({"ok": fine, "checks": [check.document() for check in checks]}, indent=2))
    else:
        print("\n".join(map(_lines, checks)))
    return 0 if fine else 1


def _checks(args: argparse.Namespace) -> Sequence[Check]:
    try:
        config = configured()
        office = bootstrap(config)
    except ConfigFaults as faults:
        return [Check("settings", Mark.FAIL, fault, ".env.example explains each setting") for fault in faults.faults]
    except Exception as problem:  # noqa: BLE001 -- doctor reports whatever stops the start
        found = problem.message if isinstance(problem, AlertError) else f"{type(problem).__name__}: {problem}"
        return [Check("start", Mark.FAIL, found, "the gateway cannot start")]
    with office.resources:
        deadline = Deadline(time.monotonic, _PATIENCE)
        checks = [*examine(office, deadline), egress(config.live, args.egress, args.registered, deadline)]
        has_sinks = bool(config.notification_urls or config.notification_topic)
        return [*checks, _test_notice(office, has_sinks, deadline)] if args.notify else checks


def egress(live: bool, url: str | None, registered: str | None, deadline: Deadline) -> Check:
    """The caller's own address. Fyers takes orders from the registered one only (SEBI's rules since April 2026)."""
    how = "`doctor --egress https://api.ipify.org` shows it; it has to be the one registered at myapi.fyers.in"
    if url is None:
        mark = Mark.WARN if live else Mark.OK
        return Check("egress address", mark, "not checked", how if live else "")
    try:
        answer = caller_address(url, deadline)
    except ConnectionError as failed:
        return Check("egress address", Mark.WARN, f"not known: {failed}", how)
    return _compared("".join(mark for mark in answer if mark.isprintable())[:64], registered)


def _compared(address: str, registered: str | None) -> Check:
    if registered is None:
        return Check("egress address", Mark.OK, address, "it has to be the one registered at myapi.fyers.in")
    if address == registered:
        return Check("egress address", Mark.OK, f"{address}, as registered")
    advice = "Fyers refuses orders from any other: correct the route, or register this address (once a week)"
    return Check("egress address", Mark.FAIL, f"{address}, and {registered} is registered", advice)


def _test_notice(office: BackOffice, has_sinks: bool, deadline: Deadline) -> Check:
    text = "A test: the gateway can reach this phone."
    notice = Notice(f"doctor:{datetime.now(UTC).isoformat()}", "test", Severity.INFO, text)
    lacking = office.lacking(notice, deadline)
    if not has_sinks:
        advice = "set NOTIFICATION_URL or NOTIFICATION_TOPIC"
        return Check("test notice", Mark.WARN, "no sink is configured; the log has the notice", advice)
    if not lacking:
        return Check("test notice", Mark.OK, "every sink took it", "look at your phone")
    found = "; ".join(f"{sink}: {why}" for sink, why in lacking.items())
    return Check("test notice", Mark.FAIL, found, "check NOTIFICATION_URL and NOTIFICATION_TOPIC")


def _lines(check: Check) -> str:
    line = f"{_SIGN[check.mark]:<5} {check.name:<15} {check.found}"
    return f"{line}\n{'':<21} → {check.advice}" if check.advice and check.mark is not Mark.OK else line
