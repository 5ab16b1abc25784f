"""A limit allows orders to the last rupee, and not one more; an exit is let through wherever it can be."""

import json
from dataclasses import fields, replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.adapters import controls_document
from app.adapters.controls_document import ControlsText
from app.adapters.fyers.venue import FYERS
from app.domain.alert import Product
from app.domain.errors import Denied, NotNow, Reason
from app.domain.holding import Holdings
from app.domain.order import Order, OrderStatus
from app.domain.risk import (
    EXIT_TAG,
    GIVES_BACK,
    SYSTEM,
    Controls,
    Limits,
    NeedsBook,
    NeedsRoom,
    Sent,
    TradingState,
    check,
    decide,
    doubt_reduces,
)
from tests.builders import (
    NOW,
    SYMBOL,
    a_book_row,
    a_position,
    a_ticket,
    an_account,
    an_order,
    holdings,
    no_limits,
    order_in,
    sent,
    stored,
)

FLAT = holdings()
SHORT = holdings(positions=(a_position(-650),))
OTHER = "NSE:NIFTY26NOV26100CE"


def profits(realised: Decimal, unrealised: Decimal = Decimal(0)) -> Holdings:
    """Of the day, in rupees, from a position that is closed again."""
    return holdings([a_position(0, realised=realised, unrealised=unrealised)])


def entry(**changes: Any) -> Order:
    return an_order(a_ticket(**changes))


def cover(quantity: int = 65, **changes: Any) -> Order:
    return an_order(a_ticket(covers=True, quantity=quantity, **changes))


def denied(order: Order, controls: Controls, limits: Limits, held: Holdings = FLAT) -> Reason:
    with pytest.raises(Denied) as caught:
        check(order, controls, limits, held, NOW)
    assert any(digit in caught.value.message for digit in "0123456789")
    return caught.value.reason


def put_off(order: Order, controls: Controls, limits: Limits, held: Holdings = SHORT) -> Reason:
    with pytest.raises(NotNow) as caught:
        check(order, controls, limits, held, NOW)
    return caught.value.reason


def allowed(order: Order, controls: Controls, limits: Limits, held: Holdings = FLAT) -> None:
    check(order, controls, limits, held, NOW)


# Every limit alone: the most that passes, and the least that does not. One lot of 65 at 161.75 is ₹10,513.75.

PREMIUM = Decimal("10513.75")
PAISA = Decimal("0.01")


def busy(seconds_ago: float, times: int, **changes: Any) -> Controls:
    return an_account(recent=tuple(sent(seconds_ago, **changes) for _ in range(times)))


