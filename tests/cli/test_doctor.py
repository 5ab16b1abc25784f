"""`doctor`: each thing that can be wrong is named with what to do; and the table of switches is what the flow does."""

import itertools
import json
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from email.utils import format_datetime
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from app.adapters.tokens import FileTokens
from app.cli import main
from app.cli.doctor import egress
from app.domain.calendar import IST, Calendar
from app.domain.errors import NotNow, Reason
from app.domain.risk.controls import TradingState
from app.login.token import Token
from app.operations import checks
from app.operations.check import Mark
from app.operations.checks import examine
from app.runtime.config import Config
from app.runtime.config.judged import judged
from app.runtime.processes import free_port
from app.simulator import Exchange, Fault, FaultKind, Simulator
from tests.gateway import SECRET, Gateway, gateway
from tests.sinks import phone
from tests.stopwatch import Stopwatch
from tests.tokens import ist

LIVE = {
    "BROKER": "fyers",
    "LIVE_TRADING": "yes",
    "FYERS_APP_ID": "LIVE-200",
    "FYERS_CLIENT_ID": "F12345",
    "FYERS_SECRET_ID": "app-secret-canary",
    "FYERS_REDIRECT_URI": "http://127.0.0.1/auth/callback",
}


@pytest.fixture
def gate(tmp_path: Path) -> Iterator[Gateway]:
    with gateway(tmp_path) as gate:
        yield gate


def looked_at(gate: Gateway, name: str, **settings: str) -> tuple[str, str]:
    """The mark and the finding of one check; what fails has advice."""
    config = Config.from_env(gate.settings | settings)
    office = replace(gate.office, judge_settings=partial(judged, config))
    [check] = [one for one in examine(office, gate.deadline()) if one.name == name]
    assert check.advice or check.mark is Mark.OK
    return check.mark, check.found


def run(gate: Gateway, capsys: pytest.CaptureFixture[str], *argv: str, **settings: str) -> tuple[int, Any]:
    """The command as a user runs it, on the settings of a gateway."""
    with pytest.MonkeyPatch.context() as patched:
        for name, value in (gate.settings | settings).items():
            patched.setenv(name, value)
        code = main(["doctor", "--json", *argv])
    return code, json.loads(capsys.readouterr().out)


def test_all_is_well_with_a_gateway_on_paper(gate: Gateway, capsys: pytest.CaptureFixture[str]) -> None:
    code, said = run(gate, capsys)
    assert (code, said["ok"]) == (0, True)
    assert [one["check"] for one in said["checks"]] == [
        "settings", "app id", "notifications", "operators", "guards", "files", "login", "ledger", "symbols", "broker",
        "clock", "trading state", "orders", "outbox", "holidays", "hours", "facts", "square-off", "egress address",
    ]  # fmt: skip
    assert {one["result"] for one in said["checks"]} <= {"ok", "warn"}
    text = main_text(gate, capsys)
    assert text.startswith("ok    settings        paper trading")
    assert "\nwarn  notifications   notices go to the log alone\n                      → set NOTIFICATION_URL" in text


def main_text(gate: Gateway, capsys: pytest.CaptureFixture[str]) -> str:
    with pytest.MonkeyPatch.context() as patched:
        for name, value in gate.settings.items():
            patched.setenv(name, value)
        assert main(["doctor"]) == 0
    return capsys.readouterr().out


def test_settings_that_cannot_be_used_are_each_named(gate: Gateway, capsys: pytest.CaptureFixture[str]) -> None:
    code, said = run(gate, capsys, BROKER="fyers", STOP_LOSS_PERCENT="x", FYERS_API_URL="", FYERS_DATA_URL="")
    assert (code, said["ok"]) == (1, False)
    faults = [one["found"] for one in said["checks"]]
    assert any(fault.startswith("STOP_LOSS_PERCENT") for fault in faults)
    assert any(fault.startswith("LIVE_TRADING") for fault in faults)


def test_a_gateway_that_cannot_start_says_why(
    gate: Gateway, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "no-folder").write_text("a file")
    code, said = run(gate, capsys, LEDGER_URL=f"sqlite:///{tmp_path / 'no-folder' / 'ledger.db'}")
    assert code == 1
    assert [one["check"] for one in said["checks"]] == ["start"]


# One thing wrong at a time


