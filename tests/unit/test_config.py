"""The environment is read once, its defaults are harmless, and all its faults are named at once."""

import re
from collections.abc import Iterator, Mapping
from datetime import date, time, timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from app.adapters.fyers.venue import FYERS
from app.domain.alert import Product
from app.domain.calendar import Session
from app.domain.order import OrderType
from app.domain.risk.limits import Limits
from app.domain.secret import Secret
from app.domain.ticket import BuyMode
from app.runtime.config import AllowlistMode, BrokerKind, Config, ConfigFaults
from app.runtime.config.reader import is_loopback

WEBHOOK, OTHER = "the-quiet-heron-stands", "another-secret-for-rotation"
PAPER = {"WEBHOOK_SECRET_TOKEN": WEBHOOK}
LIVE = PAPER | {
    "BROKER": "fyers",
    "LIVE_TRADING": "yes",
    "FYERS_APP_ID": "AB12CD34EF-200",
    "FYERS_CLIENT_ID": "XA12345",
    "FYERS_SECRET_ID": "fyers-app-secret",
    "FYERS_REDIRECT_URI": "https://gate.example/auth/callback",
}
SIMULATOR = PAPER | {
    "FYERS_API_URL": "http://127.0.0.1:9000/api/v3",
    "FYERS_DATA_URL": "http://127.0.0.1:9000/data",
    "SYMBOL_MASTER_URLS": "http://127.0.0.1:9000/NSE_FO.csv",
}


def config(base: Mapping[str, str] = PAPER, /, **changes: str) -> Config:
    return Config.from_env(dict(base) | changes)


def faults(base: Mapping[str, str] = PAPER, /, **changes: str) -> list[str]:
    with pytest.raises(ConfigFaults) as caught:
        config(base, **changes)
    assert all(fault in str(caught.value) for fault in caught.value.faults)
    return caught.value.faults


def fault(base: Mapping[str, str] = PAPER, /, **changes: str) -> str:
    (only,) = faults(base, **changes)
    return only


# Harmless where nothing is said.


def test_with_a_secret_alone_it_trades_on_paper_within_small_limits() -> None:
    plain = config()
    assert (plain.broker, plain.live, plain.account) == (BrokerKind.PAPER, False, "paper")
    assert (plain.fyers.api_url, plain.fyers.data_url, plain.fyers.secret_id) == (None, None, None)
    assert plain.ledger_url == "sqlite:///data/ledger.db"
    assert (plain.tickets.buy_mode, plain.tickets.prices.order_type) == (BuyMode.COVER, OrderType.LIMIT)
    assert (plain.operator_token, plain.notification_topic, plain.notification_urls) == (None, None, ())
    assert plain.ip_allowlist is AllowlistMode.WARN
    assert (plain.calendar.override, plain.calendar.always, plain.square_off_at) == (None, False, None)
    assert (plain.ages.entry, plain.ages.exit) == (timedelta(seconds=60), timedelta(seconds=300))
    assert plain.limits == Limits(
        venue=FYERS,
        lots_per_order=1,
        lots_open=2,
        orders_per_day=20,
        orders_per_second=5,
        orders_per_minute=40,
        premium_per_order=Decimal(25_000),
        premium_per_day=None,
        daily_loss=Decimal(5_000),
        repeats=10,
        cooldown=None,
    )


def test_what_a_stolen_secret_can_lose_in_a_day_is_bounded_unless_a_limit_is_switched_off() -> None:
    assert config().limits.worst_loss(Decimal(100)) == Decimal(55_000)
    assert config().limits.worst_loss(Decimal(30)) == Decimal(20_000)
    assert config(MAX_DAILY_LOSS="0").limits.worst_loss(Decimal(100)) is None
    assert config(MAX_PREMIUM_PER_ORDER="0").limits.worst_loss(Decimal(100)) is None