ELSEWHERE: dict[str, Any] = {"symbol": OTHER, "underlying": "BANKNIFTY", "covers": True}
EDGES: list[tuple[Reason, dict[str, Any], tuple[Order, Controls, Holdings], tuple[Order, Controls, Holdings]]] = [
    (
        Reason.MAX_LOTS_PER_ORDER,
        {"lots_per_order": 2},
        (entry(quantity=130), an_account(), holdings()),
        (entry(quantity=195), an_account(), holdings()),
    ),
    (
        Reason.MAX_LOTS_OPEN,
        {"lots_open": 5},
        (entry(quantity=130), an_account(), holdings(lots_open=3)),
        (entry(quantity=130), an_account(), holdings(lots_open=4)),
    ),
    (
        Reason.MAX_LOTS_OPEN,
        {"lots_open": 5},
        (entry(), busy(1, 1, lots=4), holdings()),
        (entry(), busy(1, 1, lots=5), holdings()),
    ),
    (
        Reason.MAX_ORDERS_PER_DAY,
        {"orders_per_day": 7},
        (entry(), an_account(orders=6), holdings()),
        (entry(), an_account(orders=7), holdings()),
    ),
    (
        Reason.MAX_ORDERS_PER_SECOND,
        {"orders_per_second": 2},
        (entry(), busy(0.5, 1, **ELSEWHERE), holdings()),
        (entry(), busy(0.5, 2, **ELSEWHERE), holdings()),
    ),
    (
        Reason.MAX_ORDERS_PER_SECOND,
        {"orders_per_second": 2},
        (entry(), busy(1, 2, **ELSEWHERE), holdings()),
        (entry(), busy(0.999, 2, **ELSEWHERE), holdings()),
    ),
    (
        Reason.MAX_ORDERS_PER_MINUTE,
        {"orders_per_minute": 3},
        (entry(), busy(30, 2, **ELSEWHERE), holdings()),
        (entry(), busy(30, 3, **ELSEWHERE), holdings()),
    ),
    (
        Reason.MAX_ORDERS_PER_MINUTE,
        {"orders_per_minute": 3},
        (entry(), busy(60, 3, **ELSEWHERE), holdings()),
        (entry(), busy(59.999, 3, **ELSEWHERE), holdings()),
    ),
    (
        Reason.MAX_PREMIUM_PER_ORDER,
        {"premium_per_order": PREMIUM},
        (entry(ltp=Decimal("161.75")), an_account(), holdings()),
        (entry(ltp=Decimal("161.75"), limit_price=Decimal("161.80")), an_account(), holdings()),
    ),
    (
        Reason.MAX_PREMIUM_PER_ORDER,
        {"premium_per_order": PREMIUM},
        (entry(ltp=Decimal("161.75")), an_account(), holdings()),
        (entry(ltp=Decimal("161.80")), an_account(), holdings()),
    ),
    (
        Reason.MAX_PREMIUM_PER_DAY,
        {"premium_per_day": 2 * PREMIUM},
        (entry(), an_account(premium=PREMIUM), holdings()),
        (entry(), an_account(premium=PREMIUM + PAISA), holdings()),
    ),
    (
        Reason.MAX_DAILY_LOSS,
        {"daily_loss": Decimal(25_000)},
        (entry(), an_account(), profits(Decimal("-24999.99"))),
        (entry(), an_account(), profits(Decimal(-25_000))),
    ),
    (
        Reason.MAX_DAILY_LOSS,
        {"daily_loss": Decimal(25_000)},
        (entry(), an_account(), profits(Decimal(-20_000), Decimal("-4999.99"))),
        (entry(), an_account(), profits(Decimal(-20_000), Decimal(-5_000))),
    ),
    (
        Reason.MAX_DAILY_LOSS,
        {"daily_loss": Decimal(25_000)},
        (entry(), an_account(), profits(Decimal(1), Decimal(-25_000))),
        (entry(), an_account(), profits(Decimal(-25_000), Decimal(90_000))),
    ),
    (
        Reason.REPEATED_ORDER,
        {"repeats": 3},
        (entry(), busy(59, 2), holdings()),
        (entry(), busy(59, 3), holdings()),
    ),
    (
        Reason.REPEATED_ORDER,
        {"repeats": 3},
        (entry(), busy(60, 3), holdings()),
        (entry(), busy(59.999, 3), holdings()),
    ),
    (
        Reason.COOLING_DOWN,
        {"cooldown": timedelta(seconds=30)},
        (entry(), busy(30, 1), holdings()),
        (entry(), busy(29.999, 1), holdings()),
    ),
]


@pytest.mark.parametrize(("reason", "limit", "passes", "fails"), EDGES)
def test_a_limit_lets_its_last_unit_through_and_not_one_more(
    reason: Reason,
    limit: dict[str, Any],
    passes: tuple[Order, Controls, Holdings],
    fails: tuple[Order, Controls, Holdings],
) -> None:
    limits = no_limits(**limit)
    allowed(*passes[:2], limits, passes[2])
    assert denied(*fails[:2], limits, fails[2]) is reason
    check(*fails[:2], no_limits(), fails[2], NOW)  # and switched off it lets everything through


def test_every_limit_has_an_edge_in_the_table() -> None:
    assert {name for edge in EDGES for name in edge[1]} | {"venue"} == {field.name for field in fields(Limits)}


def test_a_profit_is_no_loss() -> None:
    allowed(entry(), an_account(), no_limits(daily_loss=Decimal(1)), profits(Decimal(90_000)))


def test_an_entry_waits_where_the_positions_do_not_say_what_is_lost_and_a_cover_goes_on() -> None:
    untold = holdings([a_position(-650, unrealised=None)])
    limits = no_limits(daily_loss=Decimal(25_000))
    allowed(cover(), an_account(), limits, untold)
    allowed(entry(), an_account(), no_limits(), untold)
    with pytest.raises(NotNow) as caught:
        check(entry(), an_account(), limits, untold, NOW)
    assert caught.value.reason is Reason.POSITION_UNKNOWN


