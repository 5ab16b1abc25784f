"""Which contract an alert means, held against a second way of finding it over thousands of questions."""

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import date, time, timedelta
from decimal import Decimal
from random import Random
from typing import Any

import pytest

from app.adapters.symbols import artifact
from app.adapters.symbols.csv_master import read_master
from app.adapters.symbols.json_master import Extra
from app.adapters.symbols.master import Master
from app.domain.alert import ExpiryRule, Moneyness, OptionType
from app.domain.calendar import Listing, Session
from app.domain.errors import Denied, NotNow, Reason
from app.domain.instrument import Future, Option, Share, Wanted
from tests.masters import Listed, chain, csv_of, exchange_list, plain, share
from tests.present import present

FRIDAY = date(2026, 11, 20)
CE, PE = OptionType.CE, OptionType.PE
WEEKLY, MONTHLY, NEXT_WEEKLY, NEXT_MONTHLY = ExpiryRule


def master_of(rows: Iterable[Listed | Sequence[str]], extras: dict[str, Extra] | None = None) -> Master:
    read = read_master(csv_of(rows), "master.csv")
    assert read.set_aside == read.others_set_aside == 0
    return Master(artifact.encode(sorted(read.options), read.others, extras or {}, read.dated))


@pytest.fixture(scope="module")
def master() -> Master:
    return master_of(exchange_list(FRIDAY))


def resolve(
    master: Master,
    expiry: ExpiryRule | date = WEEKLY,
    strike: Decimal | Moneyness = Decimal(26000),
    option_type: OptionType = CE,
    on: date = FRIDAY,
    spot: Decimal | None = None,
    **more: Any,
) -> Option:
    where = {"underlying": "NIFTY", "exchange": None} | more
    wanted = Wanted(where["underlying"], where["exchange"], expiry, strike, option_type)
    return master.resolve(wanted, on=on, spot=spot)


# -- expiries


def test_the_rules_count_listed_expiries_from_the_day(master: Master) -> None:
    assert [resolve(master, rule).expiry for rule in ExpiryRule] == [
        date(2026, 11, 24),  # NIFTY's next Tuesday is also its month's last
        date(2026, 11, 24),
        date(2026, 12, 1),
        date(2026, 12, 29),
    ]
    assert resolve(master, WEEKLY).symbol == "NSE:NIFTY26NOV26000CE"
    assert resolve(master, NEXT_WEEKLY).symbol == "NSE:NIFTY26D0126000CE"


def test_an_expiry_counts_on_its_own_day_and_not_after_it(master: Master) -> None:
    tuesday = date(2026, 11, 24)

    assert resolve(master, WEEKLY, on=tuesday).expiry == tuesday
    assert resolve(master, WEEKLY, on=tuesday + timedelta(days=1)).expiry == date(2026, 12, 1)
    assert resolve(master, MONTHLY, on=tuesday + timedelta(days=1)).expiry == date(2026, 12, 29)


def test_where_only_monthlies_are_listed_weekly_means_the_monthly(master: Master) -> None:
    for weekly, monthly in ((WEEKLY, MONTHLY), (NEXT_WEEKLY, NEXT_MONTHLY)):
        found = resolve(master, weekly, Decimal(48000), underlying="BANKNIFTY")
        assert found == resolve(master, monthly, Decimal(48000), underlying="BANKNIFTY")


def test_the_last_of_the_month_is_the_last_listed_wherever_a_holiday_moved_it() -> None:
    listed = [date(2026, 11, 23), date(2026, 12, 1), date(2026, 12, 8), date(2026, 12, 24), date(2027, 3, 30)]
    master = master_of(row for day in listed for row in chain(Listed(expiry=day), [26000]))

    assert resolve(master, MONTHLY).expiry == date(2026, 11, 23)
    assert resolve(master, NEXT_MONTHLY).expiry == date(2026, 12, 24)
    assert resolve(master, NEXT_MONTHLY, on=date(2026, 12, 1)).expiry == date(2027, 3, 30)


