"""Every row of the table of answers, over HTTP, against a simulated account."""

import json
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from app.domain.alert import OptionType
from app.domain.instrument import Option
from app.operations.checks import look_at
from app.simulator import Fault, FaultKind
from app.web.health import REMEMBERED
from tests.gateway import SECRET, Gateway, alert, closed_hours, gateway
from tests.stopwatch import Stopwatch
from tests.waiting import finish


@pytest.fixture
def gate(tmp_path: Path) -> Iterator[Gateway]:
    with gateway(tmp_path) as gate:
        yield gate


PAGE = "<html>Too Many Requests</html>"  # a proxy's, not Fyers'


def answer(response: Any) -> tuple[int, str, str | None]:
    return response.status_code, response.json["status"], response.json["reason"]


def test_an_entry_becomes_one_order_with_its_levels_on_the_right_sides(gate: Gateway) -> None:
    response = gate.send()
    said = response.json
    assert answer(response) == (200, "ACCEPTED", None)
    contract = gate.desk.symbols.lookup_symbol(said["symbol"])
    assert isinstance(contract, Option)
    assert (contract.underlying, contract.strike, contract.option_type) == ("NIFTY", Decimal(26000), OptionType.CE)
    assert (said["side"], said["quantity"], said["duplicate"]) == ("SELL", contract.lot_size, False)
    assert float(said["take_profit"]) < float(said["ltp"]) < float(said["stop_loss"])
    assert float(said["limit_price"]) < float(said["ltp"])
    [row] = gate.live_orders()
    assert row.id == said["broker_order_id"]
    assert row.tag == f"1:{said['tag']}"
    assert response.headers["X-Request-Id"] == said["request_id"]


def test_the_same_alert_again_is_answered_by_the_first_order_and_sends_nothing(gate: Gateway) -> None:
    body = alert()
    first, second = gate.send(body).json, gate.send(body)
    assert second.status_code == 200
    assert second.json["duplicate"] is True
    assert second.json["broker_order_id"] == first["broker_order_id"]
    assert len(gate.live_orders()) == 1


def test_text_plain_is_read_like_json(gate: Gateway) -> None:
    assert gate.send(headers={"Content-Type": "text/plain; charset=utf-8"}).status_code == 200


def test_an_idempotency_key_header_is_an_id(gate: Gateway) -> None:
    headers = {"Idempotency-Key": "from-the-header"}
    gate.send(alert(alert_id=None), headers)
    assert gate.send(alert(alert_id=None, timenow=None), headers).json["duplicate"] is True


def test_a_cover_buys_back_no_more_than_the_short_and_carries_no_legs(gate: Gateway) -> None:
    gate.send()
    response = gate.send(action="BUY", lots=2)
    said = response.json
    assert answer(response) == (200, "ACCEPTED", None)
    assert (said["side"], said["quantity"]) == ("BUY", 65)
    assert said["stop_loss"] is None
    assert said["take_profit"] is None
    assert [position.net_quantity for position in gate.desk.broker.positions(gate.deadline())] == [0]


def test_a_cover_takes_the_product_type_of_the_short(gate: Gateway) -> None:
    gate.send(productType="MARGIN")
    gate.send(action="BUY")
    assert {row.product for row in gate.live_orders()} == {"MARGIN"}


def test_buy_without_a_short_is_denied(gate: Gateway) -> None:
    assert answer(gate.send(action="BUY")) == (422, "DENIED", "NO_SHORT_TO_COVER")
    assert gate.live_orders() == []


def test_buy_opens_a_long_where_buy_mode_says_so(tmp_path: Path) -> None:
    with gateway(tmp_path, BUY_MODE="open") as gate:
        said = gate.send(action="BUY").json
        assert said["status"] == "ACCEPTED"
        assert float(said["stop_loss"]) < float(said["ltp"]) < float(said["take_profit"])


@pytest.mark.parametrize("endpoint", ["positions", "orders"])
def test_a_cover_is_not_sent_while_the_position_is_unknown(gate: Gateway, endpoint: str) -> None:
    gate.send()
    gate.account.fault(endpoint, Fault(FaultKind.HTML, times=None, status=503))
    response = gate.send(action="BUY")
    assert answer(response) == (503, "RECEIVED", "POSITION_UNKNOWN")
    assert response.headers["Retry-After"]
    assert len(gate.live_orders()) == 1


def test_an_alert_that_found_no_quote_is_taken_up_by_its_next_delivery(gate: Gateway) -> None:
    gate.account.fault("quotes", Fault(FaultKind.HTML, times=3, status=503))
    body = alert()
    assert answer(gate.send(body)) == (503, "RECEIVED", "BROKER_DOWN")
    response = gate.send(body)
    assert answer(response) == (200, "ACCEPTED", None)
    assert response.json["duplicate"] is False
    assert len(gate.live_orders()) == 1


