"""`facts`: the outside facts that the code relies on, each with its source and review date."""

import argparse
import json
from datetime import UTC, date, datetime

from app.domain.calendar import ist_day
from app.facts import Fact
from app.operations.register import REGISTER, due


def add_commands(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    command = commands.add_parser(
        "facts",
        help="the outside facts that the code relies on, with source and review date",
        description="The outside facts that the code relies on. The exit code is 0 even if facts are due for review: "
        "that is a reminder, not a failure.",
    )
    command.add_argument("--due", action="store_true", help="only the facts due for review, the longest due first")
    command.add_argument("--on", type=date.fromisoformat, metavar="DATE", help="due by this day; default: today (IST)")
    command.add_argument("--json", action="store_true", help="one JSON document on standard output")
    command.set_defaults(run=_facts)


def _facts(args: argparse.Namespace) -> int:
    on = args.on or ist_day(datetime.now(UTC))
    late = due(on)
    shown = late if args.due else REGISTER
    if args.json:
        rows = [{**_document(fact), "due": fact in late} for fact in shown]
        print(json.dumps({"on": str(on), "due": len(late), "facts": rows}, indent=2))
        return 0
    for fact in shown:
        print(_lines(fact, fact in late))
    print(f"{len(late)} of {len(REGISTER)} facts are due for review on {on}")
    return 0


def _document(fact: Fact) -> dict[str, str]:
    return {
        "name": fact.name,
        "value": fact.value,
        "place": fact.place,
        "source": fact.source.text,
        "seen": str(fact.source.seen),
        "confidence": str(fact.source.confidence),
        "review_by": str(fact.source.review_by),
    }


def _lines(fact: Fact, is_due: bool) -> str:
    source = fact.source
    when = f"seen {source.seen}, {source.confidence} confidence, review by {source.review_by}"
    return f"{'due  ' if is_due else '     '}{fact.name}: {fact.value}\n     {when}; {source.text} [{fact.place}]"
