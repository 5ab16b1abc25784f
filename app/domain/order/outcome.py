"""The outcome of one POST of an order, as data. An unknown outcome has its own type and never becomes a refusal."""

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
    """Proof that the order is not at the broker: no byte of the request left, or the broker turned it away unread.

    `retry_after` is in seconds, where the broker gave it; `again` allows another attempt within this request; `busy`
    means that only the rate limit was in the way, and nothing is wrong with the connection.
    """

    why: str
    retry_after: float | None = None
    again: bool = True
    busy: bool = False


@dataclass(frozen=True, slots=True)
class Unresolved:
    """The order may be at the broker or not. Only the order book can tell."""

    why: str


Outcome = Accepted | Rejected | NotSent | Unresolved
