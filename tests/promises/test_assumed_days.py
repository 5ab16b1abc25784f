"""After the last known holiday an entry needs Fyers' word that the market is open; an exit does not."""

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from app.adapters.clock import SystemClock
from app.domain.calendar import IST
from app.domain.deadline import ANSWER_AT
from app.flow.market_status import NO_HOLDS
from app.operations.check import Mark
from app.operations.checks import examine
from app.runtime.config import Config
from app.simulator import Exchange, Fault, FaultKind, Rules, Simulator
from tests.gateway import Answer, Gateway, gateway
from tests.instances import at_once
from tests.present import present

LAST_KNOWN = datetime(2026, 12, 31, 10, 0, tzinfo=IST)  # a Thursday
ASSUMED = datetime(2027, 1, 4, 10, 0, tzinfo=IST)  # a Monday
HOLIDAY = datetime(2027, 1, 26, 10, 0, tzinfo=IST)  # a Tuesday; Republic Day, and on no list
ROW = {"exchange": 10, "segment": 11, "market_type": "NORMAL", "status": "CLOSED"}


class Clock(SystemClock):
    """Stands at a moment; `passed` are seconds that the test lets go by."""

    moment = ASSUMED
    passed = 0.0

    def now(self) -> datetime:
        return self.moment.astimezone(UTC)

    def monotonic(self) -> float:
        return super().monotonic() + self.passed


@pytest.fixture
def clock() -> Clock:
    return Clock()


@contextmanager
def on(moment: datetime, clock: Clock, folder: Path, instances: int = 1, **settings: str) -> Iterator[list[Gateway]]:
    """Gateways on one ledger at that moment; the simulated exchange keeps its hours and has a holiday of its own."""
    clock.moment = moment
    exchange = Exchange(
        now=clock.now,
        volatile=False,
        capital=Decimal(100_000_000),
        holidays=frozenset({HOLIDAY.date()}),
        rules=Rules(always_open=False),
    )
    with ExitStack() as stack:
        account = stack.enter_context(Simulator(exchange, accept_any_token=True, rate_limits=False))
        hours = {"MARKET_HOURS": "09:15-15:40"}
        yield [stack.enter_context(gateway(folder, account, clock, **hours | settings)) for _ in range(instances)]
        assert account.errors == []


@pytest.fixture
def gate(clock: Clock, tmp_path: Path) -> Iterator[Gateway]:
    with on(ASSUMED, clock, tmp_path) as [gate]:
        yield gate


def send(gate: Gateway, **fields: Any) -> Answer:
    fired = gate.desk.clock.now().strftime("%Y-%m-%dT%H:%M:%SZ")
    usual = {"symbol": "NIFTY", "strikeprice": "ATM", "optionType": "CE", "expiry": "WEEKLY", "timenow": fired}
    return gate.send(**usual | fields)


def said(response: Answer) -> tuple[int, str, str | None]:
    return response.status_code, response.json["status"], response.json["reason"]


def asked(gate: Gateway) -> int:
    return sum(entry.endpoint == "marketStatus" for entry in gate.account.log)


TAKEN = (200, "ACCEPTED", None)
CLOSED = (422, "DENIED", "MARKET_CLOSED")
UNKNOWN = (503, "RECEIVED", "MARKET_STATUS_UNKNOWN")


def test_on_the_last_known_day_the_broker_is_not_asked(clock: Clock, tmp_path: Path) -> None:
    with on(LAST_KNOWN, clock, tmp_path) as [gate]:
        assert said(send(gate)) == TAKEN
        assert asked(gate) == 0


def test_beyond_it_the_first_entry_asks_and_a_yes_holds_for_the_day(gate: Gateway, clock: Clock) -> None:
    assert said(send(gate)) == TAKEN
    gate.account.fault("marketStatus", Fault(FaultKind.DROP, times=None))
    clock.moment += timedelta(hours=5)
    assert said(send(gate, optionType="PE")) == TAKEN
    assert asked(gate) == 1


def test_the_next_day_asks_anew(gate: Gateway, clock: Clock) -> None:
    send(gate)
    clock.moment += timedelta(days=1)
    gate.operate("POST", "/tasks/refresh-symbols")
    assert said(send(gate)) == TAKEN
    assert asked(gate) == 2


def test_on_a_holiday_that_no_list_names_an_entry_is_denied(clock: Clock, tmp_path: Path) -> None:
    with on(HOLIDAY, clock, tmp_path) as [gate]:
        response = send(gate)
        assert said(response) == CLOSED
        assert "today is beyond the known holiday list" in response.json["message"]
        assert gate.account.exchange.orders() == []


def test_that_it_is_closed_goes_before_the_quote_that_a_closed_market_lacks(clock: Clock, tmp_path: Path) -> None:
    with on(HOLIDAY, clock, tmp_path) as [gate]:
        gate.account.fault("quotes", Fault(FaultKind.DROP, times=None))
        assert said(send(gate)) == CLOSED


