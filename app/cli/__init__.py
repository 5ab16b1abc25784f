"""The command line. Exit code 0 is success, 1 a failure, 2 bad usage."""

import argparse
import sys
from collections.abc import Sequence
from importlib import import_module

from app.cli.surroundings import settle
from app.domain.errors import AlertError
from app.runtime import log
from app.runtime.config import ConfigFaults

# The commands of each module. Only the module of the given command is loaded, so that `serve` starts fast.
MODULES = {
    "serve": ("serve", "simulate"),
    "send": ("send",),
    "ledger": ("orders", "reasons", "trading-state"),
    "reconcile": ("reconcile",),
    "symbols": ("symbols",),
    "token": ("token",),
    "doctor": ("doctor",),
    "facts": ("facts",),
    "replay": ("replay",),
}


def main(argv: Sequence[str]) -> int:
    """Runs one command. An error that the user can correct is one line on standard error, not a stack trace."""
    settle()
    args = read(argv)
    try:
        return int(args.run(args))
    except (ConfigFaults, AlertError, OSError) as problem:
        print(f"error: {problem}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    finally:
        log.close()


def read(argv: Sequence[str]) -> argparse.Namespace:
    """The command with its arguments. Raises SystemExit(2) for anything else."""
    parser = argparse.ArgumentParser(prog="python -m app", description="A TradingView alert becomes one Fyers order.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name in _modules(argv):
        import_module(f"app.cli.{name}").add_commands(commands)
    args, rest = parser.parse_known_args(argv)
    if rest and args.command != "simulate":
        parser.error(f"unrecognized arguments: {' '.join(rest)}")
    args.rest = rest
    return args


def _modules(argv: Sequence[str]) -> list[str]:
    """The module of the command; all of them for an unknown one, so that the usage shows every command."""
    asked = argv[0] if argv else ""
    return [name for name, commands in MODULES.items() if asked in commands] or list(MODULES)
