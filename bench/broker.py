"""A simulated Fyers account in a process of its own, for the benchmark: no rate limits, frozen quotes, much money.

    python -m bench.broker [--latency SECONDS]

Prints its addresses as one line of JSON and ends with its standard input. It forgets its order book every second, so
that its hundred-thousandth order costs what the first one did.
"""

import argparse
import gc
import json
import sys
import threading
from decimal import Decimal

from app.simulator import Exchange, Simulator
from app.simulator.orders import Book

FORGET_EVERY = 1.0  # seconds
CAPITAL = Decimal(10**15)  # rupees


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.broker", description="A simulated account.")
    parser.add_argument("--latency", type=float, default=0.0)
    exchange = Exchange(capital=CAPITAL)
    exchange.freeze()
    latency = parser.parse_args().latency
    with Simulator(exchange, accept_any_token=True, rate_limits=False, latency=latency) as account:
        threading.Thread(target=_forget, args=(account,), daemon=True).start()
        gc.freeze()
        addresses = {"api_url": account.api_url, "data_url": account.data_url, "masters": account.master_urls}
        sys.stdout.write(json.dumps(addresses) + "\n")
        sys.stdout.flush()
        sys.stdin.read()


def _forget(account: Simulator) -> None:
    """The legs in the book hold no margin, and positions are kept apart from it."""
    while not account.stopping.wait(FORGET_EVERY):
        with account.exchange.lock:
            account.exchange.desk.book = Book()
        account.clear_log()


if __name__ == "__main__":
    main()