def test_at_the_money_is_the_listed_strike_nearest_the_underlying(gate: Gateway) -> None:
    said = gate.send(strikeprice="ATM").json
    spot = gate.desk.broker.quotes(["NSE:NIFTY50-INDEX"], gate.deadline())["NSE:NIFTY50-INDEX"].ltp
    contract = gate.desk.symbols.lookup_symbol(said["symbol"])
    assert isinstance(contract, Option)
    assert abs(contract.strike - spot) <= 25  # NIFTY lists every 50 points


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"strikeprice": 26001}, "NO_SUCH_CONTRACT"),
        ({"symbol": "NOSUCH"}, "NO_SUCH_CONTRACT"),
        ({"expiry": "2026-01-01"}, "NO_SUCH_CONTRACT"),
        ({"qty": 66}, "NOT_A_LOT_MULTIPLE"),
        ({"lots": 2}, "MAX_LOTS_PER_ORDER"),
        ({"sl": "1"}, "WRONG_SIDE_STOP_LOSS"),
        ({"tp": "99999"}, "WRONG_SIDE_TAKE_PROFIT"),
        ({"exchange": "NSE_DLY"}, "DELAYED_DATA"),
    ],
)
def test_what_we_deny_says_why_and_is_final(gate: Gateway, fields: dict[str, Any], reason: str) -> None:
    body = alert(**fields)
    response = gate.send(body)
    assert answer(response) == (422, "DENIED", reason)
    assert len(response.json["message"]) > 10
    assert gate.send(body).json["duplicate"] is True
    assert gate.live_orders() == []


def test_an_old_alert_lapses(gate: Gateway) -> None:
    old = (datetime.now(UTC) - timedelta(seconds=90)).strftime("%Y-%m-%dT%H:%M:%SZ")
    assert answer(gate.send(timenow=old)) == (422, "LAPSED", "TOO_OLD")
    assert gate.live_orders() == []


