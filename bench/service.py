"""Alert to answer: the gateway beside the floor, turn by turn, and beside the time that the broker itself takes."""

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

from bench import lab, load
from bench.figures import Figure, Section, percentile
from bench.sizes import Sizes

WARM_UP = 150  # alerts
HOW = (
    "gunicorn with one worker, sixteen threads; SQLite ledger; broker, servers and sender share the machine. From the "
    "alert's first byte to the answer's last. *Added* is that less the median that the broker's own three calls take "
    "on the bare socket, quote and positions side by side and then the order."
)
LIVE = (
    "The same with BROKER=fyers and Firestore, Cloud Storage and Pub/Sub as emulators on loopback, which share the "
    "machine: Google's Firestore emulator alone takes milliseconds for a commit. It is the processor time that counts."
)


@dataclass(slots=True)
class Side:
    """What one of the two took."""

    server: lab.Served
    took: list[float] = field(default_factory=list)
    seconds: float = 0.0
    cpu_ms: float = 0.0
    refused: list[load.Refused] = field(default_factory=list)

    def turn(self, alerts: int, at_once: int) -> None:
        before = self.server.cpu_ms()
        done = load.send(self.server.port, alerts, at_once, may_refuse=True)
        self.cpu_ms += self.server.cpu_ms() - before
        self.took += done.took
        self.seconds += done.seconds
        self.refused += done.refused

    @property
    def alerts(self) -> int:
        return len(self.took) + len(self.refused)

    @property
    def note(self) -> str:
        return f"of {self.alerts:,} alerts" + (f", {len(self.refused)} of them refused" if self.refused else "")

    def at(self, share: float) -> float:
        return percentile(self.took, share)

    @property
    def per_second(self) -> float:
        return len(self.took) / self.seconds

    @property
    def cpu(self) -> float:
        return self.cpu_ms / self.alerts


def measure(sizes: Sizes) -> Section:
    figures: list[Figure] = []
    for latency in sorted({latency for latency, _ in sizes.alerts}):
        figures += _against(latency, sizes)
    return Section("Alert to answer", HOW, figures)


def live(sizes: Sizes, account: lab.Account, settings: Mapping[str, str]) -> Section:
    """The same with the live settings, one by one, against a broker without latency."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory()))
        floor = stack.enter_context(lab.served(lab.FLOOR, lab.floor_settings(account), folder / "floor.log"))
        ours = stack.enter_context(lab.served(lab.GATEWAY, settings, folder / "ours.log"))
        for server in (floor, ours):
            load.send(server.port, WARM_UP, may_refuse=True)
        both, _ = _turns(floor, ours, account, sizes.alerts[0.0, 1] // 4, 1, sizes.rounds)
    first, second = both
    rows = _percentiles("live, one by one", second, first)
    rows.append(Figure("live, one by one: CPU an alert", "ms", second.cpu, first.cpu))
    return Section("Alert to answer, live settings", LIVE, rows)


def _against(latency: float, sizes: Sizes) -> list[Figure]:
    figures = []
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory()))
        account = stack.enter_context(lab.broker(latency))
        floor = stack.enter_context(lab.served(lab.FLOOR, lab.floor_settings(account), folder / "floor.log"))
        ours = stack.enter_context(lab.served(lab.GATEWAY, lab.settings_of(account, folder), folder / "ours.log"))
        own = {**lab.floor_settings(account), "CLIENT": "gateway"}
        same_client = stack.enter_context(lab.served(lab.FLOOR, own, folder / "own.log"))
        for server in (floor, ours, same_client):
            load.send(server.port, WARM_UP, 8, may_refuse=True)
        for at_once in sorted({at_once for late, at_once in sizes.alerts if late == latency}):
            alerts = sizes.alerts[latency, at_once]
            both, broker = _turns(floor, ours, account, alerts, at_once, sizes.rounds)
            figures += _rows(latency, at_once, both, percentile(broker, 0.5))
            if at_once == 1:
                figures += _beside(latency, _turns(same_client, ours, account, alerts, 1, sizes.rounds))
    return figures


def _beside(latency: float, turns: tuple[list[Side], list[float]]) -> list[Figure]:
    """The same beside a floor that makes its calls through the gateway's own transport."""
    (floor, ours), broker = turns
    own = percentile(broker, 0.5)
    name = f"{latency * 1000:.0f} ms broker, one by one, the floor with the gateway's client: added, p50"
    return [Figure(name, "ms", ours.at(0.5) - own, floor.at(0.5) - own)]


def _turns(
    floor: lab.Served, ours: lab.Served, account: lab.Account, alerts: int, at_once: int, rounds: int
) -> tuple[list[Side], list[float]]:
    """What both took, and in between the broker by itself. Raises NotMeasured."""
    both = [Side(floor), Side(ours)]
    broker: list[float] = []
    for turn in range(rounds):
        broker += load.broker_alone(account, 10)
        for side in both if turn % 2 == 0 else both[::-1]:
            side.turn(alerts // rounds, at_once)
    for side in both:
        load.demand_orders(side.alerts, side.refused)
    return both, broker


def _percentiles(case: str, ours: Side, floor: Side) -> list[Figure]:
    return [
        Figure(f"{case}: {name}", "ms", ours.at(share), floor.at(share), note=ours.note)
        for name, share in (("p50", 0.5), ("p99", 0.99), ("p99.9", 0.999))
    ]


def _rows(latency: float, at_once: int, both: Sequence[Side], broker: float) -> list[Figure]:
    floor, ours = both
    case = f"{latency * 1000:.0f} ms broker, {'one by one' if at_once == 1 else f'{at_once} at once'}"
    rows = _percentiles(case, ours, floor)
    if at_once == 1:
        held = {"p50": (0.5, 3.0, 2.0), "p99": (0.99, 10.0, 3.0)}
        rows += [
            Figure(f"{case}: added, {name}", "ms", ours.at(share) - broker, floor.at(share) - broker, most, ratio)
            for name, (share, most, ratio) in held.items()
        ]
        rows.append(Figure(f"{case}: the broker's own", "ms", broker))
    rows.append(Figure(f"{case}: alerts a second", "1/s", ours.per_second, floor.per_second))
    if latency == 0:
        rows.append(Figure(f"{case}: CPU an alert", "ms", ours.cpu, floor.cpu))
    return rows