def test_a_cover_passes_what_an_entry_does_not() -> None:
    limits = Limits(
        venue=FYERS,
        lots_per_order=1,
        lots_open=1,
        orders_per_day=1,
        orders_per_second=None,
        orders_per_minute=None,
        premium_per_order=PAISA,
        premium_per_day=PAISA,
        daily_loss=PAISA,
        repeats=1,
        cooldown=timedelta(hours=1),
    )
    controls = an_account(orders=9, premium=PREMIUM, recent=(sent(1), sent(2)))
    held = holdings([a_position(-650, realised=Decimal(-90_000))], lots_open=10)
    allowed(cover(quantity=650), controls, limits, held)
    denied(entry(), controls, limits, held)


@pytest.mark.parametrize("limit", [{"orders_per_second": 1}, {"orders_per_minute": 1}])
def test_the_brokers_rates_put_a_cover_off_but_never_end_it(limit: dict[str, int]) -> None:
    reason = put_off(cover(), busy(0.1, 1, **ELSEWHERE), no_limits(**limit))
    assert reason in (Reason.MAX_ORDERS_PER_SECOND, Reason.MAX_ORDERS_PER_MINUTE)


def test_covers_count_against_the_brokers_rates_and_not_against_repeats_or_cooldown() -> None:
    covers = busy(1, 5, covers=True, side="BUY", quantity=0)
    assert denied(entry(), covers, no_limits(orders_per_minute=5)) is Reason.MAX_ORDERS_PER_MINUTE
    allowed(entry(), covers, no_limits(repeats=1, cooldown=timedelta(hours=1)))


@pytest.mark.parametrize(
    ("state", "order", "reason"),
    [
        (TradingState.ACTIVE, entry(), None),
        (TradingState.ACTIVE, cover(), None),
        (TradingState.REDUCING, entry(), Reason.EXITS_ONLY),
        (TradingState.REDUCING, cover(), None),
        (TradingState.HALTED, entry(), Reason.TRADING_HALTED),
        (TradingState.HALTED, cover(), Reason.TRADING_HALTED),
    ],
)
def test_the_trading_state_decides_before_everything_else(
    state: TradingState, order: Order, reason: Reason | None
) -> None:
    controls = an_account(state=state, reason="lunch at 1")
    if reason is None:
        allowed(order, controls, no_limits(), SHORT)
    else:
        limits = no_limits(lots_per_order=1, orders_per_second=1, daily_loss=PAISA)
        assert denied(order, controls, limits, SHORT) is reason


# Throttles look at what they are meant for.


def test_repeats_are_of_the_same_contract_and_side() -> None:
    others = (sent(1, symbol=OTHER), sent(1, side="BUY"), sent(61))
    allowed(entry(), an_account(recent=others), no_limits(repeats=1))
    assert denied(entry(), an_account(recent=(*others, sent(2))), no_limits(repeats=1)) is Reason.REPEATED_ORDER


def test_the_cooldown_is_for_an_underlying_and_for_a_strategy() -> None:
    limits = no_limits(cooldown=timedelta(minutes=5))
    same_underlying = an_account(recent=(sent(100, symbol=OTHER),))
    same_strategy = an_account(recent=(sent(100, underlying="SENSEX", symbol="X", strategy="trend"),))
    assert denied(entry(), same_underlying, limits) is Reason.COOLING_DOWN
    assert denied(replace(entry(), strategy="trend"), same_strategy, limits) is Reason.COOLING_DOWN
    allowed(replace(entry(), strategy="other"), same_strategy, limits)
    allowed(entry(), same_strategy, limits)
    no_name = an_account(recent=(sent(100, underlying="SENSEX", symbol="X", strategy=None),))
    allowed(entry(), no_name, limits)


