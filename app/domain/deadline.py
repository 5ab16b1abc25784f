"""The time one request has, as one object: a call takes its own cap, or what is left where that is less."""

import random
from collections.abc import Callable, Iterable, Iterator

from app.domain.errors import NotNow, Reason

# Seconds from the arrival of the request. TradingView hangs up at 3.0 and does not resend after that, so the answer
# leaves at 2.4. The `tail` of a call is kept back for the steps after it.
ANSWER_AT = 2.4
CLAIM = 0.5
MARKET_READ = 0.7
SUBMIT = 0.5
SUBMIT_NEEDS_LEFT = 1.7
SEND_WINDOW = 1.2
PLACE_TAIL = 0.35
CONNECT = 0.25
RECORD = 0.3
SWITCH = 5.0  # a change of the controls by an operator: many orders at once must not keep the kill switch from working

Sleep = Callable[[float], None]


class Deadline:
    """An absolute point on the monotonic clock."""

    __slots__ = ("_at", "_monotonic")

    def __init__(self, monotonic: Callable[[], float], seconds: float) -> None:
        self._monotonic = monotonic
        self._at = monotonic() + seconds

    def left(self) -> float:
        """Seconds left; negative after the end."""
        return self._at - self._monotonic()

    def cap(self, seconds: float, tail: float = 0.0) -> float:
        """Seconds a call may take: its own cap, or what is left before the tail; never negative."""
        return max(0.0, min(seconds, self.left() - tail))

    def within(self, seconds: float, tail: float = 0.0) -> "Deadline":
        """A deadline for one part. It ends before this one does, by the tail at least."""
        return Deadline(self._monotonic, self.cap(seconds, tail))

    def require(self, seconds: float) -> None:
        """Raises NotNow where less is left. To be called before the order is submitted, never after."""
        if self.left() < seconds:
            raise NotNow(Reason.OUT_OF_TIME)


def tries(deadline: Deadline, pauses: Iterable[float], sleep: Sleep) -> Iterator[int]:
    """Numbers the tries of a call, from 1, and pauses between them; pauses are seconds.

    There is always a first try. There is no other one after the last pause, or where the next pause would use up the
    deadline. A pause is asked for after the try before it, so it may depend on what that try brought.
    """
    yield 1
    for number, pause in enumerate(pauses, start=2):
        if pause >= deadline.left():
            return
        sleep(pause)
        yield number


def full_jitter(
    first: float, longest: float = float("inf"), uniform: Callable[[float, float], float] = random.uniform
) -> Iterator[float]:
    """Pauses in seconds, without end: each is anything up to a bound, which doubles from `first` up to `longest`."""
    bound = first
    while True:
        yield uniform(0, bound)
        bound = min(longest, bound * 2)
