"""Nothing is sent by a price that makes no sense, and each refusal says by which numbers."""

import random
from collections.abc import Iterator
from contextlib import suppress
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.adapters.fyers import rows
from app.adapters.fyers.payload import order_payload
from app.domain.alert import Side
from app.domain.book import Quote
from app.domain.calendar import ist_day
from app.domain.errors import Denied
from app.domain.money import tick_down, tick_up
from app.domain.order import OrderType
from app.domain.ticket import BuyMode, TicketRules, write_ticket
from app.simulator import Fault, FaultKind
from tests.builders import SYMBOL, a_contract, a_position, an_alert, an_order, holdings, price_rules
from tests.gateway import Gateway, listed
from tests.instances import house, posts, simulated_account, with_bands

_strikes = iter(range(24800, 27200, 50))


@pytest.fixture(scope="module")
def one_house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    folder = tmp_path_factory.mktemp("prices")
    with (
        simulated_account() as account,
        house(folder, account, SYMBOL_MASTER_URLS=with_bands(account), BUY_MODE="open", MAX_LOTS_OPEN="9999") as gate,
    ):
        yield gate


@pytest.fixture
def gate(one_house: Gateway) -> Iterator[Gateway]:
    """One gateway for the module; each test takes contracts of its own."""
    one_house.account.clear_log()
    yield one_house
    one_house.account.clear_faults()


class Option:
    """A contract that no other test has used, quoted as the test wants it."""

    def __init__(self, gate: Gateway) -> None:
        self.gate = gate
        self.strike = next(_strikes)
        self.contract = listed(gate, self.strike)
        assert self.contract.lower_band is not None
        assert self.contract.upper_band is not None
        self.low, self.high = self.contract.lower_band, self.contract.upper_band
        # A price in the middle of the day's band, on the tick, from which tests go away.
        self.mid = ((self.low + self.high) / 2).quantize(Decimal("0.1"))

    def quote(self, ltp: Decimal, bid: Decimal, ask: Decimal) -> None:
        self.gate.account.exchange.set_quote(self.contract.symbol, ltp, bid, ask)

    def send(self, **fields: Any) -> Any:
        return self.gate.send(strikeprice=self.strike, **fields)


@pytest.fixture
def option(gate: Gateway) -> Option:
    return Option(gate)


def refused(response: Any) -> tuple[int, str]:
    """HTTP status and reason; the message must name numbers."""
    assert any(digit in response.json["message"] for digit in "0123456789"), response.json["message"]
    return response.status_code, response.json["reason"]


TICK = Decimal("0.05")


@pytest.mark.parametrize("action", ["SELL", "BUY"])
def test_without_a_quote_nothing_is_sent_and_another_try_may_help(gate: Gateway, option: Option, action: str) -> None:
    nothing = {"s": "ok", "code": 200, "d": [{"n": option.contract.symbol, "s": "error", "v": {"code": -300}}]}
    gate.account.fault("quotes", Fault(FaultKind.ANSWER, body=nothing))
    assert refused(option.send(action=action)) == (503, "NO_QUOTE")
    assert posts(gate.account) == []


@pytest.mark.parametrize(
    ("action", "bid", "ask", "reason"),
    [
        ("SELL", 0, 1, "BAD_QUOTE"),
        ("SELL", -1, 0, "BAD_QUOTE"),
        ("BUY", -1, 0, "BAD_QUOTE"),
        ("SELL", 1, -1, "BAD_QUOTE"),
        ("BUY", 1, -1, "BAD_QUOTE"),
        ("SELL", -4, 4, None),
        ("BUY", -4, 4, None),
        ("SELL", -6, 6, "SPREAD_TOO_WIDE"),
        ("BUY", -6, 6, "SPREAD_TOO_WIDE"),
    ],
)
def test_a_quote_that_is_no_price_to_trade_by_is_denied(
    gate: Gateway, option: Option, action: str, bid: int, ask: int, reason: str | None
) -> None:
    """Bid and ask in per cent of the last price; 0 is an empty side."""
    percent = option.mid / 100
    sides = [Decimal(0) if side == 0 else _on_tick(option.mid + side * percent) for side in (bid, ask)]
    option.quote(option.mid, *sides)
    response = option.send(action=action)
    if reason is None:
        assert response.json["status"] == "ACCEPTED"
        return
    assert refused(response) == (422, reason)
    assert posts(gate.account) == []


@pytest.mark.parametrize(("action", "edge"), [("SELL", "low"), ("SELL", "high"), ("BUY", "low"), ("BUY", "high")])
def test_a_price_outside_the_days_band_is_denied_and_inside_it_is_not(
    gate: Gateway, option: Option, action: str, edge: str
) -> None:
    outwards = -1 if edge == "low" else 1
    at_the_edge = getattr(option, edge)
    for beyond, reason in ((at_the_edge, None), (at_the_edge + outwards * 3 * TICK, "OUTSIDE_PRICE_BAND")):
        option.quote(beyond, beyond, beyond)
        response = option.send(action=action)
        if reason is None:
            assert response.json["reason"] in (None, "BROKER_REJECTED", "WRONG_SIDE_TAKE_PROFIT")
        else:
            assert refused(response) == (422, reason)
    for entry in posts(gate.account):
        assert option.low <= Decimal(str(entry.body["limitPrice"])) <= option.high


