"""With the right secret and the default limits a stranger loses no more in a day than the README says.

The thief knows the limits and does the most harm that they allow: first a loss of nearly MAX_DAILY_LOSS, then as many
and as dear shorts as the limits let through, with stops as far away as they may be, and the market runs to every stop.
What counts is the loss at the broker.
"""

import re
from collections.abc import Iterator
from contextlib import ExitStack
from decimal import Decimal
from functools import partial
from itertools import cycle
from pathlib import Path
from typing import Any

import pytest

from app.simulator import Simulator
from app.simulator.instruments import UNDERLYINGS, Instrument
from tests.gateway import Gateway, alert
from tests.instances import at_once, house, insist, reasons, simulated_account

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
LIMITS = re.compile(r"^((?:MAX|ALLOWED)_[A-Z_]+|WEBHOOK_MAX_QTY)=(.*)$", re.MULTILINE)
DEFAULTS = dict(LIMITS.findall((ROOT / ".env.example").read_text(encoding="utf-8")))
MOST = Decimal(55_000)

DEAR = Decimal("384.50")  # 24,992 rupees a lot; a stop fills a tick beyond its trigger

Gates = list[Gateway]


@pytest.fixture
def account() -> Iterator[Simulator]:
    with simulated_account() as account:
        yield account


@pytest.fixture
def gates(tmp_path: Path, account: Simulator) -> Iterator[Gates]:
    """Two instances with the default limits; the rates, which only make a thief slow, are off."""
    limits = DEFAULTS | {"MAX_ORDERS_PER_SECOND": "0", "MAX_ORDERS_PER_MINUTE": "0", "MAX_REPEATS": "0"}
    with ExitStack() as stack:
        yield [stack.enter_context(house(tmp_path, account, **limits)) for _ in range(2)]


def calls(account: Simulator) -> list[Instrument]:
    """NIFTY's calls of the last expiry that is listed: far from any hour at which they would lose their price."""
    [nifty] = [one for one in UNDERLYINGS if one.name == "NIFTY"]
    series = account.exchange.market.listing.series(nifty)
    last = max(one.expiry for one in series if one.expiry and one.option_type == "CE")
    return [one for one in series if one.expiry == last and one.option_type == "CE"]


def sell(call: Instrument, **fields: Any) -> bytes:
    return alert(strikeprice=str(call.strike), expiry=str(call.expiry), **{"sl": "100%", "tp": "99%"} | fields)


def to_its_stop(account: Simulator, call: Instrument, stop: Decimal) -> None:
    account.exchange.set_quote(call.symbol, stop)


def lost(account: Simulator) -> Decimal:
    """Rupees, with all that is open closed at its last price."""
    profit = Decimal(0)
    for position in account.exchange.positions():
        ltp = account.exchange.quote(position.instrument.symbol).ltp
        profit += position.realized + (ltp - position.net_average) * position.net
    return -profit


def test_what_a_thief_can_lose_at_the_most_is_what_the_readme_says(gates: Gates, account: Simulator) -> None:
    market = iter(calls(account))
    first = next(market)
    account.exchange.set_quote(first.symbol, Decimal(165))
    said = insist(gates[0], sell(first, sl="46%")).json
    assert said["status"] == "ACCEPTED", said
    to_its_stop(account, first, Decimal(said["stop_loss"]))
    so_far = lost(account)
    assert Decimal(4_800) < so_far < Decimal(DEFAULTS["MAX_DAILY_LOSS"])

    dear = [next(market) for _ in range(8)]
    for call in dear:
        account.exchange.set_quote(call.symbol, DEAR)
    answers = at_once([partial(insist, gate, sell(call), 40) for gate, call in zip(cycle(gates), dear, strict=False)])
    taken = [answer.json for answer in answers if answer.json["status"] == "ACCEPTED"]
    opened = {said["symbol"]: Decimal(said["stop_loss"]) for said in taken}
    assert len(opened) == int(DEFAULTS["MAX_LOTS_OPEN"]) == 2
    assert set(reasons(answers)) == {None, "MAX_LOTS_OPEN"}
    for call in dear:
        if call.symbol in opened:
            to_its_stop(account, call, opened[call.symbol])

    assert not [position for position in account.exchange.positions() if position.net]  # each stop did its work
    assert MOST * Decimal("0.95") < lost(account) <= MOST
    for gate in gates:
        denied = insist(gate, sell(dear[-1])).json
        assert (denied["status"], denied["reason"]) == ("DENIED", "MAX_DAILY_LOSS")