def test_an_order_that_never_left_does_not_stand_in_its_own_way() -> None:
    limits = no_limits(orders_per_second=1, orders_per_minute=1, repeats=1, cooldown=timedelta(minutes=5))
    limits = replace(limits, lots_open=1, orders_per_day=1, lots_per_order=1, premium_per_day=PREMIUM)
    order, controls = decide(entry(), an_account(), limits, holdings(), NOW)
    unsent = order.moved(OrderStatus.RECEIVED, NOW)
    again, controls = decide(unsent, controls.given_back(unsent), limits, holdings(), NOW)
    assert again.status is OrderStatus.SUBMITTED
    assert (controls.orders, controls.premium) == (1, PREMIUM)
    another, _ = decide(replace(entry(), tag="tvother"), controls, limits, holdings(), NOW)
    assert another.status is OrderStatus.DENIED


# Covers and what cannot be seen yet.


@given(
    short=st.integers(0, 10),
    working=st.integers(0, 3),
    hidden=st.integers(0, 3),
    shown=st.integers(0, 3),
    asked=st.integers(1, 12),
)
def test_a_cover_never_exceeds_what_is_left_of_the_short(
    short: int, working: int, hidden: int, shown: int, asked: int
) -> None:
    held = holdings(
        positions=(a_position(-65 * short), a_position(-6_500, symbol=OTHER)),
        book=(
            a_book_row(side="BUY", quantity=65 * working, tag="tvshown"),
            a_book_row(side="BUY", quantity=650, symbol=OTHER, tag="tvelsewhere"),
            a_book_row(side="BUY", quantity=650, protects="1", tag=""),  # a protective leg
        ),
    )
    recent = (
        sent(1, covers=True, side="BUY", quantity=65 * hidden),
        sent(1, covers=True, side="BUY", quantity=65 * shown, tag="tvshown"),  # counted in the book
        sent(1, covers=True, side="BUY", quantity=650, symbol=OTHER),
        sent(1, quantity=650),  # an entry
        sent(FYERS.book_lag.total_seconds(), covers=True, side="BUY", quantity=650),  # long in the positions
    )
    controls = an_account(recent=recent)
    if asked <= short - working - hidden:
        allowed(cover(65 * asked), controls, no_limits(), held)
    else:
        assert put_off(cover(65 * asked), controls, no_limits(), held) is Reason.POSITION_UNKNOWN


def test_a_cover_without_a_short_is_put_off_because_the_position_is_gone() -> None:
    assert put_off(cover(), an_account(), no_limits(), holdings()) is Reason.POSITION_UNKNOWN


def test_entries_that_the_book_does_not_show_yet_count_as_open() -> None:
    shown = holdings(book=(a_book_row(tag="tvshown"),), lots_open=1)
    recent = (sent(1, lots=2), sent(1, lots=1, tag="tvshown"), sent(FYERS.book_lag.total_seconds(), lots=9))
    allowed(entry(), an_account(recent=recent), no_limits(lots_open=4), shown)
    assert denied(entry(), an_account(recent=recent), no_limits(lots_open=3), shown) is Reason.MAX_LOTS_OPEN


def test_without_the_book_an_entry_near_the_limit_asks_for_it_and_is_not_denied() -> None:
    unread = holdings(book=None, lots_open=3)
    allowed(entry(), an_account(), no_limits(lots_open=4), unread)
    with pytest.raises(NeedsBook):
        check(entry(), an_account(), no_limits(lots_open=3), unread, NOW)
    assert denied(entry(), an_account(), no_limits(lots_open=3), replace(unread, book=())) is Reason.MAX_LOTS_OPEN


# decide: the order and the account go together.


def test_a_submitted_order_is_counted_in_the_same_step() -> None:
    order, controls = decide(entry(quantity=130), an_account(orders=4, premium=PREMIUM), no_limits(), holdings(), NOW)
    assert (order.status, order.attempt, order.submitted_at) == (OrderStatus.SUBMITTED, 1, NOW)
    assert (controls.orders, controls.premium) == (5, 3 * PREMIUM)
    assert controls.recent == (sent(0, tag=order.tag, quantity=130, lots=2),)


def test_a_cover_is_counted_without_its_premium() -> None:
    _, controls = decide(cover(), an_account(premium=PREMIUM), no_limits(), SHORT, NOW)
    assert (controls.orders, controls.premium) == (1, PREMIUM)
    assert controls.recent[0].covers


