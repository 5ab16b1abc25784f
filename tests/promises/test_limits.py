"""No limit is ever passed, however many alerts come together, on whatever instances, over whichever ledger.

Fifty alerts are fired at once at two instances that share a ledger and an account, and each is sent again after a 503
until it has its answer. What is counted is what the broker took, not what the gateway says of itself.
"""

import random
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from functools import partial
from itertools import cycle
from pathlib import Path
from typing import Any

import pytest

from app.domain.order.status import OrderStatus
from app.simulator import Fault, FaultKind, Simulator
from app.simulator.orders import Order as AtTheBroker
from tests.emulators import firestore_project  # noqa: F401
from tests.gateway import CONTRACT, Gateway, alert
from tests.instances import at_once, insist, instances, posts, simulated_account, with_bands
from tests.stopwatch import Stopwatch

ALERTS = 50
GENEROUS = {
    "WEBHOOK_MAX_QTY": "30",
    "MAX_LOTS_OPEN": "1000",
    "MAX_ORDERS_PER_DAY": "100000",
    "MAX_DAILY_LOSS": "0",
    "ALERT_MAX_AGE_SECONDS": "600",
    "EXIT_MAX_AGE_SECONDS": "600",
}

House = Callable[..., list[Gateway]]
only_sqlite = pytest.mark.parametrize("ledger", ["sqlite"], indirect=True)


@pytest.fixture(params=["sqlite", "firestore"])
def ledger(request: pytest.FixtureRequest) -> dict[str, str]:
    """The setting that names a new ledger."""
    if request.param == "sqlite":
        return {}
    return {"LEDGER_URL": f"firestore://{request.getfixturevalue('firestore_project')}"}


@pytest.fixture
def account() -> Iterator[Simulator]:
    with simulated_account() as account:
        yield account


@pytest.fixture
def house(tmp_path: Path, account: Simulator, ledger: dict[str, str]) -> Iterator[House]:
    """Two instances with nothing limited but what the test names."""
    with ExitStack() as stack:

        def open_house(**limits: str) -> list[Gateway]:
            return stack.enter_context(instances(tmp_path, account, 2, **GENEROUS | ledger | limits))

        yield open_house


@dataclass(slots=True)
class Storm:
    """What many alerts at once came to: their last answers, and the orders that the broker took meanwhile."""

    answers: list[Any]
    taken: list[AtTheBroker]

    @property
    def calm(self) -> bool:
        """True where each alert has its answer. A machine that is too busy for that leaves some in doubt or put off."""
        return {answer.status_code for answer in self.answers} <= {200, 422}

    def denied(self) -> Counter[str]:
        """Reasons of the refusals, each of which must name its numbers."""
        refused = [answer.json for answer in self.answers if answer.status_code == 422]
        for said in refused:
            numbered = any(digit in said["message"] for digit in "0123456789")
            assert numbered or said["reason"] in ("BROKER_REJECTED", "EXITS_ONLY"), said
        return Counter(said["reason"] for said in refused)

    def is_held_to(self, most: int, *reasons: str) -> None:
        """Never more orders than `most`; all others refused for these reasons, and none without need."""
        assert len(self.taken) <= most
        in_doubt = {"EXITS_ONLY"} - set(reasons)  # two orders in doubt at once stop entries by themselves
        assert set(self.denied()) - in_doubt <= set(reasons)
        if self.calm and not in_doubt & set(self.denied()):
            assert len(self.taken) == most
            assert sum(self.denied().values()) == len(self.answers) - most


def storm(gates: list[Gateway], count: int = ALERTS, **fields: Any) -> Storm:
    return storm_of(gates, [alert(**fields) for _ in range(count)])


def storm_of(gates: list[Gateway], bodies: list[bytes]) -> Storm:
    account = gates[0].account
    settle(gates[0])
    known = {row.id for row in account.exchange.orders()}
    answers = at_once([partial(insist, gate, body, 20) for body, gate in zip(bodies, cycle(gates), strict=False)])
    settle(gates[0])
    taken = [row for row in account.exchange.orders() if row.id not in known and not row.is_leg and row.status != 5]
    _check_answers(answers, [row.tag.removeprefix("1:") for row in taken])
    return Storm(answers, taken)


def _check_answers(answers: list[Any], taken: list[str]) -> None:
    """What was answered 200 is at the broker, once; 202 may be; anything else is not."""
    said = {answer.json["tag"]: answer.status_code for answer in answers}
    assert set(said.values()) <= {200, 202, 422, 503}
    assert len(set(taken)) == len(taken)
    assert {tag for tag, status in said.items() if status == 200} <= set(taken)
    assert set(taken) <= {tag for tag, status in said.items() if status in (200, 202)}


