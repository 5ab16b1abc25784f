"""A body becomes an Alert or is refused in words that name the field; nothing in between, and never on a guess."""

import hmac
import json
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.alert import Alert, ExpiryRule, Level, LevelKind, Moneyness, OptionType, Product, Side
from app.domain.alert.parse import parse
from app.domain.alert.secrets import Secrets
from app.domain.alert.strict_json import decode
from app.domain.errors import Malformed, Reason, Unauthorized
from tests.builders import SECRET, alert_body, alert_fields, an_alert

REQUIRED = ("symbol", "strikeprice", "optionType", "expiry", "action")
NUMBERS = ("strikeprice", "qty", "lots", "sl", "tp")
WORDS = ("symbol", "optionType", "expiry", "action", "productType")
IDS = ("alert_id", "id", "idempotency_key")
TIMES = ("timenow", "time")
CONTEXT = ("order_id", "strategy", "ticker", "exchange", "interval", "price", "comment")
FIELDS = (*NUMBERS, *WORDS, *IDS, *TIMES, *CONTEXT)


def read(body: bytes) -> Alert:
    document = decode(body)
    secrets = Secrets([SECRET])
    secrets.authenticate(document.get("token"))
    return parse(document, secrets=secrets)


def with_raw(field: str, raw: str) -> bytes:
    """A body whose field has this very text as its value, whether that is JSON or not."""
    others = alert_fields(**{field: None})
    return (json.dumps(others)[:-1] + f', "{field}": {raw}}}').encode("utf-8", "surrogatepass")


def assert_refused(body: bytes, field: str, *words: str) -> None:
    with pytest.raises(Malformed) as caught:
        read(body)
    message = caught.value.message
    assert caught.value.reason is Reason.MALFORMED
    assert caught.value.field == field
    assert message.startswith(f"{field}: ")
    assert SECRET not in message
    assert len(message) < 250
    assert message.isprintable()
    for word in words:
        assert word in message


# What is taken.


@pytest.mark.parametrize(
    ("text", "underlying", "exchange"),
    [
        ("NIFTY", "NIFTY", None),
        ("nifty", "NIFTY", None),
        (" NIFTY ", "NIFTY", None),
        ("NSE:BANKNIFTY", "BANKNIFTY", None),
        ("nse:BankNifty", "BANKNIFTY", None),
        ("BANKNIFTY1!", "BANKNIFTY", None),
        ("NSE:NIFTY2!", "NIFTY", None),
        ("NFO:NIFTY", "NIFTY", None),
        ("NIFTY50", "NIFTY", None),
        ("NSE:NIFTYBANK", "BANKNIFTY", None),
        ("NSE:CNXFINANCE", "FINNIFTY", None),
        ("NIFTY_MID_SELECT", "MIDCPNIFTY", None),
        ("NIFTYJR", "NIFTYNXT50", None),
        ("SENSEX", "SENSEX", None),
        ("BSE:SENSEX", "SENSEX", None),
        ("BSE:BANKEX", "BANKEX", None),
        ("RELIANCE", "RELIANCE", None),
        ("NSE:RELIANCE", "RELIANCE", None),
        ("BSE:RELIANCE", "RELIANCE", "BSE"),
        ("BFO:RELIANCE", "RELIANCE", "BSE"),
        ("M&M", "M&M", None),
        ("NSE:M_M", "M_M", None),
        ("BAJAJ-AUTO", "BAJAJ-AUTO", None),
        ("360ONE", "360ONE", None),
    ],
)
def test_the_underlying_is_read_from_every_form_in_which_charts_name_it(
    text: str, underlying: str, exchange: str | None
) -> None:
    alert = an_alert(symbol=text)
    assert (alert.underlying, alert.exchange) == (underlying, exchange)


@pytest.mark.parametrize(
    ("raw", "strike"),
    [
        ("48400", Decimal(48400)),
        ('"48400"', Decimal(48400)),
        ("48400.0", Decimal(48400)),
        ('"172.5"', Decimal("172.5")),
        ('"ATM"', Moneyness(0)),
        ('"atm"', Moneyness(0)),
        ('"ITM1"', Moneyness(-1)),
        ('"otm20"', Moneyness(20)),
    ],
)
def test_a_strike_is_a_number_or_its_place_from_the_money(raw: str, strike: object) -> None:
    assert read(with_raw("strikeprice", raw)).strike == strike


