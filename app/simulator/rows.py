"""The account in the broker's JSON, field by field (its documents of September 2026 and recorded rows)."""

from __future__ import annotations

import hashlib
from decimal import Decimal
from typing import Any

from app.simulator.exchange import Exchange
from app.simulator.instruments import EXCHANGE_CODE, Instrument, stamp
from app.simulator.orders import ZERO, Order, Position, Trade, price_band

Row = dict[str, Any]


def number(value: Decimal) -> float | int:
    """Rupees as the broker writes them: whole amounts without a decimal point, others to four decimals."""
    return int(value) if value == value.to_integral_value() else round(float(value), 4)


def order_row(exchange: Exchange, order: Order, serial: int) -> Row:
    """One element of `orderBook`. Only child legs have `parentId`."""
    instrument = order.instrument
    quote, opened = exchange.market.quote(instrument), exchange.market.open_price(instrument)
    row: Row = {
        "clientId": exchange.client_id,
        "id": order.id,
        "id_fyers": reference(f"{exchange.seed}:{order.id}"),
        "exchOrdId": order.exchange_id,
        "qty": order.quantity,
        "remainingQuantity": order.remaining,
        "filledQty": order.filled,
        "discloseQty": 0,
        "disclosedQty": 0,
        "dqQtyRem": 0,
        "limitPrice": number(order.limit_price),
        "stopPrice": number(order.stop_price),
        "tradedPrice": number(order.average),
        "type": int(order.order_type),
        **_identity(instrument),
        "instrument": instrument.instrument_type,
        "ex_sym": instrument.underlying.name,
        "description": instrument.description,
        "message": order.message,
        "offlineOrder": False,
        "orderDateTime": stamp(order.placed_at),
        "orderValidity": order.validity,
        "pan": "",
        "productType": order.product,
        "side": order.side,
        "status": int(order.status),
        "source": "API",
        "orderNumStatus": f"{order.id}:{int(order.status)}",
        "slNo": serial,
        "ch": number(quote.ltp - opened),
        "chp": _percent(quote.ltp, opened),
        "lp": number(quote.ltp),
        "orderTag": order.tag,
        "takeProfit": number(order.take_profit),
        "stopLoss": number(order.stop_loss),
    }
    if order.parent_id:
        row["parentId"] = order.parent_id
    return row


def position_row(exchange: Exchange, position: Position, serial: int) -> Row:
    """One element of `netPositions`. avgPrice is the buy average, as documented; netAvg is that of the open units."""
    ltp = exchange.market.quote(position.instrument).ltp
    unrealized = (ltp - position.net_average) * position.net
    bought, sold = max(position.carried, 0), max(-position.carried, 0)
    return {
        "netQty": position.net,
        "qty": abs(position.net),
        "avgPrice": number(_average(position.buy_value, position.buy_quantity)),
        "netAvg": number(position.net_average),
        "side": (position.net > 0) - (position.net < 0),
        "productType": position.product,
        "realized_profit": number(position.realized),
        "unrealized_profit": number(unrealized),
        "pl": number(position.realized + unrealized),
        "ltp": number(ltp),
        "buyQty": position.buy_quantity,
        "buyAvg": number(_average(position.buy_value, position.buy_quantity)),
        "buyVal": number(position.buy_value),
        "sellQty": position.sell_quantity,
        "sellAvg": number(_average(position.sell_value, position.sell_quantity)),
        "sellVal": number(position.sell_value),
        "slNo": serial,
        **_identity(position.instrument),
        "crossCurrency": "N",
        "rbiRefRate": 1,
        "qtyMulti_com": 1,
        "id": position.id,
        "cfBuyQty": bought,
        "cfSellQty": sold,
        "dayBuyQty": position.buy_quantity - bought,
        "daySellQty": position.sell_quantity - sold,
    }


def overall_row(rows: list[Row]) -> Row:
    """`overall` of the positions."""
    return {
        "count_total": len(rows),
        "count_open": sum(1 for row in rows if row["netQty"]),
        "pl_total": _sum(rows, "pl"),
        "pl_realized": _sum(rows, "realized_profit"),
        "pl_unrealized": _sum(rows, "unrealized_profit"),
    }


def trade_row(exchange: Exchange, trade: Trade, serial: int) -> Row:
    """One element of `tradeBook`."""
    order = trade.order
    identity = _identity(order.instrument)
    return {
        "clientId": exchange.client_id,
        "orderDateTime": stamp(trade.at),
        "orderNumber": order.id,
        "exchangeOrderNo": order.exchange_id,
        **identity,
        "side": order.side,
        "orderType": int(order.order_type),
        "productType": order.product,
        "tradedQty": trade.quantity,
        "tradePrice": number(trade.price),
        "tradeValue": number(trade.price * trade.quantity),
        "tradeNumber": trade.number,
        "row": serial,
        "orderTag": order.tag,
    }


def fund_rows(exchange: Exchange) -> list[Row]:
    """`fund_limit`: ten lines; the tenth is what is still available."""
    capital = exchange.rms.capital
    realized, utilized = exchange.rms.realized(), exchange.rms.utilized()
    amounts = (
        ("Total Balance", capital + realized),
        ("Utilized Amount", utilized),
        ("Clear Balance", capital),
        ("Realized Profit and Loss", realized),
        ("Collaterals", ZERO),
        ("Fund Transfer", ZERO),
        ("Receivables", ZERO),
        ("Adhoc Limit", ZERO),
        ("Limit at start of the day", capital),
        ("Available Balance", capital + realized - utilized),
    )
    return [
        {"id": index, "title": title, "equityAmount": number(round(amount, 2)), "commodityAmount": 0}
        for index, (title, amount) in enumerate(amounts, 1)
    ]