def test_the_same_month_of_another_year_is_another_month() -> None:
    listed = [date(2026, 12, 29), date(2027, 12, 28)]
    master = master_of(row for day in listed for row in chain(Listed(expiry=day), [26000]))

    assert resolve(master, NEXT_MONTHLY).expiry == date(2027, 12, 28)


def test_a_date_has_to_be_listed_exactly_and_the_nearest_ones_are_named(master: Master) -> None:
    assert resolve(master, date(2026, 12, 1)).expiry == date(2026, 12, 1)
    with pytest.raises(Denied) as denied:
        resolve(master, date(2026, 12, 2))
    assert denied.value.reason is Reason.NO_SUCH_CONTRACT
    assert denied.value.message == (
        "expiry: 2026-12-02 is not listed for NIFTY; nearest: 2026-11-24, 2026-12-01, 2026-12-08"
    )


def test_a_date_that_is_over_is_not_traded_though_it_is_listed(master: Master) -> None:
    with pytest.raises(Denied, match="2026-11-24 is over for NIFTY; nearest: 2026-12-01"):
        resolve(master, date(2026, 11, 24), on=date(2026, 11, 25))


def test_when_every_expiry_is_over_the_answer_says_so(master: Master) -> None:
    with pytest.raises(Denied, match="every listed expiry of NIFTY is over"):
        resolve(master, WEEKLY, on=date(2030, 1, 1))


def test_a_refused_expiry_names_those_that_are_listed_from_the_day_on(master: Master) -> None:
    with pytest.raises(Denied, match=r"nearest: 2026-12-29, 2027-01-26$"):
        resolve(master, date(2026, 11, 30), on=date(2026, 11, 25), underlying="BANKNIFTY")


# -- strikes


def test_strikes_are_exact_and_decimals_never_collide() -> None:
    master = master_of(chain(Listed(underlying="ITC"), ["402.5", "402.55", "4025", "40.25"]))

    for text in ("402.5", "402.50", "402.55", "4025", "4025.0", "40.25"):
        found = resolve(master, strike=Decimal(text), underlying="ITC")
        assert found.strike == Decimal(text)
        assert found.symbol == f"NSE:ITC26NOV{plain(text)}CE"
    for text in ("402", "402.500000001", "40250", "4.025"):
        with pytest.raises(Denied):
            resolve(master, strike=Decimal(text), underlying="ITC")


def test_a_strike_that_is_not_listed_is_answered_with_the_nearest_ones(master: Master) -> None:
    with pytest.raises(Denied) as denied:
        resolve(master, strike=Decimal("26010.5"))
    assert denied.value.message == (
        "strikeprice: 26010.5 is not listed for NIFTY 2026-11-24 CE; nearest: 25950, 26000, 26050"
    )


def test_at_the_money_is_the_nearest_listed_strike_and_the_lower_on_a_tie(master: Master) -> None:
    for spot, strike in (("26000", 26000), ("26024.95", 26000), ("26025", 26000), ("26025.05", 26050), ("1", 25000)):
        assert resolve(master, strike=Moneyness(0), spot=Decimal(spot)).strike == strike
    assert resolve(master, strike=Moneyness(0), spot=Decimal(99999)).strike == 27000


def test_out_of_the_money_is_up_for_calls_and_down_for_puts(master: Master) -> None:
    spot = Decimal(26010)

    assert resolve(master, strike=Moneyness(2), spot=spot).symbol == "NSE:NIFTY26NOV26100CE"
    assert resolve(master, strike=Moneyness(-2), spot=spot).symbol == "NSE:NIFTY26NOV25900CE"
    assert resolve(master, strike=Moneyness(2), option_type=PE, spot=spot).symbol == "NSE:NIFTY26NOV25900PE"
    assert resolve(master, strike=Moneyness(-2), option_type=PE, spot=spot).symbol == "NSE:NIFTY26NOV26100PE"


