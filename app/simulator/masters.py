"""The symbol masters: the CSV of 21 columns without a header, and the JSON keyed by ticker."""

from __future__ import annotations

import json
from collections.abc import Callable
from decimal import Decimal

from app.simulator.instruments import EXCHANGE_CODE, Instrument
from app.simulator.market import Market
from app.simulator.orders import price_band


def csv_master(market: Market, exchange: str) -> bytes:
    """NSE_FO.csv or BSE_FO.csv as of the market's day; made once a day, since it holds no price."""
    listing = market.listing
    if exchange not in listing.masters:
        today = listing.day.isoformat()
        rows = (_csv_row(instrument, today, _session(instrument, market)) for instrument in listing.exchange(exchange))
        listing.masters[exchange] = "".join(rows).encode()
    return listing.masters[exchange]


def json_master(market: Market, exchange: str) -> bytes:
    """NSE_FO_sym_master.json or its BSE sister; the only place with freeze quantities and price bands."""
    rows = {instrument.symbol: _json_row(instrument, market) for instrument in market.listing.exchange(exchange)}
    return json.dumps(rows, separators=(",", ":")).encode()


MASTERS: dict[str, Callable[[Market], bytes]] = {
    "/sym_details/NSE_FO.csv": lambda market: csv_master(market, "NSE"),
    "/sym_details/BSE_FO.csv": lambda market: csv_master(market, "BSE"),
    "/sym_details/NSE_FO_sym_master.json": lambda market: json_master(market, "NSE"),
    "/sym_details/BSE_FO_sym_master.json": lambda market: json_master(market, "BSE"),
}


def _session(instrument: Instrument, market: Market) -> str:
    """The contract's hours of the day, and after the bar those of an evening session."""
    opens, closes = instrument.session_on(market.listing.day)
    return f"{opens:%H%M}-{closes:%H%M}|1815-1915:"


def _csv_row(instrument: Instrument, today: str, session: str) -> str:
    underlying = instrument.underlying
    return (
        f"{instrument.fytoken},{instrument.description},{instrument.instrument_type},{instrument.lot_size},"
        f"{float(instrument.tick_size)},,{session},{today},{instrument.expiry_epoch},{instrument.symbol},"
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
        "exSeries": "XX",
        "optType": instrument.option_type,
        "underSym": underlying.name,
        "underFyTok": underlying.fytoken,
        "exInstType": instrument.instrument_type,
        "minLotSize": instrument.lot_size,
        "tickSize": float(instrument.tick_size),
        "tradingSession": _session(instrument, market),
        "lastUpdate": market.listing.day.isoformat(),
        "expiryDate": str(instrument.expiry_epoch),
        "strikePrice": _strike(instrument.strike),
        "qtyFreeze": str(instrument.freeze_quantity),
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