@pytest.mark.parametrize(
    ("interval", "seconds", "reason"),
    [
        ("5", 300, None),
        ("5", 300 + 90, "TOO_OLD"),
        ("30S", 30 + 90, "TOO_OLD"),
        (None, 86_400, None),
        (None, 86_400 + 90, "TOO_OLD"),
        ("1W", 6 * 86_400, None),
        ("W", 8 * 86_400, "TOO_OLD"),
    ],
)
def test_without_timenow_an_alert_of_a_bar_that_closed_long_ago_is_as_old_as_that_bar(
    gate: Gateway, interval: str | None, seconds: int, reason: str | None
) -> None:
    opened = (gate.desk.clock.now() - timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%SZ")
    response = gate.send(timenow=None, time=opened, interval=interval)
    assert (response.json["status"], response.json["reason"]) == ("LAPSED" if reason else "ACCEPTED", reason)


def test_the_last_day_of_the_calendar_is_a_bar_like_any_other(gate: Gateway) -> None:
    assert gate.send(timenow=None, time="9999-12-31T23:59:59Z").json["status"] == "ACCEPTED"


def test_where_timenow_is_required_an_alert_without_it_is_refused_and_one_with_it_goes_on(tmp_path: Path) -> None:
    with gateway(tmp_path, REQUIRE_TIMENOW="yes") as gate:
        refused = gate.send(timenow=None, time=alert_time(gate))
        assert answer(refused) == (400, "ERROR", "MALFORMED")
        assert refused.json["message"].startswith("timenow: is missing")
        assert gate.send(timenow="").status_code == 400
        assert answer(gate.send()) == (200, "ACCEPTED", None)


def alert_time(gate: Gateway) -> str:
    return gate.desk.clock.now().strftime("%Y-%m-%dT%H:%M:%SZ")


def test_a_cover_may_be_older_than_an_entry(gate: Gateway) -> None:
    gate.send()
    old = (datetime.now(UTC) - timedelta(seconds=90)).strftime("%Y-%m-%dT%H:%M:%SZ")
    assert answer(gate.send(action="BUY", timenow=old)) == (200, "ACCEPTED", None)


def test_outside_market_hours_nothing_is_sent(tmp_path: Path) -> None:
    with gateway(tmp_path, MARKET_HOURS=closed_hours()) as gate:
        assert answer(gate.send()) == (422, "DENIED", "MARKET_CLOSED")


def test_yesterdays_master_opens_a_position_and_an_older_one_only_closes_one(
    gate: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    yesterday = gate.desk.calendar.trading_day_before(gate.desk.symbols.as_of)
    older = gate.desk.calendar.trading_day_before(yesterday)
    master = gate.desk.symbols.__class__
    monkeypatch.setattr(master, "as_of", property(lambda _: yesterday))
    assert gate.send().json["status"] == "ACCEPTED"
    monkeypatch.setattr(master, "as_of", property(lambda _: older))
    response = gate.send()
    assert answer(response) == (422, "DENIED", "SYMBOLS_STALE")
    assert str(older) in response.json["message"]
    assert str(yesterday) in response.json["message"]
    assert gate.send(action="BUY").json["status"] == "ACCEPTED"


def test_the_same_id_with_another_order_is_refused(gate: Gateway) -> None:
    gate.send(alert_id="one")
    assert answer(gate.send(alert_id="one", strikeprice=26050)) == (409, "ERROR", "SAME_ID_OTHER_ORDER")
    assert len(gate.live_orders()) == 1


def test_a_body_over_64_kib_is_refused(gate: Gateway) -> None:
    assert answer(gate.send(comment="x" * 65536)) == (413, "ERROR", "TOO_LARGE")


@pytest.mark.parametrize("token", ["wrong-secret-of-16-characters", "", None, 1, ["x"]])
def test_a_wrong_secret_is_told_nothing_else_and_touches_no_store(gate: Gateway, token: Any) -> None:
    bodies = {gate.send(token=token, symbol=symbol).get_data(as_text=True)[:-30] for symbol in ("NIFTY", "")}
    response = gate.send(token=token)
    assert answer(response) == (401, "ERROR", "UNAUTHORIZED")
    assert len(bodies) == 1
    assert gate.desk.ledger.orders(gate.deadline()) == []
    assert gate.account.log == [] or all(entry.endpoint == "master" for entry in gate.account.log)


def test_either_secret_is_right_while_rotating(tmp_path: Path) -> None:
    with gateway(tmp_path, WEBHOOK_SECRET_TOKEN=f"{SECRET},the-next-secret-of-ours") as gate:
        assert gate.send().status_code == 200
        assert gate.send(token="the-next-secret-of-ours").status_code == 200


def test_strangers_who_keep_guessing_are_slowed_down_and_the_owner_is_not(gate: Gateway) -> None:
    last = [gate.send(token="guess-number-0000").status_code for _ in range(40)][-1]
    assert last == 429
    assert gate.send().status_code == 200


def test_an_unknown_address_is_turned_away_where_the_list_is_enforced(tmp_path: Path) -> None:
    with gateway(tmp_path, IP_ALLOWLIST="enforce") as gate:
        assert answer(gate.send()) == (403, "ERROR", "ADDRESS_NOT_ALLOWED")
        forged = {"X-Forwarded-For": "52.89.214.238, 9.9.9.9"}
        assert gate.send(headers=forged).status_code == 403
        assert gate.send(headers={"X-Forwarded-For": "9.9.9.9, 52.89.214.238"}).status_code == 200


@pytest.mark.parametrize(
    ("fault", "http", "status", "reason"),
    [
        (Fault(FaultKind.REJECT), 422, "REJECTED", "BROKER_REJECTED"),
        (Fault(FaultKind.REFUSE), 422, "REJECTED", "BROKER_REJECTED"),
        (Fault(FaultKind.NO_ACK), 202, "SUBMITTED", "OUTCOME_UNKNOWN"),
        (Fault(FaultKind.DROP), 202, "SUBMITTED", "OUTCOME_UNKNOWN"),
        (Fault(FaultKind.HTML, status=502), 202, "SUBMITTED", "OUTCOME_UNKNOWN"),
        (Fault(FaultKind.RATE_LIMITED, seconds=1), 503, "RECEIVED", "NOT_SENT"),
        (Fault(FaultKind.ANSWER, status=429, body=PAGE, headers={"Retry-After": "1"}), 503, "RECEIVED", "NOT_SENT"),
        (Fault(FaultKind.ANSWER, status=429, body=PAGE), 202, "SUBMITTED", "OUTCOME_UNKNOWN"),
        (Fault(FaultKind.TOKEN_DEAD), 422, "REJECTED", "BROKER_REJECTED"),
    ],
    ids=lambda value: value.kind if isinstance(value, Fault) else "",
)
def test_what_the_broker_says_becomes_the_answer(
    gate: Gateway, fault: Fault, http: int, status: str, reason: str
) -> None:
    gate.account.fault("place", fault)
    response = gate.send()
    assert answer(response) == (http, status, reason)
    assert len([entry for entry in gate.account.log if entry.endpoint == "place"]) == 1


def test_a_broker_that_hangs_is_answered_in_time_and_never_asked_twice(gate: Gateway) -> None:
    gate.account.fault("place", Fault(FaultKind.HANG, times=None))
    watch = Stopwatch()
    response = gate.send()
    assert watch.seconds < 2.5
    assert answer(response) == (202, "SUBMITTED", "OUTCOME_UNKNOWN")
    assert len(gate.live_orders()) == 1


def test_an_order_in_doubt_is_not_sent_again_by_its_next_delivery(gate: Gateway) -> None:
    gate.account.fault("place", Fault(FaultKind.DROP))
    body = alert()
    gate.send(body)
    response = gate.send(body)
    assert answer(response) == (202, "SUBMITTED", "OUTCOME_UNKNOWN")
    assert response.json["duplicate"] is True
    assert len(gate.live_orders()) == 1


def test_this_app_not_being_allowed_to_trade_is_a_refusal(gate: Gateway) -> None:
    gate.account.fault("place", Fault(FaultKind.APP_REFUSED))
    assert answer(gate.send()) == (422, "REJECTED", "BROKER_REJECTED")


def test_while_shutting_down_alerts_are_put_off(gate: Gateway) -> None:
    gate.app.extensions["gateway"].closing = True
    assert answer(gate.send()) == (503, "ERROR", "SHUTTING_DOWN")


def test_an_alert_that_cannot_be_read_names_the_field_and_the_owner_is_told(gate: Gateway) -> None:
    response = gate.send(action="HOLD")
    assert answer(response) == (400, "ERROR", "MALFORMED")
    assert response.json["message"].startswith("action: ")
    broken = f'{{"token": "{SECRET}", "qty": }}'.encode()
    assert gate.send(broken).json["message"].startswith("qty: ")
    with gate.desk.ledger.reading(gate.deadline()) as db:  # type: ignore[attr-defined]
        told = [json.loads(row[0])["kind"] for row in db.execute("SELECT document FROM outbox")]
    assert told == ["refused", "refused"]


def test_unknown_fields_are_ignored(gate: Gateway) -> None:
    assert gate.send(script_version="7", nested={"a": [1]}).status_code == 200


def test_health_and_readiness_answer_without_a_secret(gate: Gateway) -> None:
    client = gate.app.test_client()
    assert client.get("/healthz").status_code == 200
    ready = client.get("/readyz")
    assert (ready.status_code, ready.get_json()["status"]) == (200, "ready")
    assert set(ready.get_json()["checks"]) == {"login", "ledger", "symbols", "broker"}


def test_readiness_says_which_part_fails(gate: Gateway) -> None:
    gate.account.fault("positions", Fault(FaultKind.HANG, times=None))
    watch = Stopwatch()
    ready = gate.app.test_client().get("/readyz")
    assert watch.seconds < 2.0
    assert ready.status_code == 503
    assert ready.get_json()["checks"]["broker"].startswith("failing: ")
    assert ready.get_json()["checks"]["ledger"] == "ok"


def test_however_many_ask_for_readiness_the_broker_is_asked_once_in_ten_seconds(gate: Gateway) -> None:
    client, monotonic, ahead = gate.app.test_client(), gate.desk.clock.monotonic, [0.0]
    gate.desk.clock.monotonic = lambda: monotonic() + ahead[0]  # type: ignore[method-assign]
    assert client.get("/readyz").status_code == 200
    gate.account.fault("positions", Fault(FaultKind.HTML, status=403, times=None))
    asked = len(gate.account.log)
    assert {client.get(path).status_code for path in ("/readyz", "/ready")} == {200}
    assert len(gate.account.log) == asked
    ahead[0] = REMEMBERED
    assert client.get("/readyz").status_code == 503


@pytest.mark.parametrize("known", [False, True])
def test_while_one_caller_looks_at_the_broker_the_others_hold_no_thread(
    gate: Gateway, monkeypatch: pytest.MonkeyPatch, known: bool
) -> None:
    client, monotonic, ahead = gate.app.test_client(), gate.desk.clock.monotonic, [0.0]
    gate.desk.clock.monotonic = lambda: monotonic() + ahead[0]  # type: ignore[method-assign]
    if known:
        assert client.get("/readyz").status_code == 200
        ahead[0] = REMEMBERED
    meanwhile: list[Any] = []

    def looks(*given: Any) -> Any:
        asking = threading.Thread(target=lambda: meanwhile.append(gate.app.test_client().get("/readyz")))
        asking.start()
        finish(asking)
        return look_at(*given)

    monkeypatch.setattr("app.web.health.look_at", looks)
    assert client.get("/readyz").status_code == 200
    [other] = meanwhile
    assert (other.status_code, bool(other.json["checks"])) == ((200, True) if known else (503, False))


def test_other_routes_and_methods_are_answered_in_json(gate: Gateway) -> None:
    client = gate.app.test_client()
    assert client.get("/nothing").get_json()["message"] == "Not Found"
    assert client.get("/webhook").status_code == 405
    assert client.get("/webhook").headers["Allow"] == "OPTIONS, POST"