def test_places_are_counted_in_listed_strikes_not_in_points() -> None:
    master = master_of(chain(Listed(), [25000, 25500, 25900, 26000, 26050, 26500]))

    assert resolve(master, strike=Moneyness(2), spot=Decimal(25990)).strike == 26500
    assert resolve(master, strike=Moneyness(-3), spot=Decimal(25990)).strike == 25000


def test_running_off_the_ladder_is_denied_and_never_wraps_around(master: Master) -> None:
    for steps, option_type, spot in ((20, CE, 26900), (-20, CE, 25100), (20, PE, 25100), (-20, PE, 26900)):
        with pytest.raises(Denied, match=r"is off the ladder; NIFTY 2026-11-24 .E lists 25000 to 27000"):
            resolve(master, strike=Moneyness(steps), option_type=option_type, spot=Decimal(spot))


@pytest.mark.parametrize("spot", [None, Decimal(0), Decimal("NaN"), Decimal("Infinity"), Decimal(-1)])
def test_without_a_price_nothing_is_at_the_money(master: Master, spot: Decimal | None) -> None:
    with pytest.raises(NotNow) as refused:
        resolve(master, strike=Moneyness(0), spot=spot)
    assert refused.value.reason is Reason.NO_QUOTE


def test_a_series_without_puts_says_so() -> None:
    master = master_of([Listed()])

    for strike in (Decimal(26000), Moneyness(0)):
        with pytest.raises(Denied, match="optionType: no NIFTY 2026-11-24 PE is listed"):
            resolve(master, strike=strike, option_type=PE, spot=Decimal(26000))


def test_each_listed_strike_of_an_expiry_is_found_and_no_other(master: Master) -> None:
    for strike in map(Decimal, range(995, 1110, 5)):
        if 1000 <= strike <= 1100 and strike % 10 == 0:
            assert resolve(master, strike=strike, underlying="STOCK1").strike == strike
        else:
            with pytest.raises(Denied, match=f"{strike} is not listed"):
                resolve(master, strike=strike, underlying="STOCK1")
    with pytest.raises(Denied):
        resolve(master, date(2026, 11, 25), strike=Decimal(1000), underlying="STOCK1")


# -- underlyings


NAMES = ["M&M", "BAJAJ-AUTO", "NAM-INDIA", "RELIANCE", "NA"]


@pytest.fixture(scope="module")
def names() -> Master:
    nse = [row for name in NAMES for row in chain(Listed(underlying=name), [100])]
    bse = [
        row for name in ("SENSEX", "RELIANCE", "M_M") for row in chain(Listed(exchange="BSE", underlying=name), [100])
    ]
    return master_of([*nse, *bse])


def test_nse_is_preferred_and_bse_taken_where_it_alone_lists_the_name(names: Master) -> None:
    def symbol(underlying: str, exchange: str | None = None) -> str:
        return resolve(names, strike=Decimal(100), underlying=underlying, exchange=exchange).symbol

    assert symbol("RELIANCE") == "NSE:RELIANCE26NOV100CE"
    assert symbol("RELIANCE", "BSE") == "BSE:RELIANCE26NOV100CE"
    assert symbol("SENSEX") == "BSE:SENSEX26NOV100CE"
    with pytest.raises(Denied, match="no options on BAJAJ-AUTO are listed at BSE"):
        symbol("BAJAJ-AUTO", "BSE")


def test_an_underscore_stands_for_the_sign_it_replaces_where_no_name_is_written_so(names: Master) -> None:
    assert names.spot_symbol("BAJAJ_AUTO", None) == "NSE:BAJAJ-AUTO-EQ"
    assert names.spot_symbol("BAJAJ-AUTO", None) == "NSE:BAJAJ-AUTO-EQ"
    assert names.spot_symbol("M_M", None) == "BSE:M_M-A"  # written exactly so at BSE
    assert names.spot_symbol("M_M", "NSE") == "NSE:M&M-EQ"
    assert names.spot_symbol("M&M", None) == "NSE:M&M-EQ"