def test_a_halt_fails_and_covers_only_warn(gate: Gateway) -> None:
    assert looked_at(gate, "trading state") == ("ok", "ACTIVE")
    gate.operate("POST", "/trading-state", {"state": "REDUCING", "reason": "closing time"})
    assert looked_at(gate, "trading state")[0] == "warn"
    gate.operate("POST", "/trading-state", {"state": "HALTED", "reason": "lunch"})
    mark, found = looked_at(gate, "trading state")
    assert mark == "fail"
    assert "lunch" in found


def test_a_broker_that_does_not_answer_fails(gate: Gateway) -> None:
    mark, found = looked_at(gate, "broker")
    assert (mark, found.partition(" in ")[0]) == ("ok", "the simulator answered")
    gate.account.fault("positions", Fault(FaultKind.DROP, times=None))
    mark, found = looked_at(gate, "broker")
    assert (mark, found.partition(":")[0]) == ("fail", "Fyers could not be read")


def test_a_broker_that_is_slow_warns(gate: Gateway) -> None:
    gate.account.fault("positions", Fault(FaultKind.LATENCY, seconds=checks.SLOW / 1000 + 0.02))
    assert looked_at(gate, "broker")[0] == "warn"


@pytest.mark.parametrize("slow", ["the write", "the read"])
def test_a_ledger_that_is_slow_to_write_or_to_read_warns(
    gate: Gateway, monkeypatch: pytest.MonkeyPatch, slow: str
) -> None:
    once = gate.desk.ledger.__class__.once
    waits = iter([slow == "the write", slow == "the read"])

    def slowly(*args: Any) -> bool:
        time.sleep((checks.SLOW / 1000 + 0.02) * next(waits))
        return once(*args)

    monkeypatch.setattr(gate.desk.ledger.__class__, "once", slowly)
    assert looked_at(gate, "ledger")[0] == "warn"


def test_a_broker_that_hangs_ends_with_the_deadline(gate: Gateway) -> None:
    gate.account.fault("positions", Fault(FaultKind.HANG, times=None))
    watch = Stopwatch()
    [check] = checks.look_at({"broker": checks.broker}, gate.office, gate.deadline(0.3))
    assert check.mark is Mark.FAIL
    assert watch.seconds < 1.5  # the simulator would hang for much longer


