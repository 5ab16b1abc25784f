"""The command line. Exit 0 when fine, 1 when something fails, 2 on bad usage."""

import argparse
import sys
from collections.abc import Callable, Sequence

from app.config import ConfigFaults
from app.errors import AlertError

Command = Callable[[argparse.Namespace], int]


def main(argv: Sequence[str]) -> int:
    """Runs one command. What a user can mend is one line on standard error, never a stack trace."""
    parser = argparse.ArgumentParser(prog="python -m app", description="A TradingView alert becomes one Fyers order.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    from app.cli import doctor, ledger, reconcile, replay, send, serve, symbols, token

    for module in (serve, send, ledger, reconcile, symbols, token, doctor, replay):
        module.add_commands(commands)
    args, rest = parser.parse_known_args(argv)
    if rest and args.command != "simulate":
        parser.error(f"unrecognized arguments: {' '.join(rest)}")
    args.rest = rest
    run: Command = args.run
    try:
        return run(args)
    except (ConfigFaults, AlertError, OSError) as problem:
        print(f"error: {problem}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
