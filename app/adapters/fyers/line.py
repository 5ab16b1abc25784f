"""One call to Fyers in the account holder's name, through the SDK's own methods."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import islice

from app.adapters.fyers.sdk import BeginningWire, Model, Wire
from app.adapters.fyers.shared import Waits
from app.adapters.http.transport import MOST_BYTES, Begun, CallFailed, Reply, Transport
from app.domain.deadline import CONNECT, Deadline, full_jitter, tries
from app.flow.timings import count_broker_call
from app.login.ports import TokenSource
from app.login.token import Token

RETRIES = 2
BACK_OFF = 0.1  # seconds

Ask = Callable[[Model], Reply]


@dataclass(frozen=True, slots=True)
class Line:
    app_id: str
    tokens: TokenSource
    transport: Transport
    api_url: str
    data_url: str
    client_id: str = ""
    waits: Waits = field(default_factory=Waits)

    def tries(self, deadline: Deadline, at_least: Callable[[], float] = lambda: 0.0) -> Iterator[int]:
        """Up to three, inside the deadline; `at_least` gives the seconds that Fyers asks for before the next one."""
        pauses = islice(full_jitter(BACK_OFF, uniform=self.waits.uniform), RETRIES)
        return tries(deadline, (max(pause, at_least()) for pause in pauses), self.waits.sleep)

    def ask(
        self, ask: Ask, token: Token, total: float, *, window: Deadline | None = None, most: int = MOST_BYTES
    ) -> Reply | CallFailed:
        count_broker_call()
        wire = Wire(self.transport, self.api_url, self.data_url, min(CONNECT, total), total, window, most)
        try:
            return ask(Model(self.app_id, token.access_token, wire))
        except CallFailed as failed:
            return failed

    def begin(self, ask: Callable[[Model], Begun | None], token: Token, total: float, most: int) -> Begun | None:
        """Sends a read whose reply is read later; None, and nothing is sent, where sending would have to wait."""
        wire = BeginningWire(self.transport, self.api_url, self.data_url, total, total, most=most)
        begun = ask(Model(self.app_id, token.access_token, wire))
        if begun is not None:
            count_broker_call()
        return begun

    def secrets(self, token: Token) -> tuple[str, ...]:
        """What may not be shown of Fyers' own words. The account's id is one of these: it may have any shape."""
        return token.access_token, self.app_id, self.client_id
