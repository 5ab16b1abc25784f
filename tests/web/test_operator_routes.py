"""The operator's and the scheduler's routes: who gets in, and what they do."""

import functools
import threading
import time
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
import requests

from app.adapters.google import GoogleIdTokens
from app.adapters.symbols import refresh
from app.domain.calendar import ist_day
from app.domain.order import OrderStatus
from app.simulator import Fault, FaultKind, FixtureExchange, Simulator
from app.web.intake import STRIKES_PER_MINUTE
from app.web.login import page
from tests.gateway import SECRET, Gateway, alert, gateway
from tests.google_identity import AUDIENCE, SCHEDULER, Certificates, Key

ANYBODY = {"/webhook", "/health", "/healthz", "/started", "/ready", "/readyz", "/auth/callback"}


@pytest.fixture
def gate(tmp_path: Path) -> Iterator[Gateway]:
    with gateway(tmp_path) as gate:
        yield gate


def test_every_route_but_the_public_ones_asks_for_proof(gate: Gateway) -> None:
    rules = {rule.rule: gate.app.view_functions[rule.endpoint] for rule in gate.app.url_map.iter_rules()}
    unguarded = {path for path, view in rules.items() if not getattr(view, "for_operators", False)}
    assert unguarded == ANYBODY
    for path in rules.keys() - ANYBODY:
        for method in ("GET", "POST"):
            response = gate.operate(method, path.replace("<key>", "0" * 64), token=None)
            assert response.status_code in (401, 405), path


@pytest.mark.parametrize("token", [SECRET, "wrong", "", "a.b.c"])
def test_the_webhook_secret_and_other_words_are_no_proof(gate: Gateway, token: str) -> None:
    assert gate.operate("GET", "/orders", token=token).status_code == 401


def test_with_nothing_configured_there_is_no_operator(tmp_path: Path) -> None:
    with gateway(tmp_path, OPERATOR_TOKEN="") as gate:
        assert gate.operate("GET", "/orders").status_code == 403


# --- the scheduler


@pytest.fixture(scope="module")
def google() -> Iterator[tuple[Key, Certificates]]:
    """A key of Google's, and the address that publishes its certificate."""
    key, server = Key("key-1"), Certificates()
    server.publish(key)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    yield key, server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def scheduled(
    tmp_path: Path, google: tuple[Key, Certificates], monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[Gateway, Key]]:
    """A gateway that knows its scheduler by Google's signature."""
    key, certificates = google
    reader = functools.partial(GoogleIdTokens, certs_url=certificates.url)
    monkeypatch.setattr("app.runtime.bootstrap.GoogleIdTokens", reader)
    with gateway(tmp_path, OIDC_AUDIENCE=AUDIENCE, OIDC_SERVICE_ACCOUNT=SCHEDULER) as gate:
        yield gate, key


def test_the_scheduler_s_identity_may_call_the_tasks_and_refresh_token_and_nothing_else(
    scheduled: tuple[Gateway, Key],
) -> None:
    gate, key = scheduled
    allowed = set()
    for rule in gate.app.url_map.iter_rules():
        if rule.rule in ANYBODY:
            continue
        method = "POST" if "POST" in (rule.methods or ()) else "GET"
        answer = gate.operate(method, rule.rule.replace("<key>", "0" * 64), {}, token=key.token())
        if answer.status_code == 403:
            assert "needs OPERATOR_TOKEN" in answer.json["message"]
        else:
            assert answer.status_code != 401, rule.rule
            allowed.add(rule.rule)
    assert allowed == {rule for rule in allowed if rule.startswith("/tasks/")} | {"/refresh-token"}
    assert "/tasks/reconcile" in allowed


def test_what_the_scheduler_may_not_do_changes_nothing(scheduled: tuple[Gateway, Key]) -> None:
    gate, key = scheduled
    halted = {"state": "HALTED", "reason": "not mine to say"}
    assert gate.operate("POST", "/trading-state", halted, token=key.token()).status_code == 403
    assert gate.operate("GET", "/trading-state").json["state"] == "ACTIVE"


def test_the_scheduler_is_never_limited_whatever_its_address_did_before(scheduled: tuple[Gateway, Key]) -> None:
    gate, key = scheduled
    for _ in range(STRIKES_PER_MINUTE + 5):
        gate.operate("GET", "/orders", token=key.token())
        gate.operate("GET", "/orders", token="wrong")
    assert gate.operate("POST", "/tasks/reconcile", token=key.token()).status_code == 200
    stranger = key.token(email="another@project.iam.gserviceaccount.com")
    assert gate.operate("POST", "/tasks/reconcile", token=stranger).status_code == 429


