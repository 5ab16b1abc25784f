"""The charges of a trade in derivatives at Fyers, one row a charge. Nothing in the gateway uses them yet.

The rows of its own day apply to a fill: of one charge and instrument, the newest that is not after that day.
"""

from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from app.facts import Confidence, Source

CRORE = 10_000_000


@dataclass(frozen=True, slots=True)
class Rate:
    """`of_turnover` is a fraction of the turnover, which for options is premium times units.

    `an_order` is in rupees for each executed order. Where both are given the smaller amount is charged. `of_charges` is
    a fraction of brokerage, exchange, SEBI and clearing charges. `side` is the side that pays: BUY, SELL or both.
    `since` None: since before the gateway.
    """

    charge: str
    instrument: str
    side: str
    since: date | None
    source: Source
    of_turnover: Decimal | None = None
    an_order: Decimal | None = None
    of_charges: Decimal | None = None


_SEEN = date(2026, 11, 30)
_AFTER_THE_BUDGET = date(2027, 2, 2)
_BROKERAGE = Source("support.fyers.in", _SEEN, Confidence.HIGH, date(2027, 4, 1))
_STT = Source("NSE/FATAX/73524", _SEEN, Confidence.HIGH, _AFTER_THE_BUDGET)
_NSE = Source("NSE/FA/73061, with IPFT", _SEEN, Confidence.HIGH, date(2027, 4, 1))
_BSE = Source("pages of brokers", _SEEN, Confidence.MEDIUM, date(2027, 1, 15))
_CLEARING = Source("Fyers' knowledge base, partly stale", _SEEN, Confidence.LOW, date(2027, 1, 15))
_SEBI = Source("pages of brokers", _SEEN, Confidence.MEDIUM, date(2027, 4, 1))
_STAMP = Source("Finance Act 2019", _SEEN, Confidence.HIGH, _AFTER_THE_BUDGET)
_GST = Source("pages of brokers", _SEEN, Confidence.MEDIUM, _AFTER_THE_BUDGET)


def _per_crore(rupees: int) -> Decimal:
    return Decimal(rupees) / CRORE


def _per_cent(text: str) -> Decimal:
    return Decimal(text) / 100


RATES = (
    Rate("brokerage", "options", "both", None, _BROKERAGE, an_order=Decimal(20)),
    Rate("brokerage", "futures", "both", None, _BROKERAGE, of_turnover=_per_cent("0.03"), an_order=Decimal(20)),
    Rate("STT", "options", "SELL", date(2026, 4, 1), _STT, of_turnover=_per_cent("0.15")),
    Rate(
        "STT", "options exercised, of the intrinsic value", "BUY", date(2026, 4, 1), _STT, of_turnover=_per_cent("0.15")
    ),
    Rate("STT", "futures", "SELL", date(2026, 4, 1), _STT, of_turnover=_per_cent("0.05")),
    Rate("exchange", "NSE options", "both", date(2026, 3, 1), _NSE, of_turnover=_per_crore(3553)),
    Rate("exchange", "NSE futures", "both", date(2026, 3, 1), _NSE, of_turnover=_per_crore(183)),
    Rate("exchange", "BSE options", "both", date(2024, 10, 1), _BSE, of_turnover=_per_crore(3250)),
    Rate("exchange", "BSE futures", "both", date(2024, 10, 1), _BSE, of_turnover=Decimal(0)),
    Rate("clearing", "options", "both", None, _CLEARING, of_turnover=_per_cent("0.009")),
    Rate("clearing", "futures", "both", None, _CLEARING, of_turnover=_per_cent("0.0005")),
    Rate("SEBI", "options and futures", "both", None, _SEBI, of_turnover=_per_crore(10)),
    Rate("stamp duty", "options", "BUY", date(2020, 7, 1), _STAMP, of_turnover=_per_cent("0.003")),
    Rate("stamp duty", "futures", "BUY", date(2020, 7, 1), _STAMP, of_turnover=_per_cent("0.002")),
    Rate("GST", "options and futures", "both", None, _GST, of_charges=_per_cent("18")),
)