def settle(gate: Gateway) -> None:
    """Orders in doubt are looked up; where they stopped entries, an operator has looked and lets them go on."""
    gate.operate("POST", "/tasks/reconcile")
    state = gate.operate("GET", "/trading-state").json
    if state["state"] == "REDUCING" and "unknown outcome" in state["reason"]:
        gate.operate("POST", "/trading-state", {"state": "ACTIVE", "reason": "looked"})


def lots_open(account: Simulator) -> int:
    working = [row for row in account.exchange.orders() if row.is_open and not row.is_leg and row.side < 0]
    units = sum(-position.net for position in account.exchange.positions()) + sum(row.remaining for row in working)
    return units // 65


def cover_goes_on(gates: list[Gateway], **fields: Any) -> Any:
    """An exit passes where entries do not; a broker's rate is the one thing it has to wait for. Its units."""
    response = insist(gates[-1], alert(action="BUY", **fields), 60)
    assert response.json["status"] == "ACCEPTED", response.json
    return response.json["quantity"]


# -- each limit in turn


def test_lots_per_order(house: House, account: Simulator) -> None:
    gates = house(WEBHOOK_MAX_QTY="2")
    storm(gates, lots=2, count=10).is_held_to(10)
    storm(gates, lots=3).is_held_to(0, "MAX_LOTS_PER_ORDER")
    cover_goes_on(gates, lots=20)


def test_the_exchanges_freeze_quantity(house: House, account: Simulator) -> None:
    """3,510 units of NIFTY: 54 lots pass and 55 do not."""
    gates = house(SYMBOL_MASTER_URLS=with_bands(account), WEBHOOK_MAX_QTY="60")
    storm(gates, lots=55).is_held_to(0, "OVER_FREEZE_QUANTITY")
    assert posts(account) == []
    storm(gates, lots=54, count=4).is_held_to(4)
    cover_goes_on(gates, lots=54)
    assert cover_goes_on(gates, lots=100) == 54 * 65  # more than that in two orders


def test_lots_open(house: House, account: Simulator) -> None:
    gates = house(MAX_LOTS_OPEN="7")
    storm(gates).is_held_to(7, "MAX_LOTS_OPEN")
    assert lots_open(account) <= 7
    cover_goes_on(gates, lots=2)
    room = 7 - lots_open(account)
    storm(gates, count=20).is_held_to(room, "MAX_LOTS_OPEN")  # what was closed makes room, once


@only_sqlite
def test_lots_open_count_orders_that_rest(house: House, account: Simulator) -> None:
    gates = house(MAX_LOTS_OPEN="7")
    account.exchange.set_liquidity(0)
    storm(gates).is_held_to(7, "MAX_LOTS_OPEN")
    later(gates, timedelta(minutes=5))  # by now only the order book tells of them
    storm(gates, count=10).is_held_to(0, "MAX_LOTS_OPEN")
    assert lots_open(account) <= 7


@only_sqlite
def test_lots_open_in_orders_of_several_lots_never_overshoot(house: House, account: Simulator) -> None:
    gates = house(MAX_LOTS_OPEN="20")
    storm(gates, lots=3).is_held_to(6, "MAX_LOTS_OPEN")
    storm(gates, count=10, lots=2).is_held_to(1, "MAX_LOTS_OPEN")
    assert lots_open(account) <= 20


def test_orders_a_day(house: House, account: Simulator) -> None:
    gates = house(MAX_ORDERS_PER_DAY="9")
    storm(gates).is_held_to(9, "MAX_ORDERS_PER_DAY")
    cover_goes_on(gates, lots=9)
    storm(gates, count=5).is_held_to(0, "MAX_ORDERS_PER_DAY")


def test_orders_a_day_are_given_back_by_what_the_broker_refuses(house: House, account: Simulator) -> None:
    gates = house(MAX_ORDERS_PER_DAY="9")
    account.fault("place", Fault(FaultKind.REJECT, times=6))
    first = storm(gates, count=12)
    refused = first.denied()["BROKER_REJECTED"]
    assert refused <= 6
    assert len(first.taken) <= 9
    rest = storm(gates)
    assert len(first.taken) + len(rest.taken) <= 9
    if first.calm and rest.calm:
        assert (refused, len(first.taken) + len(rest.taken)) == (6, 9)
    assert len(posts(account)) <= 9 + 6


def test_orders_a_minute(house: House, account: Simulator) -> None:
    gates = house(MAX_ORDERS_PER_MINUTE="8")
    freeze_time(gates)
    storm(gates).is_held_to(8, "MAX_ORDERS_PER_MINUTE")
    waiting = gates[0].send(action="BUY")  # the broker counts covers too: put off, and not denied
    assert (waiting.status_code, waiting.json["reason"]) == (503, "MAX_ORDERS_PER_MINUTE")
    later(gates, timedelta(minutes=1))
    cover_goes_on(gates)