def test_a_denied_order_counts_nothing() -> None:
    before = an_account(orders=4, premium=PREMIUM, recent=(sent(5),))
    order, controls = decide(entry(quantity=130), before, no_limits(lots_per_order=1), holdings(), NOW)
    assert (order.status, order.reason) == (OrderStatus.DENIED, Reason.MAX_LOTS_PER_ORDER)
    assert order.message == "2 lots; WEBHOOK_MAX_QTY allows 1 per order"
    assert controls == before


def test_an_order_that_must_wait_changes_nothing() -> None:
    order = cover()
    with pytest.raises(NotNow):
        decide(order, busy(0.1, 1), no_limits(orders_per_second=1), SHORT, NOW)
    assert order.status is OrderStatus.RECEIVED


def test_an_unpriced_order_is_never_decided() -> None:
    with pytest.raises(ValueError, match="not priced"):
        decide(an_order(), an_account(), no_limits(), holdings(), NOW)


def test_a_repeated_order_reduces_until_an_operator_looks() -> None:
    order, controls = decide(entry(), busy(1, 2), no_limits(repeats=2), holdings(), NOW)
    assert (order.status, order.reason) == (OrderStatus.DENIED, Reason.REPEATED_ORDER)
    assert (controls.state, controls.author, controls.changed_at) == (TradingState.REDUCING, SYSTEM, NOW)
    assert SYMBOL in controls.reason
    order, controls = decide(entry(symbol=OTHER), controls, no_limits(repeats=2), holdings(), NOW + timedelta(days=3))
    assert (order.reason, controls.state) == (Reason.EXITS_ONLY, TradingState.REDUCING)


@pytest.mark.parametrize("unresolved", [0, 1, 2, 5])
def test_two_orders_in_doubt_at_once_stop_entries_and_let_covers_through(unresolved: int) -> None:
    order, controls = decide(entry(), an_account(), no_limits(), holdings(unresolved=unresolved), NOW)
    stopped = unresolved >= 2
    assert controls.state is (TradingState.REDUCING if stopped else TradingState.ACTIVE)
    assert order.status is (OrderStatus.DENIED if stopped else OrderStatus.SUBMITTED)
    covering, _ = decide(cover(), an_account(), no_limits(), replace(SHORT, unresolved=unresolved), NOW)
    assert covering.status is OrderStatus.SUBMITTED


@pytest.mark.parametrize("state", [TradingState.REDUCING, TradingState.HALTED])
def test_doubt_never_lifts_or_rewrites_a_state_that_was_set_by_hand(state: TradingState) -> None:
    controls = an_account(state=state, reason="mine", author="me")
    assert doubt_reduces(controls, 9, NOW) is controls


def test_doubt_that_is_gone_does_not_lift_the_state() -> None:
    reduced = doubt_reduces(an_account(), 2, NOW)
    assert doubt_reduces(reduced, 0, NOW).state is TradingState.REDUCING


def test_a_new_day_starts_the_counters_and_keeps_state_and_rates() -> None:
    old = an_account(
        day="2026-11-19", orders=200, premium=PREMIUM, recent=(sent(5),), state=TradingState.REDUCING, reason="why"
    )
    new = old.on("2026-11-20")
    assert (new.day, new.orders, new.premium) == ("2026-11-20", 0, Decimal(0))
    assert (new.state, new.reason, new.recent) == (old.state, old.reason, old.recent)
    assert new.on("2026-11-20") is new


def test_the_day_is_indias() -> None:
    before_midnight = NOW.replace(hour=18, minute=29)  # 23:59 in India
    _, controls = decide(entry(), Controls(), no_limits(), holdings(), before_midnight)
    assert (controls.day, controls.orders) == ("2026-11-20", 1)
    _, controls = decide(entry(), controls, no_limits(), holdings(), before_midnight + timedelta(minutes=1))
    assert (controls.day, controls.orders) == ("2026-11-21", 1)


# Giving back.


@pytest.mark.parametrize("status", sorted(GIVES_BACK))
@pytest.mark.parametrize("ticket", [a_ticket(quantity=130), a_ticket(covers=True)])
def test_what_was_counted_is_given_back_and_the_rates_stay(status: OrderStatus, ticket: Any) -> None:
    before = an_account(orders=3, premium=PREMIUM)
    order, counted = decide(an_order(ticket), before, no_limits(), SHORT, NOW)
    after = counted.given_back(order.moved(status, NOW))
    assert (after.orders, after.premium) == (before.orders, before.premium)
    assert [(one.quantity, one.lots) for one in after.recent] == [(0, 0)]
    assert (
        denied(replace(entry(), tag="tvother"), after, no_limits(orders_per_minute=1)) is Reason.MAX_ORDERS_PER_MINUTE
    )


