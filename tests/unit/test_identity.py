"""The key decides whether an order may go out: one alert has one key, in every spelling and in every version."""

import json
import re
from collections import Counter
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from app.domain.alert.identity import identify, tag_of
from app.domain.alert.parse import parse
from app.domain.alert.strict_json import decode
from tests.builders import an_alert

GOLDEN = json.loads((Path(__file__).parents[1] / "golden" / "alerts.json").read_text(encoding="utf-8"))
NOW = "2026-11-20T04:00:00Z"


@pytest.mark.parametrize("frozen", GOLDEN["alerts"], ids=lambda frozen: frozen["about"])
def test_a_key_never_changes_between_versions(frozen: dict[str, Any]) -> None:
    alert = parse(decode(frozen["body"].encode()), frozen.get("header"))
    for account, names in frozen["accounts"].items():
        identity = identify(alert, account)
        key = identity.key(datetime.fromisoformat(GOLDEN["window_opened"]))
        now = {"key": key, "tag": tag_of(key)} | ({"digest": identity.digest} if identity.windowed else {})
        assert (identity.tier, identity.fingerprint, now) == (frozen["tier"], frozen["fingerprint"], names), (
            "This body had another key, tag or fingerprint before. A key may never change between versions: after an "
            "update, an alert sent again would become a second order. Change the code back, not the golden file; new "
            "bodies may be added to it."
        )


def test_the_golden_file_covers_every_tier_and_two_accounts() -> None:
    frozen = GOLDEN["alerts"]
    tiers = Counter(entry["tier"] for entry in frozen)
    assert len(frozen) >= 40
    assert all(tiers[tier] >= 4 for tier in (1, 2, 3, 4))
    assert all({"paper"} < set(entry["accounts"]) for entry in frozen)
    assert len({entry["about"] for entry in frozen}) == len(frozen)


# Every list holds spellings of one meaning; the first seven fields are what an alert's identity is made of.
SPELLINGS: dict[str, list[list[Any]]] = {
    "symbol": [
        ["NIFTY", "nifty", "NSE:NIFTY", "nse:Nifty1!", "NFO:NIFTY2!", "NIFTY50", " NIFTY "],
        ["BANKNIFTY", "NSE:NIFTYBANK"],
        ["RELIANCE", "NSE:RELIANCE", "reliance"],
        ["BSE:RELIANCE", "BFO:RELIANCE"],
    ],
    "strikeprice": [[26000, "26000", 26000.0, "26000.000"], [2600, "2600"], ["172.5", 172.5], ["ATM", "atm"], ["ITM1"]],
    "optionType": [["CE", "ce", " Ce"], ["PE", "pe"]],
    "expiry": [["WEEKLY", "weekly"], ["NEXT_WEEKLY", "next-weekly"], ["2026-11-24"], ["2026-11-25"]],
    "action": [["SELL", "sell"], ["BUY", "Buy"]],
    "qty": [[None, ...], [65, "65", 65.0, "65.0"], [650]],
    "order_id": [[None, ..., ""], ["Long"], ["long"], ["12"]],
    "timenow": [[NOW, "2026-11-20T09:30:00+05:30", "2026-11-20t04:00:00z"], ["2026-11-20T04:00:01Z"]],
    "productType": [[None, ..., "INTRADAY", "intraday", "BO", "CO"], ["MARGIN", "margin"]],
    "sl": [[None, ...], ["15%", "15.0 %"], ["15pt", "15PTS"], [15, "15", "15.00"]],
    "tp": [[None, ...], ["25%"], ["25pt"]],
}
OF_THE_KEY = tuple(SPELLINGS)[:8]
MEANINGS = st.fixed_dictionaries({name: st.integers(0, len(all_) - 1) for name, all_ in SPELLINGS.items()})


def spelled(meanings: dict[str, int], data: st.DataObject) -> dict[str, Any]:
    return {name: data.draw(st.sampled_from(SPELLINGS[name][meaning])) for name, meaning in meanings.items()}


@given(MEANINGS, st.data())
def test_one_meaning_has_one_key_in_every_spelling(meanings: dict[str, int], data: st.DataObject) -> None:
    one, other = (an_alert(**spelled(meanings, data)) for _ in range(2))
    assert identify(one, "paper") == identify(other, "paper")
    assert one.asked() == other.asked()


@given(MEANINGS, st.sampled_from(tuple(SPELLINGS)), st.data())
def test_another_meaning_of_any_field_is_another_alert_or_another_order(
    meanings: dict[str, int], changed: str, data: st.DataObject
) -> None:
    meaning = data.draw(st.integers(0, len(SPELLINGS[changed]) - 1))
    assume(meaning != meanings[changed])
    one = identify(an_alert(**spelled(meanings, data)), "paper")
    other = identify(an_alert(**spelled(meanings | {changed: meaning}, data)), "paper")
    assert (one.key() != other.key()) is (changed in OF_THE_KEY)
    assert (one.fingerprint != other.fingerprint) is (changed not in ("order_id", "timenow"))


NUMBERS = st.decimals(min_value="0.01", max_value="999999999", places=2).map(lambda number: f"{number:f}")


@given(NUMBERS, NUMBERS)
def test_two_strikes_have_one_key_exactly_where_they_are_one_number(one: str, other: str) -> None:
    keys = [identify(an_alert(strikeprice=text, timenow=NOW), "paper").key() for text in (one, one + "0", other)]
    assert keys[0] == keys[1]
    assert (keys[0] == keys[2]) is (one == other)