def test_entries_are_intraday_and_in_any_underlying_unless_told_otherwise() -> None:
    assert (config().tickets.underlyings, config().tickets.products) == (
        frozenset[str](),
        frozenset({Product.INTRADAY}),
    )
    narrow = config(ALLOWED_UNDERLYINGS="nifty50, NSE:BANKNIFTY", ALLOWED_PRODUCTS="MARGIN,intraday").tickets
    assert narrow.underlyings == {"NIFTY", "BANKNIFTY"}
    assert narrow.products == {Product.MARGIN, Product.INTRADAY}
    assert fault(ALLOWED_UNDERLYINGS="NIFTY,?").startswith("ALLOWED_UNDERLYINGS: must be underlyings such as")
    assert fault(ALLOWED_PRODUCTS="CNC").startswith("ALLOWED_PRODUCTS: must be INTRADAY, MARGIN")


@pytest.mark.parametrize(("said", "paper", "live"), [(" ", False, True), ("yes", True, True), ("NO", False, False)])
def test_timenow_is_needed_where_money_is_at_stake_unless_told_otherwise(said: str, paper: bool, live: bool) -> None:
    assert config(REQUIRE_TIMENOW=said).needs_timenow is paper
    assert config(LIVE, REQUIRE_TIMENOW=said).needs_timenow is live
    assert fault(REQUIRE_TIMENOW="maybe") == "REQUIRE_TIMENOW: must be yes or no"


def test_a_default_stop_that_is_farther_than_a_stop_may_be_stops_the_start() -> None:
    config(STOP_LOSS_PERCENT="15", MAX_STOP_PERCENT="15")
    assert fault(STOP_LOSS_PERCENT="16", MAX_STOP_PERCENT="15").startswith("STOP_LOSS_PERCENT, MAX_STOP_PERCENT: ")


def test_an_empty_environment_only_misses_the_secret() -> None:
    assert fault({}).startswith("WEBHOOK_SECRET_TOKEN: is missing")


def test_an_empty_value_is_no_value() -> None:
    names = re.findall(r"^([A-Z_]+)=", (Path(__file__).parents[2] / ".env.example").read_text(), re.MULTILINE)
    limits = [name for name in names if name.startswith("MAX_") or name == "COOLDOWN_SECONDS"]
    assert config(**dict.fromkeys(set(names) - {*limits, *PAPER}, " ")) == config()


# Live only where it is said twice.


def test_live_trading_says_so_twice_and_is_fyers_own_place() -> None:
    live = config(LIVE)
    assert (live.live, live.account) == (True, "AB12CD34EF")
    assert (live.fyers.api_url, live.fyers.data_url) == (
        "https://api-t1.fyers.in/api/v3",
        "https://api-t1.fyers.in/data",
    )
    assert len(live.symbol_master_urls) == 2
    assert live.symbol_cache != config().symbol_cache


@pytest.mark.parametrize("promised", ["", "no", "NO"])
def test_fyers_without_live_trading_is_refused(promised: str) -> None:
    assert fault(LIVE, LIVE_TRADING=promised).startswith("LIVE_TRADING: BROKER=fyers trades real money")


def test_live_trading_without_fyers_is_refused() -> None:
    assert fault(LIVE_TRADING="yes").startswith("LIVE_TRADING: is yes, but BROKER is paper")


@pytest.mark.parametrize("promised", ["true", "1", "y"])
def test_live_trading_is_yes_or_no(promised: str) -> None:
    assert any("LIVE_TRADING: must be yes or no" in one for one in faults(LIVE, LIVE_TRADING=promised))


@pytest.mark.parametrize("name", ["FYERS_APP_ID", "FYERS_CLIENT_ID", "FYERS_SECRET_ID", "FYERS_REDIRECT_URI"])
def test_live_trading_misses_each_part_of_the_app_by_name(name: str) -> None:
    assert fault(LIVE, **{name: ""}).startswith(f"{name}: is missing")


