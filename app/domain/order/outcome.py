"""What one POST of an order came to, as data. "Do not know" has a type of its own, never turned into a refusal."""

from dataclasses import dataclass
from enum import StrEnum


class Refusal(StrEnum):
    """What a broker's refusal is about: this order, the login, or this app altogether."""

    ORDER = "ORDER"
    LOGIN = "LOGIN"
    APP = "APP"


@dataclass(frozen=True, slots=True)
class Accepted:
    """The broker took the order and gave it an id. The exchange may still reject it."""

    broker_order_id: str


@dataclass(frozen=True, slots=True)
class Rejected:
    """The broker or the exchange refused the order. With an id it stands in the order book as rejected."""

    code: int
    message: str
    broker_order_id: str | None = None
    about: Refusal = Refusal.ORDER


@dataclass(frozen=True, slots=True)
class NotSent:
    """Proof that it is not there: not a byte of the request left, or the broker turned it away unread.

    `retry_after` is in seconds, where the broker said so; `again` says that sending anew in this request is allowed;
    `busy` says that only the rate of calls was in the way, and nothing is wrong with the line.
    """

    why: str
    retry_after: float | None = None
    again: bool = True
    busy: bool = False


@dataclass(frozen=True, slots=True)
class Unresolved:
    """It may be there or not. Only the order book can tell."""

    why: str


Outcome = Accepted | Rejected | NotSent | Unresolved