@given(MEANINGS, st.data())
def test_the_order_asked_for_asks_for_itself_when_it_is_sent_as_an_alert(
    meanings: dict[str, int], data: st.DataObject
) -> None:
    alert = an_alert(**spelled(meanings, data))
    again = an_alert(**alert.asked())
    assert again.asked() == alert.asked()
    assert identify(again, "paper").fingerprint == identify(alert, "paper").fingerprint


@pytest.mark.parametrize(
    ("fields", "tier"),
    [
        ({"alert_id": "a", "timenow": NOW, "time": NOW}, 1),
        ({"id": "a"}, 1),
        ({"idempotency_key": "a"}, 1),
        ({"timenow": NOW, "time": NOW}, 2),
        ({"time": NOW, "order_id": "Long"}, 3),
        ({"order_id": "Long", "strategy": "s", "comment": "c"}, 4),
        ({"alert_id": ..., "timenow": ..., "time": ...}, 4),
    ],
)
def test_the_strongest_identity_that_an_alert_carries_counts(fields: dict[str, Any], tier: int) -> None:
    identity = identify(an_alert(**fields), "paper")
    assert identity.tier == tier
    assert identity.windowed is (tier == 4)


IDS = st.text(st.characters(exclude_categories=("Cs", "Zs", "Zl", "Zp", "Cc")), min_size=1, max_size=20)


@given(IDS, IDS)
def test_two_ids_are_two_alerts_and_one_id_is_one(one: str, other: str) -> None:
    assume("{{" not in one + other and "}}" not in one + other)
    first, second = (identify(an_alert(alert_id=text), "paper") for text in (one, other))
    assert (first.key() == second.key()) is (one == other)
    assert identify(an_alert(one), "paper") == first  # as a header
    assert identify(an_alert(id=one, action="BUY"), "paper").key() == first.key()  # and for another order


def test_the_tiers_are_apart_even_where_they_hold_the_same_moment() -> None:
    names: tuple[dict[str, str], ...] = ({"alert_id": NOW}, {"timenow": NOW}, {"time": NOW}, {})
    assert len({identify(an_alert(**fields), "paper").digest for fields in names}) == len(names)


def test_every_account_has_keys_of_its_own() -> None:
    for fields in ({"alert_id": "a"}, {"timenow": NOW}, {"time": NOW}, {}):
        alert = an_alert(**fields)
        paper, live = identify(alert, "paper"), identify(alert, "AB12CD34EF")
        assert paper.digest != live.digest
        assert paper.fingerprint == live.fingerprint


def test_a_digit_cannot_wander_from_one_field_into_the_next() -> None:
    one = identify(an_alert(qty=65, order_id="1", timenow=NOW), "paper")
    other = identify(an_alert(qty=651, order_id="", timenow=NOW), "paper")
    quoted = identify(an_alert(qty=65, order_id='1","', timenow=NOW), "paper")
    assert len({one.key(), other.key(), quoted.key()}) == 3


def test_the_secret_and_the_context_never_enter() -> None:
    plain = identify(an_alert(timenow=NOW), "paper")
    assert identify(an_alert(timenow=NOW, token="another-secret-altogether"), "paper") == plain
    context = {"comment": "c", "price": 1.5, "ticker": "NIFTY", "exchange": "NSE", "interval": 5, "strategy": "s"}
    assert identify(an_alert(timenow=NOW, **context, volume=3), "paper") == plain


def test_an_alert_without_identity_has_one_key_for_each_window_and_none_without() -> None:
    opened = datetime(2026, 11, 20, 4, tzinfo=UTC)
    identity = identify(an_alert(), "paper")
    with pytest.raises(ValueError, match="window"):
        identity.key()
    india = timezone(timedelta(hours=5, minutes=30))
    assert identity.key(opened) == identity.key(opened.astimezone(india))
    assert identity.key(opened) != identity.key(opened + timedelta(microseconds=1))
    assert identity.key(opened) != identity.digest


def test_the_moment_of_a_window_does_not_touch_the_key_of_an_alert_with_identity() -> None:
    identity = identify(an_alert(timenow=NOW), "paper")
    assert identity.key(datetime(2026, 11, 20, 4, tzinfo=UTC)) == identity.key() == identity.digest


@given(st.binary(min_size=32, max_size=32), st.binary(min_size=32, max_size=32))
def test_a_tag_is_what_fyers_takes_and_belongs_to_one_key(one: bytes, other: bytes) -> None:
    tag = tag_of(one.hex())
    assert re.fullmatch("tv[a-z2-7]{18}", tag)
    assert tag == tag_of(one.hex())
    assert (tag == tag_of(other.hex())) is (one == other)


def test_firings_within_one_second_are_one_in_whatever_form_their_time_comes() -> None:
    spoken = identify(an_alert(timenow="2026-11-20T04:30:00Z"), "paper")
    counted = [identify(an_alert(timenow=str(1795149000000 + millis)), "paper") for millis in (0, 3, 999, 1000)]
    assert [one.digest == spoken.digest for one in counted] == [True, True, True, False]


def test_one_lot_said_and_one_lot_meant_are_the_same_order() -> None:
    assert identify(an_alert(lots=1), "paper").fingerprint == identify(an_alert(), "paper").fingerprint
    assert identify(an_alert(lots=2), "paper").fingerprint != identify(an_alert(), "paper").fingerprint