def test_an_apps_type_is_no_part_of_the_account() -> None:
    ids = ("AB12CD34EF-100", "AB12CD34EF-200", "AB12CD34EF")
    assert {config(LIVE, FYERS_APP_ID=app_id).account for app_id in ids} == {"AB12CD34EF"}


# Everything that is wrong, at once.


def test_every_fault_is_named_at_once() -> None:
    wrong = {
        "BROKER": "zerodha",
        "WEBHOOK_SECRET_TOKEN": "short",
        "OPERATOR_TOKEN": "short",
        "WEBHOOK_MAX_QTY": "0",
        "MAX_LOTS_OPEN": "many",
        "MAX_ORDERS_PER_DAY": "-1",
        "MAX_DAILY_LOSS": "1e3",
        "SLIPPAGE_BPS": "0",
        "STOP_LOSS_PERCENT": "fifteen",
        "BUY_MODE": "always",
        "ORDER_TYPE": "SL",
        "MARKET_HOURS": "15:40-09:15",
        "LEDGER_URL": "postgres://x",
        "NOTIFICATION_TOPIC": "alerts",
        "NOTIFICATION_URL": "ntfy.sh/x",
        "FYERS_API_URL": "http://example.com/api/v3",
        "TRADINGVIEW_IPS": "everywhere",
        "IP_ALLOWLIST": "on",
        "LOG_LEVEL": "LOUD",
        "ALERT_MAX_AGE_SECONDS": "1.5",
        "EXTRA_HOLIDAYS": "26 January",
        "EXTRA_SESSIONS": "2026-11-08",
        "OIDC_AUDIENCE": "https://gate.example",
        "LIVE_TRADING": "perhaps",
    }
    named = " ".join(one.split(": ")[0] for one in faults(wrong))
    assert [name for name in wrong if name not in named] == []


@pytest.mark.parametrize(
    "number", ["１０", "1_0", "+5", "-5", "1e3", "0x5", "NaN", "Infinity", "5 5", "1234567890", "५"]
)
@pytest.mark.parametrize("name", ["WEBHOOK_MAX_QTY", "MAX_ORDERS_PER_SECOND", "EXIT_MAX_AGE_SECONDS"])
def test_a_count_is_plain_digits(name: str, number: str) -> None:
    assert fault(**{name: number}).startswith(f"{name}: must be a whole number")


@pytest.mark.parametrize("number", ["１０", "1_0", "-5", "1e3", "NaN", "Infinity", ".5", "5.", "5%", "1,000"])
@pytest.mark.parametrize("name", ["SLIPPAGE_BPS", "MAX_DAILY_LOSS", "MAX_SPREAD_PERCENT"])
def test_an_amount_is_a_plain_number(name: str, number: str) -> None:
    assert fault(**{name: number}).startswith(f"{name}: must be a number")


# Switching limits off.

OPTIONAL = {
    "MAX_ORDERS_PER_SECOND": "orders_per_second",
    "MAX_ORDERS_PER_MINUTE": "orders_per_minute",
    "MAX_PREMIUM_PER_ORDER": "premium_per_order",
    "MAX_PREMIUM_PER_DAY": "premium_per_day",
    "MAX_DAILY_LOSS": "daily_loss",
    "MAX_REPEATS": "repeats",
    "COOLDOWN_SECONDS": "cooldown",
}


@pytest.mark.parametrize("name", OPTIONAL)
@pytest.mark.parametrize("off", ["0", "", " "])
def test_nought_or_nothing_switches_a_limit_off(name: str, off: str) -> None:
    assert getattr(config(**{name: off}).limits, OPTIONAL[name]) is None


@pytest.mark.parametrize("off", ["0", "", "0.0"])
def test_the_spread_limit_can_be_switched_off_too(off: str) -> None:
    assert config(MAX_SPREAD_PERCENT=off).tickets.prices.max_spread_percent is None


