"""A world of its own: virtual time, tasks that take turns, processes that die. One seed decides all of it.

A task is ordinary code on a thread of its own, and only one runs at any time: it keeps running until it sleeps, and the
task that has to wake first is next. Port calls sleep before and after their effect, so their durations, drawn from the
seed, are the interleaving.
"""

import heapq
import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any, Generic, TypeVar

from app.domain.errors import AlertError

EPOCH = datetime(2026, 11, 20, 4, 30, tzinfo=UTC)  # a Friday, ten in the morning in India
PATIENCE = 120.0  # seconds of real time; a whole history takes milliseconds

_Read = TypeVar("_Read")


class Killed(BaseException):
    """The process that this task ran in is gone. No code of a dead process goes on; this only clears the stack."""


@dataclass(slots=True, eq=False)
class Host:
    """One process of the service."""

    dead: bool = False


class Task:
    __slots__ = ("host", "job", "name", "started", "stopped", "turn")

    def __init__(self, job: Callable[[], None], host: Host | None) -> None:
        self.job = job
        self.host = host
        self.name = ""
        self.stopped = False
        self.started = False
        self.turn: threading.Lock | None = None


class World:
    """Implements `ports.Clock`."""

    def __init__(self, random: Random) -> None:
        self.random = random
        self.seconds = 0.0
        self.crashes: list[BaseException] = []  # what ended a task that should not have ended: always a violation
        self._agenda: list[tuple[float, int, Task]] = []
        self._count = 0
        self._task = Task(lambda: None, None)
        self._apart = 0
        self._over = threading.Lock()
        self._over.acquire()

    def now(self) -> datetime:
        return EPOCH + timedelta(seconds=self.seconds)

    def monotonic(self) -> float:
        return self.seconds

    def spawn(self, job: Callable[[], None], after: float = 0.0, host: Host | None = None) -> None:
        self._put(Task(job, host), self.seconds + after)

    def run(self) -> None:
        """Until no task has anything left to do."""
        self._serve(self._next())
        _take(self._over, "the history to come to its end")

    def run_now(self, job: Callable[[], None], host: Host) -> None:
        """One job alone, in a process of its own, to its end or its death."""
        before, self._task = self._task, Task(job, host)
        try:
            job()
        except Killed:
            pass
        finally:
            self._task = before

    def sleep(self, seconds: float) -> None:
        """Lets time pass; tasks that wake earlier run first. Raises Killed where the process died meanwhile."""
        wakes = self.seconds + seconds
        if self._apart:
            self.seconds = wakes
            return
        me = self._task
        if self._agenda and self._agenda[0][0] < wakes:
            self._put(me, wakes)
            self._switch(me)
        else:
            self.seconds = wakes
        if me.host is not None and me.host.dead:
            raise Killed

    @property
    def host(self) -> Host | None:
        """The process of the running task."""
        return self._task.host

    def name_task(self, name: str) -> None:
        """Whose work the running task does, for the records."""
        self._task.name = name

    @property
    def task_name(self) -> str:
        return self._task.name

    def stand_still(self, seconds: float) -> None:
        """The running task gets no time: its process is stopped, or another process has the processor."""
        self._task.stopped = True
        self.sleep(seconds)

    @property
    def task_stood_still(self) -> bool:
        return self._task.stopped

    def die(self) -> None:
        """The process of the running task dies, here and now."""
        if self._task.host is not None:
            self._task.host.dead = True
            raise Killed

    def apart(self, read: Callable[[], _Read]) -> "Later[_Read]":
        """Runs a read as if on another thread: the clock goes on for it alone, and no other task moves meanwhile."""
        began = self.seconds
        later: Later[_Read] = Later(self)
        self._apart += 1
        try:
            later.value = read()
        except AlertError as problem:
            later.problem = problem
        finally:
            self._apart -= 1
            later.done_at, self.seconds = self.seconds, began
        return later

    def _put(self, task: Task, at: float) -> None:
        self._count += 1
        heapq.heappush(self._agenda, (at, self._count, task))

    def _next(self) -> Task | None:
        if not self._agenda:
            return None
        self.seconds, _, self._task = heapq.heappop(self._agenda)
        return self._task

    def _switch(self, me: Task) -> None:
        """Hands the turn to the next task, and waits for its own turn."""
        task = self._next()
        if task is me or task is None:
            return
        if me.turn is None:
            me.turn = threading.Lock()
            me.turn.acquire()
        if task.started:
            assert task.turn is not None  # noqa: S101 - it sleeps, so it made one
            task.turn.release()
        else:
            _on_a_thread(lambda: self._serve(task))
        _take(me.turn, "its turn in the history")

    def _serve(self, task: Task | None) -> None:
        """Runs tasks one after the other, until the next one is asleep on another thread."""
        while task is not None:
            task.started = True
            try:
                task.job()
            except Killed:
                pass
            except BaseException as problem:  # noqa: BLE001 - nothing may get lost on a task's thread
                self.crashes.append(problem)
            task = self._next()
            if task is not None and task.started:
                assert task.turn is not None  # noqa: S101 - it sleeps, so it made one
                task.turn.release()
                return
        self._over.release()


class Later(Generic[_Read]):
    """A read that runs beside the request; what `Future` is to a real one."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.value: Any = None
        self.problem: AlertError | None = None
        self.done_at = 0.0

    def result(self, timeout: float) -> _Read:
        left = self.done_at - self._world.seconds
        self._world.sleep(max(0.0, min(left, timeout)))
        if left > timeout:
            raise TimeoutError
        if self.problem is not None:
            raise self.problem
        result: _Read = self.value
        return result


class Readers:
    """In the place of the thread pool: a read sees the world as it was when it began, or when it is waited for."""

    def __init__(self, world: World) -> None:
        self._world = world

    def submit(self, read: Callable[[], _Read]) -> "Later[_Read] | _Lazy[_Read]":
        return self._world.apart(read) if self._world.random.random() < 0.5 else _Lazy(self._world, read)


class _Lazy(Generic[_Read]):
    def __init__(self, world: World, read: Callable[[], _Read]) -> None:
        self._world = world
        self._read = read
        self._began = world.seconds
        self._later: Later[_Read] | None = None

    def result(self, timeout: float) -> _Read:
        if self._later is None:
            self._later = self._world.apart(self._read)
            took = self._later.done_at - self._world.seconds
            self._later.done_at = max(self._world.seconds, self._began + took)
        return self._later.result(timeout)


class _Thread:
    """A thread that is kept for the next job."""

    def __init__(self) -> None:
        self._turn = threading.Lock()
        self._turn.acquire()
        self._job: Callable[[], None] = lambda: None
        threading.Thread(target=self._work, daemon=True, name="simulation").start()

    def take(self, job: Callable[[], None]) -> None:
        self._job = job
        self._turn.release()

    def _work(self) -> None:
        while True:
            self._turn.acquire()
            job, self._job = self._job, lambda: None
            job()
            _idle.append(self)


def _take(lock: threading.Lock, what: str) -> None:
    if not lock.acquire(timeout=PATIENCE):
        raise TimeoutError(f"waited {PATIENCE:.0f} s of real time for {what}")


_idle: list[_Thread] = []


def _on_a_thread(job: Callable[[], None]) -> None:
    try:
        thread = _idle.pop()
    except IndexError:
        thread = _Thread()
    thread.take(job)
