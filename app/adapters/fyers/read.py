"""One read of Fyers: tried up to three times, each within its cap and all of them within the deadline."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from app.adapters.fyers import rows
from app.adapters.fyers.classify import TOKEN_CODES
from app.adapters.fyers.json_text import Body, read_object, whole
from app.adapters.fyers.line import Line
from app.adapters.fyers.pace import NoTurn
from app.adapters.fyers.sdk import Model
from app.adapters.fyers.words import clean
from app.adapters.http.transport import MOST_BYTES, Begun, CallFailed, Reply
from app.domain.deadline import MARKET_READ, Deadline
from app.domain.errors import NotNow, Reason
from app.login.token import Token

Answer = TypeVar("Answer")


@dataclass(frozen=True, slots=True)
class _Fault:
    """A try without an answer: why, and whether and when there may be another."""

    reason: Reason
    why: str
    again: bool
    retry_after: float | None = None


class Read(Generic[Answer]):
    """`ask` calls a method of the SDK. `parse` gets the body of its answer, and the secrets that may not be shown."""

    def __init__(
        self,
        line: Line,
        ask: Callable[[Model], Any],
        parse: Callable[[Body, Iterable[str]], Answer],
        deadline: Deadline,
        cap: float = MARKET_READ,
        most: int = MOST_BYTES,
    ) -> None:
        self._line = line
        self._ask = ask
        self._parse = parse
        self._deadline = deadline
        self._cap = cap
        self._most = most
        self._begun: tuple[Begun, Token] | None = None

    def begin(self) -> bool:
        """Sends the request, where that needs no wait; then `answer` has to be called, and soon."""
        try:
            token = self._line.tokens.token(self._deadline)
        except NotNow:
            return False  # `answer` says so
        begun = self._line.begin(self._ask, token, self._deadline.cap(self._cap), self._most)
        if begun is not None:
            self._begun = begun, token
        return begun is not None

    def answer(self) -> Answer:
        """To be called once. Raises NotNow."""
        reply, token = self._first_reply()
        renewed, wait = False, 0.0
        tried = self._line.tries(self._deadline, lambda: wait)
        next(tried)
        while isinstance(body := self._body(reply, token), _Fault):
            wait = body.retry_after or 0.0
            if body.reason is Reason.NEEDS_LOGIN:
                if renewed or not self._line.tokens.refused(token, body.why, self._deadline):
                    raise NotNow(Reason.NEEDS_LOGIN)
                token, renewed = self._line.tokens.token(self._deadline), True
            elif not body.again or next(tried, None) is None:
                raise NotNow(body.reason, f"Fyers could not be read: {body.why}")
            reply = self._asked(token)
        try:
            return self._parse(body, self._line.secrets(token))
        except rows.Incomplete as incomplete:
            raise NotNow(Reason.BROKER_DOWN, f"Fyers' answer is incomplete: {incomplete}") from None

    def _first_reply(self) -> tuple[Reply | CallFailed, Token]:
        """The result of the first try, and the token that it was made with."""
        if self._begun is None:
            token = self._line.tokens.token(self._deadline)
            return self._asked(token), token
        begun, token = self._begun
        try:
            return begun.reply(), token
        except CallFailed as failed:
            return failed, token

    def _asked(self, token: Token) -> Reply | CallFailed:
        return self._line.ask(self._ask, token, self._deadline.cap(self._cap), most=self._most)

    def _body(self, reply: Reply | CallFailed, token: Token) -> Body | _Fault:
        if isinstance(reply, CallFailed):
            reason = Reason.BROKER_BUSY if isinstance(reply, NoTurn) else Reason.BROKER_DOWN
            return _Fault(reason, reply.why, again=True)
        body = read_object(reply.body) or {}
        if reply.status == 200 and body.get("s") == "ok":
            return body
        said = clean(body.get("message"), self._line.secrets(token)) or f"HTTP {reply.status}"
        if body.get("s") == "error" and whole(body.get("code")) in TOKEN_CODES:
            return _Fault(Reason.NEEDS_LOGIN, said, again=False)
        if reply.status == 429:
            return _Fault(Reason.BROKER_BUSY, said, reply.retry_after is not None, reply.retry_after)
        return _Fault(Reason.BROKER_DOWN, said, reply.status >= 500, reply.retry_after)