def test_a_limit_that_is_set_is_what_was_said() -> None:
    limits = config(**dict.fromkeys(OPTIONAL, "7")).limits
    assert {getattr(limits, name) for name in OPTIONAL.values()} == {7, Decimal(7), timedelta(seconds=7)}


@pytest.mark.parametrize("name", ["WEBHOOK_MAX_QTY", "MAX_LOTS_OPEN", "MAX_ORDERS_PER_DAY"])
def test_lots_and_orders_a_day_cannot_be_switched_off(name: str) -> None:
    assert "cannot be switched off" in fault(**{name: "0"})


@pytest.mark.parametrize("name", ["SLIPPAGE_BPS", "STOP_LOSS_PERCENT", "TAKE_PROFIT_PERCENT", "MAX_STOP_PERCENT"])
def test_slippage_and_levels_are_above_nothing(name: str) -> None:
    assert fault(**{name: "0"}).startswith(f"{name}: must be")


@pytest.mark.parametrize(("name", "most"), [("SLIPPAGE_BPS", "2000"), ("STOP_LOSS_PERCENT", "99.99")])
def test_slippage_and_levels_have_an_end(name: str, most: str) -> None:
    config(**{name: most})
    assert name in fault(**{name: str(Decimal(most) + 1)})


@pytest.mark.parametrize(("rate", "fine"), [("1", True), ("10", True), ("11", False), ("0", False), ("", False)])
def test_against_fyers_own_host_ten_orders_a_second_are_the_most(rate: str, fine: bool) -> None:
    if fine:
        assert config(LIVE, MAX_ORDERS_PER_SECOND=rate).limits.orders_per_second == int(rate)
    else:
        assert fault(LIVE, MAX_ORDERS_PER_SECOND=rate).startswith("MAX_ORDERS_PER_SECOND: must be 1 to 10")
    config(SIMULATOR, MAX_ORDERS_PER_SECOND=rate)


def test_calls_are_paced_whatever_the_limits_say_unless_a_lab_says_no() -> None:
    assert config().paced
    assert config(MAX_ORDERS_PER_SECOND="0").paced
    assert not config(SIMULATOR, PACE_CALLS="no").paced
    assert fault(LIVE, PACE_CALLS="no") == "PACE_CALLS: no is for labs, not for Fyers' own host"


# Contradictions.


def test_sqlite_is_refused_on_cloud_run_and_firestore_is_not() -> None:
    assert "firestore" in fault(K_SERVICE="gate")
    config(K_SERVICE="gate", LEDGER_URL="firestore://my-project")
    config(K_SERVICE="gate", LEDGER_URL="firestore://my-project/(default)")


def test_the_operators_token_is_not_the_alerts_secret() -> None:
    assert fault(OPERATOR_TOKEN=WEBHOOK).startswith("OPERATOR_TOKEN: must not be the webhook secret")
    both = f"{WEBHOOK},{OTHER}"
    assert fault(WEBHOOK_SECRET_TOKEN=both, OPERATOR_TOKEN=OTHER).startswith("OPERATOR_TOKEN: must not be")


@pytest.mark.parametrize("name", ["OIDC_AUDIENCE", "OIDC_SERVICE_ACCOUNT"])
def test_an_audience_without_an_account_checks_too_little(name: str) -> None:
    assert "set both or neither" in fault(**{name: "x"})


@pytest.mark.parametrize("name", ["FYERS_API_URL", "FYERS_DATA_URL"])
def test_a_simulator_has_two_addresses(name: str) -> None:
    assert "set both or neither" in fault(SIMULATOR, **{name: ""})


def test_a_simulator_comes_with_its_symbols() -> None:
    assert fault(SIMULATOR, SYMBOL_MASTER_URLS="").startswith("SYMBOL_MASTER_URLS: is missing")


