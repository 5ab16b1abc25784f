"""A desk whose process dies at a chosen step: before, inside or after one call to the outside."""

import os
import signal
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from app.flow.desk import Desk

_PORTS = ("broker", "ledger", "notifier")


@dataclass(frozen=True, slots=True)
class Step:
    """The `number`th call of that name in the life of a process. `side`: before, inside or after.

    Inside `submit` is between its reading and its commit. Inside `place`, the broker has the order and its reply is on
    the way; the owner of the simulated broker has to kill the process there.
    """

    call: str
    side: str
    number: int = 1

    def __str__(self) -> str:
        return f"{self.side} {self.call}" + (f" {self.number}" if self.number > 1 else "")


class _Watch:
    """Counts calls, strikes at the step, and writes down every call where a trace is asked for."""

    def __init__(self, step: Step | None, trace: Path | None) -> None:
        self._step = step
        self._trace = trace
        self._calls: Counter[str] = Counter()
        self._lock = threading.Lock()

    def called(self, call: str) -> int:
        with self._lock:
            self._calls[call] += 1
            number = self._calls[call]
            if self._trace is not None:
                with self._trace.open("a", encoding="utf-8") as trace:
                    trace.write(f"{call} {number}\n")
        self.at(call, number, "before")
        return number

    def at(self, call: str, number: int, side: str) -> None:
        if self._step == Step(call, side, number):
            os.kill(os.getpid(), signal.SIGKILL)


class _Port:
    """One port of a desk, each call of it under watch."""

    def __init__(self, real: Any, watch: _Watch) -> None:
        self._real = real
        self._watch = watch

    def __getattr__(self, name: str) -> Any:
        real = getattr(self._real, name)
        if not callable(real):
            return real

        def call(*args: Any, **options: Any) -> Any:
            number = self._watch.called(name)
            if name == "submit":
                args = (args[0], self._decided_under_watch(args[1], number), *args[2:])
            result = real(*args, **options)
            self._watch.at(name, number, "after")
            return result

        return call

    def _decided_under_watch(self, decide: Callable[[Any], Any], number: int) -> Callable[[Any], Any]:
        def decided(account: Any) -> Any:
            decision = decide(account)
            self._watch.at("submit", number, "inside")
            return decision

        return decided


def watched(desk: Desk, step: Step | None, trace: Path | None = None) -> Desk:
    """The desk with every port under watch; it dies at the step, if there is one."""
    watch = _Watch(step, trace)
    ports: dict[str, Any] = {name: _Port(getattr(desk, name), watch) for name in _PORTS}
    return replace(desk, **ports)


def steps_of(trace: Path) -> list[Step]:
    """Every step at which a process that wrote this trace could have died."""
    steps = []
    for line in trace.read_text(encoding="utf-8").splitlines():
        call, _, number = line.partition(" ")
        sides = ["before", "after"]
        if call in ("submit", "place"):
            sides.insert(1, "inside")
        steps += [Step(call, side, int(number)) for side in sides]
    return steps