def test_an_underscore_that_could_be_two_names_is_neither() -> None:
    master = master_of([*chain(Listed(underlying="A&B"), [100]), *chain(Listed(underlying="A-B"), [100])])

    with pytest.raises(Denied):
        master.spot_symbol("A_B", None)


def test_an_unknown_underlying_is_answered_with_close_names(names: Master) -> None:
    with pytest.raises(Denied) as denied:
        names.spot_symbol("RELIANC", None)
    assert denied.value.message == "symbol: no options on RELIANC are listed; close names: RELIANCE"
    with pytest.raises(Denied, match=r"no options on ZZZ are listed$"):
        names.spot_symbol("ZZZ", None)


def test_a_stock_called_na_is_a_stock(names: Master) -> None:
    assert names.spot_symbol("NA", None) == "NSE:NA-EQ"


def test_indices_have_their_own_spot_symbols(master: Master, names: Master) -> None:
    assert master.spot_symbol("NIFTY", None) == "NSE:NIFTY50-INDEX"
    assert master.spot_symbol("BANKNIFTY", "NSE") == "NSE:NIFTYBANK-INDEX"
    assert names.spot_symbol("SENSEX", None) == "BSE:SENSEX-INDEX"


# -- terms


def test_each_row_keeps_its_own_lot_and_tick() -> None:
    near, far = Listed(lot="75"), Listed(lot="65", expiry=date(2026, 12, 29), tick="0.1")
    master = master_of([*chain(near, [26000]), *chain(far, [26000])])

    assert [resolve(master, rule).lot_size for rule in (MONTHLY, NEXT_MONTHLY)] == [75, 65]
    assert [str(resolve(master, rule).tick_size) for rule in (MONTHLY, NEXT_MONTHLY)] == ["0.05", "0.1"]


def test_freeze_quantity_and_bands_are_told_where_they_are_known_and_only_there() -> None:
    extras = {"NSE:NIFTY26NOV26000CE": Extra(1800, 500, 3_150_500), "NSE:NIFTY26NOV26000PE": Extra(1800, 0, 0)}
    master = master_of(chain(Listed(), [26000, 26050]), extras)

    call, put, other = (
        present(master.lookup_symbol(f"NSE:NIFTY26NOV{end}")) for end in ("26000CE", "26000PE", "26050CE")
    )
    assert (call.freeze_quantity, call.lower_band, call.upper_band) == (1800, Decimal("0.05"), Decimal("315.05"))
    assert (put.freeze_quantity, put.lower_band, put.upper_band) == (1800, None, None)
    assert (other.freeze_quantity, other.lower_band, other.upper_band) == (None, None, None)


# -- hours


OLD, NEW = Session(time(9, 15), time(15, 40)), Session(time(9, 15), time(15, 45))


@pytest.mark.parametrize(
    ("text", "session"),
    [
        ("0915-1540|1815-1915:", OLD),
        ("0915-1545:", NEW),
        ("0915-1545", NEW),
        ("0900-0908|0915-1540|1815-1915:20261108", OLD),
        ("0915-1200|1300-1545:", NEW),
        ("", None),
        ("0915", None),
        ("1540-0915|", None),
        ("2460-2575|", None),
        ("09:15-15:40", None),
        ("0915-15401", None),
        ("0915-1540-1600", None),
    ],
)
def test_a_contract_has_the_usual_hours_of_its_session_and_none_where_they_cannot_be_read(
    text: str, session: Session | None
) -> None:
    master = master_of(chain(Listed(session=text), [26000]))
    assert resolve(master).session == session
    assert master.session == session
    assert present(master.lookup_symbol("NSE:NIFTY26NOV26000PE")).session == session


