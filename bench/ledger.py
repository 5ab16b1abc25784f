"""The ledger's three calls on the hot path, on both backends: `python -m bench.ledger [--rounds N]`.

Firestore is Google's emulator on loopback: its figures are what the client and the emulator cost. The network to a
Firestore in the region comes on top, one round trip for a claim, two for a submit and two for a record.
"""

import argparse
import hashlib
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import TypeVar
from uuid import uuid4

import pytest

from app.deadline import Deadline
from app.exposure import Exposure
from app.order import Accepted
from app.ports import Ledger
from app.risk import decide
from tests.builders import NOW, a_ticket, an_order, no_limits
from tests.emulators import firestore_emulator

T = TypeVar("T")
BETWEEN = timedelta(seconds=10)  # two orders: the account document then remembers nine
WARM_UP = 50


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.ledger")
    parser.add_argument("--rounds", type=int, default=300)
    rounds: int = parser.parse_args().rounds
    print(f"{rounds} orders, one after the other; milliseconds, median (99th percentile)")  # noqa: T201
    print(f"{'':10}{'claim':>16}{'claim again':>16}{'submit':>16}{'record':>16}")  # noqa: T201
    for name, measure in (("sqlite", _sqlite), ("firestore", _firestore)):
        print(f"{name:10}{measure(rounds)}")  # noqa: T201


def _sqlite(rounds: int) -> str:
    from app.adapters.sqlite import SqliteLedger

    with tempfile.TemporaryDirectory() as folder:
        ledger = SqliteLedger(Path(folder) / "ledger.db")
        try:
            return _measured(ledger, rounds)
        finally:
            ledger.close()


def _firestore(rounds: int) -> str:
    from app.adapters.firestore import FirestoreLedger

    try:
        os.environ["FIRESTORE_EMULATOR_HOST"] = firestore_emulator()
    except pytest.skip.Exception as missing:
        return f" not measured: {missing}"
    ledger = FirestoreLedger(f"bench-{uuid4().hex[:12]}")
    try:
        ledger.warm(Deadline(time.monotonic, 10))
        return _measured(ledger, rounds)
    finally:
        ledger.close()


def _measured(ledger: Ledger, rounds: int) -> str:
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
        check = partial(decide, order, limits=no_limits(), exposure=Exposure(), now=now)
        timed("claim", partial(ledger.claim, order, None))
        timed("claim again", partial(ledger.claim, order, None))
        submitted = timed("submit", partial(ledger.submit, order, check))
        timed("record", partial(ledger.record, submitted.after(Accepted("26112000000001"), now)))
    return "".join(_summary(times[WARM_UP:]) for times in taken.values())


def _summary(times: list[float]) -> str:
    return f"{statistics.median(times):8.2f} ({statistics.quantiles(times, n=100)[98]:.1f})".rjust(16)


if __name__ == "__main__":
    main()
