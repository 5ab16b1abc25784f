"""How many round trips an alert waits for, one after the other: seen from outside, by making each of them long."""

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from bench import lab, load
from bench.figures import Figure, Section, median
from tests.contract.faulty_firestore import FaultyFirestore, slow

LONG = 0.06  # seconds, to the broker and to Firestore alike
ALERTS = 9
CALLS = ("BatchGetDocuments", "Commit", "RunQuery")
HOW = (
    f"Each call to the broker and to Firestore is held up by {LONG * 1000:.0f} ms; an alert takes longer by so much "
    "for each time that it waits. What goes on side by side counts once: quote, positions and claim are the first "
    "trip. SQLite is a file and no trip. Calls are those of one alert."
)


@dataclass(frozen=True, slots=True)
class Seen:
    """Milliseconds of some alerts, the broker calls of one, and Firestore's calls for all."""

    took: list[float]
    broker_calls: int
    stored: Counter[str]


def measure(near: lab.Account, far: lab.Account, live: Mapping[str, str] | str) -> Section:
    """`near` answers at once, `far` takes that long for each call."""
    with TemporaryDirectory() as name:
        folder = Path(name)
        seen = [_alerts(lab.settings_of(account, folder), folder / "log") for account in (near, far)]
        figures = _rows("SQLite", seen, most=2)
        if isinstance(live, str):
            return Section("Round trips", f"{HOW} Firestore was not measured: {live}.", figures)
        firestore = FaultyFirestore(live["FIRESTORE_EMULATOR_HOST"])
        settings = {**live, "FIRESTORE_EMULATOR_HOST": firestore.address}
        try:
            seen = [_alerts(settings | _only_calls(near), folder / "near", firestore)]
            firestore.always = dict.fromkeys(CALLS, slow(LONG))
            seen.append(_alerts(settings | _only_calls(far), folder / "far", firestore))
        finally:
            firestore.close()
    return Section("Round trips", HOW, figures + _rows("Firestore", seen, most=4))


def _only_calls(account: lab.Account) -> dict[str, str]:
    return {name: url for name, url in account.settings().items() if name.startswith("FYERS_")}


def _alerts(settings: Mapping[str, str], log: Path, firestore: FaultyFirestore | None = None) -> Seen:
    with lab.served(lab.GATEWAY, settings, log) as server:
        load.send(server.port, 3)
        if firestore is not None:
            firestore.calls.clear()
        took = load.send(server.port, ALERTS).took
    lines = [json.loads(line) for line in log.read_text().splitlines() if line.startswith("{")]
    calls = [line["broker_calls"] for line in lines if "broker_calls" in line]
    return Seen(took, calls[-1], Counter(firestore.calls) if firestore is not None else Counter())


def _rows(ledger: str, seen: list[Seen], most: int) -> list[Figure]:
    near, far = seen
    longer = median(far.took) - median(near.took)
    rows = [
        Figure(f"{ledger}: round trips in a row", "", round(longer / LONG / 1000), most=most, note=f"{longer:.0f} ms"),
        Figure(f"{ledger}: calls to the broker", "", far.broker_calls),
    ]
    if far.stored:
        said = ", ".join(f"{count / ALERTS:g} {name}" for name, count in sorted(far.stored.items()))
        rows.append(Figure(f"{ledger}: calls to Firestore", "", far.stored.total() / ALERTS, note=said))
    return rows