@pytest.mark.parametrize(
    ("text", "expiry"),
    [
        ("WEEKLY", ExpiryRule.WEEKLY),
        ("monthly", ExpiryRule.MONTHLY),
        ("NEXT_WEEKLY", ExpiryRule.NEXT_WEEKLY),
        ("next-monthly", ExpiryRule.NEXT_MONTHLY),
        ("2026-11-24", date(2026, 11, 24)),
    ],
)
def test_an_expiry_is_a_rule_or_a_date(text: str, expiry: object) -> None:
    assert an_alert(expiry=text).expiry == expiry


@pytest.mark.parametrize("name", ["ce", "CE", "Ce"])
def test_words_are_taken_in_any_case(name: str) -> None:
    alert = an_alert(optionType=name, action="buy", productType="margin")
    assert (alert.option_type, alert.side, alert.product) == (OptionType.CE, Side.BUY, Product.MARGIN)


@pytest.mark.parametrize("text", [None, "INTRADAY", "BO", "co"])
def test_bracket_and_cover_orders_are_read_as_intraday(text: str | None) -> None:
    assert an_alert(productType=text).product is Product.INTRADAY


@pytest.mark.parametrize("value", [65, "65", 65.0, "65.0"])
def test_a_quantity_is_a_whole_number_however_it_is_written(value: object) -> None:
    alert = an_alert(qty=value)
    assert alert.quantity == 65
    assert type(alert.quantity) is int
    assert an_alert(lots=value).lots == 65


def test_without_qty_and_lots_the_alert_leaves_the_size_to_the_default() -> None:
    assert (an_alert().quantity, an_alert().lots) == (None, None)


def test_qty_and_lots_together_are_refused() -> None:
    assert_refused(alert_body(qty=65, lots=1), "lots", "qty and lots", "send one")


@pytest.mark.parametrize(
    ("value", "level"),
    [
        (172.5, Level(LevelKind.PRICE, Decimal("172.5"))),
        ("172.5", Level(LevelKind.PRICE, Decimal("172.5"))),
        ("15%", Level(LevelKind.PERCENT, Decimal(15))),
        ("15 %", Level(LevelKind.PERCENT, Decimal(15))),
        ("10pt", Level(LevelKind.POINTS, Decimal(10))),
        ("10.5 PTS", Level(LevelKind.POINTS, Decimal("10.5"))),
    ],
)
def test_a_level_is_a_premium_per_cent_or_points(value: object, level: Level) -> None:
    alert = an_alert(sl=value, tp=value)
    assert alert.stop_loss == alert.take_profit == level


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2026-11-20T04:00:00Z", datetime(2026, 11, 20, 4, tzinfo=UTC)),
        ("2026-11-20T04:00:00z", datetime(2026, 11, 20, 4, tzinfo=UTC)),
        ("2026-11-20T09:30:00+05:30", datetime(2026, 11, 20, 4, tzinfo=UTC)),
        ("2026-11-20T04:00:00.250Z", datetime(2026, 11, 20, 4, 0, 0, 250_000, tzinfo=UTC)),
        (1795147200123, datetime(2026, 11, 20, 4, 0, 0, 123_000, tzinfo=UTC)),
        ("1795147200999", datetime(2026, 11, 20, 4, 0, 0, 999_000, tzinfo=UTC)),
    ],
)
def test_times_are_tradingviews_or_pines_and_become_utc(text: object, moment: datetime) -> None:
    alert = an_alert(timenow=text, time=text)
    assert alert.fired_at == alert.bar_time == moment
    assert alert.fired_at is not None
    assert alert.fired_at.tzinfo is UTC


@pytest.mark.parametrize("field", IDS)
def test_each_name_of_the_id_is_taken(field: str) -> None:
    assert an_alert(**{field: "sig-7"}).client_id == "sig-7"
    assert an_alert(**{field: 7}).client_id == "7"


def test_the_first_id_counts_and_the_body_comes_before_the_header() -> None:
    assert an_alert("d", alert_id="a", id="b", idempotency_key="c").client_id == "a"
    assert an_alert(id="b", idempotency_key="c").client_id == "b"
    assert an_alert("header", idempotency_key="c").client_id == "c"
    assert an_alert("header").client_id == "header"