def test_a_ledger_that_does_not_answer_or_forgets_fails(gate: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    assert looked_at(gate, "ledger")[0] == "ok"
    for says_new in (True, False):  # also the second time; not even the first time
        monkeypatch.setattr(gate.desk.ledger.__class__, "once", lambda *_, answer=says_new: answer)
        assert looked_at(gate, "ledger") == ("fail", "what was written did not come back")

    def down(*_: object) -> bool:
        raise NotNow(Reason.LEDGER_DOWN)

    monkeypatch.setattr(gate.desk.ledger.__class__, "once", down)
    assert looked_at(gate, "ledger")[0] == "fail"


def test_a_fault_inside_one_check_fails_that_one_alone(gate: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gate.desk.ledger.__class__, "outbox", lambda *_: 1 / 0)
    assert looked_at(gate, "outbox") == ("fail", "a fault in the gateway; see its log")
    assert looked_at(gate, "ledger")[0] == "ok"


def test_notices_that_wait_and_orders_in_doubt_are_counted(gate: Gateway) -> None:
    assert looked_at(gate, "orders") == ("ok", "none in doubt")
    gate.account.fault("place", Fault(FaultKind.DROP, processed=False))
    sent_at = gate.desk.clock.now()
    gate.desk.clock.now = lambda: sent_at  # type: ignore[method-assign]
    gate.send()
    assert looked_at(gate, "orders") == ("ok", "none in doubt")  # its own request may still be at it
    gate.operate("POST", "/trading-state", {"state": "REDUCING", "reason": "a notice that waits for reconcile"})
    gate.desk.clock.now = lambda: sent_at + timedelta(seconds=2)  # type: ignore[method-assign]
    assert looked_at(gate, "orders") == ("warn", "1 with an unknown outcome")
    assert looked_at(gate, "outbox") == ("warn", "1 notices wait in the outbox")


@pytest.mark.parametrize(
    ("behind", "mark"), [(0, "ok"), (1.0, "ok"), (3, "warn"), (-3, "warn"), (9, "warn"), (11, "fail"), (-11, "fail")]
)
def test_a_clock_that_differs_from_the_brokers_warns_after_two_seconds_and_fails_after_ten(
    gate: Gateway, behind: float, mark: str
) -> None:
    theirs = format_datetime(datetime.now(UTC) + timedelta(seconds=behind))
    gate.account.fault("*", Fault(FaultKind.ANSWER, times=1, status=404, headers={"Date": theirs}))
    [check] = checks.look_at({"clock": checks.clock}, gate.office, gate.deadline())
    assert check.mark == mark
    assert ("behind" if behind >= 1 else "ahead of" if behind < 0 else "broker's") in check.found


def test_a_date_that_makes_no_sense_is_no_time(gate: Gateway) -> None:
    gate.account.fault("*", Fault(FaultKind.ANSWER, headers={"Date": "yesterday"}))
    [check] = checks.look_at({"clock": checks.clock}, gate.office, gate.deadline())
    assert check.found == "the broker's answers carry no time"


@pytest.mark.parametrize(
    ("days_old", "mark"), [(0, "ok"), (1, "warn"), (2, "fail")], ids=["of today", "of the day before", "older"]
)
def test_an_old_symbol_master_warns_and_one_that_stops_entries_fails(
    gate: Gateway, monkeypatch: pytest.MonkeyPatch, days_old: int, mark: str
) -> None:
    day = gate.desk.symbols.as_of
    morning = datetime(day.year, day.month, day.day, 10, tzinfo=IST)
    gate.desk.clock.now = lambda: morning  # type: ignore[method-assign]
    for _ in range(days_old):
        day = gate.desk.calendar.trading_day_before(day)
    monkeypatch.setattr(gate.desk.symbols.__class__, "as_of", property(lambda _: day))
    assert looked_at(gate, "symbols")[0] == mark


def test_a_master_that_cannot_be_renewed_warns(gate: Gateway) -> None:
    gate.desk.symbols.problem = "the bucket does not answer"  # type: ignore[misc]
    mark, found = looked_at(gate, "symbols")
    assert mark == "warn"
    assert found.endswith("the bucket does not answer")


@pytest.mark.parametrize(
    ("left", "extra", "mark"),
    [(46, (), "ok"), (45, (), "ok"), (44, (), "warn"), (-10, (), "warn"), (10, (40,), "warn")],
)
def test_holidays_that_run_out_within_45_days_warn(
    gate: Gateway, monkeypatch: pytest.MonkeyPatch, left: int, extra: tuple[int, ...], mark: str
) -> None:
    today = date(2026, 11, 20)
    until = today + timedelta(days=left)
    monkeypatch.setattr(gate.desk.clock, "now", lambda: datetime(2026, 11, 20, 5, tzinfo=UTC))
    named = frozenset(today + timedelta(days=days) for days in extra)
    object.__setattr__(gate.desk, "calendar", Calendar(holidays=named, known_until=until))
    check = checks.holidays(gate.office, gate.deadline())
    assert check.mark == mark


@pytest.mark.parametrize(
    ("day", "mark", "found"),
    [
        (date(2026, 12, 1), "ok", "none due for review"),
        (date(2026, 12, 15), "warn", "due for review: Trading h"),
        (date(2030, 1, 1), "warn", ", …"),
    ],
)
def test_outside_facts_whose_review_date_has_come_warn(
    gate: Gateway, monkeypatch: pytest.MonkeyPatch, day: date, mark: str, found: str
) -> None:
    monkeypatch.setattr(gate.desk.clock, "now", lambda: datetime(day.year, day.month, day.day, 5, tzinfo=UTC))
    said = looked_at(gate, "facts")
    assert said[0] == mark
    assert found in said[1]


@pytest.mark.parametrize(
    ("changes", "name", "mark"),
    [
        ({}, "settings", "ok"),
        ({}, "operators", "ok"),
        ({}, "app id", "ok"),
        ({"FYERS_APP_ID": "LIVE-100"}, "app id", "fail"),
        ({"FYERS_APP_ID": "LIVE"}, "app id", "fail"),
        ({"OPERATOR_TOKEN": ""}, "operators", "warn"),
        ({"OIDC_AUDIENCE": "a", "OIDC_SERVICE_ACCOUNT": "b", "OPERATOR_TOKEN": ""}, "operators", "warn"),
        ({"WEBHOOK_SECRET_TOKEN": f"{SECRET},{SECRET}2"}, "guards", "warn"),
        ({"IP_ALLOWLIST": "off"}, "guards", "warn"),
        ({"MAX_DAILY_LOSS": "0"}, "guards", "warn"),
        ({"MAX_PREMIUM_PER_ORDER": "0"}, "guards", "warn"),
        ({"REQUIRE_TIMENOW": "no"}, "guards", "warn"),
        ({"MARKET_HOURS": "always"}, "guards", "warn"),
        ({"MARKET_HOURS": "09:15-15:40", "IP_ALLOWLIST": "warn"}, "guards", "ok"),
        ({"NOTIFICATION_URL": "https://ntfy.sh/x,https://x.example"}, "notifications", "ok"),
        ({"NOTIFICATION_TOPIC": "projects/p/topics/t"}, "notifications", "ok"),
        ({}, "notifications", "warn"),
    ],
)
def test_what_the_settings_alone_say_about_live_trading(
    gate: Gateway, changes: dict[str, str], name: str, mark: str
) -> None:
    usual = {"MARKET_HOURS": "09:15-15:40", "IP_ALLOWLIST": "warn", "MAX_PREMIUM_PER_ORDER": "25000"}
    config = Config.from_env(gate.settings | LIVE | usual | changes)
    [check] = [one for one in judged(config) if one.name == name]
    assert check.mark == mark
    assert "ntfy.sh/x" not in check.found
    assert name != "settings" or check.found.startswith("LIVE orders at Fyers; ")


def test_on_paper_what_matters_for_money_alone_is_no_fault(gate: Gateway) -> None:
    loose = {"IP_ALLOWLIST": "off", "MAX_DAILY_LOSS": "0", "MARKET_HOURS": "always"}
    assert looked_at(gate, "guards", **loose)[0] == "ok"
    assert looked_at(gate, "app id") == ("ok", "paper trading needs none")


@pytest.mark.parametrize(
    ("hours", "mark", "found"),
    [
        ("always", "ok", "MARKET_HOURS=always overrides the dated table: any hour counts as open"),
        ("09:15-15:40", "warn", "MARKET_HOURS (09:15-15:40) overrides the dated table and the symbol master"),
        ("", "ok", "09:15-15:40 today"),
    ],
)
def test_hours_that_override_the_table_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, hours: str, mark: str, found: str
) -> None:
    then = ist(10)
    with (
        Simulator(Exchange(now=lambda: then), accept_any_token=True) as account,
        gateway(tmp_path, account, MARKET_HOURS=hours) as gate,
    ):
        monkeypatch.setattr(gate.desk.clock, "now", lambda: then)
        gate.operate("POST", "/tasks/refresh-symbols")
        check = checks.hours(gate.office, gate.deadline())
    assert (check.mark, check.found) == (mark, found)