# --- wrong credentials


def test_a_token_that_cannot_be_verified_counts_as_a_wrong_one(
    scheduled: tuple[Gateway, Key], google: tuple[Key, Certificates]
) -> None:
    gate, key = scheduled
    google[1].status = 500
    answers = [gate.operate("GET", "/orders", token=key.token()).status_code for _ in range(STRIKES_PER_MINUTE + 3)]
    assert answers == [503] * STRIKES_PER_MINUTE + [429] * 3
    assert gate.operate("GET", "/orders").status_code == 200


@pytest.mark.parametrize("wrong", ["wrong", SECRET, "a.b.c", None])
def test_wrong_credentials_are_limited_on_operator_routes_and_the_right_one_always_gets_through(
    gate: Gateway, wrong: str | None
) -> None:
    paths = ["/orders", "/trading-state", "/auth-url"]
    answers = [gate.operate("GET", path, token=wrong).status_code for path in paths * 12]
    assert answers == [401] * STRIKES_PER_MINUTE + [429] * (len(answers) - STRIKES_PER_MINUTE)
    assert gate.operate("GET", "/orders").status_code == 200
    assert gate.operate("GET", "/orders", token=wrong).json["reason"] == "TOO_MANY_REQUESTS"


def test_wrong_credentials_count_on_every_route_together_and_the_right_alert_gets_through(gate: Gateway) -> None:
    for _ in range(STRIKES_PER_MINUTE // 2):
        assert gate.operate("GET", "/orders", token="wrong").status_code == 401
        assert gate.send(token="a-wrong-webhook-secret").status_code == 401
    assert gate.send(token="a-wrong-webhook-secret").status_code == 429
    assert gate.operate("GET", "/orders", token="wrong").status_code == 429
    assert gate.send().json["status"] == "ACCEPTED"


def test_another_address_is_not_limited_by_the_first(gate: Gateway) -> None:
    for _ in range(STRIKES_PER_MINUTE + 1):
        gate.operate("GET", "/orders", token="wrong")
    elsewhere = {"Authorization": "Bearer wrong"}
    answer = gate.app.test_client().get("/orders", headers=elsewhere, environ_base={"REMOTE_ADDR": "203.0.113.9"})
    assert answer.status_code == 401


# --- the routes


def test_orders_show_what_the_ledger_says_newest_first(gate: Gateway) -> None:
    first = gate.send().json["key"]
    second = gate.send(qty=1).json["key"]
    orders = gate.operate("GET", "/orders").json["orders"]
    assert [order["key"] for order in orders] == [second, first]
    assert [step["status"] for step in orders[1]["transitions"]] == ["RECEIVED", "SUBMITTED", "ACCEPTED"]
    assert gate.operate("GET", f"/orders/{first}").json["key"] == first
    assert gate.operate("GET", f"/orders/{'0' * 64}").status_code == 404
    in_flight = gate.operate("GET", "/orders?in_flight=1").json["orders"]
    assert [order["key"] for order in in_flight] == [first]
    assert gate.operate("GET", "/orders?day=2020-01-01").json == {"orders": []}
    assert gate.operate("GET", "/orders?day=yesterday").status_code == 400


def test_orders_are_shown_under_every_name_of_the_webhooks_answer(gate: Gateway) -> None:
    answered = gate.send().json
    [listed] = gate.operate("GET", "/orders").json["orders"]
    assert list(listed)[: len(answered)] == list(answered)
    assert {name: listed[name] for name in answered} == answered
    assert listed.keys() >= {"received_at", "submitted_at", "transitions", "legs"}


def test_a_halt_stops_entries_and_covers_and_reducing_lets_covers_through(gate: Gateway) -> None:
    gate.send()
    assert gate.operate("POST", "/trading-state", {"state": "HALTED", "reason": "lunch"}).json["state"] == "HALTED"
    assert gate.send().json["reason"] == "TRADING_HALTED"
    assert gate.send(action="BUY").json["reason"] == "TRADING_HALTED"
    gate.operate("POST", "/trading-state", {"state": "reducing", "reason": "closing time"})
    assert gate.send().json["reason"] == "EXITS_ONLY"
    assert gate.send(action="BUY").json["status"] == "ACCEPTED"
    assert gate.operate("GET", "/trading-state").json["reason"] == "closing time"


@pytest.mark.parametrize("wanted", [{"state": "HALTED"}, {"state": "OFF", "reason": "x"}, {"reason": "x"}, []])
def test_a_switch_without_a_known_state_and_a_reason_changes_nothing(gate: Gateway, wanted: object) -> None:
    assert gate.operate("POST", "/trading-state", wanted).status_code == 400
    assert gate.operate("GET", "/trading-state").json["state"] == "ACTIVE"


def test_two_orders_in_doubt_stop_entries_until_an_operator_says_otherwise(gate: Gateway) -> None:
    gate.account.fault("place", Fault(FaultKind.DROP, times=2, processed=False))
    keys = [gate.send().json["key"] for _ in range(2)]
    gate.desk.clock.now = _later(gate.desk.clock.now)  # type: ignore[method-assign]
    assert gate.send().json["reason"] == "EXITS_ONLY"
    assert gate.operate("GET", "/trading-state").json["state"] == "REDUCING"
    assert {order["key"] for order in gate.operate("GET", "/orders?in_flight=1").json["orders"]} >= set(keys)
    for key in keys:  # that they are resolved is not enough
        order = gate.desk.ledger.get(key, gate.deadline())
        assert order is not None
        gate.desk.ledger.record(order.moved(OrderStatus.NOT_PLACED, gate.desk.clock.now()), gate.deadline())
    assert gate.send().json["reason"] == "EXITS_ONLY"
    gate.operate("POST", "/trading-state", {"state": "ACTIVE", "reason": "looked at both"})
    assert gate.send().json["status"] == "ACCEPTED"


def _later(now: Callable[[], datetime]) -> Callable[[], datetime]:
    return lambda: now() + timedelta(seconds=2)


def test_reconcile_brings_orders_to_the_state_of_the_order_book(gate: Gateway) -> None:
    gate.account.fault("place", Fault(FaultKind.DROP))
    key = gate.send().json["key"]
    report = gate.operate("POST", "/tasks/reconcile").json
    assert report["moved"] == {"SUBMITTED to FILLED": 1}
    assert report["clean"] is True
    order = gate.operate("GET", f"/orders/{key}").json
    assert (order["status"], order["filled_quantity"]) == ("FILLED", order["quantity"])
    assert gate.operate("POST", "/tasks/reconcile").json["moved"] == {}


def test_symbols_are_refreshed_and_a_bad_master_leaves_the_good_one(gate: Gateway) -> None:
    assert gate.operate("POST", "/tasks/refresh-symbols").json["accepted"] is True
    gate.account.fault("master", Fault(FaultKind.HTML, times=None, status=200))
    response = gate.operate("POST", "/tasks/refresh-symbols")
    assert (response.status_code, response.json["accepted"]) == (503, False)
    assert gate.send().json["status"] == "ACCEPTED"


@pytest.mark.parametrize("task", ["reconcile", "preflight"])
def test_the_days_first_alert_already_goes_by_the_master_that_another_process_fetched(
    tmp_path: Path, gate: Gateway, task: str
) -> None:
    calendar, before, now = gate.desk.calendar, gate.desk.symbols.as_of, gate.desk.clock.now()
    days = (now + timedelta(days=count) for count in range(1, 12))
    next_morning = next(day for day in days if calendar.latest_trading_day(ist_day(day)) > before)
    assert refresh(gate.account.master_urls, str(tmp_path / "symbols"), calendar, next_morning)["accepted"]
    gate.operate("POST", f"/tasks/{task}")
    assert gate.desk.symbols.as_of > before


def test_paper_trading_needs_no_login(gate: Gateway) -> None:
    assert gate.operate("GET", "/auth-url").status_code == 422
    assert gate.operate("POST", "/refresh-token").json == {"login": "AUTHENTICATED"}


@pytest.fixture
def live_account() -> Iterator[Simulator]:
    with Simulator(FixtureExchange(), app_id="LIVE-200", secret_id="app-secret-canary", rate_limits=False) as account:
        yield account


def live(folder: Path, account: Simulator):  # type: ignore[no-untyped-def]
    settings = {
        "BROKER": "fyers",
        "LIVE_TRADING": "yes",
        "FYERS_APP_ID": "LIVE-200",
        "FYERS_CLIENT_ID": "F12345",
        "FYERS_SECRET_ID": "app-secret-canary",
        "FYERS_REDIRECT_URI": "http://127.0.0.1/auth/callback",
        "GCS_TOKENS_FILE": str(folder / "tokens.json"),
    }
    return gateway(folder, account, None, **settings)


def test_one_tap_logs_in_here_and_on_the_other_instance(tmp_path: Path, live_account: Simulator) -> None:
    with live(tmp_path, live_account) as gate, live(tmp_path, live_account) as other:
        ready = gate.app.test_client().get("/readyz")
        assert ready.status_code == 503
        assert ready.json["checks"]["login"].startswith("failing: ")
        assert gate.send().json["reason"] == "NEEDS_LOGIN"
        assert gate.operate("POST", "/refresh-token").json == {"login": "NEEDS_LOGIN"}
        callback = _logged_in_at_fyers(gate.operate("GET", "/auth-url").json["auth_url"])
        page = other.app.test_client().get(callback)
        assert page.status_code == 200, page.get_data(as_text=True)
        time.sleep(1.1)  # an instance without a token looks for one each second
        assert gate.send().json["status"] == "ACCEPTED"
        assert other.send().json["status"] == "ACCEPTED"
        assert gate.operate("POST", "/refresh-token").json == {"login": "AUTHENTICATED"}
        replayed = gate.app.test_client().get(callback)
        assert replayed.status_code == 422
        assert "The account F1***5 is logged in" in page.get_data(as_text=True)


def test_a_token_that_dies_is_told_once_and_healed_by_a_login(tmp_path: Path, live_account: Simulator) -> None:
    with live(tmp_path, live_account) as gate:
        gate.app.test_client().get(_logged_in_at_fyers(gate.operate("GET", "/auth-url").json["auth_url"]))
        body = alert()
        live_account.kill_token()
        assert {gate.send(body).json["reason"] for _ in range(3)} == {"NEEDS_LOGIN"}
        assert live_account.exchange.orders() == []
        with gate.desk.ledger.reading(gate.deadline()) as db:
            [needed] = db.execute("SELECT COUNT(*) FROM outbox WHERE id LIKE 'login%'").fetchone()
        assert needed == 1
        gate.app.test_client().get(_logged_in_at_fyers(gate.operate("GET", "/auth-url").json["auth_url"]))
        assert gate.send(body).json["status"] == "ACCEPTED"


def test_an_auth_code_can_be_brought_by_hand(tmp_path: Path, live_account: Simulator) -> None:
    with live(tmp_path, live_account) as gate:
        code = live_account.issue_auth_code("LIVE-200")
        said = gate.operate("POST", "/generate-token", {"auth_code": code}).json
        assert (said["login"], said["account"]) == ("AUTHENTICATED", "F1***5")
        assert gate.operate("POST", "/generate-token", {"auth_code": "nonsense"}).status_code == 422
        assert gate.operate("POST", "/generate-token", {}).status_code == 400
        assert gate.send().json["status"] == "ACCEPTED"


def test_where_there_is_no_login_the_page_says_so_and_asking_counts(gate: Gateway) -> None:
    browser = gate.app.test_client()
    answers = [browser.get("/auth/callback?state=x").status_code for _ in range(STRIKES_PER_MINUTE + 1)]
    assert answers == [422] * STRIKES_PER_MINUTE + [429]


def test_a_word_of_the_page_is_no_markup() -> None:
    text = page("<b>", "<script>{title}</script>", "", '"&')
    assert "<title>&lt;b&gt;</title>" in text
    assert text.endswith("<p>&lt;script&gt;{title}&lt;/script&gt;</p><p>&quot;&amp;</p></html>")


def test_a_forged_state_does_not_log_in(tmp_path: Path, live_account: Simulator) -> None:
    with live(tmp_path, live_account) as gate:
        code = live_account.issue_auth_code("LIVE-200")
        for state in ("", "x", f"{'0' * 32}.9999999999.{'0' * 64}"):
            page = gate.app.test_client().get("/auth/callback", query_string={"auth_code": code, "state": state})
            assert page.status_code == 422
        answers = [gate.app.test_client().get("/auth/callback?state=x").status_code for _ in range(STRIKES_PER_MINUTE)]
        assert answers == [422] * (STRIKES_PER_MINUTE - 3) + [429] * 3
        assert gate.send().json["reason"] == "NEEDS_LOGIN"


def _logged_in_at_fyers(auth_url: str) -> str:
    """The address that the owner's browser ends on, less our own host."""
    redirect = requests.get(auth_url, allow_redirects=False, timeout=5).headers["Location"]
    assert parse_qs(urlsplit(redirect).query)["s"] == ["ok"]
    return f"{urlsplit(redirect).path}?{urlsplit(redirect).query}"
