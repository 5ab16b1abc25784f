"""One reading for those who ask at the same time."""

from collections.abc import Callable
from concurrent.futures import Future
from threading import Lock
from typing import Generic, TypeVar

from app.domain.deadline import Deadline
from app.domain.errors import NotNow

_Answer = TypeVar("_Answer")


class Shared(Generic[_Answer]):
    """Who comes while a reading is on its way takes its answer; who comes after it begins another one."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._under_way: Future[_Answer] | None = None

    def read(self, read: Callable[[], _Answer], deadline: Deadline) -> _Answer:
        """Raises what `read` raises. A reading of somebody else's that fails or takes too long is no excuse."""
        with self._lock:
            joined = self._under_way
            mine: Future[_Answer] = Future()
            if joined is None:
                self._under_way = mine
        if joined is None:
            return self._lead(mine, read)
        try:
            return joined.result(deadline.cap(deadline.left() / 2))
        except (NotNow, TimeoutError):
            return read()

    def _lead(self, mine: "Future[_Answer]", read: Callable[[], _Answer]) -> _Answer:
        try:
            answer = read()
            mine.set_result(answer)
        except BaseException as error:
            mine.set_exception(error)
            raise
        finally:
            with self._lock:
                self._under_way = None
        return answer