def test_paper_never_talks_to_fyers() -> None:
    urls = {"FYERS_API_URL": "https://api-t1.fyers.in/api/v3", "FYERS_DATA_URL": "https://api-t1.fyers.in/data"}
    assert "loopback only" in fault(SIMULATOR, **urls)


def test_the_lab_that_never_closes_is_not_for_fyers_own_host() -> None:
    assert config(MARKET_HOURS="always").calendar.always
    assert fault(LIVE, MARKET_HOURS="always").startswith("MARKET_HOURS: always is for labs")


# Addresses.


@pytest.mark.parametrize("host", ["127.0.0.1:9000", "localhost:9000", "[::1]:9000", "127.8.8.8"])
def test_plain_http_is_taken_to_loopback_in_live_mode_too(host: str) -> None:
    urls = {"FYERS_API_URL": f"http://{host}/api/v3/", "FYERS_DATA_URL": f"http://{host}/data"}
    assert config(LIVE, **urls).fyers.api_url == f"http://{host}/api/v3"


@pytest.mark.parametrize(
    "host",
    [
        "api-t1.fyers.in", "127.0.0.1.example.com", "localhost.example.com", "10.0.0.1", "[2001:db8::1]", "0.0.0.0",
        "localhost@example.com",
    ],
)  # fmt: skip
def test_plain_http_leaves_the_machine_nowhere(host: str) -> None:
    assert "plain http" in fault(LIVE, FYERS_API_URL=f"http://{host}/api/v3")


@pytest.mark.parametrize("host", ["api.example.com", "fyers.in.example.com", "xfyers.in", "203.0.113.7"])
def test_in_live_mode_a_broker_that_is_not_fyers_has_to_be_allowed(host: str) -> None:
    urls = {"FYERS_API_URL": f"https://{host}/api/v3", "FYERS_DATA_URL": f"https://{host}/data"}
    assert "FYERS_ALLOW_OTHER_HOST=yes allows it" in fault(LIVE, **urls)
    assert config(LIVE, **urls, FYERS_ALLOW_OTHER_HOST="yes").fyers.api_url == f"https://{host}/api/v3"
    assert "must be yes or no" in fault(LIVE, FYERS_ALLOW_OTHER_HOST="perhaps")


def test_another_host_of_fyers_needs_no_permission() -> None:
    urls = {"FYERS_API_URL": "https://api.fyers.in/api/v3", "FYERS_DATA_URL": "https://api.fyers.in/data"}
    assert config(LIVE, **urls).fyers.data_url == "https://api.fyers.in/data"


@pytest.mark.parametrize(
    ("name", "outside", "here"),
    [
        ("NOTIFICATION_URL", "https://ntfy.example/a, http://ntfy.example/b", "http://127.0.0.1:9000/a"),
        ("SYMBOL_MASTER_URLS", "http://masters.example/NSE_FO.csv", "http://localhost:9000/NSE_FO.csv,/tmp/BSE_FO.csv"),
        ("FYERS_REDIRECT_URI", "http://gate.example/auth/callback", "http://127.0.0.1:8080/auth/callback"),
    ],
)
def test_in_live_mode_nothing_goes_out_in_the_clear(name: str, outside: str, here: str) -> None:
    assert fault(LIVE, **{name: outside}).startswith(f"{name}: plain http is allowed to loopback only")
    config(LIVE, **{name: here})


@pytest.mark.parametrize("client_id", ["XA 12345", "XA1", "XA12345678901", "XÄ12345", "XA12345-200"])
def test_what_is_no_account_is_refused(client_id: str) -> None:
    assert "such as XA12345" in fault(LIVE, FYERS_CLIENT_ID=client_id)


def test_an_account_is_the_same_in_small_letters() -> None:
    assert config(LIVE, FYERS_CLIENT_ID="xa12345").fyers.client_id == "XA12345"


