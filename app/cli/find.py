"""Questions to the master in the webhook's own words, for the command line."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import date
from decimal import Decimal

from app.domain.alert import Alert, Moneyness, parse
from app.domain.alert.strict_json import decode
from app.domain.errors import AlertError
from app.flow.ports import SymbolMaster

# The underlying's price in rupees, or where to ask for it by symbol (NSE:NIFTY50-INDEX) once a strike needs it.
Spot = Decimal | Callable[[str], Decimal | None] | None
# The day from which expiries count, or who says it of an underlying at an exchange.
From = date | Callable[[str, str | None], date]

_NAMES = ("symbol", "strikeprice", "optionType", "expiry")


def find_one(master: SymbolMaster, row: Mapping[str, object], on: From, spot: Spot = None) -> dict[str, object]:
    """The contract that a row with the webhook's names asks for, counting expiries from `on`.

    Prices are texts in rupees, as in the webhook's answer. What cannot be found gives `error` alone, one sentence.
    """
    fields = {name: str(value) if isinstance(value, int | float | Decimal) else value for name, value in row.items()}
    try:
        # The side makes no difference to the contract; an alert has to have one.
        asked = parse({name: fields[name] for name in _NAMES if name in fields} | {"action": "SELL"})
        price = _price(master, asked, spot) if isinstance(asked.strike, Moneyness) else None
        day = on(asked.underlying, asked.exchange) if callable(on) else on
        contract = master.resolve(
            asked.underlying, asked.exchange, asked.expiry, asked.strike, asked.option_type, on=day, spot=price
        )
    except AlertError as error:
        return {"error": error.message}
    return {
        "symbol": contract.symbol,
        "underlying": contract.underlying,
        "expiry": contract.expiry.isoformat(),
        "strike": str(contract.strike),
        "option_type": str(contract.option_type),
        "lot_size": contract.lot_size,
        "tick_size": str(contract.tick_size),
    }


def _price(master: SymbolMaster, asked: Alert, spot: Spot) -> Decimal | None:
    return spot(master.spot_symbol(asked.underlying, asked.exchange)) if callable(spot) else spot


def find_batch(
    master: SymbolMaster, lines: Iterable[bytes], on: From, spot: Spot = None
) -> Iterator[dict[str, object]]:
    """One answer for each line, in order; a line is one JSON object as in `find_one`, empty lines are passed over."""
    for line in lines:
        if line.strip():
            yield _find_line(master, line, on, spot)


def _find_line(master: SymbolMaster, line: bytes, on: From, spot: Spot) -> dict[str, object]:
    try:
        return find_one(master, decode(line), on, spot)
    except AlertError as error:
        return {"error": error.message}
