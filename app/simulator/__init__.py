"""A Fyers account on loopback: instruments, moving quotes, orders, positions, money, and faults on demand.

Paper trading, the demo and the tests talk to it over HTTP as they would to the broker. It shares with the gateway only
the dated facts of the exchange (app/facts) and no other code, so that it can be held against the gateway.
"""

from app.simulator.exchange import Exchange
from app.simulator.faults import Fault, FaultKind
from app.simulator.fixture import FixtureContract, FixtureExchange
from app.simulator.limits import RateLimits
from app.simulator.log import Entry
from app.simulator.orders import Status
from app.simulator.rules import Rules
from app.simulator.server import Simulator

__all__ = [
    "Entry",
    "Exchange",
    "Fault",
    "FaultKind",
    "FixtureContract",
    "FixtureExchange",
    "RateLimits",
    "Rules",
    "Simulator",
    "Status",
]