def test_what_is_open_and_losing_stops_entries_before_any_of_it_is_realised(gates: Gates, account: Simulator) -> None:
    short, other, *_ = calls(account)
    for call in (short, other):
        account.exchange.set_quote(call.symbol, Decimal(165))
    assert insist(gates[0], sell(short)).json["status"] == "ACCEPTED"
    account.exchange.set_quote(short.symbol, Decimal(165) + Decimal(77))  # 65 units: 5,005 rupees
    denied = insist(gates[1], sell(other)).json
    assert (denied["reason"], "open" in denied["message"]) == ("MAX_DAILY_LOSS", True), denied
    cover = alert(action="BUY", strikeprice=str(short.strike), expiry=str(short.expiry))
    assert insist(gates[1], cover).json["status"] == "ACCEPTED"


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"lots": 2}, "MAX_LOTS_PER_ORDER"),
        ({"qty": 130}, "MAX_LOTS_PER_ORDER"),
        ({"sl": "101%"}, "STOP_TOO_FAR"),
        ({"sl": "999999"}, "STOP_TOO_FAR"),
        ({"productType": "MARGIN"}, "PRODUCT_NOT_ALLOWED"),
    ],
)
def test_what_a_thief_asks_beyond_the_limits_is_denied(
    gates: Gates, account: Simulator, fields: dict[str, Any], reason: str
) -> None:
    call = calls(account)[0]
    account.exchange.set_quote(call.symbol, Decimal(165))
    answer = insist(gates[0], sell(call, **fields))
    assert (answer.status_code, answer.json["reason"]) == (422, reason)
    assert account.exchange.orders() == []


def test_a_premium_over_the_limit_is_denied(gates: Gates, account: Simulator) -> None:
    call = calls(account)[0]
    account.exchange.set_quote(call.symbol, Decimal(385))
    assert insist(gates[0], sell(call)).json["reason"] == "MAX_PREMIUM_PER_ORDER"


def test_a_last_price_far_above_the_touch_makes_no_stop_dearer_than_the_limit(gates: Gates, account: Simulator) -> None:
    """The broker counts the stop from the fill, as far away as the last price said."""
    stale, call, *_ = calls(account)
    account.exchange.set_quote(stale.symbol, Decimal(385), Decimal(250), Decimal("250.05"))
    assert insist(gates[0], sell(stale, tp="60%")).json["reason"] == "MAX_PREMIUM_PER_ORDER"
    account.exchange.set_quote(call.symbol, DEAR, Decimal(250), Decimal("250.05"))
    said = insist(gates[0], sell(call, tp="60%")).json
    assert said["status"] == "ACCEPTED", said
    stop = next(row for row in account.exchange.orders() if row.is_leg and row.stop_price)
    account.exchange.set_quote(call.symbol, stop.stop_price)
    assert 0 < lost(account) <= Decimal(DEFAULTS["MAX_PREMIUM_PER_ORDER"])


def test_a_thief_has_so_many_orders_a_day(gates: Gates, account: Simulator) -> None:
    call = calls(account)[0]
    account.exchange.set_quote(call.symbol, Decimal(165))
    place = {"strikeprice": str(call.strike), "expiry": str(call.expiry)}
    answers = []
    for _ in range(int(DEFAULTS["MAX_ORDERS_PER_DAY"])):
        answers.append(insist(gates[0], alert(**place), 40))
        if answers[-1].json["status"] != "ACCEPTED":
            break
        assert insist(gates[1], alert(action="BUY", **place), 40).json["status"] == "ACCEPTED"
    assert answers[-1].json["reason"] == "MAX_ORDERS_PER_DAY"
    assert len(answers) - 1 == int(DEFAULTS["MAX_ORDERS_PER_DAY"]) // 2


def test_the_readme_and_the_settings_say_the_same_sum(gates: Gates) -> None:
    limits, prices = gates[0].desk.limits, gates[0].desk.tickets.prices
    assert limits.worst_loss(prices.max_stop_percent) == MOST
    section = README.partition("## If the secret is stolen")[2].partition("\n## ")[0]
    numbers = re.findall(r"\| \**([\d,]+)\** \|", section)
    assert [int(number.replace(",", "")) for number in numbers] == [5_000, 50_000, 55_000]
