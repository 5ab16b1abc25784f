"""`facts` prints the register for people and for scripts. A due fact is a reminder: the exit code stays 0."""

import json

import pytest

from app.cli import main
from app.operations.register import REGISTER

BEFORE, AFTER = "2026-12-06", "2026-12-15"


def run(capsys: pytest.CaptureFixture[str], *argv: str) -> str:
    assert main(["facts", *argv]) == 0
    return capsys.readouterr().out


def test_it_lists_each_fact_with_source_and_dates(capsys: pytest.CaptureFixture[str]) -> None:
    text = run(capsys, "--on", BEFORE)
    holidays = (
        "     Trading holidays: 16 days, known until 2026-12-31\n"
        "     seen 2026-11-30, high confidence, review by 2026-12-15; NSE's list for 2026"
    )
    assert holidays in text
    assert text.count("\n") == 2 * len(REGISTER) + 1
    assert text.endswith(f"0 of {len(REGISTER)} facts are due for review on {BEFORE}\n")


def test_due_shows_those_alone_whose_review_date_has_come(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(capsys, "--due", "--on", BEFORE).count("\n") == 1
    text = run(capsys, "--due", "--on", AFTER)
    assert text.startswith("due  Trading hours of derivatives: ")
    assert "due  Trading holidays: " in text
    assert "Freeze" not in text


def test_a_script_gets_the_same_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    said = json.loads(run(capsys, "--json", "--on", AFTER))
    assert said["on"] == AFTER
    assert len(said["facts"]) == len(REGISTER)
    assert [fact["name"] for fact in said["facts"] if fact["due"]].count("Trading holidays") == 1
    assert set(said["facts"][0]) == {
        "name", "value", "place", "source", "seen", "confidence", "review_by", "due",
    }  # fmt: skip
    late = json.loads(run(capsys, "--json", "--due", "--on", AFTER))
    assert late["facts"] == sorted(
        (fact for fact in said["facts"] if fact["due"]), key=lambda fact: str(fact["review_by"])
    )
    assert late["due"] == len(late["facts"])


def test_by_itself_it_goes_by_today(capsys: pytest.CaptureFixture[str]) -> None:
    assert "facts are due for review on 20" in run(capsys)


def test_help_says_that_the_exit_code_is_no_alarm(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["facts", "--help"])
    assert "The exit code is 0 even if facts are due" in " ".join(capsys.readouterr().out.split())
