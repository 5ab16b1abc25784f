"""The questions of the command line, in the webhook's own words."""

from datetime import date
from decimal import Decimal
from typing import Any

import pytest

from app.adapters.symbols import artifact
from app.adapters.symbols.csv_master import read_master
from app.adapters.symbols.master import Master
from app.cli.symbols import find_batch, find_one
from tests.masters import Listed, chain, csv_of, exchange_list

FRIDAY = date(2026, 11, 20)
ROW = {"symbol": "NIFTY", "strikeprice": "26000", "optionType": "CE", "expiry": "WEEKLY"}


@pytest.fixture(scope="module")
def master() -> Any:  # of the port it has what finding asks for
    rows = [*exchange_list(FRIDAY), *chain(Listed(underlying="ITC", lot="1600"), ["402.5", "405"])]
    read = read_master(csv_of(rows), "master.csv")
    return Master(artifact.encode(sorted(read.options), read.others, {}, read.dated))


def test_an_answer_has_the_names_that_scripts_rely_on(master: Any) -> None:
    assert find_one(master, ROW, FRIDAY) == {
        "symbol": "NSE:NIFTY26NOV26000CE",
        "underlying": "NIFTY",
        "expiry": "2026-11-24",
        "strike": "26000",
        "option_type": "CE",
        "lot_size": 65,
        "tick_size": "0.05",
    }


@pytest.mark.parametrize(
    "changes",
    [
        {"symbol": "NSE:NIFTY1!", "optionType": "ce", "expiry": "weekly"},
        {"strikeprice": 26000},
        {"strikeprice": 26000.0},
        {"strikeprice": Decimal("26000.00")},
        {"expiry": "2026-11-24"},
        {"strikeprice": "ATM"},
        {"strikeprice": "OTM1", "spot": "ignored", "token": "ignored"},
    ],
)
def test_a_row_may_say_it_in_any_form_that_an_alert_may(master: Any, changes: dict[str, Any]) -> None:
    spot = Decimal(25950) if changes.get("strikeprice") == "OTM1" else Decimal(26020)

    assert find_one(master, ROW | changes, FRIDAY, spot)["symbol"] == "NSE:NIFTY26NOV26000CE"


def test_the_price_of_the_underlying_moves_only_a_strike_that_counts_from_it(master: Any) -> None:
    price = Decimal(26110)

    assert find_one(master, ROW, FRIDAY, price)["strike"] == "26000"
    assert find_one(master, ROW | {"strikeprice": "ITM2"}, FRIDAY, price)["strike"] == "26000"
    assert find_one(master, ROW | {"strikeprice": "ITM2"}, FRIDAY, Decimal(26010))["strike"] == "25900"


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"symbol": None}, "symbol: is missing"),
        ({"strikeprice": "26010"}, "nearest: 25950, 26000, 26050"),
        ({"strikeprice": "1e5"}, "strikeprice:"),
        ({"strikeprice": True}, "strikeprice:"),
        ({"optionType": "CALL"}, "send CE or PE"),
        ({"expiry": "2026-11-26"}, "nearest: 2026-11-24, 2026-12-01, 2026-12-08"),
        ({"expiry": "someday"}, "expiry:"),
        ({"symbol": "NIFTTY"}, "close names: NIFTY"),
        ({"symbol": "BSE:NIFTY", "expiry": []}, "expiry: is a list"),
        ({"strikeprice": "ATM"}, "ATM needs the price of NIFTY"),
    ],
)
def test_what_cannot_be_found_is_answered_with_an_error_alone(master: Any, changes: dict[str, Any], says: str) -> None:
    answer = find_one(master, ROW | changes, FRIDAY)

    assert list(answer) == ["error"]
    assert says in str(answer["error"])


def test_the_day_from_which_expiries_count_may_depend_on_the_underlying(master: Any) -> None:
    asked = []

    def after_the_first_expiry(underlying: str, exchange: str | None) -> date:
        asked.append((underlying, exchange))
        return date(2026, 11, 25)

    found = find_one(master, ROW | {"expiry": "WEEKLY"}, after_the_first_expiry)

    assert (found["expiry"], asked) == ("2026-12-01", [("NIFTY", None)])


def test_a_batch_answers_line_by_line_and_a_bad_line_spoils_no_other(master: Any) -> None:
    lines = [
        b'{"symbol": "NIFTY", "strikeprice": 26000.0, "optionType": "PE", "expiry": "NEXT_WEEKLY"}\n',
        b"\n",
        b"not json\n",
        b'{"symbol": "ITC", "strikeprice": 402.5, "optionType": "CE", "expiry": "MONTHLY"}',
        b'{"symbol": "ITC", "symbol": "NIFTY", "strikeprice": 402.5, "optionType": "CE", "expiry": "MONTHLY"}',
        b"[1]",
    ]

    answers = list(find_batch(master, lines, FRIDAY))

    assert [answer.get("symbol") for answer in answers] == [
        "NSE:NIFTY26D0126000PE",
        None,
        "NSE:ITC26NOV402.5CE",
        None,
        None,
    ]
    assert "is not JSON" in str(answers[1]["error"])
    assert "stands twice" in str(answers[3]["error"])
