"""Quotes, depth, option chain, market status and symbol masters over HTTP."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from app.simulator import rows
from app.simulator.exchange import Exchange
from app.simulator.instruments import CASH, DERIVATIVES, EXCHANGE_CODE, Instrument
from app.simulator.masters import MASTERS
from app.simulator.rules import Refused
from app.simulator.wire import JSON_TYPE, Answer, Request, ok

MOST_QUOTES = 50


class MarketData:
    """Answers the endpoints of the data host for one account."""

    def __init__(self, exchange: Exchange) -> None:
        self.exchange = exchange
        self.routes: dict[str, Callable[[Request], Answer]] = {
            "quotes": self._quotes,
            "depth": self._depth,
            "marketStatus": self._market_status,
            "options-chain": self._options_chain,
            "master": self._master,
        }

    def _quotes(self, request: Request) -> Answer:
        symbols = [symbol for symbol in request.query.get("symbols", "").split(",") if symbol]
        if not 1 <= len(symbols) <= MOST_QUOTES:
            raise Refused(f"Between 1 and {MOST_QUOTES} symbols are allowed")
        with self.exchange.lock:
            self.exchange.refresh()
            return ok(d=[rows.quote_row(self.exchange, symbol) for symbol in symbols])

    def _depth(self, request: Request) -> Answer:
        with self.exchange.lock:
            self.exchange.refresh()
            instrument = self._listed(request.query.get("symbol", ""))
            return ok(d={instrument.symbol: rows.depth_row(self.exchange, instrument)})

    def _market_status(self, _: Request) -> Answer:
        status = "OPEN" if self.exchange.market_is_open() else "CLOSED"
        segments = [(exchange, segment) for exchange in EXCHANGE_CODE.values() for segment in (CASH, DERIVATIVES)]
        listed = [
            {"exchange": exchange, "segment": segment, "market_type": "NORMAL", "status": status}
            for exchange, segment in segments
        ]
        return ok(marketStatus=listed)

    def _options_chain(self, request: Request) -> Answer:
        with self.exchange.lock:
            self.exchange.refresh()
            instrument = self._listed(request.query.get("symbol", ""))
            count = request.query.get("strikecount", "5")
            return ok(
                data=self._chain(instrument, int(count) if count.isdigit() else 5, request.query.get("timestamp"))
            )

    def _chain(self, underlying: Instrument, count: int, timestamp: str | None) -> dict[str, Any]:
        options = [option for option in self.exchange.market.listing.series(underlying.underlying) if option.is_option]
        flags = {option.expiry_epoch: option for option in options}
        wanted = int(timestamp) if timestamp and timestamp.isdigit() else min(flags)
        spot = self.exchange.market.quote(underlying).ltp
        strikes = sorted({option.strike for option in options if option.strike}, key=lambda strike: abs(strike - spot))
        near = set(strikes[: 2 * count + 1])
        chain = [option for option in options if option.expiry_epoch == wanted and option.strike in near]
        dates = [
            {"date": f"{option.expiry:%d-%m-%Y}", "expiry": str(epoch), "expiry_flag": option.expiry_flag}
            for epoch, option in sorted(flags.items())
        ]
        rated = [rows.chain_row(self.exchange, instrument) for instrument in (underlying, *chain)]
        return {"expiryData": dates, "optionsChain": rated, "callOi": _oi(rated, "CE"), "putOi": _oi(rated, "PE")}

    def _listed(self, symbol: str) -> Instrument:
        instrument = self.exchange.market.find(symbol)
        if instrument is None:
            raise Refused("Please provide a valid symbol", -300)
        return instrument

    def _master(self, request: Request) -> Answer:
        with self.exchange.lock:
            self.exchange.refresh()
            kind = JSON_TYPE if request.path.endswith("json") else "text/csv"
            return Answer(200, MASTERS[request.path](self.exchange.market), content_type=kind)


def _oi(chain: list[dict[str, Any]], option_type: str) -> int:
    return sum(row["oi"] for row in chain if row["option_type"] == option_type)