@pytest.mark.parametrize(
    "fault",
    [
        Fault(FaultKind.HANG, times=None),
        Fault(FaultKind.DROP, times=None),
        Fault(FaultKind.HTML, times=None, status=503),
        Fault(FaultKind.EMPTY, times=None),
        Fault(FaultKind.ARRAY, times=None),
        Fault(FaultKind.RATE_LIMITED, times=None, seconds=60),
        Fault(FaultKind.REFUSE, times=None),
        Fault(FaultKind.OVERSIZED, times=None),
        Fault(FaultKind.ANSWER, times=None, body={"s": "ok", "code": 200, "marketStatus": []}),
        Fault(FaultKind.ANSWER, times=None, body={"s": "ok", "code": 200, "marketStatus": [ROW | {"segment": 10}]}),
        Fault(FaultKind.ANSWER, times=None, body={"s": "ok", "code": 200, "marketStatus": [ROW | {"exchange": 12}]}),
        Fault(
            FaultKind.ANSWER, times=None, body={"s": "ok", "code": 200, "marketStatus": [ROW | {"status": "PREOPEN"}]}
        ),
    ],
    ids=lambda fault: f"{fault.kind} {fault.body or ''}",
)
def test_without_a_word_an_entry_waits_in_time_and_its_resend_becomes_the_one_order(
    gate: Gateway, fault: Fault
) -> None:
    gate.account.fault("marketStatus", fault)
    began = time.monotonic()
    response = send(gate, alert_id="once")
    assert time.monotonic() - began < ANSWER_AT
    assert said(response) == UNKNOWN
    assert "Nothing was sent" in response.json["message"]
    assert gate.account.exchange.orders() == []
    gate.account.clear_faults()
    assert said(send(gate, alert_id="once")) == TAKEN
    assert len(gate.live_orders()) == 1


def test_without_a_login_that_is_what_is_missing(gate: Gateway) -> None:
    gate.account.fault("marketStatus", Fault(FaultKind.TOKEN_DEAD, times=None))
    assert said(send(gate)) == (503, "RECEIVED", "NEEDS_LOGIN")


def test_a_cover_goes_on_without_asking(gate: Gateway) -> None:
    assert said(send(gate)) == TAKEN
    gate.account.clear_log()
    gate.desk.market_status._open_on.clear()
    gate.account.fault("marketStatus", Fault(FaultKind.HANG, times=None))
    assert said(send(gate, action="BUY")) == TAKEN
    assert asked(gate) == 0


def test_where_buy_opens_longs_what_opens_needs_the_word_and_what_closes_does_not(clock: Clock, tmp_path: Path) -> None:
    with on(ASSUMED, clock, tmp_path, BUY_MODE="open") as [gate]:
        gate.account.fault("marketStatus", Fault(FaultKind.DROP, times=3))  # as often as a read is tried
        assert said(send(gate, action="BUY")) == UNKNOWN
        assert said(send(gate, action="BUY")) == TAKEN
        gate.desk.market_status._open_on.clear()
        shut = {"s": "ok", "code": 200, "marketStatus": [ROW]}
        gate.account.fault("marketStatus", Fault(FaultKind.ANSWER, times=None, body=shut))
        assert said(send(gate, action="BUY", optionType="PE")) == CLOSED
        assert said(send(gate, action="SELL")) == TAKEN


@pytest.mark.parametrize(
    ("setting", "value", "answer"),
    [("EXTRA_SESSIONS", "2027-01-04 09:15-15:40", TAKEN), ("EXTRA_HOLIDAYS", "2027-01-04", CLOSED)],
)
def test_a_day_that_a_setting_names_is_known(
    clock: Clock, tmp_path: Path, setting: str, value: str, answer: tuple[int, str, str | None]
) -> None:
    with on(ASSUMED, clock, tmp_path, 1, **{setting: value}) as [gate]:
        assert said(send(gate)) == answer
        assert asked(gate) == 0


def test_the_hours_are_asked_for_before_the_broker_is(gate: Gateway, clock: Clock) -> None:
    clock.moment = ASSUMED.replace(hour=9, minute=14, second=59)
    assert said(send(gate)) == CLOSED
    assert asked(gate) == 0
    clock.moment = ASSUMED.replace(hour=9, minute=15, second=1)
    assert said(send(gate)) == TAKEN


def test_a_no_holds_for_seconds_and_not_for_the_day(gate: Gateway, clock: Clock) -> None:
    shut = {"s": "ok", "code": 200, "marketStatus": [ROW]}
    gate.account.fault("marketStatus", Fault(FaultKind.ANSWER, times=1, body=shut))
    assert [said(send(gate)) for _ in range(3)] == [CLOSED] * 3
    assert asked(gate) == 1
    clock.passed += NO_HOLDS
    assert said(send(gate)) == TAKEN


