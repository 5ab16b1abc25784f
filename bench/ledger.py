"""The ledger's calls on the hot path, on both backends: `python -m bench.ledger [--rounds N]`."""

import argparse
import hashlib
import os
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import TypeVar
from unittest import mock
from uuid import uuid4

from app.domain.deadline import Deadline
from app.domain.holding import Holdings
from app.domain.order import Accepted
from app.domain.risk import decide
from app.flow.ports import Ledger
from bench.cloud import NotInstalled, firestore
from bench.figures import Figure, Section, median, percentile, table
from bench.lab import machine
from tests.builders import NOW, a_ticket, an_order, no_limits

T = TypeVar("T")
BETWEEN = timedelta(seconds=10)  # two orders: the account document then remembers nine
WARM_UP = 50
HOW = (
    "One order after the other, in this process. Firestore is Google's emulator on loopback: its figures are what "
    "client and emulator cost. The network to a real one comes on top of each round trip (see Round trips)."
)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.ledger")
    parser.add_argument("--rounds", type=int, default=300)
    print(table([measure(parser.parse_args().rounds)], machine()))


def measure(rounds: int) -> Section:
    figures, how = _sqlite(rounds), HOW
    try:
        figures += _firestore(rounds)
    except NotInstalled as missing:
        how += f" Firestore was not measured: {missing}."
    return Section("Ledger", how, figures)


def _sqlite(rounds: int) -> list[Figure]:
    from app.adapters.sqlite.ledger import SqliteLedger

    with tempfile.TemporaryDirectory() as folder:
        ledger = SqliteLedger(Path(folder) / "ledger.db")
        try:
            return _measured("SQLite", ledger, rounds)
        finally:
            ledger.close()


def _firestore(rounds: int) -> list[Figure]:
    emulator = firestore()
    from app.adapters.firestore.ledger import FirestoreLedger

    with mock.patch.dict(os.environ, FIRESTORE_EMULATOR_HOST=emulator):
        ledger = FirestoreLedger(f"bench-{uuid4().hex[:12]}")
    try:
        ledger.warm(Deadline(time.monotonic, 10))
        return _measured("Firestore", ledger, rounds)
    finally:
        ledger.close()


def _measured(name: str, ledger: Ledger, rounds: int) -> list[Figure]:
    taken: dict[str, list[float]] = {"claim": [], "claim again": [], "submit": [], "record": []}

    def timed(call: str, make: Callable[[Deadline], T]) -> T:
        deadline = Deadline(time.monotonic, 2.4)
        began = time.perf_counter()
        result = make(deadline)
        taken[call].append((time.perf_counter() - began) * 1000)
        return result

    for number in range(WARM_UP + rounds):
        key = hashlib.sha256(str(number).encode()).hexdigest()
        order = replace(an_order(a_ticket()), key=key, tag=f"tv{key[:18]}")
        now = NOW + number * BETWEEN
        check = partial(decide, order, limits=no_limits(), holdings=Holdings(), now=now)
        timed("claim", partial(ledger.claim, order, None))
        timed("claim again", partial(ledger.claim, order, None))
        submitted = timed("submit", partial(ledger.submit, order, check))
        timed("record", partial(ledger.record, submitted.after(Accepted("26112000000001"), now)))
    figures = []
    for call, times in taken.items():
        p99 = f"p99 {percentile(times[WARM_UP:], 0.99):.1f}"
        figures.append(Figure(f"{name}: {call}, p50", "ms", median(times[WARM_UP:]), note=p99))
    return figures


if __name__ == "__main__":
    main()
