"""Hours and freeze quantities are those of the date: the gateway and the simulated exchange agree on every minute.

Both run on one clock that is put to the days on which the hours change. The exchange rejects what comes outside them.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from app.cli.rehearsal import Then
from app.domain.calendar import IST
from app.domain.errors import NotNow, Reason
from app.facts.holidays import HOLIDAYS
from app.runtime.bootstrap import bootstrap
from app.runtime.config import Config
from app.simulator import Exchange, Rules, Simulator, Status
from app.simulator.instruments import DERIVATIVES
from app.simulator.rules import Refused
from app.web import create_app
from tests.gateway import OPERATOR, SECRET, Gateway

BEFORE, CHANGED, EXPIRY = "2026-12-04", "2026-12-07", "2026-12-08"  # a Friday, the Monday and Tuesday after it
STOCKS_EXPIRY = "2026-12-29"
TODAYS, NEXT_WEEKS = "NSE:NIFTY26D0826000CE", "NSE:NIFTY26D1526000CE"
FUTURE, SHARE = "NSE:NIFTY26DECFUT", "NSE:ITC-EQ"


def ist(day: str, clock: str) -> datetime:
    return datetime.fromisoformat(f"{day}T{clock}").replace(tzinfo=IST).astimezone(UTC)


class Day:
    """A gateway and the exchange that it trades at, at a moment of choice."""

    def __init__(self, gate: Gateway, clock: Then) -> None:
        self.gate = gate
        self.clock = clock

    def put(self, day: str, clock: str) -> None:
        self.clock.put(ist(day, clock))

    def send(self, **fields: Any) -> dict[str, Any]:
        usual: dict[str, Any] = {"symbol": "NIFTY", "strikeprice": 26000, "optionType": "CE", "expiry": "WEEKLY"}
        usual["timenow"] = self.clock.now().isoformat()
        said: dict[str, Any] = self.gate.send(**usual | fields).json
        return said

    def at_the_exchange(self, symbol: str, quantity: int = 65, side: int = 1, **changes: float) -> tuple[bool, str]:
        """Whether the exchange takes an order past the gateway, and what it says where it does not."""
        order = {"symbol": symbol, "qty": quantity, "type": 2, "side": side, "productType": "INTRADAY"}
        rest = {"limitPrice": 0, "stopPrice": 0, "validity": "DAY", "disclosedQty": 0, "offlineOrder": False}
        placed = self.gate.account.exchange.place(order | rest | changes)
        return placed.status is not Status.REJECTED, placed.message

    def reached_the_exchange(self) -> int:
        return sum(entry.endpoint == "place" for entry in self.gate.account.log)


@contextmanager
def a_day(folder: Path, moment: datetime, **settings: str) -> Iterator[Day]:
    """The gateway as it is without MARKET_HOURS, started at that moment."""
    clock = Then(moment)
    exchange = Exchange(
        seed=7, now=clock.now, capital=Decimal(10**10), volatile=False, holidays=HOLIDAYS,
        strikes_each_side=8, rules=Rules(always_open=False),
    )  # fmt: skip
    with Simulator(exchange, accept_any_token=True, rate_limits=False) as account:
        environ = {
            "WEBHOOK_SECRET_TOKEN": SECRET,
            "OPERATOR_TOKEN": OPERATOR,
            "FYERS_API_URL": account.api_url,
            "FYERS_DATA_URL": account.data_url,
            "SYMBOL_MASTER_URLS": ",".join(account.master_urls),
            "SYMBOL_CACHE": str(folder / "symbols"),
            "LEDGER_URL": f"sqlite:///{folder / 'ledger.db'}",
            "IP_ALLOWLIST": "off",
            "WEBHOOK_MAX_QTY": "100",
            "MAX_LOTS_OPEN": "1000",
            "MAX_ORDERS_PER_DAY": "100",
            "MAX_PREMIUM_PER_ORDER": "0",
            "MAX_STOP_PERCENT": "1000000",  # shortly before its expiry an option is worth little
        } | settings
        config = Config.from_env(environ)
        office = bootstrap(config, clock)
        with office.resources:
            try:
                yield Day(Gateway(office, account, create_app(office, config), environ), clock)
            finally:
                exchange.market.listing.masters.clear()  # other exchanges of the same day share it


@pytest.fixture
def day(tmp_path: Path) -> Iterator[Day]:
    with a_day(tmp_path, ist(CHANGED, "10:00")) as there:
        yield there


def test_on_the_day_of_the_new_hours_an_entry_at_1542_is_taken_and_one_at_1546_refused_by_both(day: Day) -> None:
    day.put(CHANGED, "15:42")
    assert day.send()["status"] == "ACCEPTED"
    assert day.at_the_exchange(TODAYS) == (True, "")
    day.put(CHANGED, "15:46")
    said = day.send()
    assert (said["status"], said["reason"]) == ("DENIED", "MARKET_CLOSED")
    assert day.reached_the_exchange() == 1
    assert not day.at_the_exchange(TODAYS)[0]


def test_the_friday_before_goes_by_the_old_hours_at_both(tmp_path: Path) -> None:
    with a_day(tmp_path, ist(BEFORE, "15:39")) as day:
        assert day.send()["status"] == "ACCEPTED"
        assert day.at_the_exchange(TODAYS)[0]
        for clock in ("15:40", "15:42"):
            day.put(BEFORE, clock)
            assert day.send()["reason"] == "MARKET_CLOSED"
            assert not day.at_the_exchange(TODAYS)[0]


@pytest.fixture
def expiry_day(tmp_path: Path) -> Iterator[Day]:
    """A short of the contract that expires today is open, sold a minute before it stops."""
    with a_day(tmp_path, ist(EXPIRY, "15:29")) as day:
        sold = day.send(sl="500pt", tp="5%")
        assert (sold["status"], sold["symbol"]) == ("ACCEPTED", TODAYS)
        day.put(EXPIRY, "15:31")
        yield day


def test_a_minute_after_the_index_contract_stopped_weekly_is_the_next_weeks(expiry_day: Day) -> None:
    said = expiry_day.send()
    assert (said["status"], said["symbol"]) == ("ACCEPTED", NEXT_WEEKS)
    assert expiry_day.at_the_exchange(NEXT_WEEKS) == (True, "")
    assert expiry_day.send(expiry="NEXT_WEEKLY")["symbol"] == "NSE:NIFTY26D2226000CE"


@pytest.mark.parametrize("expiry", [EXPIRY, "WEEKLY"], ids=["named by its date", "meant by WEEKLY"])
def test_a_cover_of_the_contract_that_stopped_says_why_not(expiry_day: Day, expiry: str) -> None:
    sent = expiry_day.reached_the_exchange()
    said = expiry_day.send(action="BUY", expiry=expiry)
    assert (said["status"], said["reason"]) == ("DENIED", "MARKET_CLOSED")
    assert said["message"].startswith(f"{TODAYS} expires today and stopped trading at 15:30 IST: it cannot be covered")
    assert expiry_day.reached_the_exchange() == sent
    assert expiry_day.at_the_exchange(TODAYS) == (False, "Trading in this symbol has stopped")


def test_an_entry_in_the_contract_that_stopped_names_its_last_minute_and_what_to_change(expiry_day: Day) -> None:
    said = expiry_day.send(expiry=EXPIRY)
    assert (said["status"], said["reason"]) == ("DENIED", "MARKET_CLOSED")
    assert said["message"] == (
        f"{TODAYS} expires today and stopped trading at 15:30 IST: the order was not sent; name a later expiry"
    )


def test_a_cover_without_any_short_is_told_so_after_the_contract_stopped(expiry_day: Day) -> None:
    said = expiry_day.send(action="BUY", optionType="PE")
    assert said["reason"] == "NO_SHORT_TO_COVER"


def test_a_stock_contract_goes_on_to_the_end_of_the_market_on_its_expiry_day(tmp_path: Path) -> None:
    stock = {"symbol": "RELIANCE", "strikeprice": 1500, "expiry": "MONTHLY", "sl": "500pt", "tp": "5%"}
    with a_day(tmp_path, ist(STOCKS_EXPIRY, "15:44")) as day:
        said = day.send(**stock)
        assert (said["status"], said["symbol"]) == ("ACCEPTED", "NSE:RELIANCE26DEC1500CE")
        assert day.send(expiry="MONTHLY")["symbol"] == "NSE:NIFTY27JAN26000CE"
        day.put(STOCKS_EXPIRY, "15:45")
        assert day.send(**stock)["reason"] == "MARKET_CLOSED"
        assert not day.at_the_exchange("NSE:RELIANCE26DEC1500CE", 500)[0]


def test_an_order_that_reaches_its_commit_after_the_last_minute_is_not_sent(
    day: Day, monkeypatch: pytest.MonkeyPatch
) -> None:
    day.put(CHANGED, "15:44:30")
    broker = day.gate.desk.broker.__class__
    read = broker.quotes_and_positions

    def slow(*args: Any) -> Any:
        day.put(CHANGED, "15:45:00")
        return read(*args)

    monkeypatch.setattr(broker, "quotes_and_positions", slow)
    said = day.send()
    assert (said["status"], said["reason"]) == ("DENIED", "MARKET_CLOSED")
    assert "NSE:NIFTY26D0826000CE: entries are taken in 09:15-15:45 IST, and it is 15:45" in said["message"]
    assert day.reached_the_exchange() == 0


# Where the symbol master says other hours than the table.


@pytest.fixture
def by_fridays_master(tmp_path: Path) -> Iterator[Day]:
    """The master of Friday, whose hours are the old ones, is all there is on Monday."""
    with a_day(tmp_path, ist(BEFORE, "15:00")) as day:
        assert day.send()["status"] == "ACCEPTED"
        day.put(CHANGED, "15:42")
        yield day


def test_entries_go_by_the_narrower_hours_and_say_who_says_what(by_fridays_master: Day) -> None:
    said = by_fridays_master.send()
    assert (said["status"], said["reason"]) == ("DENIED", "MARKET_CLOSED")
    assert "taken in 09:15-15:40 IST" in said["message"]
    assert "the symbol master gives 09:15-15:40, the dated table 09:15-15:45" in said["message"]


def test_covers_go_by_the_wider_hours(by_fridays_master: Day) -> None:
    assert by_fridays_master.send(action="BUY")["status"] == "ACCEPTED"


def checks(day: Day) -> dict[str, dict[str, str]]:
    said = day.gate.operate("POST", "/tasks/preflight").json
    return {check["check"]: check for check in said["checks"]}


def told_of_hours(day: Day) -> list[str]:
    return [notice.text for notice in day.gate.desk.ledger.outbox(day.gate.deadline()) if notice.kind == "hours"]


def test_preflight_names_the_difference_and_it_is_told_once_a_day(
    by_fridays_master: Day, monkeypatch: pytest.MonkeyPatch
) -> None:
    day = by_fridays_master
    monkeypatch.setattr(day.gate.desk.notifier.__class__, "send", lambda *_: False)  # so that what is told stays
    for _ in range(2):
        hours = checks(day)["hours"]
        assert hours["result"] == "warn"
        assert "contracts, the dated table 09:15-15:45" in hours["found"]
    [text] = told_of_hours(day)
    assert text.startswith("Today's hours are in doubt: the symbol master gives 09:15-15:40 for ")
    assert "entries go by the narrower, exits by the wider" in text
    day.gate.operate("POST", "/tasks/refresh-symbols")
    assert checks(day)["hours"] == {"check": "hours", "result": "ok", "found": "09:15-15:45 today", "advice": ""}
    assert told_of_hours(day) == [text]


def test_the_refresh_tells_of_a_master_that_says_other_hours(day: Day, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(day.gate.desk.notifier.__class__, "send", lambda *_: False)
    listing = day.gate.account.exchange.market.listing
    usual = listing.masters["NSE", DERIVATIVES]
    listing.masters["NSE", DERIVATIVES] = usual.replace(b",0915-1545|", b",0915-1555|")
    try:
        day.gate.operate("POST", "/tasks/refresh-symbols")
        [text] = told_of_hours(day)
        assert "the symbol master gives 09:15-15:55" in text
        day.put(CHANGED, "15:50")
        assert day.send()["reason"] == "MARKET_CLOSED"
        assert day.send(action="BUY")["reason"] == "NO_SHORT_TO_COVER"  # not closed to covers: the master says later
    finally:
        listing.masters["NSE", DERIVATIVES] = usual


# Minutes in which table and master differ on whether today's contract still trades.


@contextmanager
def on_expiry_day(folder: Path, session: str, clock: str = "15:20", **settings: str) -> Iterator[Day]:
    """The master gives the index contracts that expire today these hours; the exchange goes by the table."""
    with a_day(folder, ist(EXPIRY, clock), **NO_PACE | settings) as day:
        say(day, b",0915-1530|", session.encode())
        yield day


NO_PACE = {"MAX_ORDERS_PER_SECOND": "0", "PACE_CALLS": "no"}  # the clock stands, so each second would be the same one


def say(day: Day, usual: bytes, session: bytes) -> None:
    masters = day.gate.account.exchange.market.listing.masters
    masters["NSE", DERIVATIVES] = masters["NSE", DERIVATIVES].replace(usual, b",%s|" % session)
    report = day.gate.operate("POST", "/tasks/refresh-symbols").json
    assert report["accepted"], report


LONG_STOP = {"sl": "500pt", "tp": "5%"}


def test_in_doubtful_minutes_the_cover_of_what_was_just_sold_goes_out(tmp_path: Path) -> None:
    with on_expiry_day(tmp_path, "0915-1545") as day:
        day.put(EXPIRY, "15:35")
        sold = day.send()
        assert (sold["status"], sold["symbol"]) == ("ACCEPTED", NEXT_WEEKS)
        covered = day.send(action="BUY")
        assert (covered["status"], covered["symbol"]) == ("ACCEPTED", NEXT_WEEKS)


def test_in_doubtful_minutes_a_cover_takes_the_contract_that_is_short(tmp_path: Path) -> None:
    with on_expiry_day(tmp_path, "0915-1545") as day:
        assert day.send(**LONG_STOP)["symbol"] == TODAYS
        day.put(EXPIRY, "15:35")
        assert day.send(action="BUY")["symbol"] == TODAYS  # whether it still trades the exchange says
        assert day.reached_the_exchange() == 2
        assert day.send(expiry=EXPIRY)["reason"] == "MARKET_CLOSED"
        assert day.send(action="BUY", optionType="PE")["reason"] == "NO_SHORT_TO_COVER"


def test_in_doubtful_minutes_a_short_that_is_being_closed_needs_no_other_cover(tmp_path: Path) -> None:
    with on_expiry_day(tmp_path, "0915-1545") as day:
        assert day.send(**LONG_STOP)["symbol"] == TODAYS
        assert day.at_the_exchange(TODAYS, type=1, limitPrice=0.05) == (True, "")  # by hand, and not filled
        day.put(EXPIRY, "15:35")
        said = day.send(action="BUY")
        assert (said["status"], said["reason"]) == ("DENIED", "NO_SHORT_TO_COVER")
        assert day.reached_the_exchange() == 1


def test_of_two_shorts_in_doubtful_minutes_the_one_in_the_alerts_product_is_covered(tmp_path: Path) -> None:
    with on_expiry_day(tmp_path, "0915-1545", ALLOWED_PRODUCTS="INTRADAY,MARGIN") as day:
        assert day.send(**LONG_STOP, productType="MARGIN")["symbol"] == TODAYS
        day.put(EXPIRY, "15:35")
        assert day.send()["symbol"] == NEXT_WEEKS
        assert day.send(action="BUY", productType="MARGIN")["symbol"] == TODAYS
        assert day.send(action="BUY")["symbol"] == NEXT_WEEKS


def test_given_hours_hold_for_the_contract_that_expires_as_well(tmp_path: Path) -> None:
    with a_day(tmp_path, ist(EXPIRY, "15:20"), MARKET_HOURS="09:15-15:45", **NO_PACE) as day:
        assert day.send(**LONG_STOP)["symbol"] == TODAYS
        day.put(EXPIRY, "15:35")
        assert [day.send(action=action)["symbol"] for action in ("SELL", "BUY")] == [TODAYS, TODAYS]
        day.put(EXPIRY, "15:45")
        assert day.send()["reason"] == "MARKET_CLOSED"


@pytest.mark.parametrize("session", ["0900-0908|0915-1530", "0915-1200|1300-1530"])
def test_several_sessions_of_a_row_are_one_from_the_first_opening_to_the_last_close(
    tmp_path: Path, session: str
) -> None:
    with on_expiry_day(tmp_path, session) as day:
        assert checks(day)["hours"]["result"] == "ok"
        assert day.send(**LONG_STOP)["symbol"] == TODAYS


@pytest.mark.parametrize(
    ("session", "words"),
    [
        ("0900-0908", "no entry is taken (the symbol master gives 09:00-09:08, the dated table 09:15-15:30)"),
        ("1815-1915", "no entry is taken (the symbol master gives 18:15-19:15, the dated table 09:15-15:30)"),
        ("0915-1515", "entries are taken in 09:15-15:15 IST (the symbol master gives 09:15-15:15, the dated table"),
    ],
)
def test_on_the_masters_word_an_entry_is_refused_and_goes_to_no_later_expiry(
    tmp_path: Path, session: str, words: str
) -> None:
    with on_expiry_day(tmp_path, "0915-1530") as day:
        assert day.send(**LONG_STOP)["symbol"] == TODAYS
        say(day, b",0915-1530|", session.encode())
        said = day.send()
        assert (said["status"], said["reason"]) == ("DENIED", "MARKET_CLOSED")
        assert words in said["message"]
        covered = day.send(action="BUY")
        assert (covered["status"], covered["symbol"]) == ("ACCEPTED", TODAYS)


def test_a_row_that_gives_the_whole_day_opens_no_night_and_every_day_becomes_final(day: Day) -> None:
    say(day, b",0915-1545|", b"0000-2359")
    day.put(CHANGED, "20:00")
    for action in ("SELL", "BUY"):
        assert day.send(action=action)["reason"] == "MARKET_CLOSED"
    assert day.gate.desk.calendar.is_over(day.clock.now(), said=day.gate.desk.symbols.session)


def test_preflight_waits_for_the_last_of_the_widest_hours(day: Day) -> None:
    say(day, b",0915-1545|", b"0915-1555")
    day.put(CHANGED, "15:50")
    assert day.gate.operate("POST", "/tasks/preflight").json["verdict"] != "closed"
    day.put(CHANGED, "15:55")
    assert day.gate.operate("POST", "/tasks/preflight").json["text"] == "Today's session is over."


# An alert means the contract of the moment at which it fired.


@pytest.mark.parametrize("action", ["SELL", "BUY"])
def test_an_alert_of_the_last_minute_that_comes_after_it_trades_no_other_contract(expiry_day: Day, action: str) -> None:
    assert expiry_day.send()["symbol"] == NEXT_WEEKS
    sent = expiry_day.reached_the_exchange()
    expiry_day.put(EXPIRY, "15:30:05")
    said = expiry_day.send(action=action, timenow=ist(EXPIRY, "15:29:59").isoformat())
    assert (said["status"], said["reason"]) == ("DENIED", "MARKET_CLOSED")
    assert said["message"].startswith(f"{TODAYS} expires today and stopped trading at 15:30 IST")
    assert expiry_day.reached_the_exchange() == sent


def test_an_alert_without_a_time_means_the_contract_of_its_first_delivery(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with a_day(tmp_path, ist(EXPIRY, "15:29:58")) as day:
        broker = day.gate.desk.broker.__class__
        with monkeypatch.context() as broken:
            broken.setattr(broker, "quotes_and_positions", lambda *_: (_ for _ in ()).throw(NotNow(Reason.BROKER_DOWN)))
            assert day.send(timenow=None, alert_id="once")["reason"] == "BROKER_DOWN"
        day.put(EXPIRY, "15:30:03")
        said = day.send(timenow=None, alert_id="once")
        assert (said["status"], said["reason"]) == ("DENIED", "MARKET_CLOSED")
        assert day.reached_the_exchange() == 0


def test_a_cover_whose_strike_is_not_listed_any_further_says_that_its_contract_stopped(
    expiry_day: Day,
) -> None:
    day = expiry_day
    masters = day.gate.account.exchange.market.listing.masters
    masters["NSE", DERIVATIVES] = b"".join(
        line for line in masters["NSE", DERIVATIVES].splitlines(True) if NEXT_WEEKS.encode() not in line
    )
    day.gate.operate("POST", "/tasks/refresh-symbols")
    said = day.send(action="BUY")
    assert (said["status"], said["reason"]) == ("DENIED", "MARKET_CLOSED")
    assert said["message"].startswith(f"{TODAYS} expires today and stopped trading at 15:30 IST: it cannot")
    assert day.send()["reason"] == "NO_SUCH_CONTRACT"


def test_an_extra_session_of_the_day_ends_for_the_expiring_contract_with_its_last_minute(tmp_path: Path) -> None:
    with a_day(tmp_path, ist(EXPIRY, "15:20"), EXTRA_SESSIONS=f"{EXPIRY} 09:15-16:00") as day:
        assert day.send(**LONG_STOP)["symbol"] == TODAYS
        day.put(EXPIRY, "15:35")
        assert day.send(expiry=EXPIRY)["reason"] == "MARKET_CLOSED"
        assert day.send()["symbol"] == NEXT_WEEKS


# A time of the square-off that comes too late.


@pytest.mark.parametrize(
    ("moment", "at", "result", "words"),
    [
        ((EXPIRY, "15:29"), "15:29", "ok", "at 15:29 IST"),
        ((EXPIRY, "15:29"), "15:30", "warn", "index contracts that expire today stop at 15:30; open now: " + TODAYS),
        ((CHANGED, "15:29"), "15:30", "ok", "at 15:30 IST"),
        ((CHANGED, "15:29"), "15:45", "warn", "the market closes at 15:45; open now: " + TODAYS),
    ],
    ids=["before it stops", "as it stops", "another day", "after the market"],
)
def test_a_square_off_that_comes_too_late_is_warned_of(
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    moment: tuple[str, str],
    at: str,
    result: str,
    words: str,
) -> None:
    with a_day(tmp_path, ist(*moment), SQUARE_OFF_AT=at) as day:
        day.send(sl="500pt", tp="5%")
        check = checks(day)["square-off"]
    assert check["result"] == result
    assert check["found"].endswith(words)
    warned = [record for record in caplog.records if record.message.startswith("SQUARE_OFF_AT is too late")]
    assert len(warned) == (result == "warn")


def test_futures_and_shares_of_the_account_are_no_options_that_a_late_square_off_leaves_open(tmp_path: Path) -> None:
    with a_day(tmp_path, ist(CHANGED, "10:00"), SQUARE_OFF_AT="15:45") as day:
        assert day.gate.desk.symbols.lookup_symbol(FUTURE) is not None
        for symbol in (FUTURE, SHARE, TODAYS):
            assert day.at_the_exchange(symbol)[0]
        assert checks(day)["square-off"]["found"].endswith("the market closes at 15:45; open now: " + TODAYS)


def test_a_future_of_the_account_takes_no_room_from_the_lots_that_may_be_open(tmp_path: Path) -> None:
    with a_day(tmp_path, ist(CHANGED, "10:00"), MAX_LOTS_OPEN="1", MAX_DAILY_LOSS="0") as day:
        assert day.gate.desk.symbols.lookup_symbol(FUTURE) is not None
        assert day.at_the_exchange(FUTURE, quantity=650)[0]
        assert [day.send().get("reason") for _ in range(2)] == [None, "MAX_LOTS_OPEN"]


def test_a_square_off_before_an_extra_session_opens_is_warned_of(tmp_path: Path) -> None:
    sessions = f"{EXPIRY} 18:00-19:00"
    with a_day(tmp_path, ist(EXPIRY, "09:00"), SQUARE_OFF_AT="15:20", EXTRA_SESSIONS=sessions) as day:
        check = checks(day)["square-off"]
    assert (check["result"], check["found"]) == (
        "warn",
        "SQUARE_OFF_AT 15:20 is too early: today's session is 18:00-19:00",
    )


def test_a_master_that_gives_no_hours_is_named(day: Day) -> None:
    for exchange in ("NSE", "BSE"):
        masters = day.gate.account.exchange.market.listing.masters
        masters[exchange, DERIVATIVES] = masters[exchange, DERIVATIVES].replace(b",0915-1545|1815-1915:,", b",,")
    day.gate.operate("POST", "/tasks/refresh-symbols")
    check = checks(day)["hours"]
    assert check["result"] == "warn"
    assert check["found"] == "09:15-15:45 by the dated table alone: the symbol master gives no hours"


def test_before_anything_is_open_it_is_judged_by_what_is_listed(tmp_path: Path) -> None:
    with a_day(tmp_path, ist(EXPIRY, "09:00"), SQUARE_OFF_AT="15:35") as day:
        check = checks(day)["square-off"]
    assert check["found"] == "SQUARE_OFF_AT 15:35 is too late: index contracts that expire today stop at 15:30"


# Freeze quantities.


@pytest.mark.parametrize(
    ("moment", "takes", "refuses"),
    [(("2026-10-01", "10:00"), 27 * 65, 28 * 65), ((CHANGED, "10:00"), 54 * 65, 55 * 65)],
    ids=["before October 2026", "since"],
)
def test_without_a_json_master_the_freeze_quantity_is_that_of_the_day_at_both(
    tmp_path: Path, moment: tuple[str, str], takes: int, refuses: int
) -> None:
    with a_day(tmp_path, ist(*moment)) as day:
        said = day.send(qty=refuses)
        assert (said["status"], said["reason"]) == ("DENIED", "OVER_FREEZE_QUANTITY")
        taken = day.send(qty=takes)
        assert (taken["status"], taken["quantity"]) == ("ACCEPTED", takes)
        with pytest.raises(Refused, match="freeze limit"):
            day.at_the_exchange(taken["symbol"], refuses)


def test_a_freeze_quantity_that_no_lot_fits_in_gives_way_to_the_tables(
    day: Day, monkeypatch: pytest.MonkeyPatch
) -> None:
    symbols = day.gate.desk.symbols.__class__
    resolve = symbols.resolve
    nonsense: dict[str, Any] = {"freeze_quantity": 64}
    monkeypatch.setattr(symbols, "resolve", lambda *args, **more: replace(resolve(*args, **more), **nonsense))
    assert day.send(qty=54 * 65)["status"] == "ACCEPTED"
    assert day.send(qty=55 * 65)["message"].endswith("send at most 54 lots")


@pytest.mark.parametrize(("on_cloud_run", "fetches"), [(False, 1), (True, 0)])
def test_a_start_replaces_an_artifact_of_an_earlier_version_but_no_alert_waits_for_that(
    day: Day, monkeypatch: pytest.MonkeyPatch, on_cloud_run: bool, fetches: int
) -> None:
    fetched = []

    def refreshed(*_: object, **__: object) -> dict[str, bool]:
        fetched.append(1)
        return {"accepted": False}

    monkeypatch.setattr("app.adapters.symbols.refresh", refreshed)
    monkeypatch.setattr(day.gate.desk.symbols.__class__, "is_of_this_version", False)
    config = replace(Config.from_env(day.gate.settings), on_cloud_run=on_cloud_run)
    with bootstrap(config, day.clock).resources:
        assert len(fetched) == fetches