@pytest.mark.parametrize(
    ("action", "levels", "reason"),
    [
        ("SELL", {"sl": "-1"}, "WRONG_SIDE_STOP_LOSS"),
        ("SELL", {"tp": "+1"}, "WRONG_SIDE_TAKE_PROFIT"),
        ("BUY", {"sl": "+1"}, "WRONG_SIDE_STOP_LOSS"),
        ("BUY", {"tp": "-1"}, "WRONG_SIDE_TAKE_PROFIT"),
        ("SELL", {"sl": "0"}, "WRONG_SIDE_STOP_LOSS"),
        ("SELL", {"tp": "0"}, "WRONG_SIDE_TAKE_PROFIT"),
    ],
)
def test_a_level_on_the_wrong_side_is_denied(
    gate: Gateway, option: Option, action: str, levels: dict[str, str], reason: str
) -> None:
    option.quote(option.mid, option.mid - TICK, option.mid + TICK)
    asked = {name: str(option.mid + Decimal(offset)) for name, offset in levels.items()}
    assert refused(option.send(action=action, **asked)) == (422, reason)
    assert posts(gate.account) == []


@pytest.mark.parametrize("action", ["SELL", "BUY"])
def test_a_stop_loss_inside_the_spread_would_be_triggered_at_once_and_is_denied(
    gate: Gateway, option: Option, action: str
) -> None:
    """It is beyond the last price; but the broker counts it from the fill, at the near side of a wide spread."""
    option.quote(option.mid, option.mid - 10 * TICK, option.mid + 10 * TICK)
    sign = 1 if action == "SELL" else -1
    assert refused(option.send(action=action, sl=str(option.mid + sign * 20 * TICK))) == (422, "WRONG_SIDE_STOP_LOSS")
    assert posts(gate.account) == []
    assert option.send(action=action, sl=str(option.mid + sign * 21 * TICK)).json["status"] == "ACCEPTED"
    legs = [row for row in gate.account.exchange.orders() if row.parent_id and row.instrument.strike == option.strike]
    assert [row.is_open for row in legs] == [True, True]


def test_a_stop_loss_that_an_old_last_price_has_passed_already_is_denied(gate: Gateway, option: Option) -> None:
    """There was no trade for a while: the last price stands far above bid and ask, and the fill far below it."""
    option.quote(option.mid, option.mid / 2, option.mid / 2 + TICK)
    assert refused(option.send())[1] in ("WRONG_SIDE_STOP_LOSS", "OUTSIDE_PRICE_BAND")
    assert posts(gate.account) == []


def test_a_take_profit_below_nothing_from_the_fill_is_denied() -> None:
    quote = Quote(SYMBOL, Decimal(10), Decimal("9.60"), Decimal("10.00"))
    rules = TicketRules(price_rules(), BuyMode.COVER)
    write_ticket(an_alert(tp="9.5pt"), a_contract(), quote, holdings(), rules)
    with pytest.raises(Denied, match=r"9\.60"):
        write_ticket(an_alert(tp="9.6pt"), a_contract(), quote, holdings(), rules)


def quoted(gate: Gateway, symbol: str, **changes: Any) -> dict[str, Any]:
    """The broker's own answer for a symbol with some fields changed; None takes one out."""
    quote = gate.account.exchange.quote(symbol)
    values = {"lp": float(quote.ltp), "bid": float(quote.bid), "ask": float(quote.ask)} | changes
    kept = {name: value for name, value in values.items() if value is not None}
    return {"s": "ok", "code": 200, "d": [{"n": symbol, "s": "ok", "v": kept}]}


@pytest.mark.parametrize("action", ["SELL", "BUY"])
def test_a_quote_of_another_day_is_no_quote(gate: Gateway, option: Option, action: str) -> None:
    yesterday = gate.desk.clock.now() - timedelta(days=1)
    body = quoted(gate, option.contract.symbol, tt=str(int(yesterday.timestamp())))
    gate.account.fault("quotes", Fault(FaultKind.ANSWER, body=body))
    assert refused(option.send(action=action)) == (503, "NO_QUOTE")
    assert posts(gate.account) == []


def test_todays_quote_trades_however_the_broker_writes_its_day_or_does_not(gate: Gateway) -> None:
    now = gate.desk.clock.now()
    noon = int(now.timestamp())
    utc_midnight_of_ist_day = (ist_day(now).toordinal() - 719163) * 86400
    for tt in (noon, str(noon), utc_midnight_of_ist_day, str(utc_midnight_of_ist_day), None, 0, "", "soon", True, -5):
        option = Option(gate)
        option.quote(option.mid, option.mid - Decimal("0.10"), option.mid + Decimal("0.10"))
        body = quoted(gate, option.contract.symbol, tt=tt)
        gate.account.fault("quotes", Fault(FaultKind.ANSWER, body=body))
        assert option.send().json["status"] == "ACCEPTED", tt


