"""`serve` and `simulate`."""

import argparse
import os
import sys

from app.cli.settings import environment, own_address
from app.runtime.config import Config


def add_commands(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    serve = commands.add_parser("serve", help="serve the gateway with gunicorn's production settings")
    serve.add_argument("--host", default=None, help="default: $HOST, else 127.0.0.1")
    serve.add_argument("--port", type=int, default=None, help="default: $PORT, else 8080")
    serve.set_defaults(run=_serve)
    simulate = commands.add_parser("simulate", help="serve a simulated Fyers account", add_help=False)
    simulate.set_defaults(run=_simulate)


def _serve(args: argparse.Namespace) -> int:
    """Runs gunicorn in this process, so that nothing is loaded twice."""
    environ = environment()
    environ["HOST"] = args.host or environ.get("HOST") or ""
    config = Config.from_env(environ)  # names every fault before a worker starts
    environ["PORT"] = str(args.port or environ.get("PORT") or 8080)
    kind = "LIVE orders at Fyers" if config.live else "paper trading"
    environ["HOST"] = config.host
    print(f"{kind}; alerts go to {own_address(environ)}/webhook", file=sys.stderr, flush=True)
    os.environ.update(environ)  # gunicorn and the app read it from there
    sys.argv = ["gunicorn", "-c", "python:app.runtime.server", "main:app"]
    from gunicorn.app.wsgiapp import run

    run()  # until it is told to stop; then it ends the process
    return 0


def _simulate(args: argparse.Namespace) -> int:
    from app.simulator.serve import main

    return main(args.rest)