@pytest.mark.parametrize(
    ("changes", "delayed"),
    [
        ({"symbol": "NSE_DLY:NIFTY"}, True),
        ({"symbol": "NSE_DL:NIFTY1!"}, True),
        ({"symbol": "BSE_DLY:SENSEX"}, True),
        ({"exchange": "NSE_DLY"}, True),
        ({"exchange": "nse_dl"}, True),
        ({"ticker": "NSE_DLY:NIFTY"}, True),
        ({"ticker": "NIFTY", "exchange": "NSE"}, False),
        ({"ticker": "DLY"}, False),
        ({}, False),
    ],
)
def test_delayed_data_is_noticed_wherever_the_chart_says_so(changes: dict[str, str], delayed: bool) -> None:
    assert an_alert(**changes).delayed is delayed


def test_context_is_kept_as_it_came_and_an_empty_placeholder_counts_as_absent() -> None:
    alert = an_alert(comment="खरीद 🚀 }", interval=5, price="", ticker="NIFTY", order_id="", strategy="")
    assert alert.context == (("ticker", "NIFTY"), ("interval", "5"), ("comment", "खरीद 🚀 }"))
    assert (alert.order_id, alert.strategy) == (None, None)


def test_unknown_fields_are_ignored_and_named() -> None:
    alert = an_alert(volume=12, plot_0=[1, {"a": None}], note="{{close}}", **{"x" * 100: 1})
    assert alert.unknown == ("note", "plot_0", "volume", "x" * 64)
    assert alert.asked() == an_alert().asked()


@pytest.mark.parametrize("field", ["qty", "lots", "sl", "tp", "productType", *IDS, *TIMES, *CONTEXT])
def test_null_means_that_an_optional_field_is_absent(field: str) -> None:
    assert an_alert(**{field: ...}) == an_alert()


def test_neither_secret_nor_context_is_part_of_the_order_asked_for() -> None:
    asked = an_alert(comment="x", price=1, alert_id="y", order_id="z", strategy="s", timenow=1795147200123).asked()
    assert asked == an_alert().asked()
    assert SECRET not in str(asked)


# What is refused.


@pytest.mark.parametrize("field", REQUIRED)
def test_a_missing_or_null_field_is_named(field: str) -> None:
    assert_refused(alert_body(**{field: None}), field, "is missing")
    assert_refused(alert_body(**{field: ...}), field, "is missing")


@pytest.mark.parametrize("field", [*NUMBERS, *WORDS, *IDS, *TIMES])
@pytest.mark.parametrize("empty", ["", " "])
def test_an_empty_text_is_not_taken_for_absent(field: str, empty: str) -> None:
    assert_refused(alert_body(**{field: empty}), field)


@pytest.mark.parametrize("field", FIELDS)
@pytest.mark.parametrize(
    ("raw", "words"),
    [
        ("NaN", "NaN is not a number"),
        ("Infinity", "Infinity is not a number"),
        ("-Infinity", "-Infinity is not a number"),
        ("true", "true or false"),
        ("false", "true or false"),
        ("[]", "a list"),
        ('["NIFTY"]', "a list"),
        ("{}", "an object"),
        ('{"a": 1, "a": 2}', "stands twice"),
        ('"\\ud800"', "half of a character"),
        ('["\\udfff"]', "half of a character"),
        ("[" * 200 + "]" * 200, "nested too deeply"),
        ('"{{close}}"', "placeholder"),
        ('"{{strategy.order.action}}"', "placeholder"),
        ('"x }}"', "placeholder"),
        ('"' + "9" * 10_000 + '"', "10000 characters"),
        ("9" * 10_000, "10000 characters"),
        ("“12”", "curly quotes"),
        ("'12'", "double quotes"),
        ('"1\n2"', "one line"),
        ("007", "begin with a zero"),
        ("", "a value is missing"),
        ("12,", "a comma is left over"),
        ("{{close}}", "JSON"),
    ],
)
def test_poison_in_any_field_is_refused_by_the_fields_name(field: str, raw: str, words: str) -> None:
    assert_refused(with_raw(field, raw), field, words)