def test_orders_a_second(house: House, account: Simulator) -> None:
    """Counted where the order is committed; it leaves a moment later, each order by another moment.

    So in the ledger no second has more, and at the broker none that is shorter by the longest of these moments.
    """
    limit = 12  # over Fyers' own ten, so that nothing but this limit slows the alerts down
    gates = house(MAX_ORDERS_PER_SECOND=str(limit))
    first = storm(gates)
    assert first.taken
    assert set(first.denied()) <= {"MAX_ORDERS_PER_SECOND", "EXITS_ONLY"}
    orders = gates[0].desk.ledger.orders(gates[0].deadline(30))
    submitted = {order.tag: order.submitted_at for order in orders if order.submitted_at}
    assert most_within(list(submitted.values()), timedelta(seconds=1)) <= limit
    seen = {entry.body["orderTag"].lower(): entry.at for entry in posts(account)}
    assert set(seen) <= set(submitted)
    slowest = max(at - submitted[tag] for tag, at in seen.items())
    assert most_within(list(seen.values()), max(timedelta(), timedelta(seconds=1) - slowest)) <= limit
    time.sleep(1)
    cover_goes_on(gates)


def test_premium_per_order(house: House, account: Simulator) -> None:
    gates = house(MAX_PREMIUM_PER_ORDER=str(2 * 250 * 65))
    one_lot = sold_at_245(gates)
    within = storm(gates, lots=2, count=6)
    within.is_held_to(6)
    assert {row.limit_price * row.quantity for row in within.taken} == {2 * one_lot}
    storm(gates, lots=3).is_held_to(0, "MAX_PREMIUM_PER_ORDER")
    cover_goes_on(gates, lots=12)


def test_premium_per_day(house: House, account: Simulator) -> None:
    gates = house(MAX_PREMIUM_PER_DAY=str(11 * 245 * 65 + 10))
    one_lot = sold_at_245(gates)
    result = storm(gates)
    result.is_held_to(11, "MAX_PREMIUM_PER_DAY")
    assert sum(row.limit_price * row.quantity for row in result.taken) == len(result.taken) * one_lot
    cover_goes_on(gates, lots=5)
    storm(gates, count=5).is_held_to(11 - len(result.taken), "MAX_PREMIUM_PER_DAY")  # a cover gives nothing back


def sold_at_245(gates: list[Gateway]) -> Decimal:
    """The premium of one lot of the usual entry, once its bid stands at 250 and it is sold two per cent below."""
    gates[0].account.exchange.set_quote(CONTRACT.symbol, *[Decimal(250)] * 3)
    return Decimal(245) * 65


def test_the_days_realised_loss(house: House, account: Simulator) -> None:
    gates = house(MAX_DAILY_LOSS="5000")
    said = insist(gates[0], alert(lots=3)).json
    lose(account, said["symbol"], units=65, rupees=Decimal(4900))
    storm(gates, count=4).is_held_to(4)
    lose(account, said["symbol"], units=65, rupees=Decimal(200))
    storm(gates).is_held_to(0, "MAX_DAILY_LOSS")
    cover_goes_on(gates)


def lose(account: Simulator, symbol: str, units: int, rupees: Decimal) -> None:
    """Some units are bought back by hand, at a loss of so many rupees at least."""
    [position] = [one for one in account.exchange.positions() if one.instrument.symbol == symbol]
    price = ((position.net_average + rupees / units) / Decimal("0.05")).to_integral_value() * Decimal("0.05")
    account.exchange.set_liquidity(0)
    order = account.exchange.place(
        {
            "symbol": symbol,
            "qty": units,
            "type": 1,
            "side": 1,
            "productType": "INTRADAY",
            "limitPrice": account.exchange.quote(symbol).ltp,
            "stopPrice": 0,
            "disclosedQty": 0,
            "validity": "DAY",
            "offlineOrder": False,
        }
    )
    account.exchange.fill(order.id, units, price)
    account.exchange.set_liquidity(None)


def test_repeats_of_the_same_contract_and_side(house: House, account: Simulator) -> None:
    gates = house(MAX_REPEATS="6")
    freeze_time(gates)
    result = storm(gates)
    result.is_held_to(6, "REPEATED_ORDER", "EXITS_ONLY")
    if result.calm:
        assert result.denied()["REPEATED_ORDER"] == 1  # the first one stops entries for all that follow
    assert gates[1].operate("GET", "/trading-state").json["state"] == "REDUCING"
    cover_goes_on(gates)
    storm(gates, count=5, strikeprice=26100).is_held_to(0, "EXITS_ONLY")