def test_only_what_is_definitively_not_at_the_broker_is_given_back() -> None:
    assert set(OrderStatus) & GIVES_BACK == {OrderStatus.RECEIVED, OrderStatus.REJECTED, OrderStatus.NOT_PLACED}


def test_nothing_is_given_back_to_another_day() -> None:
    order, _ = decide(entry(), Controls(), no_limits(), holdings(), NOW)
    tomorrow = an_account(day="2026-11-21", orders=1, premium=PREMIUM)
    assert tomorrow.given_back(order.moved(OrderStatus.NOT_PLACED, NOW)) == tomorrow


def test_counters_never_go_below_zero() -> None:
    order, _ = decide(entry(), Controls(), no_limits(), holdings(), NOW)
    emptied = an_account().given_back(order.moved(OrderStatus.REJECTED, NOW))
    assert (emptied.orders, emptied.premium) == (0, Decimal(0))


def test_an_order_that_was_never_submitted_gives_nothing_back() -> None:
    controls = an_account(orders=2)
    assert controls.given_back(an_order()) == controls
    assert controls.given_back(order_in(OrderStatus.RECEIVED)) == controls


def test_what_rates_and_book_no_longer_need_is_forgotten() -> None:
    recent = (sent(FYERS.book_lag.total_seconds()), sent(FYERS.book_lag.total_seconds() - 1))
    _, controls = decide(cover(), an_account(recent=recent), no_limits(), SHORT, NOW)
    assert [one.at for one in controls.recent] == [recent[1].at, NOW]
    long = no_limits(cooldown=timedelta(minutes=10))
    _, controls = decide(cover(), an_account(recent=recent), long, SHORT, NOW)
    assert len(controls.recent) == 3


def test_a_storm_of_orders_does_not_make_the_document_grow_beyond_what_a_rule_can_ask_for() -> None:
    storm = an_account(recent=tuple(sent(70, tag=f"tv{number}") for number in range(500)))
    for limits, most in (
        (no_limits(), FYERS.orders_in_lag),
        (no_limits(repeats=1000, orders_per_minute=300), 501),
        (no_limits(orders_per_minute=501), 501),
        (no_limits(cooldown=timedelta(seconds=1)), 501),
    ):
        order, controls = decide(cover(), storm, limits, SHORT, NOW)
        assert order.status is OrderStatus.SUBMITTED
        assert controls.recent == (*storm.recent, controls.recent[-1])[-most:]


# The stored form.

MOMENTS = st.datetimes(timezones=st.just(NOW.tzinfo))
ACCOUNTS = st.builds(
    Controls,
    state=st.sampled_from(TradingState),
    reason=st.text(max_size=20),
    author=st.text(max_size=10),
    changed_at=st.none() | MOMENTS,
    day=st.dates().map(str),
    orders=st.integers(0, 10**6),
    premium=st.decimals(0, 10**9, places=2),
    recent=st.lists(
        st.builds(
            Sent,
            at=MOMENTS,
            tag=st.text(max_size=20),
            symbol=st.text(max_size=20),
            quantity=st.integers(0, 10**6),
            lots=st.integers(0, 10**4),
            side=st.sampled_from(["BUY", "SELL"]),
            covers=st.booleans(),
            underlying=st.text(max_size=10),
            strategy=st.none() | st.text(max_size=10),
        ),
        max_size=3,
    ).map(tuple),
)


@given(ACCOUNTS)
def test_an_account_comes_back_from_its_document_as_it_was(controls: Controls) -> None:
    document = stored(controls)
    assert controls_document.from_document(document) == controls


@given(ACCOUNTS)
def test_the_controls_come_back_from_their_text_though_others_were_read_or_written_meanwhile(
    controls: Controls,
) -> None:
    texts, anew = ControlsText(), ControlsText()
    text = texts.write(controls)
    assert texts.read(text) == anew.read(text) == controls
    texts.write(an_account(orders=1))
    assert texts.read(text) == controls
    assert texts.write(texts.read(text)) == text == anew.write(controls)


