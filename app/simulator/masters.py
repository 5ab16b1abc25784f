"""The symbol masters of derivatives and of the cash segment: the CSV of 21 columns, and the JSON keyed by ticker."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from decimal import Decimal
from functools import partial
from itertools import product

from app.simulator.instruments import CASH, DERIVATIVES, EXCHANGE_CODE, Instrument
from app.simulator.market import Market
from app.simulator.orders import price_band


def csv_master(market: Market, exchange: str, segment: int = DERIVATIVES) -> bytes:
    """The CSV of one exchange and segment as of the market's day. Made once a day, since it holds no price."""
    listing, key = market.listing, (exchange, segment)
    if key not in listing.masters:
        today = listing.day.isoformat()
        rows = (
            _csv_row(instrument, today, _session(instrument, market))
            for instrument in _listed(market, exchange, segment)
        )
        listing.masters[key] = "".join(rows).encode()
    return listing.masters[key]


def json_master(market: Market, exchange: str, segment: int = DERIVATIVES) -> bytes:
    """The JSON of the same. Only it has freeze quantities and price bands."""
    rows = {instrument.symbol: _json_row(instrument, market) for instrument in _listed(market, exchange, segment)}
    return json.dumps(rows, separators=(",", ":")).encode()


def _served() -> Iterator[tuple[str, Callable[[Market], bytes]]]:
    for exchange, (name, segment) in product(EXCHANGE_CODE, (("FO", DERIVATIVES), ("CM", CASH))):
        path = f"/sym_details/{exchange}_{name}"
        yield f"{path}.csv", partial(csv_master, exchange=exchange, segment=segment)
        yield f"{path}_sym_master.json", partial(json_master, exchange=exchange, segment=segment)


MASTERS = dict(_served())  # path -> what makes its content


def _listed(market: Market, exchange: str, segment: int) -> Iterator[Instrument]:
    return market.listing.cash(exchange) if segment == CASH else market.listing.exchange(exchange)


def _session(instrument: Instrument, market: Market) -> str:
    """The trading hours of the day, and after the bar those of an evening session."""
    opens, closes = instrument.session_on(market.listing.day)
    return f"{opens:%H%M}-{closes:%H%M}|1815-1915:"


def _csv_row(instrument: Instrument, today: str, session: str) -> str:
    underlying = instrument.underlying
    return (
        f"{instrument.fytoken},{instrument.description},{instrument.instrument_type},{_lot(instrument)},"
        f"{float(instrument.tick_size)},,{session},{today},{_expiry(instrument)},{instrument.symbol},"
        f"{EXCHANGE_CODE[instrument.exchange]},{instrument.segment},{instrument.token},{underlying.name},"
        f"{underlying.token},{_strike(instrument.strike)},{instrument.option_type},{underlying.fytoken},None,0,0.0\n"
    )


def _json_row(instrument: Instrument, market: Market) -> dict[str, object]:
    underlying = instrument.underlying
    close = market.open_price(instrument)
    lower, upper = price_band(instrument, close)
    return {
        "fyToken": instrument.fytoken,
        "isin": "",
        "exSymbol": underlying.name,
        "symDetails": instrument.description,
        "symTicker": instrument.symbol,
        "exchange": EXCHANGE_CODE[instrument.exchange],
        "segment": instrument.segment,
        "exSymName": underlying.name,
        "exToken": instrument.token,
        "exSeries": "XX" if instrument.is_derivative else instrument.symbol.rpartition("-")[2],
        "optType": instrument.option_type,
        "underSym": underlying.name,
        "underFyTok": underlying.fytoken,
        "exInstType": instrument.instrument_type,
        "minLotSize": _lot(instrument),
        "tickSize": float(instrument.tick_size),
        "tradingSession": _session(instrument, market),
        "lastUpdate": market.listing.day.isoformat(),
        "expiryDate": _expiry(instrument),
        "strikePrice": _strike(instrument.strike),
        "qtyFreeze": str(instrument.freeze_quantity or ""),
        "tradeStatus": 1,
        "currencyCode": "INR",
        "upperPrice": float(upper),
        "lowerPrice": float(lower),
        "faceValue": "",
        "qtyMultiplier": 1.0,
        "previousClose": float(close),
        "previousOi": float(market.volume(instrument)),
        "asmGsmVal": "",
        "exchangeName": instrument.exchange,
        "symbolDesc": instrument.description,
        "originalExpDate": "",
        "is_mtf_tradable": 0,
        "mtf_margin": 0.0,
        "stream": "",
        "isCasEligible": "",
    }


def _strike(strike: Decimal | None) -> float:
    return -1.0 if strike is None else float(strike)


def _lot(instrument: Instrument) -> int:
    return 0 if instrument.is_index else instrument.lot_size


def _expiry(instrument: Instrument) -> str:
    return str(instrument.expiry_epoch) if instrument.is_derivative else ""
