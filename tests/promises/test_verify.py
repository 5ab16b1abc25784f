"""`make verify`: one line a proof, and it fails where a proof does."""

import sys

import pytest

from proof import __main__ as verify
from proof.result import HEAD, Result, Seen, floors


def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, list[str]]:
    monkeypatch.setattr(sys, "argv", ["proof", *words])
    status = verify.main()
    return status, capsys.readouterr().out.splitlines()


@pytest.fixture
def two_proofs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        verify,
        "PROOFS",
        {
            "holds": lambda slice_only: [
                Result("holds", "5 cells" if slice_only else "90 cells", "seed 1", (), 2.0, (Seen("kills", 7, 3),))
            ],
            "breaks": lambda _: [
                Result("breaks", "1 cell", "", ("a key with two orders",), 1.0, (Seen("kills", 1, 1),))
            ],
        },
    )


def test_each_proof_has_a_line_with_size_what_happened_seeds_violations_and_wall_time(
    two_proofs: None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    status, (head, line, summary) = run(monkeypatch, capsys, "--only", "holds")
    assert (status, head) == (0, HEAD)
    assert line.split() == ["holds", "90", "cells", "7", "kills", "(3)", "seed", "1", "0", "2.0", "s"]
    assert summary.startswith("1 proofs, 0 with violations")
    assert run(monkeypatch, capsys, "--only", "holds", "--slice")[1][1].split()[1] == "5"


def test_a_proof_that_breaks_is_told_and_fails_the_whole(
    two_proofs: None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    status, lines = run(monkeypatch, capsys)
    assert status == 1
    assert "    a key with two orders" in lines
    assert lines[-1].startswith("2 proofs, 1 with violations")


@pytest.mark.parametrize(
    ("seen", "said"),
    [
        ((Seen("orders", 0, 20),), "too little happened to prove anything: 0 orders, and the floor is 20"),
        ((), "nothing is known of what happened"),
    ],
    ids=["too little", "nothing"],
)
def test_a_proof_in_which_too_little_happened_breaks_no_promise_and_fails(
    seen: tuple[Seen, ...], said: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(verify, "PROOFS", {"idle": lambda _: [Result("idle", "40 alerts", "", (), 1.0, seen)]})
    status, lines = run(monkeypatch, capsys)
    assert status == 1
    assert f"    {said}" in lines


def test_a_floor_is_a_share_of_the_cases_and_never_nothing() -> None:
    assert floors({"orders": 5}, {"orders": 0.5, "kills": 0.1}, 4) == (Seen("orders", 5, 2), Seen("kills", 0, 1))


def test_every_kind_of_proof_is_there() -> None:
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


def test_a_proof_that_does_not_exist_is_a_wrong_word(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="2"):
        run(monkeypatch, capsys, "--only", "hope")