def test_in_the_first_minute_after_the_opening_a_no_is_no_answer(gate: Gateway, clock: Clock) -> None:
    shut = {"s": "ok", "code": 200, "marketStatus": [ROW]}
    gate.account.fault("marketStatus", Fault(FaultKind.ANSWER, times=None, body=shut))
    for clock.moment in (ASSUMED.replace(hour=9, minute=15), ASSUMED.replace(hour=9, minute=15, second=59)):
        assert said(send(gate, alert_id="once")) == UNKNOWN
        assert said(send(gate, optionType="PE", alert_id="remembered")) == UNKNOWN
        clock.passed += NO_HOLDS
    assert asked(gate) == 2
    send(gate, optionType="PE")
    clock.passed += 1  # what was read in that minute is not remembered beyond it
    clock.moment = ASSUMED.replace(hour=9, minute=16)
    gate.account.clear_faults()
    assert said(send(gate, alert_id="once")) == TAKEN


def test_one_exchanges_word_is_not_the_others(gate: Gateway) -> None:
    mixed = {"s": "ok", "code": 200, "marketStatus": [ROW, ROW | {"exchange": 12, "status": "OPEN"}]}
    gate.account.fault("marketStatus", Fault(FaultKind.ANSWER, times=None, body=mixed))
    assert said(send(gate, symbol="SENSEX")) == TAKEN
    assert said(send(gate, symbol="NIFTY")) == CLOSED
    assert asked(gate) == 1  # the answer said both


def test_alerts_that_come_together_share_a_reading(gate: Gateway) -> None:
    gate.account.fault("marketStatus", Fault(FaultKind.LATENCY, times=None, seconds=0.3))
    answers = at_once([lambda: send(gate) for _ in range(6)])
    assert [said(answer) for answer in answers] == [TAKEN] * 6
    assert asked(gate) <= 2


def test_it_is_read_beside_quotes_and_positions(gate: Gateway) -> None:
    gate.account.fault("*", Fault(FaultKind.LATENCY, times=None, seconds=0.3))
    gate.account.clear_log()
    send(gate, strikeprice=26000)
    status, quotes = (
        next(one for one in gate.account.log if one.endpoint == name) for name in ("marketStatus", "quotes")
    )
    assert status.at < present(quotes.answered_at)
    assert quotes.at < present(status.answered_at)


def test_another_instance_asks_for_itself_and_the_alert_stays_one_order(
    clock: Clock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with on(ASSUMED, clock, tmp_path, instances=2) as [first, rival]:
        read = first.desk.broker.market_status
        answers = []

        def meanwhile(deadline: Any) -> dict[str, bool]:
            answers.append(send(rival, alert_id="once"))
            return read(deadline)

        monkeypatch.setattr(first.desk.broker, "market_status", meanwhile)
        answers.append(send(first, alert_id="once"))
        assert [said(answer) for answer in answers] == [TAKEN] * 2
        assert [answer.json["duplicate"] for answer in answers] == [False, True]
        assert len(first.live_orders()) == 1
        assert asked(first) == 2


# Being told


def test_preflight_says_before_the_session_that_the_day_is_assumed(gate: Gateway, clock: Clock) -> None:
    clock.moment = ASSUMED.replace(hour=8, minute=45)
    text = gate.operate("POST", "/tasks/preflight").json["text"]
    assert "09:15 to 15:40 IST, an assumed trading day" in text
    assert "holidays: known until 2026-12-31 only: today may be one" in text
    assert asked(gate) == 0


def test_a_preflight_that_fails_says_it_as_well(gate: Gateway, clock: Clock) -> None:
    clock.moment = ASSUMED.replace(hour=8, minute=45)
    gate.operate("POST", "/trading-state", {"state": "HALTED", "reason": "lunch"})
    text = gate.operate("POST", "/tasks/preflight").json["text"]
    assert text.startswith("NOT ready for today's session (09:15 to 15:40 IST, an assumed trading day)")


@pytest.mark.parametrize(
    ("moment", "mark", "found"),
    [
        (datetime(2026, 11, 10, 8, tzinfo=IST), Mark.OK, "known until 2026-12-31"),
        (LAST_KNOWN, Mark.WARN, "known until 2026-12-31 only"),
        (ASSUMED, Mark.WARN, "today may be one"),
    ],
)
def test_doctor_warns_before_the_list_ends_and_says_when_it_has(
    gate: Gateway, clock: Clock, moment: datetime, mark: Mark, found: str
) -> None:
    clock.moment = moment
    [check] = [one for one in examine(gate.office, gate.deadline()) if one.name == "holidays"]
    assert check.mark is mark
    assert found in check.found


def test_the_calendar_of_the_program_knows_its_own_end() -> None:
    calendar = Config.from_env({"WEBHOOK_SECRET_TOKEN": "a-webhook-secret-for-tests"}).calendar
    assert not calendar.is_assumed(LAST_KNOWN.date())
    assert calendar.is_assumed(date(2027, 1, 1))
    assert not calendar.is_assumed(date(2027, 1, 2))  # a Saturday is known to be none