@pytest.mark.parametrize("field", NUMBERS)
@pytest.mark.parametrize(
    "raw",
    [
        "-1",
        "0",
        "0.0",
        "1e3",
        "1e999",
        "1E-5",
        "1234567890",
        '"６５"',
        '"٦٥"',
        '"६५"',
        '"1_0"',
        '" 12 "',
        '"12\\n"',
        '"\\u00a012"',
        '"+65"',
        '"-65"',
        '"065"',
        '"65."',
        '".5"',
        '"6 5"',
        '"1,000"',
        '"0x41"',
        '"1e3"',
        '"NaN"',
        '"Infinity"',
        '"true"',
        '"null"',
        '"65 units"',
        '"1.123456789"',
    ],
)
def test_only_plain_numbers_are_numbers(field: str, raw: str) -> None:
    assert_refused(with_raw(field, raw), field)


@pytest.mark.parametrize("field", ["qty", "lots"])
@pytest.mark.parametrize("raw", ["65.5", '"65.5"', '"65.00000001"', '"15%"', '"ATM"'])
def test_half_a_unit_is_no_quantity(field: str, raw: str) -> None:
    assert_refused(with_raw(field, raw), field)


@pytest.mark.parametrize("field", ["sl", "tp"])
@pytest.mark.parametrize(
    "text", ["0%", "0pt", "-10%", "%", "pt", "15%%", "15\n%", "15  %", "10 p", "１5%", "1e3%", "٪15"]
)
def test_a_level_that_makes_no_sense_is_refused(field: str, text: str) -> None:
    assert_refused(alert_body(**{field: text}), field)


@pytest.mark.parametrize("text", ["ITM0", "OTM21", "ITM", "OTM01", "ATM1", "OTM-1", "OTM1.5", "ＡＴＭ", "deep"])
def test_a_strike_that_is_neither_number_nor_place_is_refused(text: str) -> None:
    assert_refused(alert_body(strikeprice=text), "strikeprice", "ATM")


@pytest.mark.parametrize(
    "text",
    [
        "2026-02-31", "24-11-2026", "2026/11/24", "20261124", "2026-W48-2", "0000-01-01", "2026-11-24T00:00",
        "٢٠٢٦-11-24", "DAILY", "weekly2",
    ],
)  # fmt: skip
def test_an_expiry_that_is_no_date_is_refused(text: str) -> None:
    assert_refused(alert_body(expiry=text), "expiry", "2026-11-24")


@pytest.mark.parametrize(
    ("field", "text", "advice"),
    [
        ("action", "HOLD", "BUY or SELL"),
        ("action", "ſell", "BUY or SELL"),
        ("action", "buy sell", "BUY or SELL"),
        ("optionType", "CALL", "CE or PE"),
        ("optionType", "XX", "CE or PE"),
        ("productType", "CNC", "INTRADAY or MARGIN"),
        ("productType", "ıntraday", "INTRADAY or MARGIN"),
    ],
)
def test_words_are_never_guessed(field: str, text: str, advice: str) -> None:
    assert_refused(alert_body(**{field: text}), field, advice)


@pytest.mark.parametrize(
    "text",
    [
        "nıfty", "ＮＩＦＴＹ", "NIFTY 50", "NSE:", ":NIFTY", "NSE:NSE:NIFTY", "NIFTY!", "NIFTY1!!", "NIFTY0!", "-NIFTY",
        "NIFTY\nBANKNIFTY", "NIFTY;DROP", "../NIFTY", "NSE_DLX:NIFTY", "N" * 31,
    ],
)  # fmt: skip
def test_what_is_no_underlying_is_refused(text: str) -> None:
    assert_refused(alert_body(symbol=text), "symbol", "NIFTY")


@pytest.mark.parametrize("prefix", ["MCX", "NSEIX", "BINANCE", "CME", "NYMEX_DL"])
def test_an_exchange_that_is_not_served_is_refused_by_name(prefix: str) -> None:
    assert_refused(alert_body(symbol=f"{prefix}:NIFTY1!"), "symbol")


@pytest.mark.parametrize("field", TIMES)
@pytest.mark.parametrize(
    "text",
    [
        "2026-02-31T04:00:00Z", "2026-11-20", "2026-11-20 04:00:00Z", "2026-11-20T04:00:00", "2026-11-20T25:00:00Z",
        "1795147200", "17951472001234", "179514720012.3", "٢٠٢٦-11-20T04:00:00Z", "now", "0001-01-01T00:00:00+05:30",
        "9999-12-31T23:59:59-05:30", "2026-11-20T04:00:00+99:99",
    ],
)  # fmt: skip
def test_a_time_that_cannot_be_told_is_refused(field: str, text: str) -> None:
    assert_refused(alert_body(**{field: text}), field, "2026-11-20T04:00:00Z")


