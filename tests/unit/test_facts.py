"""The facts register: each outside fact once, with its source; what stands in it is what the code uses."""

import pkgutil
import re
from datetime import date, timedelta
from decimal import Decimal
from importlib import import_module
from pathlib import Path
from types import ModuleType

import pytest

import app.facts
from app.adapters.fyers.pace import PER_MINUTE, PER_SECOND
from app.facts import Fact, Source, charges, fyers, tradingview
from app.facts.charges import RATES, Rate
from app.operations.register import REGISTER, dated, due
from app.runtime.config import Config

ROOT = Path(__file__).parents[2]
TABLES = [name for _, name, _ in pkgutil.iter_modules(app.facts.__path__)]


def sources_of(table: ModuleType) -> set[Source]:
    """Those of its rows, and of the whole table where it has one."""
    held = [value for name, value in vars(table).items() if not name.startswith("_")]
    rows = [row for value in held for row in (value if isinstance(value, tuple) else (value,))]
    found = {row if isinstance(row, Source) else getattr(row, "source", None) for row in rows}
    return {source for source in found if isinstance(source, Source)}


@pytest.mark.parametrize("name", TABLES)
def test_each_table_of_facts_is_in_the_register(name: str) -> None:
    sources = sources_of(import_module(f"app.facts.{name}"))
    assert sources
    assert sources <= {fact.source for fact in REGISTER}


@pytest.mark.parametrize("fact", REGISTER, ids=lambda fact: f"{fact.name}: {fact.value}"[:60])
def test_each_row_says_what_where_and_when(fact: Fact) -> None:
    assert fact.name
    assert fact.value
    assert fact.source.text
    assert fact.source.seen < fact.source.review_by
    file, _, name = fact.place.partition(" ")
    assert re.search(rf"\b{re.escape(name)}\b" if name else "", (ROOT / file).read_text(encoding="utf-8"))


def test_none_stands_twice() -> None:
    assert len({(fact.name, fact.value) for fact in REGISTER}) == len(REGISTER)


def test_what_must_be_in_it_is() -> None:
    names = "\n".join(fact.name for fact in REGISTER)
    for word in (
        "Trading hours", "Freeze", "holidays", "Charges", "calls a second", "calls a minute", "calls a day", "block",
        "token", "codes that refuse", "address of orders", "addresses it sends from", "resends", "time for an answer",
        "static address", "apps that may trade", "SIGTERM",
    ):  # fmt: skip
        assert word in names


def test_a_fact_is_due_from_its_review_date_on_and_the_oldest_comes_first() -> None:
    first = min(fact.source.review_by for fact in REGISTER)
    assert due(first - timedelta(days=1)) == ()
    assert {fact.source.review_by for fact in due(first)} == {first}
    everything = due(date(2100, 1, 1))
    assert len(everything) == len(REGISTER)
    assert [fact.source.review_by for fact in everything] == sorted(fact.source.review_by for fact in REGISTER)


def test_a_dated_table_joins_in_one_line() -> None:
    [fact] = dated("Charges", "app/facts/charges.py RATES", [RATES[0]])
    assert fact.source is RATES[0].source
    assert fact.value == "charge brokerage, instrument options, side both, an_order 20"


def test_the_code_uses_the_values_that_the_register_shows() -> None:
    live = {
        "BROKER": "fyers",
        "LIVE_TRADING": "yes",
        "WEBHOOK_SECRET_TOKEN": "a-webhook-secret-for-tests",
        "FYERS_APP_ID": f"APP{fyers.ALGO_APP_ENDING}",
        "FYERS_SECRET_ID": "secret",
        "FYERS_CLIENT_ID": "XA12345",
        "FYERS_REDIRECT_URI": "https://gateway.example/auth/callback",
    }
    config = Config.from_env(live)
    assert (config.fyers.api_url, config.fyers.data_url) == (fyers.API_URL, fyers.DATA_URL)
    assert config.symbol_master_urls == fyers.MASTERS
    assert config.tradingview_ips == set(tradingview.SENDERS)
    assert PER_SECOND < fyers.CALLS_PER_SECOND
    assert PER_MINUTE < fyers.CALLS_PER_MINUTE


# Charges: one lot of NIFTY, 65 units at 165 rupees


def charged(rate: Rate, side: str, turnover: Decimal, charged_before: Decimal) -> Decimal:
    if rate.side not in (side, "both"):
        return Decimal(0)
    if rate.of_charges is not None:
        return rate.of_charges * charged_before
    return rate.an_order if rate.of_turnover is None else rate.of_turnover * turnover  # type: ignore[return-value]


@pytest.mark.parametrize(("side", "rupees"), [("SELL", "45.34"), ("BUY", "29.57")])
def test_the_rates_of_an_option_come_to_what_was_worked_out_by_hand(side: str, rupees: str) -> None:
    rates = {
        rate.charge: rate for rate in RATES if rate.instrument in ("options", "NSE options", "options and futures")
    }
    assert set(rates) == {rate.charge for rate in RATES}
    turnover = Decimal(65 * 165)
    taxed = sum(
        charged(rates[name], side, turnover, Decimal(0)) for name in ("brokerage", "exchange", "SEBI", "clearing")
    )
    untaxed = sum(charged(rates[name], side, turnover, Decimal(0)) for name in ("STT", "stamp duty"))
    total = taxed + untaxed + charged(rates["GST"], side, turnover, Decimal(taxed))
    assert round(total, 2) == Decimal(rupees)
    assert charges.CRORE == 10**7
