"""A proof or a benchmark during which nothing trades has shown nothing, and fails."""

import sys
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from app.simulator import fixture
from bench import __main__ as bench
from bench import lab, load
from bench.cloud import NotInstalled
from bench.sizes import QUICK
from proof import rivals, simulation, store, wire
from proof.processes import crashes, deadlines, housekeeping
from proof.processes import load as under_load
from proof.processes.lab import LedgerKind
from proof.result import Result
from proof.simulation.story import Story
from tests.builders import no_limits


@pytest.fixture
def worthless(monkeypatch: pytest.MonkeyPatch) -> None:
    """The market of an expiry's last minutes: every option costs a tick, and no entry has room for its stop."""
    monkeypatch.setattr(fixture, "_YEARS_LEFT", 1e-12)


PROOFS: dict[str, Callable[[], Result]] = {
    "rivals": lambda: rivals.run(rivals.RIVALRIES[:1]),
    "broker faults": lambda: wire.run(wire.CELLS[:6]),
    "store faults": lambda: store.run(store.STORIES[1:2], slice_only=True),
    "deadlines": lambda: deadlines.prove(
        LedgerKind.SQLITE, [cell for cell in deadlines.CELLS if "refused" in cell.name]
    ),
    "reconcile killed": lambda: housekeeping.prove(LedgerKind.SQLITE, 2),
    "load": lambda: under_load.prove(LedgerKind.SQLITE, 4),
    "crash matrix": lambda: crashes.prove(LedgerKind.SQLITE, 4),
}


@pytest.mark.parametrize("name", PROOFS)
def test_a_proof_in_a_market_in_which_nothing_trades_says_so_and_fails(name: str, worthless: None) -> None:
    result = PROOFS[name]()
    assert not result.holds
    assert any(text.startswith("too little happened to prove anything: 0 orders") for text in result.violations)


def test_a_simulation_whose_entries_are_all_denied_says_so_and_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = Story.drawn
    monkeypatch.setattr(Story, "drawn", lambda dice: replace(drawn(dice), limits=no_limits(orders_per_day=0)))
    result = simulation.run(range(20), processes=1)
    assert not result.wrong
    assert not result.holds
    assert result.violations[0].endswith(" orders, and the floor is 10")


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    sizes = replace(QUICK, alerts={(0.0, 1): 20}, rounds=2, starts=1, memory=100)
    monkeypatch.setattr(bench, "QUICK", sizes)


@pytest.mark.parametrize("section", ["service", "start", "memory", "trips"])
def test_a_benchmark_whose_alerts_are_refused_has_no_figure_and_fails(
    section: str, small: None, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    settings_of = lab.settings_of

    def refusing(*wanted: Any) -> dict[str, str]:
        return dict(settings_of(*wanted)) | {"MAX_ORDERS_PER_DAY": "1"}

    monkeypatch.setattr(lab, "settings_of", refusing)
    monkeypatch.setattr(bench, "live_settings", _not_installed)
    monkeypatch.setattr(sys, "argv", ["bench", "--quick", "--only", section])
    assert bench.main() == 1
    said = capfd.readouterr()
    assert f"{section} was not measured: " in said.err
    assert "| gateway |" not in said.out


def _not_installed(*_: object) -> None:
    raise NotInstalled("only paper trading is tried here")


def test_a_figure_of_which_more_than_a_few_alerts_were_refused_is_none() -> None:
    load.demand_orders(100, [load.Refused("503")] * 5)
    for alerts, refused in ((100, 6), (10, 10), (0, 0)):
        with pytest.raises(load.NotMeasured, match=f"{refused} of {alerts} alerts were refused"):
            load.demand_orders(alerts, [load.Refused("422 OVER_LIMIT: no")] * refused)