@pytest.mark.parametrize(
    ("text", "session"),
    [
        ("0000-2359|", Session(time(0), time(23, 59))),
        ("1815-1915:", Session(time(18, 15), time(19, 15))),
        ("0900-0908|", Session(time(9), time(9, 8))),
        ("0915-1545|1600-1710|", NEW),
    ],
)
def test_hours_that_are_no_trading_day_widen_nothing(text: str, session: Session) -> None:
    master = master_of([*chain(Listed(session=text), [26000]), *chain(Listed(session="0915-1545|"), [26050])])
    assert resolve(master).session == session
    assert master.session == NEW


def test_contracts_are_counted_by_what_their_hours_depend_on() -> None:
    first, later = Listed(session="0915-1530|"), Listed(session="0915-1545|", expiry=date(2026, 12, 1), monthly=False)
    stock = Listed(underlying="TCS", session="0915-1545|")
    master = master_of([*chain(first, [26000, 26050]), *chain(later, [26000]), *chain(stock, [4000])])

    day = date(2026, 11, 24)
    expiring = {Listing(day, True, Session(time(9, 15), time(15, 30))): 4, Listing(day, False, NEW): 2}
    assert master.kinds(day, expiring=True) == expiring
    assert master.kinds(day) == expiring | {Listing(date.max, True, NEW): 2}
    assert master.kinds(FRIDAY, expiring=True) == {}
    assert master.session == NEW


def test_a_contract_that_expires_on_a_day_stands_for_its_underlying(master: Master) -> None:
    assert master.expiring("NIFTY", None, FRIDAY) is None
    found = present(master.expiring("NIFTY", None, date(2026, 11, 24)))
    assert (found.underlying, found.expiry, found.on_index, found.session) == ("NIFTY", date(2026, 11, 24), True, OLD)
    assert not present(master.expiring("STOCK0", None, date(2026, 11, 24))).on_index
    with pytest.raises(Denied):
        master.expiring("NIFTI", None, FRIDAY)


def test_whether_an_underlying_is_an_index_is_the_masters_word() -> None:
    sensex = Listed(exchange="BSE", underlying="SENSEX50", instrument="14")
    master = master_of([*chain(sensex, [26000]), *chain(Listed(underlying="TCS"), [4000])])
    day = date(2026, 11, 24)
    assert present(master.expiring("SENSEX50", None, day)).on_index
    assert master.spot_symbol("SENSEX50", None) == "BSE:SENSEX50-INDEX"
    assert not present(master.expiring("TCS", None, day)).on_index


@pytest.mark.parametrize(("underlying", "on_index"), [("NIFTY", True), ("TCS", False)])
def test_where_the_row_does_not_say_it_the_names_of_the_indices_do(underlying: str, on_index: bool) -> None:
    master = master_of(chain(Listed(underlying=underlying, instrument="99"), [26000]))
    assert present(master.expiring(underlying, None, date(2026, 11, 24))).on_index is on_index


def header_of(content: bytes) -> dict[str, Any]:
    size = artifact.PREFIX.size
    header: dict[str, Any] = json.loads(content[size : size + artifact.PREFIX.unpack_from(content)[1]])
    return header


def with_header(content: bytes, header: dict[str, Any]) -> bytes:
    text, (_, length) = json.dumps(header).encode(), artifact.PREFIX.unpack_from(content)
    return artifact.PREFIX.pack(artifact.FORMAT, len(text)) + text + content[artifact.PREFIX.size + length :]


def test_an_artifact_from_before_sessions_were_kept_is_read_without_them() -> None:
    read = read_master(csv_of(chain(Listed(), [26000])), "master.csv")
    content = artifact.encode(sorted(read.options), read.others, {}, read.dated)
    header = header_of(content)
    assert Master(content).is_of_this_version
    assert (header.pop("sessions"), header.pop("instruments")) == ([[555, 940]], [14])
    master = Master(with_header(content, header))
    assert (resolve(master).lot_size, resolve(master).session, master.session) == (65, None, None)
    assert present(master.expiring("NIFTY", None, date(2026, 11, 24))).on_index
    assert not master.is_of_this_version