# The login


@pytest.mark.parametrize(
    ("issued", "ends", "hours", "mark"),
    [
        (None, None, "always", "fail"),
        (ist(9, 0), None, "always", "ok"),
        (ist(6, 10), None, "09:15-15:40", "fail"),
        (ist(6, 40), ist(15, 30), "09:15-15:40", "fail"),
    ],
    ids=["no login", "good for the session", "ends before the session begins", "ends during the session"],
)
def test_a_login_is_looked_at_without_a_notice(
    tmp_path: Path, issued: datetime | None, ends: datetime | None, hours: str, mark: str
) -> None:
    at = (issued or ist(9)) + timedelta(minutes=10)
    with (
        phone() as ours,
        Simulator(Exchange(now=lambda: at), app_id="LIVE-200") as account,
        gateway(
            tmp_path, account, None, **LIVE, MARKET_HOURS=hours, NOTIFICATION_URL=ours.url,
            GCS_TOKENS_FILE=str(tmp_path / "tokens.json"),
        ) as gate,
    ):  # fmt: skip
        gate.desk.clock.now = lambda: at  # type: ignore[method-assign]
        if issued is not None:
            access = account.issue_token("LIVE-200")
            token = Token(access, issued_at=issued, expires_at=ends, app_id="LIVE-200")
            FileTokens(tmp_path / "tokens.json").save(token, gate.deadline())
        looks = {"login": checks.login, "broker": checks.broker, "clock": checks.clock}
        [login, broker, clock] = checks.look_at(looks, gate.office, gate.deadline())
        assert login.mark == mark
        assert mark != "ok" or login.found.startswith("ends ")
        assert broker.mark == (Mark.OK if mark == "ok" else Mark.FAIL)
        assert mark != "ok" or broker.found.startswith("Fyers answered")
        assert clock.mark == Mark.WARN  # the account says nothing of the time; where money is at stake that matters
        assert ours.arrived == []


# Beside the checks


