"""The simulator as a process of its own: `python -m app simulate`."""

from __future__ import annotations

import argparse
import signal
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

from app.simulator.exchange import Exchange
from app.simulator.faults import Fault, read_faults
from app.simulator.rules import Rules
from app.simulator.server import Simulator


def main(argv: Sequence[str]) -> int:
    """Serves until SIGINT or SIGTERM. Returns 0, or 2 where the faults are invalid or the port is in use."""
    wanted = parser().parse_args(argv)
    simulator = Simulator(account(wanted), host=wanted.host, port=wanted.port, accept_any_token=not wanted.check_tokens)
    try:
        for endpoint, fault in _read(wanted.faults):
            simulator.fault(endpoint, fault)
    except (OSError, ValueError) as wrong:
        sys.stderr.write(f"--faults: {wrong}\n")
        return 2
    try:
        simulator.start()
    except OSError as taken:
        sys.stderr.write(f"cannot listen on {wanted.host}:{wanted.port}: {taken.strerror}; choose another --port\n")
        return 2
    try:
        _wait_for_signal(_introduction(simulator))
    finally:
        simulator.stop()
    return 0


def account(wanted: argparse.Namespace) -> Exchange:
    """The account that the arguments describe."""
    return Exchange(seed=wanted.seed, rules=Rules(always_open=not wanted.hours))


def parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="simulate", description="A Fyers account on loopback.")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8090, help="8090 by default; 0 picks a free one")
    parser.add_argument("--seed", type=int, default=1, help="decides every quote; 1 by default")
    parser.add_argument(
        "--faults", default="", metavar="FILE|JSON", help='such as {"endpoint": "place", "kind": "hang"}'
    )
    parser.add_argument("--hours", action="store_true", help="reject orders outside the exchange's hours of the day")
    parser.add_argument("--check-tokens", action="store_true", help="accept only tokens that its own login issued")
    return parser


def _read(faults: str) -> list[tuple[str, Fault]]:
    if not faults:
        return []
    return read_faults(faults if faults.lstrip()[:1] in ("{", "[") else Path(faults).read_text(encoding="utf-8"))


def _introduction(simulator: Simulator) -> str:
    settings = {
        "FYERS_API_URL": simulator.api_url,
        "FYERS_DATA_URL": simulator.data_url,
        "SYMBOL_MASTER_URLS": ",".join(simulator.master_urls),
    }
    return "".join(f"{name}={value}\n" for name, value in settings.items())


def _wait_for_signal(introduction: str) -> None:
    """Prints the introduction and waits for a signal. The handlers are set first: a reader may send one at once."""
    told = threading.Event()
    before = {number: signal.signal(number, lambda *_: told.set()) for number in (signal.SIGINT, signal.SIGTERM)}
    sys.stdout.write(introduction)
    sys.stdout.flush()
    try:
        told.wait()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
