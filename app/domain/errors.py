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
from typing import ClassVar, Self


class Reason(StrEnum):
    """The code in an answer's `reason`, and what it means."""

    meaning: str

    def __new__(cls, code: str, meaning: str = "") -> Self:
        reason = str.__new__(cls, code)
        reason._value_, reason.meaning = code, meaning
        return reason

    MALFORMED = "MALFORMED", "the body is not an alert; the message names the field and says what to change"
    UNAUTHORIZED = "UNAUTHORIZED", "the secret is wrong or missing"
    ADDRESS_NOT_ALLOWED = "ADDRESS_NOT_ALLOWED", "the sender's address is not one of TRADINGVIEW_IPS"
    TOO_LARGE = "TOO_LARGE", "the body is over 64 KiB"
    TOO_MANY_REQUESTS = "TOO_MANY_REQUESTS", "too many requests without the right secret"
    SAME_ID_OTHER_ORDER = "SAME_ID_OTHER_ORDER", "the id, or without one the alert's time, is of another order"

    NO_SUCH_CONTRACT = "NO_SUCH_CONTRACT", "the exchange lists no such contract; the message names the nearest ones"
    NOT_A_LOT_MULTIPLE = "NOT_A_LOT_MULTIPLE", "qty is not a multiple of the contract's lot"
    OVER_FREEZE_QUANTITY = "OVER_FREEZE_QUANTITY", "over the freeze quantity of one order; a cover is cut to it"
    NO_SHORT_TO_COVER = "NO_SHORT_TO_COVER", "BUY covers a short, and there is none in that contract"
    WRONG_SIDE_STOP_LOSS = "WRONG_SIDE_STOP_LOSS", "the stop-loss is on the wrong side of the last traded price"
    WRONG_SIDE_TAKE_PROFIT = "WRONG_SIDE_TAKE_PROFIT", "the take-profit is on the wrong side of the last traded price"
    BAD_QUOTE = "BAD_QUOTE", "the quote is crossed, or zero on the side that is needed"
    SPREAD_TOO_WIDE = "SPREAD_TOO_WIDE", "bid and ask are further apart than MAX_SPREAD_PERCENT"
    STOP_TOO_FAR = "STOP_TOO_FAR", "the stop-loss is farther from the last price than MAX_STOP_PERCENT"
    OUTSIDE_PRICE_BAND = "OUTSIDE_PRICE_BAND", "the limit price is outside the exchange's band for the day"
    UNDERLYING_NOT_ALLOWED = "UNDERLYING_NOT_ALLOWED", "not in ALLOWED_UNDERLYINGS; covers are still taken"
    PRODUCT_NOT_ALLOWED = "PRODUCT_NOT_ALLOWED", "the product type is not in ALLOWED_PRODUCTS; covers are still taken"
    DELAYED_DATA = "DELAYED_DATA", "the chart shows delayed data (_DL, _DLY); real-time data is needed to trade"
    MARKET_CLOSED = "MARKET_CLOSED", "the exchange is closed, or the contract has stopped trading on its expiry day"
    TRADING_HALTED = "TRADING_HALTED", "the trading state is HALTED"
    EXITS_ONLY = "EXITS_ONLY", "the trading state is REDUCING: covers only"
    MAX_LOTS_PER_ORDER = "MAX_LOTS_PER_ORDER", "more lots than WEBHOOK_MAX_QTY"
    MAX_LOTS_OPEN = "MAX_LOTS_OPEN", "more lots open than MAX_LOTS_OPEN"
    MAX_ORDERS_PER_DAY = "MAX_ORDERS_PER_DAY", "the day's MAX_ORDERS_PER_DAY are used up"
    MAX_ORDERS_PER_SECOND = "MAX_ORDERS_PER_SECOND", "more than MAX_ORDERS_PER_SECOND"
    MAX_ORDERS_PER_MINUTE = "MAX_ORDERS_PER_MINUTE", "more than MAX_ORDERS_PER_MINUTE"
    MAX_PREMIUM_PER_ORDER = "MAX_PREMIUM_PER_ORDER", "the order's premium is over MAX_PREMIUM_PER_ORDER"
    MAX_PREMIUM_PER_DAY = "MAX_PREMIUM_PER_DAY", "the day's premium would be over MAX_PREMIUM_PER_DAY"
    MAX_DAILY_LOSS = "MAX_DAILY_LOSS", "the day's loss, realised and unrealised, has reached MAX_DAILY_LOSS"
    REPEATED_ORDER = "REPEATED_ORDER", "this contract and side over MAX_REPEATS times in a minute; check the alerts"
    COOLING_DOWN = "COOLING_DOWN", "the same strategy or underlying again within COOLDOWN_SECONDS"
    SYMBOLS_STALE = "SYMBOLS_STALE", "the symbol master is too old for an entry"

    TOO_OLD = "TOO_OLD", "the alert was too old to send; it was not sent"
    BROKER_REJECTED = "BROKER_REJECTED", "the broker or the exchange refused the order; the message is theirs"
    FOUND_IN_BOOK = "FOUND_IN_BOOK", "the request ended without the outcome; the order book has the order"
    FOUND_NOT_PLACED = "FOUND_NOT_PLACED", "not in the day's final order book, or found missing by the operator"

    OUTCOME_UNKNOWN = "OUTCOME_UNKNOWN", "sent, outcome not known yet; it is looked up, never sent again"
    NOT_RECORDED = "NOT_RECORDED", "the order is placed, but the record could not be written yet"

    LEDGER_DOWN = "LEDGER_DOWN", "the ledger does not answer; nothing was sent"
    LEDGER_CONTENDED = "LEDGER_CONTENDED", "too many orders at once for the ledger; nothing was sent"
    BROKER_DOWN = "BROKER_DOWN", "the broker does not answer; nothing was sent"
    BROKER_BUSY = "BROKER_BUSY", "the broker asks for fewer calls; nothing was placed"
    MARKET_STATUS_UNKNOWN = "MARKET_STATUS_UNKNOWN", "not known to be open, beyond the holiday list; nothing was sent"
    NO_QUOTE = "NO_QUOTE", "there was no quote; nothing was sent"
    POSITION_UNKNOWN = "POSITION_UNKNOWN", "the open position could not be read; nothing was sent"
    NEEDS_LOGIN = "NEEDS_LOGIN", "there is no login at the broker for today, so nothing was sent; log in"
    SYMBOLS_MISSING = "SYMBOLS_MISSING", "there is no symbol master yet; nothing was sent"
    OUT_OF_TIME = "OUT_OF_TIME", "the time for this request ran out before the order was sent"
    NOT_SENT = "NOT_SENT", "the order could not be sent; no byte of it left"
    STARTING = "STARTING", "this instance is still starting; nothing was sent"
    SHUTTING_DOWN = "SHUTTING_DOWN", "this instance is shutting down; nothing was sent"
    INTERNAL = "INTERNAL", "the gateway failed before anything was sent; the log has it under the request id"


class AlertError(Exception):
    """An alert failed before its order left the gateway."""

    reason: Reason

    def __init__(self, reason: Reason, message: str | None = None) -> None:
        self.reason = reason
        self.message = message or reason.meaning
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
    code = Reason.UNAUTHORIZED


class AddressNotAllowed(_Fixed):
    code = Reason.ADDRESS_NOT_ALLOWED


class TooLarge(_Fixed):
    code = Reason.TOO_LARGE


class TooManyRequests(_Fixed):
    code = Reason.TOO_MANY_REQUESTS


class SameIdOtherOrder(_Fixed):
    code = Reason.SAME_ID_OTHER_ORDER


class Denied(AlertError):
    """A rule of the gateway forbids the order. The alert is finished."""


class NotNow(AlertError):
    """Nothing was sent, and another attempt can help. The stored alert is unchanged."""


def without_positions(problem: NotNow) -> NotNow:
    """For a read of positions or order book: they decide how much is sent, so the position is unknown."""
    return NotNow(Reason.POSITION_UNKNOWN) if problem.reason is Reason.BROKER_DOWN else problem
