"""One read of the token store at a time, for all callers."""

from collections.abc import Callable
from concurrent.futures import Future

from app.domain.deadline import Deadline
from app.domain.errors import NotNow, Reason
from app.flow.ports import Clock
from app.flow.single_flight import SingleFlight, apart
from app.login.ports import TokenStore
from app.login.token import Token

READ = 2.0  # seconds
AGAIN_AFTER = 1.0  # seconds that an answer is reused, a failure too; the next read finds a login at another instance


class SharedReading:
    """Each read runs in a thread of its own, by a deadline of its own; each caller waits by its own deadline.

    A store that hangs costs no caller more than that, and many alerts at once make one request. `owned` decides in the
    same thread whether the stored token may be used: it returns the token, or raises.
    """

    def __init__(self, store: TokenStore, owned: Callable[[Token, Deadline], Token], clock: Clock) -> None:
        self._store = store
        self._owned = owned
        self._clock = clock
        self._flight: SingleFlight[Token | None] = SingleFlight(clock.monotonic, apart("token-read"))

    def latest(self, deadline: Deadline, fresh: bool = False) -> Token | None:
        """The stored token; `fresh` ignores a finished read. Raises NotNow, as `owned` does."""

        def again(read: "Future[Token | None]", age: float) -> bool:
            """A read that should have ended long ago is given up."""
            return age >= READ + AGAIN_AFTER or (read.done() and (fresh or age >= AGAIN_AFTER))

        try:
            return self._flight.run(self._read, again).result(deadline.cap(READ))
        except TimeoutError:
            raise NotNow(Reason.NEEDS_LOGIN, "the token store does not answer in time; nothing was sent") from None

    def _read(self) -> Token | None:
        deadline = Deadline(self._clock.monotonic, READ)
        token = self._store.load(deadline)
        return None if token is None else self._owned(token, deadline)
