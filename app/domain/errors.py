"""Every way an alert can fail before its order leaves the gateway.

    AlertError
    ├── Malformed           the body is not an alert; one field is named
    ├── Unauthorized        the secret is wrong or missing
    ├── AddressNotAllowed   the sender's address is not on the list
    ├── TooLarge            the body is over the limit
    ├── TooManyRequests     a sender without the secret asks too often
    ├── SameIdOtherOrder    a client id came again with another order
    ├── Denied              a rule of the gateway forbids the order; this is final
    └── NotNow              nothing was sent, and another attempt can help

The sender is told `message`: what happened, why, and what to change. `app/web/answers.py` maps the classes to HTTP.
"""

from enum import StrEnum
from typing import ClassVar


class Reason(StrEnum):
    """The code in an answer's `reason`. `MEANING` explains each one."""

    MALFORMED = "MALFORMED"
    UNAUTHORIZED = "UNAUTHORIZED"
    ADDRESS_NOT_ALLOWED = "ADDRESS_NOT_ALLOWED"
    TOO_LARGE = "TOO_LARGE"
    TOO_MANY_REQUESTS = "TOO_MANY_REQUESTS"
    SAME_ID_OTHER_ORDER = "SAME_ID_OTHER_ORDER"

    NO_SUCH_CONTRACT = "NO_SUCH_CONTRACT"
    NOT_A_LOT_MULTIPLE = "NOT_A_LOT_MULTIPLE"
    OVER_FREEZE_QUANTITY = "OVER_FREEZE_QUANTITY"
    NO_SHORT_TO_COVER = "NO_SHORT_TO_COVER"
    WRONG_SIDE_STOP_LOSS = "WRONG_SIDE_STOP_LOSS"
    WRONG_SIDE_TAKE_PROFIT = "WRONG_SIDE_TAKE_PROFIT"
    BAD_QUOTE = "BAD_QUOTE"
    SPREAD_TOO_WIDE = "SPREAD_TOO_WIDE"
    STOP_TOO_FAR = "STOP_TOO_FAR"
    OUTSIDE_PRICE_BAND = "OUTSIDE_PRICE_BAND"
    UNDERLYING_NOT_ALLOWED = "UNDERLYING_NOT_ALLOWED"
    PRODUCT_NOT_ALLOWED = "PRODUCT_NOT_ALLOWED"
    DELAYED_DATA = "DELAYED_DATA"
    MARKET_CLOSED = "MARKET_CLOSED"
    TRADING_HALTED = "TRADING_HALTED"
    EXITS_ONLY = "EXITS_ONLY"
    MAX_LOTS_PER_ORDER = "MAX_LOTS_PER_ORDER"
    MAX_LOTS_OPEN = "MAX_LOTS_OPEN"
    MAX_ORDERS_PER_DAY = "MAX_ORDERS_PER_DAY"
    MAX_ORDERS_PER_SECOND = "MAX_ORDERS_PER_SECOND"
    MAX_ORDERS_PER_MINUTE = "MAX_ORDERS_PER_MINUTE"
    MAX_PREMIUM_PER_ORDER = "MAX_PREMIUM_PER_ORDER"
    MAX_PREMIUM_PER_DAY = "MAX_PREMIUM_PER_DAY"
    MAX_DAILY_LOSS = "MAX_DAILY_LOSS"
    REPEATED_ORDER = "REPEATED_ORDER"
    COOLING_DOWN = "COOLING_DOWN"
    SYMBOLS_STALE = "SYMBOLS_STALE"

    TOO_OLD = "TOO_OLD"
    BROKER_REJECTED = "BROKER_REJECTED"
    FOUND_IN_BOOK = "FOUND_IN_BOOK"
    FOUND_NOT_PLACED = "FOUND_NOT_PLACED"

    OUTCOME_UNKNOWN = "OUTCOME_UNKNOWN"
    NOT_RECORDED = "NOT_RECORDED"

    LEDGER_DOWN = "LEDGER_DOWN"
    LEDGER_CONTENDED = "LEDGER_CONTENDED"
    BROKER_DOWN = "BROKER_DOWN"
    BROKER_BUSY = "BROKER_BUSY"
    MARKET_STATUS_UNKNOWN = "MARKET_STATUS_UNKNOWN"
    NO_QUOTE = "NO_QUOTE"
    POSITION_UNKNOWN = "POSITION_UNKNOWN"
    NEEDS_LOGIN = "NEEDS_LOGIN"
    SYMBOLS_MISSING = "SYMBOLS_MISSING"
    OUT_OF_TIME = "OUT_OF_TIME"
    NOT_SENT = "NOT_SENT"
    STARTING = "STARTING"
    SHUTTING_DOWN = "SHUTTING_DOWN"
    INTERNAL = "INTERNAL"


