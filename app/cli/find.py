"""Look-ups in the symbol master by the webhook's fields."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import date
from decimal import Decimal

from app.domain.alert import Alert, Moneyness
from app.domain.alert.parse import parse
from app.domain.alert.strict_json import decode
from app.domain.errors import AlertError
from app.flow.ports import SymbolMaster

# The underlying's price in rupees, or a function of its symbol (NSE:NIFTY50-INDEX), called if a strike needs it.
Spot = Decimal | Callable[[str], Decimal | None] | None
# The day from which expiries count, or a function of underlying and exchange that returns it.
From = date | Callable[[str, str | None], date]

_NAMES = ("symbol", "strikeprice", "optionType", "expiry")


def find_one(master: SymbolMaster, row: Mapping[str, object], on: From, spot: Spot = None) -> dict[str, object]:
    """The contract that a row of the webhook's fields asks for, counting expiries from `on`.

    Prices are strings in rupees, as in the webhook's answer. If there is no contract, the only field is `error`.
    """
    fields = {name: str(value) if isinstance(value, int | float | Decimal) else value for name, value in row.items()}
    try:
        # An alert needs a side; it makes no difference to the contract.
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
    """One answer for each line, in order. A line is one JSON object as in `find_one`; empty lines are skipped."""
    for line in lines:
        if line.strip():
            yield _find_line(master, line, on, spot)


def _find_line(master: SymbolMaster, line: bytes, on: From, spot: Spot) -> dict[str, object]:
    try:
        return find_one(master, decode(line), on, spot)
    except AlertError as error:
        return {"error": error.message}