@pytest.mark.parametrize(
    "url",
    [
        "ftp://x/api/v3", "api-t1.fyers.in/api/v3", "https:///api/v3", "https://x/api/v2", "https://x", "https://x\\api",
        "http://[::1/api/v3", "http://127.0.0.1:port/api/v3", "http://127.0.0.1:0/api/v3", "http://127.0.0.1:70000/api/v3",
    ],
)  # fmt: skip
def test_an_address_that_is_none_is_refused(url: str) -> None:
    assert fault(LIVE, FYERS_API_URL=url).startswith("FYERS_API_URL: ")


@pytest.mark.parametrize(
    ("host", "loopback"),
    [
        ("localhost", True),
        ("127.0.0.1", True),
        ("::1", True),
        ("10.0.0.1", False),
        ("example.com", False),
        (None, False),
    ],
)
def test_loopback_is_this_machine(host: str | None, loopback: bool) -> None:
    assert is_loopback(host) is loopback


@pytest.mark.parametrize("url", ["sqlite:///data/l.db", "sqlite:////abs/l.db", "firestore://p", "firestore://p/db"])
def test_a_ledger_is_a_file_or_a_database(url: str) -> None:
    assert config(LEDGER_URL=url).ledger_url == url


@pytest.mark.parametrize("url", ["sqlite:///", "sqlite://x", "firestore://", "firestore://p/a/b", "data/ledger.db"])
def test_a_ledger_that_is_neither_is_refused(url: str) -> None:
    assert fault(LEDGER_URL=url).startswith("LEDGER_URL: must be")


@pytest.mark.parametrize(
    "url", ["ntfy.sh/x", "ftp://x/y", "https://", "http://[::1/x", "https://a:b/x", "https://ok.example/a,nonsense"]
)
def test_a_notification_address_that_is_none_is_refused_without_showing_it(url: str) -> None:
    assert fault(NOTIFICATION_URL=url) == "NOTIFICATION_URL: must be http or https addresses, separated by commas"


def test_several_notification_addresses_are_taken() -> None:
    urls = config(NOTIFICATION_URL="https://ntfy.example/a , http://10.0.0.1/b,").notification_urls
    assert [url.reveal() for url in urls] == ["https://ntfy.example/a", "http://10.0.0.1/b"]


def test_addresses_of_senders_are_compared_in_one_spelling() -> None:
    assert config(TRADINGVIEW_IPS=" 10.0.0.1 , 2001:DB8::0001,").tradingview_ips == {"10.0.0.1", "2001:db8::1"}
    assert len(config().tradingview_ips) == 4


# Times.


@pytest.mark.parametrize("text", ["09:15-15:30", "09:15 - 15:30", "09:15-15:30 IST"])
def test_market_hours_are_two_times(text: str) -> None:
    assert config(MARKET_HOURS=text).calendar.override == Session(time(9, 15), time(15, 30))


@pytest.mark.parametrize(
    "text",
    [
        "09:15", "15:30-09:15", "09:15-09:15", "9-15", "09:15-25:00", "never", "09:15-15:30-16:00", "0915-1530",
        "09:15Z-15:30Z", "09:15+05:30-15:30+05:30", "09:15-15:30Z", "09:15:00.5-15:30", "०९:१५-१५:३०",
    ],
)  # fmt: skip
def test_market_hours_are_never_guessed_and_have_no_zone_but_indias(text: str) -> None:
    assert fault(MARKET_HOURS=text).startswith("MARKET_HOURS: must be")
    assert fault(EXTRA_SESSIONS=f"2026-11-08 {text}").startswith("EXTRA_SESSIONS: must be")


@pytest.mark.parametrize("text", ["15:20", " 15:20 "])
def test_the_square_off_has_a_time_of_day(text: str) -> None:
    assert config(SQUARE_OFF_AT=text).square_off_at == time(15, 20)