def test_an_artifact_from_before_futures_were_kept_is_read_without_them() -> None:
    read = read_master(csv_of(exchange_list(FRIDAY)), "master.csv")
    content = artifact.encode(sorted(read.options), read.others, {}, read.dated)
    header = header_of(content)
    assert Master(content).lookup_symbol("NSE:NIFTY26NOVFUT") is not None
    del header["columns"]["others"], header["columns"]["other_symbols"]
    master = Master(with_header(content, header))
    assert master.lookup_symbol("NSE:NIFTY26NOVFUT") is None
    assert resolve(master).symbol == "NSE:NIFTY26NOV26000CE"
    assert not master.is_of_this_version


def test_a_future_is_found_by_its_symbol_and_has_no_strike() -> None:
    nifty = Listed(option_type="XX", strike="-1.0", tick="0.1")
    rows = [*chain(Listed(), [26000]), nifty, replace(nifty, underlying="ITC", lot="1600", tick="0.05", session="")]
    band = Extra(freeze_quantity=3510, lower_band=234_000_000, upper_band=286_000_000)
    master = master_of(rows, {nifty.symbol: band})

    assert master.lookup_symbol("NSE:NIFTY26NOVFUT") == Future(
        symbol="NSE:NIFTY26NOVFUT",
        underlying="NIFTY",
        expiry=date(2026, 11, 24),
        lot_size=65,
        tick_size=Decimal("0.1"),
        freeze_quantity=3510,
        lower_band=Decimal(23400),
        upper_band=Decimal(28600),
        session=OLD,
    )
    on_stock = present(master.lookup_symbol("NSE:ITC26NOVFUT"))
    assert (on_stock.underlying, on_stock.lot_size, on_stock.on_index) == ("ITC", 1600, False)
    assert (on_stock.freeze_quantity, on_stock.lower_band, on_stock.session) == (None, None, None)
    assert not hasattr(on_stock, "strike")


def test_a_share_is_found_by_its_symbol_and_trades_in_single_units() -> None:
    names = ("SBIN", "M&M", "BAJAJ-AUTO", "20MICRONS")
    master = master_of([*chain(Listed(), [26000]), *map(share, names), share("RELIANCE", "BSE")])

    found = present(master.lookup_symbol("NSE:SBIN-EQ"))
    assert found == Share(
        symbol="NSE:SBIN-EQ", underlying="SBIN", tick_size=Decimal("0.1"), session=Session(time(9, 15), time(15, 30))
    )
    assert (found.lot_size, found.expiry, found.on_index) == (1, None, False)
    assert [present(master.lookup_symbol(f"NSE:{name}-EQ")).underlying for name in names] == list(names)
    assert present(master.lookup_symbol("BSE:RELIANCE-A")).underlying == "RELIANCE"
    for symbol in ("NSE:SBIN", "NSE:SBIN-E", "NSE:SBIN-EQ ", "BSE:SBIN-A", "NSE:ÉQ"):
        assert master.lookup_symbol(symbol) is None