MEANING: dict[Reason, str] = {
    Reason.MALFORMED: "the body is not an alert; the message names the field and says what to change",
    Reason.UNAUTHORIZED: "the secret is wrong or missing",
    Reason.ADDRESS_NOT_ALLOWED: "the sender's address is not one of TRADINGVIEW_IPS",
    Reason.TOO_LARGE: "the body is over 64 KiB",
    Reason.TOO_MANY_REQUESTS: "too many requests without the right secret",
    Reason.SAME_ID_OTHER_ORDER: "this id (or, without an id, this very time) was used for another order",
    Reason.NO_SUCH_CONTRACT: "the exchange lists no such contract; the message names the nearest ones",
    Reason.NOT_A_LOT_MULTIPLE: "qty is not a multiple of the contract's lot",
    Reason.OVER_FREEZE_QUANTITY: "the exchange takes no single order over its freeze quantity; a cover is cut to it",
    Reason.NO_SHORT_TO_COVER: "BUY covers a short, and there is none in that contract",
    Reason.WRONG_SIDE_STOP_LOSS: "the stop-loss is on the wrong side of the last traded price",
    Reason.WRONG_SIDE_TAKE_PROFIT: "the take-profit is on the wrong side of the last traded price",
    Reason.BAD_QUOTE: "the quote is crossed, or zero on the side that is needed",
    Reason.SPREAD_TOO_WIDE: "bid and ask are further apart than MAX_SPREAD_PERCENT",
    Reason.STOP_TOO_FAR: "the stop-loss is farther from the last price than MAX_STOP_PERCENT",
    Reason.OUTSIDE_PRICE_BAND: "the limit price is outside the exchange's band for the day",
    Reason.UNDERLYING_NOT_ALLOWED: "the underlying is not in ALLOWED_UNDERLYINGS; covers are still taken",
    Reason.PRODUCT_NOT_ALLOWED: "the product type is not in ALLOWED_PRODUCTS; covers are still taken",
    Reason.DELAYED_DATA: "the chart shows delayed data (_DL, _DLY); real-time data is needed to trade",
    Reason.MARKET_CLOSED: "the exchange is closed, or the contract has stopped trading on its expiry day",
    Reason.TRADING_HALTED: "the trading state is HALTED",
    Reason.EXITS_ONLY: "the trading state is REDUCING: covers only",
    Reason.MAX_LOTS_PER_ORDER: "more lots than WEBHOOK_MAX_QTY",
    Reason.MAX_LOTS_OPEN: "more lots open than MAX_LOTS_OPEN",
    Reason.MAX_ORDERS_PER_DAY: "the day's MAX_ORDERS_PER_DAY are used up",
    Reason.MAX_ORDERS_PER_SECOND: "more than MAX_ORDERS_PER_SECOND",
    Reason.MAX_ORDERS_PER_MINUTE: "more than MAX_ORDERS_PER_MINUTE",
    Reason.MAX_PREMIUM_PER_ORDER: "the order's premium is over MAX_PREMIUM_PER_ORDER",
    Reason.MAX_PREMIUM_PER_DAY: "the day's premium would be over MAX_PREMIUM_PER_DAY",
    Reason.MAX_DAILY_LOSS: "the day's loss, realised and unrealised, has reached MAX_DAILY_LOSS",
    Reason.REPEATED_ORDER: "the same contract and side more than MAX_REPEATS times in a minute; check the alerts",
    Reason.COOLING_DOWN: "the same strategy or underlying again within COOLDOWN_SECONDS",
    Reason.SYMBOLS_STALE: "the symbol master is too old for an entry",
    Reason.TOO_OLD: "the alert was too old to send; it was not sent",
    Reason.BROKER_REJECTED: "the broker or the exchange refused the order; the message is theirs",
    Reason.FOUND_IN_BOOK: "the request that sent the order ended without its outcome; the order book has the order",
    Reason.FOUND_NOT_PLACED: "the order is not in the day's final order book, or the operator found it missing",
    Reason.OUTCOME_UNKNOWN: "the order was sent and its outcome is not known yet; it is looked up, never sent again",
    Reason.NOT_RECORDED: "the order is placed, but the record could not be written yet",
    Reason.LEDGER_DOWN: "the ledger does not answer; nothing was sent",
    Reason.LEDGER_CONTENDED: "too many orders at once for the ledger; nothing was sent",
    Reason.BROKER_DOWN: "the broker does not answer; nothing was sent",
    Reason.BROKER_BUSY: "the broker asks for fewer calls; nothing was placed",
    Reason.MARKET_STATUS_UNKNOWN: "today is beyond the known holiday list, and the broker does not say that the "
    "market is open; nothing was sent",
    Reason.NO_QUOTE: "there was no quote; nothing was sent",
    Reason.POSITION_UNKNOWN: "the open position could not be read; nothing was sent",
    Reason.NEEDS_LOGIN: "there is no login at the broker for today, so nothing was sent; log in",
    Reason.SYMBOLS_MISSING: "there is no symbol master yet; nothing was sent",
    Reason.OUT_OF_TIME: "the time for this request ran out before the order was sent",
    Reason.NOT_SENT: "the order could not be sent; no byte of it left",
    Reason.STARTING: "this instance is still starting; nothing was sent",
    Reason.SHUTTING_DOWN: "this instance is shutting down; nothing was sent",
    Reason.INTERNAL: "the gateway failed before anything was sent; the log has it under the request id",
}