@given(st.one_of(st.integers(), st.text(max_size=20), st.floats(allow_nan=False, allow_infinity=False), st.none()))
def test_no_day_of_a_quote_can_break_its_reading(tt: object) -> None:
    row = {"n": SYMBOL, "s": "ok", "v": {"lp": 1, "tt": tt}}
    with suppress(KeyError):
        rows.quotes({"s": "ok", "d": [row]}, [SYMBOL])[SYMBOL]


paise = st.integers(min_value=0, max_value=100_000).map(lambda paisa: Decimal(paisa) / 100)


@st.composite
def markets(draw: st.DrawFn) -> dict[str, Any]:
    ltp = draw(paise)
    near = st.integers(-2000, 2000).map(lambda paisa: max(Decimal(0), ltp + Decimal(paisa) / 100))
    tick = draw(st.sampled_from([Decimal("0.05"), Decimal("0.1"), Decimal("0.25"), Decimal(1)]))
    return {
        "tick": tick,
        "quote": Quote(SYMBOL, ltp, draw(st.one_of(near, paise)), draw(st.one_of(near, paise))),
        "side": draw(st.sampled_from(Side)),
        "bands": draw(st.one_of(st.none(), st.tuples(paise, paise).map(sorted))),
        "slippage": draw(st.integers(0, 2000)),
        "covers": draw(st.booleans()),
        "levels": draw(
            st.fixed_dictionaries(
                {},
                optional={
                    name: st.one_of(paise.map(str), st.integers(1, 99).map(lambda percent: f"{percent}%"))
                    for name in ("sl", "tp")
                },
            )
        ),
    }


@settings(max_examples=600, deadline=None)
@given(markets())
def test_whatever_the_market_shows_no_order_has_a_limit_on_the_wrong_side_or_anything_off_the_tick(
    market: dict[str, Any],
) -> None:
    quote, side, tick = market["quote"], market["side"], market["tick"]
    low, high = market["bands"] or (None, None)
    contract = a_contract(tick_size=tick, lower_band=low, upper_band=high)
    prices = price_rules(slippage_bps=Decimal(market["slippage"]), order_type=OrderType.LIMIT, max_spread_percent=None)
    held = holdings(positions=(a_position(-65),) if market["covers"] else ())
    levels = {name: level for name, level in market["levels"].items() if level not in ("0", "0.00")}
    with suppress(Denied):
        alert = an_alert(action=side, **levels)
        ticket = write_ticket(alert, contract, quote, held, TicketRules(prices, BuyMode.OPEN))
        sent = order_payload(an_order(ticket))
        _check_sent(sent, quote, contract)


def _check_sent(sent: dict[str, Any], quote: Quote, contract: Any) -> None:
    """One order as it would stand on the wire, against the quote that it was made from."""
    tick, limit = contract.tick_size, Decimal(str(sent["limitPrice"]))
    selling = sent["side"] == -1
    assert limit >= tick
    for price in (limit, *(Decimal(str(sent[name])) for name in ("stopLoss", "takeProfit") if name in sent)):
        assert price > 0
        assert price % tick == 0
    if selling:  # at the touch or beyond it, where the band and the tick leave room
        assert limit <= max(quote.bid, tick_up(contract.lower_band or Decimal(0), tick), tick)
    else:
        assert limit >= min(quote.ask, tick_down(contract.upper_band or quote.ask, tick))
    assert contract.lower_band is None or limit >= contract.lower_band
    assert contract.upper_band is None or limit <= contract.upper_band
    assert quote.bid <= quote.ask
    if "stopLoss" in sent:
        fill = quote.bid if selling else quote.ask
        stop = fill + (1 if selling else -1) * Decimal(str(sent["stopLoss"]))
        assert stop > max(quote.ltp, quote.ask) if selling else stop < min(quote.ltp, quote.bid or quote.ltp)


def _on_tick(price: Decimal) -> Decimal:
    return (price / TICK).to_integral_value() * TICK


def test_on_the_wire_every_order_keeps_to_its_quote_in_sixty_random_markets(gate: Gateway) -> None:
    dice = random.Random(20261120)  # noqa: S311 - repeatable on purpose
    option, sent = Option(gate), 0
    for _ in range(60):
        ltp = _on_tick(option.low + (option.high - option.low) * Decimal(dice.random()))
        bid, ask = (max(Decimal(0), ltp + dice.randint(-9, 9) * TICK) for _ in range(2))
        option.quote(ltp, bid, ask)
        gate.account.clear_log()
        response = option.send(action=dice.choice(["SELL", "BUY"]))
        for entry in posts(gate.account):
            quote = Quote(option.contract.symbol, ltp, bid, ask)
            _check_sent(entry.body, quote, option.contract)
            sent += 1
        if not posts(gate.account):
            assert refused(response)[0] == 422
    assert sent > 10