def test_futures_and_shares_change_nothing_that_is_asked_of_options() -> None:
    rows = list(exchange_list(FRIDAY))
    options = master_of(row for row in rows if row.option_type != "XX")
    late = Listed(option_type="XX", strike="-1.0", session="0900-1700:")
    alone: list[Listed | Sequence[str]] = [
        replace(late, expiry=date(2027, 2, 23)),  # an expiry that no option has
        replace(late, underlying="NOOPTIONS"),
        share("SBIN", session="0900-1700:"),
    ]
    whole = master_of([*rows, *alone])

    assert whole.lookup_symbol("NSE:NOOPTIONS26NOVFUT") is not None
    assert (whole.rows, whole.session, whole.dated) == (options.rows, options.session, options.dated)
    for day in (FRIDAY, date(2026, 11, 24), date(2027, 2, 23)):
        assert whole.kinds(day) == options.kinds(day)
        assert whole.kinds(day, expiring=True) == options.kinds(day, expiring=True)
    for rule in ExpiryRule:
        assert resolve(whole, rule) == resolve(options, rule)
    assert whole.expiring("NIFTY", None, date(2027, 2, 23)) is None
    for name in ("NOOPTIONS", "SBIN"):
        with pytest.raises(Denied, match=f"no options on {name} are listed"):
            resolve(whole, underlying=name)


def test_every_symbol_of_the_master_leads_back_to_its_row(master: Master) -> None:
    rows = list(exchange_list(FRIDAY))

    for row in rows:
        found = present(master.lookup_symbol(row.symbol))
        assert (found.symbol, found.underlying, found.expiry) == (row.symbol, row.underlying, row.expiry)
        assert (found.lot_size, isinstance(found, Option)) == (int(row.lot), row.option_type != "XX")
        if isinstance(found, Option):
            assert (found.strike, found.option_type) == (Decimal(row.strike), row.option_type)
    for symbol in ("", "A", "ZZZ", "é", "NSE:NIFTY26NOV", "NSE:NIFTY27NOVFUT"):
        assert master.lookup_symbol(symbol) is None
    for symbol in ("NSE:NIFTY26NOV26000CE ", "NSE:NIFTY26NOV26000C"):
        assert master.lookup_symbol(symbol) is None


def test_bytes_that_are_no_artifact_are_refused() -> None:
    good = artifact.encode(read_master(csv_of([Listed()]), "m").options, [], {}, FRIDAY)
    for content in (b"", b"symbols0", b"SQLite format 3\0", b"symbols0" + good[8:]):
        with pytest.raises(ValueError, match="not a symbol artifact"):
            Master(content)


# -- against a second implementation


class Naive:
    """The same promises kept the slow way: lists of rows, filtered and sorted for each question."""

    def __init__(self, rows: list[Listed]) -> None:
        self.rows = [row for row in rows if row.option_type in ("CE", "PE")]

    def answer(
        self,
        underlying: str,
        exchange: str | None,
        expiry: ExpiryRule | date,
        strike: Decimal | Moneyness,
        option_type: OptionType,
        on: date,
        spot: Decimal,
    ) -> str | None:
        for place in [exchange] if exchange else ["NSE", "BSE"]:
            rows = [row for row in self.rows if row.exchange == place and row.underlying == underlying]
            if rows:
                day = self.day({row.expiry for row in rows if row.expiry >= on}, expiry)
                return self.at(
                    [row for row in rows if row.expiry == day and row.option_type == option_type], strike, spot
                )
        return None

    def day(self, days: set[date], expiry: ExpiryRule | date) -> date | None:
        if isinstance(expiry, date):
            return expiry if expiry in days else None
        if "MONTHLY" in expiry:
            by_month = defaultdict(list)
            for day in days:
                by_month[f"{day:%Y%m}"].append(day)
            days = {max(month) for month in by_month.values()}
        days = set(days)
        if "NEXT" in expiry and days:
            days.remove(min(days))
        return min(days, default=None)

    def at(self, rows: list[Listed], strike: Decimal | Moneyness, spot: Decimal) -> str | None:
        if isinstance(strike, Decimal):
            return next((row.symbol for row in rows if Decimal(row.strike) == strike), None)
        if not rows:
            return None
        middle = min(rows, key=lambda row: (abs(Decimal(row.strike) - spot), Decimal(row.strike)))
        steps = strike.steps if rows[0].option_type == "CE" else -strike.steps
        beyond = sorted(
            (row for row in rows if (Decimal(row.strike) - Decimal(middle.strike)) * (1 if steps > 0 else -1) > 0),
            key=lambda row: abs(Decimal(row.strike) - Decimal(middle.strike)),
        )
        if steps == 0:
            return middle.symbol
        return beyond[abs(steps) - 1].symbol if len(beyond) >= abs(steps) else None