def quote_row(exchange: Exchange, symbol: str) -> Row:
    """One element of `d` of /data/quotes. An unknown symbol is an error of its element, not of the call."""
    instrument = exchange.market.find(symbol)
    if instrument is None:
        return {
            "n": symbol,
            "s": "error",
            "v": {"code": -300, "errmsg": "invalid symbol", "s": "error", "symbol": symbol},
        }
    market = exchange.market
    quote, opened = market.quote(instrument), market.open_price(instrument)
    return {
        "n": symbol,
        "s": "ok",
        "v": {
            "ch": number(quote.ltp - opened),
            "chp": _percent(quote.ltp, opened),
            "lp": number(quote.ltp),
            "spread": number(max(quote.ask - quote.bid, ZERO)),
            "ask": number(quote.ask),
            "bid": number(quote.bid),
            "open_price": number(opened),
            "high_price": number(max(quote.ltp, opened)),
            "low_price": number(min(quote.ltp, opened)),
            "prev_close_price": number(opened),
            "atp": number(opened),
            "volume": market.volume(instrument),
            "short_name": symbol.partition(":")[2],
            "exchange": instrument.exchange,
            "description": instrument.description,
            "original_name": symbol,
            "symbol": symbol,
            "fyToken": instrument.fytoken,
            "tt": str(int(market.now().timestamp())),
        },
    }


def depth_row(exchange: Exchange, instrument: Instrument) -> Row:
    """The value of the symbol in `d` of /data/depth: five levels a side. The key is `ask`, not asks."""
    market = exchange.market
    quote, opened, volume = market.quote(instrument), market.open_price(instrument), market.volume(instrument)
    lower, upper = price_band(instrument, quote.ltp)
    tick, lot = instrument.tick_size, instrument.lot_size
    return {
        "totalbuyqty": volume,
        "totalsellqty": volume,
        "bids": _levels(quote.bid, -tick, lot),
        "ask": _levels(quote.ask, tick, lot),
        "o": number(opened),
        "h": number(max(quote.ltp, opened)),
        "l": number(min(quote.ltp, opened)),
        "c": number(opened),
        "chp": _percent(quote.ltp, opened),
        "tick_Size": float(tick),
        "ch": number(quote.ltp - opened),
        "ltq": lot,
        "ltt": int(market.now().timestamp()),
        "ltp": number(quote.ltp),
        "v": volume,
        "atp": number(opened),
        "lower_ckt": number(lower),
        "upper_ckt": number(upper),
        "expiry": str(instrument.expiry_epoch) if instrument.is_derivative else "",
        "oi": volume,
        "oiflag": instrument.is_derivative,
        "pdoi": volume,
        "oipercent": 0,
    }


def chain_row(exchange: Exchange, instrument: Instrument) -> Row:
    """One element of `optionsChain`. The underlying itself has strike -1 and no option type."""
    quote, opened = exchange.market.quote(instrument), exchange.market.open_price(instrument)
    volume = exchange.market.volume(instrument)
    return {
        "ask": number(quote.ask),
        "bid": number(quote.bid),
        "description": instrument.description,
        "ex_symbol": instrument.underlying.name,
        "exchange": instrument.exchange,
        "fyToken": instrument.fytoken,
        "ltp": number(quote.ltp),
        "ltpch": number(quote.ltp - opened),
        "ltpchp": _percent(quote.ltp, opened),
        "oi": volume,
        "oich": 0,
        "oichp": 0,
        "option_type": instrument.option_type if instrument.is_option else "",
        "prev_oi": volume,
        "strike_price": number(instrument.strike) if instrument.strike is not None else -1,
        "symbol": instrument.symbol,
        "volume": volume,
    }


def reference(text: str) -> str:
    """A UUID (`id_fyers`), the same for the same text."""
    digest = hashlib.sha256(text.encode()).hexdigest()
    return f"{digest[:8]}-{digest[8:12]}-4{digest[13:16]}-a{digest[17:20]}-{digest[20:32]}"


def profile(client_id: str) -> Row:
    """`data` of /profile. The mobile number is masked since September 2025."""
    return {
        "fy_id": client_id,
        "name": "SIMULATED ACCOUNT",
        "display_name": "",
        "image": "",
        "email_id": "account@example.com",
        "PAN": "XXXXX0000X",
        "mobile_number": "******0000",
        "pin_change_date": "01-01-2026 09:00:00",
        "pwd_change_date": "",
        "pwd_to_expire": 90,
        "totp": True,
        "ddpi_enabled": False,
        "mtf_enabled": False,
    }


def _identity(instrument: Instrument) -> Row:
    return {
        "fyToken": instrument.fytoken,
        "exchange": EXCHANGE_CODE[instrument.exchange],
        "segment": instrument.segment,
        "symbol": instrument.symbol,
    }


def _levels(best: Decimal, step: Decimal, lot: int) -> list[Row]:
    prices = (best + step * level if best else ZERO for level in range(5))
    return [
        {
            "price": number(max(price, ZERO)),
            "volume": lot * (level + 2) if price > 0 else 0,
            "ord": level + 1 if price > 0 else 0,
        }
        for level, price in enumerate(prices)
    ]


def _average(value: Decimal, quantity: int) -> Decimal:
    return value / quantity if quantity else ZERO


def _percent(now: Decimal, before: Decimal) -> float:
    return round(float((now - before) / before * 100), 2)


def _sum(rows: list[Row], name: str) -> float:
    return float(round(sum(row[name] for row in rows), 4))
