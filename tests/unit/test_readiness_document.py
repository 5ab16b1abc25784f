"""PRODUCTION_READINESS.md says only what something proves."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "PRODUCTION_READINESS.md").read_text(encoding="utf-8")
WRITTEN = {
    name
    for path in (ROOT / "tests").rglob("test_*.py")
    for name in re.findall(r"^def (test_\w+)\(", path.read_text(encoding="utf-8"), re.MULTILINE)
}
TARGETS = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))


@pytest.mark.parametrize("name", sorted(set(re.findall(r"`(test_\w+)`", PAGE))))
def test_a_proof_that_is_named_exists(name: str) -> None:
    assert name in WRITTEN


@pytest.mark.parametrize("target", sorted(set(re.findall(r"`make ([a-z-]+)`", PAGE))))
def test_a_command_that_is_named_exists(target: str) -> None:
    assert target in TARGETS


def test_every_alert_policy_serves_an_objective_and_is_there() -> None:
    named = re.findall(r"`([a-z-]+\.yaml)`", PAGE)
    assert sorted(named) == sorted(path.name for path in (ROOT / "deploy/monitoring/policies").iterdir())


def test_every_claim_names_its_proof() -> None:
    rows = [row.split("|")[1:4] for row in PAGE.splitlines() if row.startswith("| ") and not row.startswith("| claim")]
    assert len(rows) > 20
    assert [claim for claim, proof, _ in rows if "`" not in proof] == []