@pytest.mark.parametrize("field", FIELDS)
def test_a_field_that_stands_twice_is_refused_even_with_the_same_value(field: str) -> None:
    value = json.dumps(alert_fields().get(field, "x"))
    body = with_raw(field, f'{value}, "{field}": {value}')
    assert_refused(body, field, "twice")


@pytest.mark.parametrize("raw", ["NaN", '"\\ud800"', '{"a": 1, "a": 1}'])
def test_poison_in_a_field_that_is_not_read_is_refused_too(raw: str) -> None:
    assert_refused(with_raw("volume", raw), "volume")


def test_half_a_character_in_a_name_is_refused_without_repeating_it() -> None:
    assert_refused(json.dumps(alert_fields(**{"\ud800": 1})).encode(), "body", "lone surrogate")


@pytest.mark.parametrize(
    "text",
    [
        '["SECRET"]',
        '"SECRET"',
        '{"token": "SECRET"} and more',
        "{'token': 'SECRET'}",
        '{"token": "SECRET",}',
        '{"SECRET',
    ],
)
def test_what_is_not_one_object_is_refused_without_repeating_the_secret(text: str) -> None:
    with pytest.raises(Malformed) as caught:
        read(text.replace("SECRET", SECRET).encode())
    assert SECRET not in caught.value.message


@pytest.mark.parametrize("field", [*FIELDS, "volume"])
def test_the_secret_in_any_other_field_is_refused_because_what_stands_there_may_be_shown(field: str) -> None:
    assert_refused(alert_body(**{field: SECRET}), field, "belongs in token alone")
    assert_refused(alert_body(**{field: f"x{SECRET}y"}), field, "belongs in token alone")


def test_the_secret_in_a_fields_name_is_refused_too() -> None:
    assert_refused(alert_body(**{SECRET: 1}), "body", "belongs in token alone")


def test_part_of_the_secret_is_found_beside_what_is_no_text_and_does_no_harm_where_it_is_not_kept() -> None:
    part, secrets = SECRET[:12], Secrets([SECRET])
    with pytest.raises(Malformed, match=r"^comment: holds part of the secret"):
        parse(decode(alert_body(levels=[1, 2], comment=part)), secrets=secrets)
    assert parse(decode(alert_body(levels=[1, 2], note=part)), secrets=secrets).unknown == ("levels", "note")


@pytest.mark.parametrize("key", ["", "  ", "x" * 129, "\ud800"])
def test_a_header_that_is_no_id_is_refused_by_its_name(key: str) -> None:
    with pytest.raises(Malformed, match=r"^Idempotency-Key: "):
        an_alert(key)


def test_a_value_is_shown_short_and_printable() -> None:
    with pytest.raises(Malformed) as caught:
        an_alert(expiry="\x1b[31m\u202e" + "x" * 100)
    assert caught.value.message.isprintable()
    assert "x" * 50 not in caught.value.message


# Whatever comes, it is an Alert or Malformed.

JSON_LEAVES = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=20)
    | st.sampled_from(["ATM", "OTM3", "15%", "10pt", "48400", "2026-11-24", "1795147200123", "{{x}}", "\ud800", "BO"])
)
JSON_VALUES = st.recursive(
    JSON_LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
)


@given(st.dictionaries(st.sampled_from(FIELDS) | st.text(max_size=8), JSON_VALUES, max_size=8))
def test_any_fields_with_any_values_are_an_alert_or_malformed(changes: dict[str, Any]) -> None:
    fields = alert_fields() | changes | {"token": SECRET}
    _read_or_refuse(json.dumps(fields).encode())


@given(st.data())
def test_a_good_body_with_any_bytes_changed_is_an_alert_or_malformed(data: st.DataObject) -> None:
    body = alert_body(qty=65, sl="15%", timenow="2026-11-20T04:00:00Z", comment="é")
    start = data.draw(st.integers(0, len(body)))
    end = data.draw(st.integers(start, min(len(body), start + 5)))
    _read_or_refuse(body[:start] + data.draw(st.binary(max_size=6)) + body[end:])