def test_an_order_that_was_given_back_is_not_stored_as_it_was_remembered() -> None:
    texts, order = ControlsText(), sent(1)
    texts.write(an_account(recent=(order,)))
    given_back = an_account(recent=(replace(order, quantity=0, lots=0),))
    assert ControlsText().read(texts.write(given_back)) == given_back


def test_however_many_orders_were_remembered_each_is_stored_as_it_is() -> None:
    texts = ControlsText()
    for first in range(0, 3_000, 500):
        controls = an_account(recent=tuple(replace(sent(1), tag=f"tv{first + one}") for one in range(500)))
        assert ControlsText().read(texts.write(controls)) == controls


@pytest.mark.parametrize("text", ["", "{", "[]", "null", None, 1])
def test_a_text_that_holds_no_controls_is_halted_each_time_it_is_read(text: Any) -> None:
    texts = ControlsText()
    texts.write(Controls())
    assert [texts.read(text).state for _ in range(2)] == [TradingState.HALTED] * 2


def test_a_document_that_names_the_fields_of_what_was_sent_is_still_read() -> None:
    controls = an_account(recent=(sent(1), sent(2, covers=True)))
    document = stored(controls)
    document["recent"] = [dict(zip(Sent.__slots__, values, strict=True)) for values in document["recent"]]
    assert controls_document.from_document(document) == controls


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
)


DAMAGED = JSON | st.sampled_from(["NaN", "Infinity", "-1", "2026-11-20T04:00:00", "2026-13-01", -1, "65"])
EVERY_LIMIT = Limits(
    venue=FYERS,
    lots_per_order=10,
    lots_open=10,
    orders_per_day=10,
    orders_per_second=9,
    orders_per_minute=9,
    premium_per_order=10 * PREMIUM,
    premium_per_day=10 * PREMIUM,
    daily_loss=PREMIUM,
    repeats=9,
    cooldown=timedelta(seconds=1),
)


@given(
    recent=st.lists(st.sampled_from([sent(1), sent(1, covers=True)]), min_size=1, max_size=2),
    place=st.sampled_from([*Controls.__slots__, *(f"recent.{name}" for name in Sent.__slots__)]),
    damage=DAMAGED,
    order=st.sampled_from([entry(), cover()]),
)
def test_a_damaged_account_document_is_halted_or_still_a_sound_one(
    recent: list[Sent], place: str, damage: Any, order: Order
) -> None:
    document = stored(an_account(orders=10, premium=10 * PREMIUM, recent=tuple(recent)))
    name, _, part = place.partition(".")
    if part:
        document["recent"][0][Sent.__slots__.index(part)] = damage
    else:
        document[name] = damage
    controls = controls_document.from_document(json.loads(json.dumps(document)))
    try:
        decided, _ = decide(order, controls, EVERY_LIMIT, SHORT, NOW)
    except NotNow:
        assert order.ticket is not None
        assert order.ticket.covers
    else:
        entered = decided.status is OrderStatus.SUBMITTED and order.ticket is not None and not order.ticket.covers
        assert not entered or name in ("orders", "premium", "day")


@pytest.mark.parametrize(
    ("name", "damage"),
    [
        ("premium", "NaN"), ("premium", "Infinity"), ("premium", None), ("premium", "much"),
        ("orders", -1), ("orders", "3"), ("orders", True), ("orders", 1.0), ("orders", None),
        ("day", None), ("day", "today"), ("day", 20261120),
        ("state", "PAUSED"), ("state", None), ("changed_at", "2026-11-20T04:30:00"), ("changed_at", 1),
        ("recent", None), ("recent", [{}]), ("recent", ["x"]),
        ("at", "2026-11-20T04:30:00"), ("quantity", "65"), ("quantity", -65), ("lots", None),
    ],
)  # fmt: skip
def test_a_part_of_the_account_document_that_is_damaged_halts(name: str, damage: Any) -> None:
    document = stored(an_account(recent=(sent(1),)))
    if name in document:
        document[name] = damage
    else:
        document["recent"][0][Sent.__slots__.index(name)] = damage
    assert controls_document.from_document(document).state is TradingState.HALTED


