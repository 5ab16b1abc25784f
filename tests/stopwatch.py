"""How long something took, without the time for which a busy machine kept it waiting for a processor."""

import os
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self


class Stopwatch:
    """Runs from its construction on. As a context manager it fails where the body took longer than `most` seconds."""

    def __init__(self, most: float = float("inf")) -> None:
        self._most = most
        self.start()

    def start(self) -> None:
        self._waited = _waited()
        self._started = time.monotonic()

    @property
    def wall(self) -> float:
        """Seconds so far, all of them: for what must have taken at least so long."""
        return time.monotonic() - self._started

    @property
    def seconds(self) -> float:
        """So far, less what the threads of this process and of its children stood in line for a processor."""
        wall, now = self.wall, _waited()
        return max(0.0, wall - sum(waited - self._waited.get(thread, 0.0) for thread, waited in now.items()))

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, at: TracebackType | None
    ) -> None:
        if kind is None:
            seconds = self.seconds
            assert seconds < self._most, f"{seconds:.3f} s; {self._most:.3f} s were allowed"


def _waited() -> dict[str, float]:
    """Seconds in the queue for a processor, by thread. Linux counts them; elsewhere nothing is known and all counts."""
    found = {}
    for process in _family(os.getpid()):
        with suppress(OSError):
            for thread in Path(f"/proc/{process}/task").iterdir():
                with suppress(OSError, IndexError):  # it has just ended; it has not run yet
                    found[thread.name] = int((thread / "schedstat").read_text().split()[1]) / 1e9
    return found


def _family(process: int) -> Iterator[int]:
    yield process
    with suppress(OSError):
        for thread in Path(f"/proc/{process}/task").iterdir():
            with suppress(OSError):
                for child in (thread / "children").read_text().split():
                    yield from _family(int(child))
