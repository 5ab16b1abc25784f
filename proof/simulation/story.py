"""What one history is like: the alerts, the limits and the trouble, all drawn from the seed."""

import json
from dataclasses import dataclass, replace
from datetime import date, timedelta
from decimal import Decimal
from random import Random
from typing import Any

from app.adapters.fyers.venue import FYERS
from app.domain.alert import Alert, OptionType, Strike
from app.domain.alert.parse import parse
from app.domain.alert.strict_json import decode
from app.domain.instrument import Option, Wanted
from app.domain.order import OrderType
from app.domain.pricing import PriceRules
from app.domain.risk.limits import Limits
from app.domain.ticket import BuyMode, TicketRules
from app.flow.desk import AgeRules
from proof.simulation.fyers import LOT, SYMBOLS
from proof.simulation.world import EPOCH

ACCOUNT = "SIMULATED"
ENTRY_AGE, EXIT_AGE, WINDOW = 60.0, 120.0, 60.0
STRIKES = (Decimal(26000), Decimal(26100))

_PRICES = PriceRules(OrderType.LIMIT, Decimal(200), Decimal(15), Decimal(25), Decimal(10), Decimal(100))
TICKETS = TicketRules(_PRICES, BuyMode.COVER)
AGES = AgeRules(timedelta(seconds=ENTRY_AGE), timedelta(seconds=EXIT_AGE), timedelta(seconds=WINDOW))
CONTRACTS: dict[Strike, Option] = {
    strike: Option(
        symbol=symbol,
        underlying="NIFTY",
        expiry=date(2026, 11, 26),
        strike=strike,
        option_type=OptionType.CE,
        lot_size=LOT,
        tick_size=Decimal("0.05"),
    )
    for strike, symbol in zip(STRIKES, SYMBOLS, strict=True)
}
_BODY = {"token": "", "symbol": "NIFTY", "strikeprice": 26000, "optionType": "CE", "expiry": "WEEKLY"}
_ALERTS = {side: parse(decode(json.dumps(_BODY | {"action": side}).encode())) for side in ("BUY", "SELL")}
_BY_SYMBOL = {contract.symbol: contract for contract in CONTRACTS.values()}


class Symbols:
    """Two contracts of one underlying. Implements `ports.SymbolMaster`."""

    as_of = EPOCH.date()
    session = None

    def expiring(self, underlying: str, exchange: str | None, day: date) -> Option | None:  # noqa: ARG002
        return None

    def lookup_symbol(self, symbol: str) -> Option | None:
        return _BY_SYMBOL.get(symbol)

    def spot_symbol(self, underlying: str, exchange: str | None) -> str:  # noqa: ARG002
        raise AssertionError("the alerts of these stories name their strikes")

    def resolve(self, wanted: Wanted, **_: Any) -> Any:
        return CONTRACTS[wanted.strike]


@dataclass(slots=True)
class Story:
    """What one history is like: drawn from the seed before anything happens."""

    hosts: int
    trouble: float
    read_trouble: float
    store_trouble: float
    death: float  # of a process, at each port call
    stop: float  # of a process, for a while, at each port call
    sink_trouble: float
    lag: float
    positions_lag: float
    limits: Limits
    short: dict[str, int]
    after_close: bool
    partial: float  # of reconcile's readings of the book

    @classmethod
    def drawn(cls, dice: Random) -> "Story":
        wild = dice.random()
        short = {symbol: LOT * dice.choice((0, 0, 1, 2)) for symbol in SYMBOLS} if dice.random() < 0.5 else {}
        return cls(
            hosts=dice.choice((1, 2, 3)),
            trouble=dice.choice((0.0, 0.3, 0.6, 1.0)),
            read_trouble=dice.choice((0.0, 0.0, 0.1, 0.3)) * wild,
            # With store and sink both out of reach no notice can get out: not both in one history.
            store_trouble=dice.choice((0.0, 0.0, 0.05, 0.15)) * wild if wild >= 0.3 else 0.0,
            death=dice.choice((0.0, 0.0, 0.02, 0.05)) * wild,
            stop=dice.choice((0.0, 0.0, 0.01, 0.04)) * wild,
            sink_trouble=dice.choice((0.0, 0.0, 0.2)) if wild < 0.3 else 0.0,
            lag=dice.choice((0.0, 0.0, 1.0, 10.0, 80.0)),
            positions_lag=dice.choice((0.0, 0.0, 0.3, 2.0)),
            limits=_limits(dice, sum(short.values()) // LOT),
            short=short,
            after_close=dice.random() < 0.3,
            partial=dice.choice((0.0, 0.0, 0.4)),
        )


def _limits(dice: Random, held: int) -> Limits:
    """Often so tight that the next order is the last one."""
    tight = dice.random() < 0.6
    return Limits(
        venue=FYERS,
        lots_per_order=dice.choice((1, 2, 10)) if tight else 10,
        lots_open=held + dice.choice((1, 2, 3)) if tight else 1000,
        orders_per_day=dice.choice((1, 2, 3, 50)) if tight else 1000,
        orders_per_second=dice.choice((1, 2, None)) if tight else None,
        orders_per_minute=dice.choice((2, 3, None, None)) if tight else None,
        premium_per_order=None,
        premium_per_day=dice.choice((None, None, None, Decimal(25000))) if tight else None,
        daily_loss=None,
        repeats=dice.choice((None, None, None, 2)) if tight else None,
        cooldown=dice.choice((None, None, None, timedelta(seconds=20))) if tight else None,
    )


@dataclass(frozen=True, slots=True)
class Shot:
    """One alert as its sender fires it: by what name, when, and how often besides."""

    name: str
    alert: Alert
    fired_at: float = 0.0

    @property
    def is_windowed(self) -> bool:
        """True where only time can tell it from another firing."""
        alert = self.alert
        return alert.client_id is None and alert.fired_at is None and alert.bar_time is None


def a_shot(number: int, tier: int, covers: bool, at: float, age: int = 0, **changes: Any) -> Shot:
    """The alert by that number, which fired `age` seconds before `at` (seconds of the world)."""
    alert = replace(_ALERTS["BUY" if covers else "SELL"], **changes)
    born = EPOCH + timedelta(seconds=int(at) - age)
    match tier:
        case 1:
            alert = replace(alert, client_id=f"id-{number}", fired_at=born if age else None)
        case 2:
            alert = replace(alert, order_id=f"o-{number}", fired_at=born)
        case 3:
            alert = replace(alert, order_id=f"o-{number}", bar_time=EPOCH)
        case _:
            # Without an identity of its own only its order tells it from another of the same minute.
            alert = replace(alert, strategy=None, order_id=f"o-{number}")
    return Shot(f"alert {number}", alert, at)