@pytest.mark.parametrize(
    ("first", "second", "cools"),
    [
        ({}, {"optionType": "PE"}, True),  # the same underlying
        ({"strategy": "a"}, {"strategy": "a", "symbol": "BANKNIFTY", "strikeprice": "ATM"}, True),
        ({"strategy": "a"}, {"strategy": "b", "symbol": "BANKNIFTY", "strikeprice": "ATM"}, False),
        ({}, {"symbol": "BANKNIFTY", "strikeprice": "ATM"}, False),
    ],
    ids=["same underlying", "same strategy", "another of both", "no strategy"],
)
@only_sqlite
def test_the_cool_down_of_an_underlying_and_of_a_strategy(
    house: House, account: Simulator, first: dict[str, str], second: dict[str, str], cools: bool
) -> None:
    gates = house(COOLDOWN_SECONDS="60")
    freeze_time(gates)
    storm(gates, count=20, **first).is_held_to(1, "COOLING_DOWN")
    storm(gates, count=5, **second).is_held_to(0 if cools else 1, "COOLING_DOWN")
    cover_goes_on(gates)
    later(gates, timedelta(seconds=60))
    storm(gates, count=5, **first).is_held_to(1, "COOLING_DOWN")


def test_the_cool_down(house: House, account: Simulator) -> None:
    gates = house(COOLDOWN_SECONDS="60")
    freeze_time(gates)
    storm(gates).is_held_to(1, "COOLING_DOWN")
    cover_goes_on(gates)


# -- all at once, and with a broker in trouble


def test_all_limits_together_under_a_broker_that_fails_at_random(house: House, account: Simulator) -> None:
    """Lost replies, rejections and refusals among the orders: what is in doubt counts as if it were there."""
    gates = house(MAX_LOTS_OPEN="9", MAX_ORDERS_PER_DAY="12", WEBHOOK_MAX_QTY="2")
    for kind, processed in ((FaultKind.REJECT, None), (FaultKind.REFUSE, None), (FaultKind.RATE_LIMITED, None)):
        account.fault("place", Fault(kind, times=3, probability=0.3, processed=processed, seconds=1))
    account.fault("place", Fault(FaultKind.DROP, times=1, after=4))
    dice = random.Random(7)  # noqa: S311 - repeatable on purpose
    storm_of(
        gates, [alert(lots=dice.choice([1, 2, 3]), strikeprice=dice.choice([26000, 26050])) for _ in range(ALERTS)]
    )
    live = [row for row in account.exchange.orders() if not row.is_leg and row.status != 5]
    assert 0 < lots_open(account) <= 9
    assert len(live) <= 12
    assert max(row.quantity for row in live) <= 130
    assert len({row.tag for row in live}) == len(live)


def test_an_answer_may_be_put_off_under_load_and_is_never_late(house: House, account: Simulator) -> None:
    gates = house(MAX_LOTS_OPEN="5")
    took = []

    def timed(gate: Gateway) -> Any:
        watch = Stopwatch()
        response = gate.send()
        took.append(watch.seconds)
        return response

    answers = at_once([partial(timed, gate) for gate in gates * (ALERTS // 2)])
    assert max(took) < 2.5
    assert lots_open(account) <= 5
    put_off = [answer.json["reason"] for answer in answers if answer.status_code == 503]
    assert set(put_off) <= {
        "LEDGER_CONTENDED",
        "LEDGER_DOWN",
        "OUT_OF_TIME",
        "BROKER_DOWN",
        "BROKER_BUSY",
        "POSITION_UNKNOWN",
    }
    assert {answer.status_code for answer in answers} <= {200, 202, 422, 503}
    in_ledger = gates[0].desk.ledger.orders(gates[0].deadline(30))
    assert sum(order.status is not OrderStatus.DENIED and order.attempt > 0 for order in in_ledger) <= 5


def _after(now: Callable[[], datetime], passed: timedelta) -> datetime:
    return now() + passed


def later(gates: list[Gateway], passed: timedelta) -> None:
    for gate in gates:
        gate.desk.clock.now = partial(_after, gate.desk.clock.now, passed)  # type: ignore[method-assign]


def freeze_time(gates: list[Gateway]) -> None:
    """A busy machine must not be what lets a limit's time run out."""
    now = gates[0].desk.clock.now()
    for gate in gates:
        gate.desk.clock.now = lambda: now  # type: ignore[method-assign]


def most_within(moments: list[datetime], length: timedelta) -> int:
    """The most of these moments in any stretch of that length, its end left out."""
    return max(sum(start <= moment < start + length for moment in moments) for start in moments)