def random_calendar(random: Random) -> tuple[date, list[date]]:
    """Expiries as an exchange might list them: weeklies or none, holidays that move them back, gaps at the horizon."""
    weekday, start = random.choice([1, 3]), date(2026, random.randint(1, 12), random.randint(1, 28))
    holidays = {start + timedelta(days=random.randint(0, 120)) for _ in range(random.choice([0, 4, 15]))}
    first = start + timedelta(days=(weekday - start.weekday()) % 7)
    every = [first + timedelta(weeks=week) for week in range(20)]
    lasts = [day for day in every if (day + timedelta(weeks=1)).month != day.month]
    listed = {*lasts[: random.randint(1, 4)], *(every[: random.randint(1, 7)] if random.random() < 0.6 else [])}
    moved = set()
    for day in listed:
        while day in holidays or day.weekday() > 4:
            day -= timedelta(days=1)
        moved.add(day)
    return start, sorted(moved)


def random_rows(random: Random, days: list[date]) -> Iterator[Listed]:
    for exchange, name in (("NSE", "NIFTY"), ("BSE", "NIFTY"), ("BSE", "SENSEX"), ("NSE", "ITC")):
        if exchange == "BSE" and name == "NIFTY" and random.random() < 0.5:
            continue
        for day in days:
            step = random.choice(["2.5", "0.05", "50", "100"])
            strikes = {Decimal(random.randint(400, 420)) * Decimal(step) for _ in range(random.randint(1, 25))}
            for row in chain(Listed(exchange=exchange, underlying=name, expiry=day), strikes):
                if random.random() < 0.95:
                    yield replace(row, monthly=False, lot=str(random.choice([20, 65, 75])))


def random_question(random: Random, rows: list[Listed], start: date) -> dict[str, Any]:
    row = random.choice(rows)
    near = Decimal(row.strike) + Decimal(random.choice(["0", "0.05", "1.25", "25", "-25", "0.025", "50"]))
    strike = random.choice(
        [Decimal(row.strike), near, Moneyness(random.randint(-20, 20)), Moneyness(random.randint(-3, 3))]
    )
    expiry = random.choice([*ExpiryRule, row.expiry, row.expiry + timedelta(days=random.randint(-2, 2))])
    day = random.choice([row.expiry, row.expiry + timedelta(days=1), start + timedelta(days=random.randint(0, 90))])
    on = random.choice([start, start, day])
    return {
        "underlying": random.choice([*[row.underlying] * 6, "SENSEX", "NOBODY"]),
        "exchange": random.choice([None, None, row.exchange, "BSE", "NSE"]),
        "expiry": expiry,
        "strike": strike,
        "option_type": random.choice(list(OptionType)),
        "on": on,
        "spot": max(near, Decimal("0.05")),
    }


@pytest.mark.parametrize("seed", range(40))
def test_ten_thousand_random_questions_get_the_answer_of_a_second_implementation(seed: int) -> None:
    random = Random(seed)  # noqa: S311
    start, days = random_calendar(random)
    rows = list(random_rows(random, days))
    master, naive, found = master_of(rows), Naive(rows), 0

    for _ in range(250):
        question = random_question(random, rows, start)
        contract, told = asked(master, question)
        assert (contract and contract.symbol) == naive.answer(**question), (seed, question, told)
        found += contract is not None
    assert found > 20


def asked(master: Master, question: dict[str, Any]) -> tuple[Option | None, str | None]:
    try:
        wanted = Wanted(*(question[name] for name in Wanted._fields))
        return master.resolve(wanted, on=question["on"], spot=question["spot"]), None
    except Denied as denied:
        return None, denied.message
