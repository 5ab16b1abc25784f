"""What a reply to an order call means: a total function. Its last row is "not known".

    Accepted     2xx, a JSON object, s == "ok", the call's code, and for a new order a non-empty string id
    Rejected     HTTP 200 or 4xx, a JSON object, s == "error", and a code that is pinned below as a refusal
    NotSent      not a byte of the request left; or HTTP 429 with the broker's envelope or a time to wait
    Unresolved   everything else: time-outs and resets after the first byte, 5xx, "no acknowledgement" (201), pages,
                 empty, cut or oversized bodies, redirects, codes whose meaning is not documented

The codes: the table in Fyers' API v3 documents (September 2026), and the list "API Error Codes and Messages" of 2023
that Fyers ships with its sample code. A code is pinned only where its text says that nothing was placed.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial

from app.adapters.fyers.json_text import Body, read_object
from app.adapters.fyers.pace import NoTurn
from app.adapters.fyers.words import clean
from app.adapters.http.transport import CallFailed, Reply
from app.domain.order import Accepted, NotSent, Outcome, Refusal, Rejected, Unresolved

REJECTED_BY_RISK_OR_EXCHANGE = -99
REQUEST_LIMIT = frozenset({-429, -353})  # the second in the list of 2023: "API Limit exceeded (perSec/perMin/perDay)"

# -8 expired, -15 not valid, -16 could not authenticate the user, -17 not valid or expired (documents).
TOKEN_CODES = frozenset({-8, -15, -16, -17})

# "Please provide valid permission": the app lacks it (2023).
APP_CODES = frozenset({-373})

# Order placement.
#   -50 "one or more invalid parameters", -300 invalid symbol, -352 invalid app id (documents).
#   From the list of 2023, "please provide a valid …": -101 order type; -305 and -323 only market and limit; -308 limit
#   price; -309 and -390 stop price; -310 quantity; -311 and -316 stop loss; -313 side; -314 product; -315 stop limit;
#   -325 target; -326 validity; -327 disclosed quantity; -328 offline flag; -372 price; and -392 tick size.
# Left out on purpose, so that they stay unresolved:
#   -201, -202, -204, -205 "connection error": the broker lost its own line to the market and cannot know;
#   -96 "an unexpected error occurred"; -329 "processed … kindly check before taking further action";
#   -157 unknown user, -51 and -53: an order call has no business with them.
PLACE_REFUSALS = frozenset(
    {-50, -101, -300, -305, -308, -309, -310, -311, -313, -314, -315, -316, -323, -325, -326, -327, -328}
    | {-352, -372, -390, -392}
)
# -51 bad order id (documents); -159 and -209 no such order, -161 cancelled, -162 traded, -164 rejected already,
# -399 no pending orders (2023).
CANCEL_REFUSALS = frozenset({-50, -51, -159, -161, -162, -164, -209, -352, -399})
# The same, and the refusals of a quantity or price (2023).
MODIFY_REFUSALS = CANCEL_REFUSALS | PLACE_REFUSALS | {-163}
# -53 bad position id, -352 nothing to exit (documents); -397 quantity is zero, -398 no open positions, -399 nothing
# that could be closed (2023).
EXIT_REFUSALS = frozenset({-50, -53, -352, -397, -398, -399})

# The SDK's own transport answers so, with -99, after any failure, a lost reply included. The gateway does not use that
# transport, but a proxy might, and the words say nothing about the order.
_SDK_FAILURES = frozenset({"bad request", "invalid input please check your input"})
_NOT_FOR_THIS_APP = re.compile("not allowed from this app", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class OrderCall:
    """One kind of call: the code of success, and those of refusals. Only the reply to a new order has an id."""

    code: int
    refusals: frozenset[int]
    names: str | None = None  # what the outcome is about, where the reply has no id


PLACE = OrderCall(1101, PLACE_REFUSALS)
# Each of these takes the id that the outcome is about.
cancelling = partial(OrderCall, 1103, CANCEL_REFUSALS)
modifying = partial(OrderCall, 1102, MODIFY_REFUSALS)
exiting = partial(OrderCall, 200, EXIT_REFUSALS)


def classify(result: Reply | CallFailed, secrets: Iterable[str] = (), call: OrderCall = PLACE) -> Outcome:
    """The outcome of one order call. Never raises; `secrets` are taken out of Fyers' words."""
    if isinstance(result, CallFailed):
        if isinstance(result, NoTurn):
            return NotSent(result.why, again=False, busy=True)
        return Unresolved(result.why) if result.wrote else NotSent(result.why)
    body = read_object(result.body)
    if result.status == 429:
        return _over_limit(result, body)
    if body is None:
        return Unresolved(f"HTTP {result.status} with a body that is not the broker's")
    if (outcome := _accepted(result, body, call) or _rejected(result, body, call, tuple(secrets))) is not None:
        return outcome
    said = clean(body.get("message"), secrets)
    code = body.get("code") if _code(body) is None else _code(body)
    return Unresolved(f"HTTP {result.status}, code {clean(str(code), secrets)}: {said or 'no message'}")


def _over_limit(reply: Reply, body: Body | None) -> NotSent | Unresolved:
    """Turned away before it was read; never tried again in the same request (Fyers blocks the day after a few)."""
    envelope = body if body is not None else {}
    of_the_broker = envelope.get("s") == "error" and _code(envelope) in REQUEST_LIMIT
    if envelope.get("id") or envelope.get("s") == "ok" or not (of_the_broker or reply.says_wait):
        return Unresolved("HTTP 429 that does not come from the broker")
    return NotSent("Fyers' request limit is reached", retry_after=reply.retry_after, again=False, busy=True)


def _accepted(reply: Reply, body: Body, call: OrderCall) -> Accepted | None:
    if not 200 <= reply.status < 300 or body.get("s") != "ok" or _code(body) != call.code:
        return None
    broker_id = call.names or _id(body)
    return Accepted(broker_id) if broker_id is not None else None


def _rejected(reply: Reply, body: Body, call: OrderCall, secrets: tuple[str, ...]) -> Rejected | None:
    code = _code(body)
    if (reply.status != 200 and not 400 <= reply.status < 500) or body.get("s") != "error" or code is None:
        return None
    about = _about(code, body, call)
    return None if about is None else Rejected(code, clean(body.get("message"), secrets), _id(body), about)


def _about(code: int, body: Body, call: OrderCall) -> Refusal | None:
    """What the refusal is about; None where the reply is no refusal."""
    message = body.get("message")
    said = message.strip().lower() if isinstance(message, str) else ""
    if _NOT_FOR_THIS_APP.search(said) or code in APP_CODES:
        return Refusal.APP
    if code in TOKEN_CODES:
        return Refusal.LOGIN
    by_risk = code == REJECTED_BY_RISK_OR_EXCHANGE and (_id(body) or (said and said not in _SDK_FAILURES))
    return Refusal.ORDER if by_risk or code in call.refusals else None


def _code(body: Body) -> int | None:
    code = body.get("code")
    return code if isinstance(code, int) else None


def _id(body: Body) -> str | None:
    broker_id = body.get("id")
    return broker_id if isinstance(broker_id, str) and _PLAIN_ID.fullmatch(broker_id) else None


_PLAIN_ID = re.compile(r"[!-~]{1,64}")
