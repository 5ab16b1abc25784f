"""Bugs planted into the protocol, each of which the proofs must find; and the proofs find nothing where none is."""

import pytest

from proof.mutants.__main__ import NOTHING, run
from proof.mutants.catalogue import MUTANTS
from proof.mutants.checks import CHECKS, MOST_HISTORIES
from proof.mutants.planting import DoesNotApply, Edit, Mutant, mutated
from tests.promises.test_simulation import HISTORIES

SLICE = 5  # every so many-th is planted on a push; all of them by `python -m proof.mutants`


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_every_planted_bug_still_applies_and_is_python(mutant: Mutant) -> None:
    for module in {edit.module for edit in mutant.edits}:
        compile(mutated(module, [edit for edit in mutant.edits if edit.module == module]), module, "exec")


def test_there_are_enough_of_them_and_each_names_a_proof() -> None:
    assert len(MUTANTS) >= 25
    assert len({mutant.name for mutant in MUTANTS}) == len(MUTANTS)
    assert {name for mutant in MUTANTS for name in mutant.caught_by} == CHECKS.keys()


def test_a_bug_whose_place_is_gone_is_an_error() -> None:
    with pytest.raises(DoesNotApply):
        mutated("app.flow.execution", [Edit("app.flow.execution", "no such text", "")])


@pytest.mark.parametrize("first", range(SLICE))
def test_planted_bugs_are_found(first: int) -> None:
    assert run(MUTANTS[first * SLICE :: SLICE * SLICE]).violations == ()


def test_the_proofs_find_nothing_where_no_bug_is_planted() -> None:
    assert run(NOTHING).violations == ()
    assert {name for one in NOTHING for name in one.caught_by} | MOST_HISTORIES.keys() == CHECKS.keys()
    assert MOST_HISTORIES["simulation"] <= HISTORIES
