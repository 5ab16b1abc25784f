"""Only a good master is taken: for every way a file can be bad, the last good one stays and the reason is said."""

import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from random import Random
from typing import Any

import pytest

from app.adapters.symbols import Symbols, refresh
from app.adapters.symbols.cache import Pointer
from app.adapters.symbols.sources import Source
from app.domain.alert import ExpiryRule, OptionType
from app.domain.calendar import Calendar
from app.domain.instrument import Instrument, Wanted
from app.simulator import Exchange, Simulator
from tests.masters import Listed, chain, csv_of, exchange_list, share, write
from tests.present import present

FRIDAY = date(2026, 11, 20)
MORNING = datetime(2026, 11, 20, 2, 30, tzinfo=UTC)  # 08:00 IST
WHOLE = list(exchange_list(FRIDAY))
LAB = list(chain(Listed(), [25950, 26000, 26050]))
FUTURE = Listed(option_type="XX", strike="-1.0")


@pytest.fixture
def cache(tmp_path: Path) -> str:
    return str(tmp_path / "cache" / "symbols")


@pytest.fixture
def listed(tmp_path: Path) -> Callable[..., str]:
    """Writes a master under one name, so that each refresh reads the same source."""
    return lambda rows: write(tmp_path / "NSE_FO.csv", rows)


def refreshed(url: str, cache: str, now: datetime = MORNING, calendar: Calendar | None = None) -> dict[str, Any]:
    return refresh([url], cache, calendar or Calendar(), now, sleep=lambda _: None)


def digest(cache: str) -> str:
    return Pointer.decode(Path(cache).read_bytes()).current.digest


def atm(cache: str) -> Instrument:
    symbols = Symbols.open(cache)
    return symbols.resolve(Wanted("NIFTY", None, ExpiryRule.WEEKLY, Decimal(26000), OptionType.CE), on=FRIDAY)


def test_a_good_master_is_taken_and_resolves(listed: Callable[..., str], cache: str) -> None:
    report = refreshed(listed(WHOLE), cache)

    assert report["accepted"] is True
    assert report["reason"] is None
    assert report["rows"] == sum(row.option_type != "XX" for row in WHOLE)
    assert (report["as_of"], report["dated"], report["kept"]) == ("2026-11-20", "2026-11-20", None)
    assert report["changed"] is True
    assert atm(cache).symbol == "NSE:NIFTY26NOV26000CE"
    assert digest(cache) == report["artifact"]


def test_the_same_master_the_next_day_is_the_same_artifact_of_a_newer_day(
    listed: Callable[..., str], cache: str
) -> None:
    first = refreshed(listed(WHOLE), cache)
    monday = refreshed(listed(WHOLE), cache, now=MORNING + timedelta(days=3))

    assert (monday["artifact"], monday["changed"]) == (first["artifact"], False)
    assert (monday["as_of"], monday["dated"], monday["kept"]) == ("2026-11-23", "2026-11-20", "2026-11-20")
    assert Symbols.open(cache).as_of == date(2026, 11, 23)


def changed(index: int, **cells: Any) -> list[Listed]:
    """The whole list with one row changed, by the names of tests.masters.Listed."""
    return [*WHOLE[:index], replace(WHOLE[index], **cells), *WHOLE[index + 1 :]]


def without_column(rows: list[Listed], column: int) -> list[list[str]]:
    return [[cell for at, cell in enumerate(row.cells()) if at != column] for row in rows]


def swapped(rows: list[Listed], one: int, other: int) -> Iterator[list[str]]:
    for row in rows:
        cells = row.cells()
        cells[one], cells[other] = cells[other], cells[one]
        yield cells


def replaced(underlying: str, other: str) -> list[Listed]:
    return [replace(row, underlying=other) if row.underlying == underlying else row for row in WHOLE]


HTML = b"<!DOCTYPE html><html><body>Attention Required!</body></html>"