@pytest.mark.parametrize("name", sorted(stored(Controls()).keys() - {"failures", "open_until"}))
def test_an_account_document_that_misses_anything_is_halted(name: str) -> None:
    document = stored(an_account(recent=(sent(1),)))
    del document[name]
    assert controls_document.from_document(document).state is TradingState.HALTED


def test_a_position_of_another_product_is_not_what_a_cover_counts() -> None:
    held = holdings(positions=(a_position(-130, "MARGIN"), a_position(-65)))
    allowed(cover(130, product=Product.MARGIN), an_account(), no_limits(), held)
    assert put_off(cover(130), an_account(), no_limits(), held) is Reason.POSITION_UNKNOWN


def test_a_cover_of_a_short_that_turned_into_another_products_is_put_off() -> None:
    """What was short when the ticket was written is closed by now; the other product's short is not for it."""
    held = holdings(positions=(a_position(-130, "MARGIN"), a_position(0)))
    assert put_off(cover(65), an_account(), no_limits(), held) is Reason.POSITION_UNKNOWN


@given(
    short=st.integers(1, 9),
    legs=st.integers(0, 9),
    working=st.integers(0, 2),
    tag=st.sampled_from(
        ["tvaaaaaaaaaaaaaaaaaa", "untagged"]
    ),  # a cover of the gateway's, or what is left of a square-off
    hidden=st.integers(0, 2),
    asked=st.integers(1, 9),
)
def test_covers_and_legs_together_are_never_more_than_the_short(
    short: int, legs: int, working: int, tag: str, hidden: int, asked: int
) -> None:
    """A cover is let through where there is room for it, and where there is none it says how much the legs may keep."""
    entry = a_book_row(status=OrderStatus.FILLED, quantity=650, filled_quantity=650)
    leg = {"side": "BUY", "quantity": 65 * legs, "protects": entry.broker_order_id, "tag": ""}
    held = holdings(
        positions=(a_position(-65 * short),),
        book=(
            entry,
            a_book_row(broker_order_id="2", **leg, stop_price=Decimal(190)),
            a_book_row(broker_order_id="3", **leg),
            a_book_row(broker_order_id="4", side="BUY", quantity=65 * working, tag=tag),
        ),
    )
    controls = an_account(recent=(sent(1, covers=True, side="BUY", quantity=65 * hidden),))
    room = short - working - hidden - asked
    if room < 0:
        assert put_off(cover(65 * asked), controls, no_limits(), held) is Reason.POSITION_UNKNOWN
    elif legs <= room:
        allowed(cover(65 * asked), controls, no_limits(), held)
    else:
        with pytest.raises(NeedsRoom) as caught:
            check(cover(65 * asked), controls, no_limits(), held, NOW)
        assert caught.value.units == 65 * room


@pytest.mark.parametrize(("sold", "waits"), [(65, True), (0, False), (None, False)])
def test_a_cover_waits_for_the_book_to_show_an_entry_whose_fill_the_positions_show(
    sold: int | None, waits: bool
) -> None:
    """That entry's legs stand at the broker, and are not shown yet."""
    held = holdings(positions=(a_position(-65, sold=sold, bought=0 if sold is not None else None),))
    controls = an_account(recent=(sent(1),))
    if waits:
        assert put_off(cover(), controls, no_limits(), held) is Reason.POSITION_UNKNOWN
    else:
        allowed(cover(), controls, no_limits(), held)
    allowed(cover(), an_account(), no_limits(), held)


def test_what_is_being_squared_off_is_not_opened_again_until_the_exit_has_been_there() -> None:
    """Fyers closes whatever it finds: an entry in between would be closed as well, and its legs would stay."""
    exit_ = sent(1, covers=True, side="BUY", tag=f"{EXIT_TAG}{SYMBOL}-INTRADAY:x")
    assert put_off(entry(), an_account(recent=(exit_,)), no_limits()) is Reason.POSITION_UNKNOWN
    allowed(entry(), an_account(recent=(replace(exit_, quantity=0),)), no_limits())
    allowed(entry(), an_account(recent=(replace(exit_, symbol=OTHER),)), no_limits())
    allowed(entry(), an_account(recent=(replace(exit_, at=NOW - FYERS.book_lag),)), no_limits())
