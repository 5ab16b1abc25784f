"""One read of the token store at a time, for all callers."""

import threading
from collections.abc import Callable
from concurrent.futures import Future

from app.domain.deadline import Deadline
from app.domain.errors import NotNow, Reason
from app.flow.ports import Clock
from app.login.ports import TokenStore
from app.login.token import Token

READ = 2.0  # seconds
AGAIN_AFTER = 1.0  # seconds that an answer is reused, a failure too; the next read finds a login at another instance


class SharedReading:
    """The read runs in a thread of its own with its own deadline; each caller waits within the caller's deadline.

    A store that hangs costs a caller no more than that, and many alerts at once make one request. `owned` decides in
    the same thread whether the token may be used: it returns the token, or raises.
    """

    def __init__(self, store: TokenStore, owned: Callable[[Token, Deadline], Token], clock: Clock) -> None:
        self._store = store
        self._owned = owned
        self._clock = clock
        self._lock = threading.Lock()
        self._answer: Future[Token | None] | None = None
        self._started = 0.0

    def latest(self, deadline: Deadline, fresh: bool = False) -> Token | None:
        """The stored token; `fresh` ignores a finished read. Raises NotNow, as `owned` does."""
        try:
            return self._answering(fresh).result(deadline.cap(READ))
        except TimeoutError:
            raise NotNow(Reason.NEEDS_LOGIN, "the token store does not answer in time; nothing was sent") from None

    def _answering(self, fresh: bool) -> "Future[Token | None]":
        """A running read serves every caller, unless it should have ended long ago."""
        with self._lock:
            answer, age = self._answer, self._clock.monotonic() - self._started
            if answer is None or age >= READ + AGAIN_AFTER or (answer.done() and (fresh or age >= AGAIN_AFTER)):
                self._started = self._clock.monotonic()
                self._answer = answer = Future()
                threading.Thread(target=self._read, args=(answer,), name="token-read", daemon=True).start()
            return answer

    def _read(self, answer: "Future[Token | None]") -> None:
        deadline = Deadline(self._clock.monotonic, READ)
        try:
            token = self._store.load(deadline)
            answer.set_result(None if token is None else self._owned(token, deadline))
        except Exception as error:  # noqa: BLE001 (it is raised in the callers)
            answer.set_exception(error)