BAD = {
    "empty": (b"", "is empty"),
    "blank lines": (b"\n\n", "is empty"),
    "a web page": (HTML, "is a web page"),
    "an error in JSON": (b'{"s":"error"}', "is JSON, not CSV"),
    "not text": (bytes(range(256)) * 100, "has bytes that are no text"),
    "cut off in a row": (csv_of(WHOLE)[: len(csv_of(WHOLE)) // 2 - 40], "columns, not 21: cut off"),
    "half its size": (csv_of(WHOLE[: len(WHOLE) // 2]), "20 % is the most it may change"),
    "half as much again": (csv_of([*WHOLE, *exchange_list(FRIDAY, stocks=30)][len(WHOLE) :]), "20 % is the most"),
    "a column short": (csv_of(without_column(WHOLE, 5)), "has 20 columns, not 21"),
    "strike and type swapped": (csv_of(swapped(WHOLE, 15, 16)), "column 16: the strike cannot be 'CE'"),
    "ticker and description swapped": (csv_of(swapped(WHOLE, 1, 9)), "column 10: the ticker cannot be"),
    "lot and tick swapped": (csv_of(swapped(WHOLE, 3, 4)), "column 4: the lot cannot be '0.05'"),
    "date and expiry swapped": (csv_of(swapped(WHOLE, 7, 8)), "the last update cannot be"),
    "underlying and scrip code swapped": (csv_of(swapped(WHOLE, 12, 13)), "rows contradict their own ticker"),
    "a header": (b",".join(b"column" for _ in range(21)) + b"\n" + csv_of(WHOLE), "row 1, column 10: the ticker"),
    "ragged": (csv_of(WHOLE[:9]) + b"," * 25 + b"\n" + csv_of(WHOLE[9:]), "row 10, column 10: the ticker cannot be ''"),
    "a stray quote": (csv_of(changed(7, underlying='"NIFTY')), 'column 10: the ticker cannot be .NSE:"NIFTY'),
    "a zero byte": (csv_of(WHOLE).replace(b"0.05", b"0.\0", 1), "has bytes that are no text"),
    "bytes that are no text": (csv_of(WHOLE).replace(b"NSE:", b"NSE\xff", 1), "is no CSV as documented: .*utf-8"),
    "a zero lot": (csv_of(changed(7, lot="0")), "row 8, column 4: the lot cannot be '0'"),
    "a negative lot": (csv_of(changed(7, lot="-65")), "the lot cannot be '-65'"),
    "a zero tick": (csv_of(changed(7, tick="0.0")), "the tick cannot be '0.0'"),
    "a negative tick": (csv_of(changed(7, tick="-0.05")), "the tick cannot be '-0.05'"),
    "a tick that is no number": (csv_of(changed(7, tick="nan")), "the tick cannot be 'nan'"),
    "a strike that is no number": (csv_of(changed(7, ticker="NSE:X", strike="1e5")), "the strike cannot be '1e5'"),
    "an option without a strike": (csv_of(changed(7, ticker="NSE:X", strike="-1.0")), "the strike cannot be '-1.0'"),
    "an unknown option type": (csv_of(changed(7, option_type="CA")), "the option type cannot be 'CA'"),
    "a ticker of another exchange": (csv_of(changed(7, ticker="MCX:GOLD26NOV1CE")), "the ticker cannot be 'MCX:GOLD"),
    "a ticker twice": (csv_of([*WHOLE, WHOLE[7]]), "NSE:NIFTY26NOV25150PE is listed twice"),
    "a series under two tickers": (csv_of([*WHOLE, replace(WHOLE[7], monthly=False)]), "are the same series"),
    "an underlying without a name": (csv_of(changed(7, underlying="")), "the underlying cannot be ''"),
    "two trading days old": (csv_of(exchange_list(date(2026, 11, 18))), "is dated 2026-11-18; on 2026-11-20"),
    "of tomorrow": (csv_of(exchange_list(date(2026, 11, 21))), "is dated 2026-11-21"),
    "of no day": (csv_of(changed(7, updated="2026-11-31")), "the last update cannot be '2026-11-31'"),
    "without NIFTY": (csv_of(replaced("NIFTY", "MIDCPNIFTY")), "NSE:NIFTY has no current expiry"),
    "without BANKNIFTY": (csv_of(replaced("BANKNIFTY", "FINNIFTY")), "BANKNIFTY has no current"),
    "with a short ladder": (
        csv_of(row for row in WHOLE if row.underlying != "BANKNIFTY" or Decimal(row.strike) < 46500),
        "NSE:BANKNIFTY lists 5 CE strikes for 2026-11-24; 10 are the least",
    ),
    "futures alone": (csv_of(row for row in WHOLE if row.option_type == "XX"), "has no option rows"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_master_is_refused_with_its_reason_and_the_last_good_one_stays(
    name: str, listed: Callable[..., str], cache: str, tmp_path: Path
) -> None:
    good = refreshed(listed(WHOLE), cache)
    content, reason = BAD[name]
    (tmp_path / "NSE_FO.csv").write_bytes(content)

    report = refreshed(str(tmp_path / "NSE_FO.csv"), cache)

    assert report["accepted"] is False
    assert re.search(reason, report["reason"]), report["reason"]
    assert report["kept"] == "2026-11-20"
    assert digest(cache) == good["artifact"]
    assert atm(cache).symbol == "NSE:NIFTY26NOV26000CE"


def test_with_the_site_down_a_restart_resolves_from_the_cache(
    listed: Callable[..., str], cache: str, tmp_path: Path
) -> None:
    url = listed(WHOLE)
    refreshed(url, cache)
    (tmp_path / "NSE_FO.csv").unlink()

    report = refreshed(url, cache)

    assert report["reason"] == "NSE_FO.csv could not be read: No such file or directory"
    assert atm(cache).lot_size == 65


def test_without_any_master_a_bad_one_is_still_not_taken(listed: Callable[..., str], cache: str) -> None:
    report = refreshed(listed([]), cache)

    assert (report["accepted"], report["kept"]) == (False, None)
    assert Symbols.open(cache).problem == "there is no symbol master yet; run a refresh"


def test_a_small_lab_master_is_taken_for_what_it_claims(listed: Callable[..., str], cache: str) -> None:
    report = refreshed(listed(LAB), cache)

    assert (report["accepted"], report["rows"]) == (True, 6)
    assert atm(cache).symbol == "NSE:NIFTY26NOV26000CE"


def test_a_small_file_of_fyers_own_claims_to_be_the_whole_list(
    listed: Callable[..., str], cache: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Source, "is_fyers", True)

    assert refreshed(listed(LAB), cache)["reason"] == ("NSE:NIFTY lists 3 CE strikes for 2026-11-24; 10 are the least")


def test_a_lab_may_change_its_master_at_will_by_naming_another_source(
    listed: Callable[..., str], cache: str, tmp_path: Path
) -> None:
    refreshed(listed(WHOLE), cache)

    assert refreshed(write(tmp_path / "lab.csv", LAB), cache)["accepted"] is True


def test_after_a_week_without_a_master_the_number_of_rows_blocks_nothing(
    listed: Callable[..., str], cache: str
) -> None:
    refreshed(listed(WHOLE), cache)
    later = MORNING + timedelta(days=10)
    grown = list(exchange_list(later.date(), stocks=40))

    assert refreshed(listed(grown), cache, now=later)["accepted"] is True


def test_one_fifth_more_or_less_is_taken_and_a_row_beyond_it_is_not(listed: Callable[..., str], cache: str) -> None:
    rows = list(chain(Listed(), range(20000, 25000, 100)))  # a hundred
    for count, accepted in ((80, True), (63, False), (96, True), (116, False)):
        report = refreshed(
            listed([*rows, *chain(Listed(underlying="FINNIFTY"), range(20000, 25000, 100))][:count]), cache
        )
        assert report["accepted"] is accepted, report


@pytest.mark.parametrize(
    ("day", "dated", "accepted"),
    [
        (date(2026, 11, 20), date(2026, 11, 19), True),  # the day before
        (date(2026, 11, 21), date(2026, 11, 20), True),  # Saturday, Friday's
        (date(2026, 11, 23), date(2026, 11, 20), True),  # Monday, Friday's
        (date(2026, 11, 23), date(2026, 11, 19), False),
        (date(2026, 11, 25), date(2026, 11, 23), True),  # Tuesday was a holiday
        (date(2026, 11, 26), date(2026, 11, 23), False),
    ],
)
def test_the_file_may_be_of_today_or_of_the_trading_day_before(
    day: date, dated: date, accepted: bool, listed: Callable[..., str], cache: str
) -> None:
    now = datetime(day.year, day.month, day.day, 2, 30, tzinfo=UTC)
    calendar = Calendar(holidays=frozenset({date(2026, 11, 24)}))
    rows = [replace(row, updated=dated.isoformat(), expiry=date(2026, 12, 29)) for row in LAB]

    assert refreshed(listed(rows), cache, now, calendar)["accepted"] is accepted


@pytest.mark.parametrize(("dated", "accepted"), [(date(2026, 11, 20), True), (date(2026, 11, 19), False)])
def test_after_days_that_may_have_been_holidays_the_file_may_be_of_before_them(
    dated: date, accepted: bool, listed: Callable[..., str], cache: str
) -> None:
    calendar = Calendar(known_until=date(2026, 11, 20))
    rows = [replace(row, updated=dated.isoformat(), expiry=date(2026, 12, 29)) for row in LAB]

    assert refreshed(listed(rows), cache, datetime(2026, 11, 25, 2, 30, tzinfo=UTC), calendar)["accepted"] is accepted


def test_a_master_taken_on_a_weekend_is_of_the_friday_before(listed: Callable[..., str], cache: str) -> None:
    assert refreshed(listed(LAB), cache, now=MORNING + timedelta(days=2))["as_of"] == "2026-11-20"


def test_more_columns_at_the_end_are_passed_over(listed: Callable[..., str], cache: str) -> None:
    rows = [[*row.cells(), "new", ""] for row in LAB]

    assert refreshed(listed(rows), cache)["accepted"] is True
    assert atm(cache).symbol == "NSE:NIFTY26NOV26000CE"


@pytest.mark.parametrize(
    "ticker",
    [
        "NSE:NIFTY26NOV99999PE",
        "NSE:NIFTY26NOV25150CE",
        "NSE:FINNIFTY26NOV25150PE",
        "BSE:NIFTY26NOV25150PE",
        "NSE:NIFTY27NOV25150PE",
        "NSE:NIFTY26DEC25150PE",
        "NSE:NIFTY26D0325150PE",
        "NSE:NIFTY26XYZ25150PE",
    ],
)
def test_a_row_that_contradicts_its_own_ticker_is_left_out_and_noted(
    ticker: str, listed: Callable[..., str], cache: str
) -> None:
    wrong = replace(WHOLE[7], ticker=ticker)

    report = refreshed(listed([*WHOLE[:7], wrong, *WHOLE[8:]]), cache)

    assert report["notes"] == ["NSE_FO.csv: 1 rows contradict their own ticker and are left out"]
    assert report["rows"] == sum(row.option_type != "XX" for row in WHOLE) - 1
    assert WHOLE[7].symbol == "NSE:NIFTY26NOV25150PE"
    assert Symbols.open(cache).lookup_symbol(WHOLE[7].symbol) is None


@pytest.mark.parametrize("ticker", ["NSE:NIFTY26N2426000CE", "NSE:NIFTY26N2526000CE", "NSE:NIFTY26N2726000CE"])
def test_an_expiry_that_a_holiday_moved_keeps_its_ticker(ticker: str, listed: Callable[..., str], cache: str) -> None:
    rows = [replace(row, ticker=ticker) if row.symbol == "NSE:NIFTY26NOV26000CE" else row for row in LAB]

    assert refreshed(listed(rows), cache)["notes"] == []
    assert atm(cache).symbol == ticker


def test_old_closing_times_in_the_expiry_mean_the_same_day(listed: Callable[..., str], cache: str) -> None:
    for closes in ("10:30", "15:30", "15:40", "23:59"):
        hour, minute = map(int, closes.split(":"))
        rows = [replace(row, closes=row.closes.replace(hour=hour, minute=minute)) for row in LAB]
        assert refreshed(listed(rows), cache)["accepted"] is True
        assert atm(cache).expiry == date(2026, 11, 24)


@pytest.mark.parametrize("seed", range(60))
def test_a_file_damaged_anywhere_is_taken_or_refused_and_never_a_crash(
    seed: int, listed: Callable[..., str], cache: str, tmp_path: Path
) -> None:
    random, content = Random(seed), bytearray(csv_of(LAB))  # noqa: S311
    for _ in range(random.randint(1, 5)):
        at = random.randrange(len(content))
        damage = random.choice(
            [b"", b",", b"\n", b'"', b"\0", b"\xff", b"-", b"9" * 30, b"e", bytes(content[: at // 2])]
        )
        content[at : at + random.randint(0, 3)] = damage
    (tmp_path / "NSE_FO.csv").write_bytes(content)

    report = refreshed(str(tmp_path / "NSE_FO.csv"), cache)

    assert report["accepted"] is True or report["reason"]


def test_one_bad_file_of_two_leaves_both_as_they_were(listed: Callable[..., str], cache: str, tmp_path: Path) -> None:
    bse = [replace(row, exchange="BSE", underlying="SENSEX", lot="20") for row in LAB]
    urls = [listed(LAB), write(tmp_path / "BSE_FO.csv", bse)]
    refresh(urls, cache, Calendar(), MORNING)
    (tmp_path / "BSE_FO.csv").write_bytes(HTML)

    report = refresh(urls, cache, Calendar(), MORNING)

    assert report["reason"] == "BSE_FO.csv is a web page, not a symbol master"
    assert Symbols.open(cache).expiring("SENSEX", None, date(2026, 11, 24)) is not None


def test_a_master_of_the_cash_segment_adds_shares_and_nothing_else(
    listed: Callable[..., str], cache: str, tmp_path: Path
) -> None:
    index = share("NIFTY", ticker="NSE:NIFTY50-INDEX", instrument="10", lot="0")
    small = share("TINY", ticker="NSE:TINY-SM", lot="1200")
    bond = share("754GS2036", ticker="NSE:754GS2036-GS", instrument="6")
    urls = [listed(WHOLE), write(tmp_path / "NSE_CM.csv", [share("SBIN"), index, small, bond, share("ITC")])]
    alone: dict[str, Any] = refresh(urls[:1], cache, Calendar(), MORNING)
    report = refresh(urls, cache, Calendar(), MORNING)

    assert (report["accepted"], report["rows"], report["notes"]) == (True, alone["rows"], [])
    assert report["sources"] == alone["sources"] | {urls[1]: 0}
    symbols = Symbols.open(cache)
    assert [present(symbols.lookup_symbol(f"NSE:{name}-EQ")).lot_size for name in ("SBIN", "ITC")] == [1, 1]
    assert {symbols.lookup_symbol(row[9]) for row in (index, small, bond)} == {None}
    assert atm(cache).symbol == "NSE:NIFTY26NOV26000CE"


def test_shares_alone_are_no_master_to_trade_by(cache: str, tmp_path: Path) -> None:
    url = write(tmp_path / "NSE_CM.csv", [share("SBIN")])

    report = refresh([url], cache, Calendar(), MORNING)

    assert report["reason"] == "no CSV master lists options; SYMBOL_MASTER_URLS needs one"


def test_an_old_master_of_the_cash_segment_is_refused_like_any_other(
    listed: Callable[..., str], cache: str, tmp_path: Path
) -> None:
    urls = [listed(WHOLE), write(tmp_path / "NSE_CM.csv", [share("SBIN", updated="2026-11-17")])]

    assert "the master is dated 2026-11-17" in str(refresh(urls, cache, Calendar(), MORNING)["reason"])


@pytest.mark.parametrize(
    "changes",
    [
        {"ticker": "NSE:NIFTY26DECFUT"},
        {"ticker": "NSE:BANKNIFTY26NOVFUT"},
        {"ticker": "NSE:NIFTY26NOV"},
        {"lot": "0"},
        {"tick": "none"},
    ],
)
def test_a_future_that_makes_no_sense_is_left_out_and_costs_no_option(
    changes: dict[str, Any], listed: Callable[..., str], cache: str
) -> None:
    wrong = replace(FUTURE, **changes)

    report = refreshed(listed([*LAB, wrong, replace(FUTURE, underlying="FINNIFTY")]), cache)

    assert report["notes"] == ["NSE_FO.csv: 1 futures or shares make no sense and are left out"]
    assert report["rows"] == len(LAB)
    symbols = Symbols.open(cache)
    assert symbols.lookup_symbol("NSE:FINNIFTY26NOVFUT") is not None
    assert symbols.lookup_symbol(wrong.symbol) is None


def test_more_or_fewer_futures_than_yesterday_are_no_reason_to_refuse(listed: Callable[..., str], cache: str) -> None:
    many = [replace(FUTURE, underlying=f"STOCK{number}") for number in range(len(LAB))]

    assert refreshed(listed([*LAB, *many]), cache)["accepted"] is True
    assert refreshed(listed(LAB), cache)["accepted"] is True


def test_no_source_at_all_is_told_from_an_empty_one(cache: str) -> None:
    assert "SYMBOL_MASTER_URLS needs one" in str(refresh([], cache, Calendar(), MORNING)["reason"])


def test_a_cache_that_cannot_be_written_is_a_reason_and_no_crash(listed: Callable[..., str], tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    report = refreshed(listed(LAB), str(tmp_path / "file" / "symbols"))

    assert report["accepted"] is False
    assert "could not be" in report["reason"]


def test_a_damaged_pointer_is_written_over_by_the_next_good_master(
    listed: Callable[..., str], cache: str, tmp_path: Path
) -> None:
    refreshed(listed(LAB), cache)
    (tmp_path / "cache" / "symbols").write_text("{")

    assert refreshed(listed(LAB), cache)["accepted"] is True
    assert atm(cache).symbol == "NSE:NIFTY26NOV26000CE"


def test_the_simulators_masters_are_taken_as_they_are(cache: str) -> None:
    exchange = Exchange(seed=7, now=lambda: MORNING, volatile=False)
    with Simulator(exchange) as simulator:
        urls = simulator.master_urls
        report = refresh([*urls, urls[0].replace(".csv", "_sym_master.json")], cache, Calendar(), MORNING)

    assert report["accepted"], report
    assert report["notes"] == []
    symbols = Symbols.open(cache)
    found = symbols.resolve(Wanted("NIFTY", None, ExpiryRule.MONTHLY, Decimal(26000), OptionType.PE), on=FRIDAY)
    assert (found.symbol, found.lot_size, found.freeze_quantity) == ("NSE:NIFTY26NOV26000PE", 65, 3510)
    assert present(found.lower_band) < present(found.upper_band)
    future = present(symbols.lookup_symbol("NSE:BANKNIFTY26NOVFUT"))
    assert (future.lot_size, future.tick_size, future.freeze_quantity) == (30, Decimal("0.2"), 1440)
    assert present(future.lower_band) < present(future.upper_band)
    assert present(symbols.lookup_symbol("BSE:SENSEX26NOVFUT")).underlying == "SENSEX"
    assert symbols.spot_symbol("M_M", None) == "NSE:M&M-EQ"
    sensex = Wanted("SENSEX", None, ExpiryRule.WEEKLY, Decimal(85000), OptionType.CE)
    assert symbols.resolve(sensex, on=FRIDAY).lot_size == 20
