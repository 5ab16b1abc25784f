"""`make verify`: one line a proof, and it fails where a proof does."""

import sys

import pytest

from proof import __main__ as verify
from proof.result import HEAD, Result


def run(monkeypatch, capsys, *words):
    monkeypatch.setattr(sys, "argv", ["proof", *words])
    status = verify.main()
    return status, capsys.readouterr().out.splitlines()


@pytest.fixture
def two_proofs(monkeypatch):
    monkeypatch.setattr(
        verify,
        "PROOFS",
        {
            "holds": lambda slice_only: [
                Result("holds", "5 cells" if slice_only else "90 cells", "seed 1", (), 2.0, 7)
            ],
            "breaks": lambda _: [Result("breaks", "1 cell", "", ("a key with two orders",), 1.0)],
        },
    )


def test_each_proof_has_a_line_with_size_seeds_kills_violations_and_wall_time(two_proofs, monkeypatch, capsys):
    status, (head, line, summary) = run(monkeypatch, capsys, "--only", "holds")
    assert (status, head) == (0, HEAD)
    assert line.split() == ["holds", "90", "cells", "seed", "1", "7", "0", "2.0", "s"]
    assert summary.startswith("1 proofs, 0 with violations")
    assert run(monkeypatch, capsys, "--only", "holds", "--slice")[1][1].split()[1] == "5"


def test_a_proof_that_breaks_is_told_and_fails_the_whole(two_proofs, monkeypatch, capsys):
    status, lines = run(monkeypatch, capsys)
    assert status == 1
    assert "    a key with two orders" in lines
    assert lines[-1].startswith("2 proofs, 1 with violations")


def test_every_kind_of_proof_is_there():
    assert list(verify.PROOFS) == [
        "simulation",
        "simulation over sqlite",
        "state machine",
        "fuzz",
        "rivals",
        "broker faults",
        "store faults",
        "planted bugs",
        "deadlines",
        "reconcile killed",
        "load",
        "crash matrix",
    ]


def test_a_proof_that_does_not_exist_is_a_wrong_word(monkeypatch, capsys):
    with pytest.raises(SystemExit, match="2"):
        run(monkeypatch, capsys, "--only", "hope")
