"""From the broker's rows to quotes, positions and order book. Prices are Decimal rupees all the way.

A quote that makes no sense is left out. Positions and book are taken whole or not at all: a missing row would read as
"no position", or as "the order is not there". What a tag, a parent's id and a position's id look like at Fyers is known
here alone.
"""

import re
from collections.abc import Iterable
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

from app.adapters.fyers.json_text import Body, amount, whole
from app.adapters.fyers.words import clean
from app.domain.alert import Side
from app.domain.alert.identity import TAG
from app.domain.book import BookRow, Position, Quote
from app.domain.calendar import ist_day
from app.domain.order.status import OrderStatus
from app.facts.fyers import DERIVATIVES, EXCHANGES, MARKET_CLOSED, MARKET_OPEN

_PREFIX = re.compile(r"^\d:")
_SIDES = {1: Side.BUY, -1: Side.SELL}
# Fyers' documents: 1 cancelled, 2 traded, 3 not used, 4 transit, 5 rejected, 6 pending, 7 expired. There is none for a
# partial fill; the sockets show others (90), so what is not listed here is not known and never final.
_STATUS = {
    1: OrderStatus.CANCELLED,
    2: OrderStatus.FILLED,
    4: OrderStatus.ACCEPTED,
    5: OrderStatus.REJECTED,
    6: OrderStatus.ACCEPTED,
    7: OrderStatus.EXPIRED,
}


class Incomplete(Exception):
    """The rows are not all there, or one of them makes no sense; the text says which."""


def quotes(body: Body, asked: Iterable[str]) -> dict[str, Quote]:
    """The quotes of those symbols that were asked for and can be quoted."""
    wanted = set(asked)
    found = (_quote(row) for row in _rows(body, "d") if isinstance(row, dict))
    return {quote.symbol: quote for quote in found if quote is not None and quote.symbol in wanted}


def market_status(body: Body) -> dict[str, bool]:
    """By exchange, whether its normal market of derivatives is open; what is neither open nor closed is left out."""
    said: dict[str, bool] = {}
    for row in _rows(body, "marketStatus"):
        if not isinstance(row, dict) or row.get("market_type") != "NORMAL" or whole(row.get("segment")) != DERIVATIVES:
            continue
        exchange, status = EXCHANGES.get(whole(row.get("exchange")) or 0), _optional_text(row, "status")
        if exchange is not None and status in MARKET_OPEN | MARKET_CLOSED:
            said[exchange] = status in MARKET_OPEN
    return said


def positions(body: Body) -> tuple[Position, ...]:
    """All net positions, of whatever product type. Raises Incomplete."""
    return tuple(_position(row) for row in _rows(body, "netPositions"))


def order_book(body: Body, secrets: Iterable[str] = ()) -> tuple[BookRow, ...]:
    """The whole book. Raises Incomplete."""
    if whole(body.get("code")) != 200:
        raise Incomplete("the order book comes without code 200")
    return tuple(_book_row(row, secrets) for row in _rows(body, "orderBook"))


def _rows(body: Body, name: str) -> list[Any]:
    rows = body.get(name)
    if not isinstance(rows, list):
        raise Incomplete(f"{name} is not a list")
    return rows


def _quote(row: Body) -> Quote | None:
    values = row.get("v")
    symbol = row.get("n")
    if row.get("s") != "ok" or not isinstance(values, dict) or not isinstance(symbol, str):
        return None
    ltp = amount(values.get("lp"))
    if ltp is None or ltp <= 0:
        return None
    bid, ask = (_positive(values.get(side)) for side in ("bid", "ask"))
    return Quote(symbol, ltp, bid or Decimal(0), ask or Decimal(0), _day(values.get("tt")))


def _day(value: object) -> date | None:
    """The IST day of `tt`, epoch seconds as a text or a number.

    In each published sample it is midnight (UTC) of a trading day, so the time of day cannot be told from it.
    """
    is_text = isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 12
    seconds = int(str(value)) if is_text else whole(value)
    return ist_day(datetime.fromtimestamp(seconds, UTC)) if seconds and 0 < seconds < 10**11 else None


def _position(row: Any) -> Position:
    symbol, product = _text(row, "symbol"), _text(row, "productType")
    net = whole(row.get("netQty"))
    realised = Decimal(0) if row.get("realized_profit") is None else amount(row["realized_profit"])
    if net is None or realised is None:
        raise Incomplete(f"the position in {symbol} has no quantity or no profit")
    unrealised = _unrealised(row, realised) if net else Decimal(0)
    traded = _of_today(row, "Buy"), _of_today(row, "Sell")
    return Position(f"{symbol}-{product}", symbol, product, net, realised, *traded, unrealised)


def _unrealised(row: Body, realised: Decimal) -> Decimal | None:
    """What the row says; else its whole profit less the realised one. None: a cover needs no profit, an entry does."""
    unrealised, whole_profit = amount(row.get("unrealized_profit")), amount(row.get("pl"))
    if unrealised is None and whole_profit is not None:
        return whole_profit - realised
    return unrealised


def _of_today(row: Body, side: str) -> int | None:
    """Units traded today, which the row says itself; the total less what was carried over where it does not."""
    if row.get(f"day{side}Qty") is not None:
        return _units(row, f"day{side}Qty")
    total = f"{side.lower()}Qty"
    return None if row.get(total) is None else max(0, _units(row, total) - _units(row, f"cf{side}Qty"))


def _book_row(row: Any, secrets: Iterable[str]) -> BookRow:
    broker_order_id = _text(row, "id")
    quantity, filled = _units(row, "qty"), _units(row, "filledQty")
    status = _STATUS.get(whole(row.get("status")) or 0)
    if status is OrderStatus.ACCEPTED and filled > 0:
        status = OrderStatus.PARTIALLY_FILLED
    if status is OrderStatus.FILLED and row.get("filledQty") is None:
        filled = quantity
    parent = _optional_text(row, "parentId") or None
    tag = _PREFIX.sub("", _optional_text(row, "orderTag")).lower()
    return BookRow(
        broker_order_id=broker_order_id,
        tag=tag,
        symbol=_optional_text(row, "symbol"),
        side=_SIDES.get(whole(row.get("side")) or 0, ""),
        product=_optional_text(row, "productType"),
        status=status,
        quantity=quantity,
        filled_quantity=filled,
        average_price=_positive(row.get("tradedPrice")),
        limit_price=_positive(row.get("limitPrice")),
        message=clean(row.get("message"), secrets),
        own=parent is None and TAG.fullmatch(tag) is not None,  # a leg does not carry its entry's tag
        protects=parent,
        stop_price=_positive(row.get("stopPrice")),
    )


def _units(row: Body, name: str) -> int:
    """A quantity; absent or null means none."""
    units = 0 if row.get(name) is None else whole(row[name])
    if units is None or units < 0:
        raise Incomplete(f"{name} is not a quantity")
    return units


def _text(row: Any, name: str) -> str:
    text = _optional_text(row, name) if isinstance(row, dict) else ""
    if not text:
        raise Incomplete(f"a row has no {name}")
    return text


def _optional_text(row: Body, name: str) -> str:
    text = row.get(name)
    return text if isinstance(text, str) else ""


def _positive(value: object) -> Decimal | None:
    number = amount(value)
    return number if number is not None and number > 0 else None