@pytest.mark.parametrize("text", ["1520", "15:20:30", "25:00", "15:20Z", "15:20 IST", "3pm", "15:20-15:30"])
def test_the_time_of_the_square_off_is_never_guessed(text: str) -> None:
    assert fault(SQUARE_OFF_AT=text).startswith("SQUARE_OFF_AT: must be a time IST such as 15:20")


def test_two_sessions_on_one_day_are_a_fault() -> None:
    two = "2026-11-08 09:15-10:00, 2026-11-08 18:00-19:00"
    assert fault(EXTRA_SESSIONS=two).startswith("EXTRA_SESSIONS: must be one session a day")


def test_further_holidays_and_sessions_are_added_to_the_known_ones() -> None:
    calendar = config(EXTRA_HOLIDAYS="2027-01-26, 2027-03-22", EXTRA_SESSIONS="2026-11-08 18:00-19:00").calendar
    assert {date(2027, 1, 26), date(2027, 3, 22), date(2026, 1, 26)} < calendar.holidays
    assert calendar.extra == {date(2026, 11, 8): Session(time(18), time(19))}


# Secrets.


def test_two_secrets_are_taken_while_rotating_and_three_are_not() -> None:
    assert config(WEBHOOK_SECRET_TOKEN=f"{WEBHOOK} , {OTHER}").webhook_secrets == (Secret(WEBHOOK), Secret(OTHER))
    assert "more than two" in fault(WEBHOOK_SECRET_TOKEN=f"{WEBHOOK},{OTHER},{WEBHOOK}x")


@pytest.mark.parametrize("text", ["fifteen-letters", f"{WEBHOOK},", f",{WEBHOOK}", f"{WEBHOOK},short", ","])
def test_each_secret_has_sixteen_characters(text: str) -> None:
    assert "at least 16" in fault(WEBHOOK_SECRET_TOKEN=text)
    config(WEBHOOK_SECRET_TOKEN="sixteen-letters!")


SECRETS = {
    "WEBHOOK_SECRET_TOKEN": "canary-of-the-webhook",
    "FYERS_SECRET_ID": "canary-of-the-app",
    "FYERS_PIN": "canary-4711",
    "OPERATOR_TOKEN": "canary-of-the-operator",
    "NOTIFICATION_URL": "https://ntfy.example/canary-topic",
}


@pytest.mark.parametrize("name", SECRETS)
def test_a_secret_may_come_from_a_file(name: str, tmp_path: Path) -> None:
    path = tmp_path / "secret"
    path.write_text(SECRETS[name] + "\n", encoding="utf-8")
    said = dict(LIVE) | SECRETS
    from_file = {key: value for key, value in said.items() if key != name} | {f"{name}_FILE": str(path)}
    assert config(from_file) == config(said)


def test_a_secret_given_twice_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    path.write_text(OTHER)
    assert fault(WEBHOOK_SECRET_TOKEN_FILE=str(path)).startswith("WEBHOOK_SECRET_TOKEN: is given twice")


def test_a_secrets_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "latin1").write_bytes(b"canary-\xe9\xe8-canary-canary")
    for path in (tmp_path / "missing", tmp_path, tmp_path / "latin1"):
        said = faults({}, WEBHOOK_SECRET_TOKEN_FILE=str(path))
        assert said[0] == "WEBHOOK_SECRET_TOKEN_FILE: names a file that cannot be read"
        assert "canary" not in " ".join(said)