def test_a_test_notice_reaches_every_sink_and_names_the_one_that_fails(
    gate: Gateway, capsys: pytest.CaptureFixture[str]
) -> None:
    with phone() as ours:
        code, said = run(gate, capsys, "--notify", NOTIFICATION_URL=ours.url)
        assert (code, said["checks"][-1]["result"]) == (0, "ok")
        both = f"{ours.url},http://127.0.0.1:{free_port()}/secret-canary"
        code, said = run(gate, capsys, "--notify", NOTIFICATION_URL=both)
    assert [one["kind"] for one in ours.told] == ["test", "test"]
    assert len(set(ours.ids)) == 2
    assert (code, said["checks"][-1]["result"]) == (1, "fail")
    assert "the connection was refused" in said["checks"][-1]["found"]
    assert "secret-canary" not in json.dumps(said)


def test_without_a_sink_no_phone_is_said_to_be_reached(gate: Gateway, capsys: pytest.CaptureFixture[str]) -> None:
    code, said = run(gate, capsys, "--notify")
    assert (code, said["checks"][-1]["result"]) == (0, "warn")
    assert said["checks"][-1]["found"] == "no sink is configured; the log has the notice"


def test_the_egress_address_is_asked_for_where_a_service_to_ask_is_named(
    gate: Gateway, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = ("--egress", f"{gate.account.api_url}/orders")  # for which the doctor has no other use
    gate.account.fault("orders", Fault(FaultKind.ANSWER, times=3, body="203.0.113.7\r\n"))
    for more, code, mark, found in (
        ((), 0, "ok", "203.0.113.7"),
        (("--registered", "203.0.113.7"), 0, "ok", "203.0.113.7, as registered"),
        (("--registered", "203.0.113.8"), 1, "fail", "203.0.113.7, and 203.0.113.8 is registered"),
    ):
        ended, said = run(gate, capsys, *asked, *more)
        assert (ended, said["checks"][-1]["result"], said["checks"][-1]["found"]) == (code, mark, found)
    gate.account.fault("orders", Fault(FaultKind.ANSWER, times=1, body="a page, " * 200))
    for nobody in (asked, ("--egress", f"http://127.0.0.1:{free_port()}")):
        _, said = run(gate, capsys, *nobody)
        assert (said["checks"][-1]["result"], said["checks"][-1]["found"][:9]) == ("warn", "not known")


def test_where_money_is_at_stake_an_address_that_was_not_looked_at_warns(gate: Gateway) -> None:
    for changes, mark in (({}, Mark.OK), (LIVE, Mark.WARN)):
        check = egress(Config.from_env(gate.settings | changes).live, None, None, gate.deadline())
        assert (check.mark, bool(check.advice)) == (mark, mark is Mark.WARN)


# The table of switches


def expected(broker: str, live: str, login: str, market: str, state: TradingState, alert: str) -> str:
    """What design and README promise, said a second time."""
    if broker == "paper" and live == "yes":
        return "does not start"
    if broker == "fyers" and live == "no":
        return "does not start"
    if market == "closed":
        return "denied MARKET_CLOSED"
    if login == "no":
        return "put off NEEDS_LOGIN"
    if state is TradingState.HALTED:
        return "denied TRADING_HALTED"
    if state is TradingState.REDUCING and alert == "entry":
        return "denied EXITS_ONLY"
    return "sent to Fyers" if broker == "fyers" else "sent to the simulated account"


def test_the_flow_does_what_is_promised_under_every_combination_of_switches(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["doctor", "--truth-table", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)["rows"]
    switches = ("BROKER", "LIVE_TRADING", "login", "market", "trading state", "alert")
    found = {tuple(row[name] for name in switches): row["outcome"] for row in rows}
    assert len(found) == len(rows)
    wanted = set()
    for broker, live in itertools.product(("paper", "fyers"), ("no", "yes")):
        if expected(broker, live, "", "", TradingState.ACTIVE, "") == "does not start":
            wanted.add(key := (broker, live, "any", "any", "any", "any"))
            assert found[key].startswith("does not start: LIVE_TRADING")
            continue
        logins = ("yes", "no") if broker == "fyers" else ("needs none",)
        for rest in itertools.product(logins, ("open", "closed"), TradingState, ("entry", "cover")):
            wanted.add(key := (broker, live, *rest))
            assert found[key] == expected(broker, live, *rest), key
    assert found.keys() == wanted


def test_a_table_of_switches_touches_nothing_outside(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["doctor", "--truth-table"]) == 0
    assert list(tmp_path.iterdir()) == []
    assert capsys.readouterr().err == ""
