"""One call to Fyers in the account holder's name, through the SDK's own methods."""

from collections.abc import Callable
from dataclasses import dataclass

from app.adapters.fyers.sdk import BeginningWire, Model, Wire
from app.adapters.http.transport import MOST_BYTES, Begun, CallFailed, Reply, Transport
from app.domain.deadline import CONNECT, Deadline
from app.flow.timings import count_broker_call
from app.login.ports import TokenSource
from app.login.token import Token

Ask = Callable[[Model], Reply]


@dataclass(frozen=True, slots=True)
class Line:
    app_id: str
    tokens: TokenSource
    transport: Transport
    api_url: str
    data_url: str
    client_id: str = ""

    def ask(
        self, ask: Ask, token: Token, total: float, *, window: Deadline | None = None, most: int = MOST_BYTES
    ) -> Reply | CallFailed:
        """The reply, within so many seconds."""
        count_broker_call()
        wire = Wire(self.transport, self.api_url, self.data_url, min(CONNECT, total), total, window, most)
        try:
            return ask(Model(self.app_id, token.access_token, wire))
        except CallFailed as failed:
            return failed

    def begin(self, ask: Callable[[Model], Begun | None], token: Token, total: float, most: int) -> Begun | None:
        """A read whose reply is waited for later; None, and nothing is sent, where it would have to wait for that."""
        wire = BeginningWire(self.transport, self.api_url, self.data_url, total, total, most=most)
        begun = ask(Model(self.app_id, token.access_token, wire))
        if begun is not None:
            count_broker_call()
        return begun

    def secrets(self, token: Token) -> tuple[str, ...]:
        """What may not stand in words of Fyers' that are shown. The account's id is one: it may have any shape."""
        return token.access_token, self.app_id, self.client_id