def test_an_empty_secrets_file_is_a_missing_secret(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    path.write_text("\n")
    assert fault({}, WEBHOOK_SECRET_TOKEN_FILE=str(path)).startswith("WEBHOOK_SECRET_TOKEN: is missing")


def test_no_secret_shows_in_a_config_or_in_its_faults() -> None:
    read = config(LIVE, **SECRETS)
    assert "canary" not in f"{read} {read!r} {read.fyers}"
    wrong = SECRETS | {"WEBHOOK_SECRET_TOKEN": "canary", "OPERATOR_TOKEN": "canary", "NOTIFICATION_URL": "canary"}
    with pytest.raises(ConfigFaults) as caught:
        config(LIVE, **wrong, BROKER="canary", MAX_DAILY_LOSS="canary", LEDGER_URL="canary", MARKET_HOURS="canary")
    assert len(caught.value.faults) >= 6
    assert "canary" not in f"{caught.value} {caught.value!r} {caught.value.faults}"


# The list of settings.


class Watched(Mapping[str, str]):
    """An environment that remembers what it was asked for."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ
        self.asked: set[str] = set()

    def __getitem__(self, name: str) -> str:
        self.asked.add(name)
        return self._environ[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._environ)

    def __len__(self) -> int:
        return len(self._environ)


def test_the_example_lists_every_setting_with_its_default() -> None:
    example = (Path(__file__).parents[2] / ".env.example").read_text(encoding="utf-8")
    listed = dict(re.findall(r"^([A-Z_]+)=(.*)$", example, re.MULTILINE))
    environ = Watched(PAPER)
    Config.from_env(environ)
    read = {name for name in environ.asked if not name.endswith("_FILE")} | {"GCS_TOKENS_FILE"}
    assert read - set(listed) == {"K_SERVICE"}  # Cloud Run sets it itself
    assert config(**{name: value for name, value in listed.items() if value}) == config()


# Where the log goes.


def test_the_log_goes_to_standard_output_unless_it_is_told_and_then_to_the_named_project() -> None:
    assert config().cloud_log is None
    assert config(GOOGLE_CLOUD_PROJECT="my-project").cloud_log is None
    assert config(LOG_TO="Cloud", GOOGLE_CLOUD_PROJECT="my-project").cloud_log == "my-project"
    assert fault(LOG_TO="syslog") == "LOG_TO: must be stdout or cloud"


def test_without_a_project_there_is_no_cloud_to_log_to() -> None:
    assert fault(LOG_TO="cloud").startswith("GOOGLE_CLOUD_PROJECT: is missing")


def test_on_cloud_run_the_log_goes_to_standard_output_alone() -> None:
    at_google = {"K_SERVICE": "gate", "LEDGER_URL": "firestore://my-project", "GOOGLE_CLOUD_PROJECT": "my-project"}
    config(**at_google)
    assert fault(**at_google, LOG_TO="cloud").startswith("LOG_TO: Cloud Run itself takes standard output")


# Where it listens, and whose address counts.


def test_it_listens_on_this_machine_alone_and_trusts_no_proxy_unless_it_is_told() -> None:
    assert (config().host, config().trusted_proxies) == ("127.0.0.1", 0)


def test_on_cloud_run_google_s_front_end_is_the_one_proxy_that_counts() -> None:
    at_google = {"K_SERVICE": "gateway", "LEDGER_URL": "firestore://project/database"}
    assert config(**at_google).trusted_proxies == 1
    assert config(**at_google, TRUSTED_PROXIES="2").trusted_proxies == 2
    assert config(**at_google, TRUSTED_PROXIES="0").trusted_proxies == 0


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "::1", "192.168.1.4", "localhost"])
def test_any_address_of_the_machine_may_be_listened_on(host: str) -> None:
    assert config(HOST=host).host == host


@pytest.mark.parametrize("host", ["my-machine", "[::1]", "127.0.0.1:8080", "http://127.0.0.1", "256.0.0.1"])
def test_what_is_no_address_is_named(host: str) -> None:
    assert fault(HOST=host) == "HOST: must be an address of this machine, such as 127.0.0.1 or ::1"


@pytest.mark.parametrize("hops", ["-1", "one", "1.0", "127.0.0.1"])
def test_proxies_are_counted_in_whole_numbers(hops: str) -> None:
    assert fault(TRUSTED_PROXIES=hops).startswith("TRUSTED_PROXIES: must be a whole number")