class AlertError(Exception):
    """An alert failed before its order left the gateway."""

    reason: Reason

    def __init__(self, reason: Reason, message: str | None = None) -> None:
        self.reason = reason
        self.message = message or MEANING[reason]
        super().__init__(self.message)


class Malformed(AlertError):
    """The body is not an alert. The message names the field and says what to change."""

    def __init__(self, field: str, problem: str) -> None:
        self.field, self.problem = field, problem
        super().__init__(Reason.MALFORMED, f"{field}: {problem}")


class _Fixed(AlertError):
    """An error whose class determines the reason."""

    code: ClassVar[Reason]

    def __init__(self, message: str | None = None) -> None:
        super().__init__(self.code, message)


class Unauthorized(_Fixed):
    """The secret is wrong or missing."""

    code = Reason.UNAUTHORIZED


class AddressNotAllowed(_Fixed):
    """The sender's address is not on the list."""

    code = Reason.ADDRESS_NOT_ALLOWED


class TooLarge(_Fixed):
    """The body is over the limit."""

    code = Reason.TOO_LARGE


class TooManyRequests(_Fixed):
    """A sender without the secret asks too often."""

    code = Reason.TOO_MANY_REQUESTS


class SameIdOtherOrder(_Fixed):
    """A client id came again with another order."""

    code = Reason.SAME_ID_OTHER_ORDER


class Denied(AlertError):
    """A rule of the gateway forbids the order. The alert is finished."""


class NotNow(AlertError):
    """Nothing was sent, and another attempt can help. The stored alert is unchanged."""


def without_positions(problem: NotNow) -> NotNow:
    """For a read of positions or order book: they decide how much is sent, so the position is unknown."""
    return NotNow(Reason.POSITION_UNKNOWN) if problem.reason is Reason.BROKER_DOWN else problem