def _read_or_refuse(body: bytes) -> None:
    try:
        document = decode(body)
        alert = parse(document)
    except Malformed as malformed:
        malformed.message.encode()
    else:
        assert isinstance(alert, Alert)
        assert all(isinstance(text, str) for text in alert.asked().values())


# Who sent it.

OTHER = "another-secret-for-rotation"
SECRETS = Secrets([SECRET, OTHER])


@pytest.mark.parametrize("token", [SECRET, OTHER])
def test_either_of_two_secrets_opens(token: str) -> None:
    SECRETS.authenticate(token)


def test_a_secret_beyond_ascii_opens() -> None:
    Secrets(["ключ-चाबी-🔑"]).authenticate("ключ-चाबी-🔑")


@pytest.mark.parametrize(
    "body",
    [
        "{}",
        '{"token": null}',
        '{"token": ""}',
        '{"token": "wrong"}',
        '{"token": 123}',
        '{"token": true}',
        '{"token": ["SECRET"]}',
        '{"token": ["SECRET", "SECRET"]}',
        '{"token": {"token": "SECRET"}}',
        '{"token": NaN}',
        '{"token": "\\ud800"}',
        '{"token": "SECRET\\ud800"}',
        '{"token": "ключ"}',
        '{"token": " SECRET"}',
        '{"token": "SECRE"}',
        '{"token": "SECRETT"}',
        '{"token": "SECRET,OTHER"}',
        '{"token": "SECRET", "token": "wrong"}',
        '{"token": "wrong", "token": "SECRET"}',
        '{"token": "SECRET", "token": null}',
        '{"token": "SECRET", "token": NaN}',
        '{"Token": "SECRET"}',
    ],
)
def test_every_wrong_token_gets_the_same_words(body: str) -> None:
    token = decode(body.encode()).get("token")
    with pytest.raises(Unauthorized) as caught:
        Secrets(["SECRET", "OTHER"]).authenticate(token)
    assert caught.value.message == Reason.UNAUTHORIZED.meaning
    assert caught.value.__context__ is None


def test_a_number_is_no_token_even_where_its_digits_are_the_secret() -> None:
    digits = "12345678901234567890"
    Secrets([digits]).authenticate(decode(b'{"token": "%s"}' % digits.encode())["token"])
    with pytest.raises(Unauthorized):
        Secrets([digits]).authenticate(decode(b'{"token": %s}' % digits.encode())["token"])


@pytest.mark.parametrize("tokens", [(SECRET, OTHER), (SECRET, SECRET)])
def test_a_token_that_stands_twice_does_not_open_even_where_it_is_right_twice(tokens: tuple[str, str]) -> None:
    with pytest.raises(Unauthorized):
        SECRETS.authenticate(decode(b'{"token": "%b", "token": "%b"}' % tuple(map(str.encode, tokens)))["token"])


def test_without_a_secret_nothing_opens() -> None:
    for token in ("", None, SECRET):
        with pytest.raises(Unauthorized):
            Secrets().authenticate(token)


def test_every_secret_is_compared_in_constant_time_on_digests_of_one_length(monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[tuple[int, int]] = []
    real = hmac.compare_digest

    def watched(one: bytes, other: bytes) -> bool:
        compared.append((len(one), len(other)))
        return real(one, other)

    monkeypatch.setattr(hmac, "compare_digest", watched)
    SECRETS.authenticate(SECRET)
    SECRETS.authenticate(OTHER)
    with pytest.raises(Unauthorized):
        SECRETS.authenticate("x")
    assert compared == [(32, 32)] * 3 * 2


@given(st.text(max_size=12), st.integers(0, len(OTHER) - 8), st.text(max_size=12), st.booleans())
def test_eight_characters_of_a_secret_are_found_wherever_they_stand(
    before: str, start: int, after: str, upper: bool
) -> None:
    part = OTHER[start : start + 8]
    assert SECRETS.part_in(before + (part.upper() if upper else part) + after)
    assert SECRETS.hint_in(before + part[:5] + after)
    assert not SECRETS.part_in(part[:7])


def test_the_secrets_do_not_show_themselves() -> None:
    assert OTHER not in f"{SECRETS!r} {SECRETS}"
