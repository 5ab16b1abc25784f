"""Several instances of the gateway on one ledger and one simulated account, and many alerts at once."""

import atexit
import functools
import shutil
import tempfile
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

from app.simulator import Entry, FixtureExchange, Simulator
from tests.gateway import Gateway, alert, gateway

EXCHANGES = ("NSE", "BSE")


@contextmanager
def simulated_account(**options: Any) -> Iterator[Simulator]:
    """An account in the fixture market with much money and no rate limits."""
    exchange = FixtureExchange(**{"capital": Decimal(10_000_000_000)} | options)
    with Simulator(exchange, accept_any_token=True, rate_limits=False) as account:
        yield account


def with_bands(account: Simulator) -> str:
    """SYMBOL_MASTER_URLS with the JSON masters, which alone have freeze quantities and price bands."""
    return ",".join(
        [*account.master_urls, *(f"{account.base_url}/sym_details/{name}_FO_sym_master.json" for name in EXCHANGES)]
    )


@functools.cache
def _symbols() -> Path:
    """One symbol cache for a whole run: to read the masters anew takes longer than all the rest of a start."""
    folder = Path(tempfile.mkdtemp(prefix="symbols-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


def house(folder: Path, account: Simulator, **settings: str) -> AbstractContextManager[Gateway]:
    """A gateway for that account, with its ledger in the folder."""
    name = "with bands" if "json" in settings.get("SYMBOL_MASTER_URLS", "") else "plain"
    return gateway(folder, account, None, **{"SYMBOL_CACHE": str(_symbols() / name)} | settings)


@contextmanager
def instances(folder: Path, account: Simulator, count: int = 2, **settings: str) -> Iterator[list[Gateway]]:
    with ExitStack() as stack:
        yield [stack.enter_context(house(folder, account, **settings)) for _ in range(count)]


def at_once(jobs: Sequence[Callable[[], Any]]) -> list[Any]:
    """What each of them returns; all begin together, each on a thread of its own."""
    barrier = threading.Barrier(len(jobs))
    results: list[Any] = [None] * len(jobs)
    problems: list[BaseException] = []

    def run(index: int) -> None:
        barrier.wait(30)
        try:
            results[index] = jobs[index]()
        except BaseException as problem:
            problems.append(problem)
            raise

    threads = [threading.Thread(target=run, args=(index,)) for index in range(len(jobs))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    if problems:
        raise problems[0]
    return results


def insist(gate: Gateway, body: bytes, tries: int = 8) -> Any:
    """The answer to an alert, sent again after each 503 as TradingView does, only more often and without a pause."""
    for _ in range(tries):
        response = gate.send(body)
        if response.status_code != 503:
            break
    return response


def sold(gate: Gateway, **fields: Any) -> Any:
    """The answer to an entry that the broker took; on a busy machine it is sent again until it is taken."""
    answer = insist(gate, alert(**fields)).json
    assert answer["status"] == "ACCEPTED", answer
    return answer


def posts(account: Simulator) -> list[Entry]:
    """The orders that reached the broker."""
    return [entry for entry in account.log if entry.endpoint == "place"]


def reasons(responses: Sequence[Any]) -> Counter[str | None]:
    return Counter(response.json["reason"] for response in responses)
