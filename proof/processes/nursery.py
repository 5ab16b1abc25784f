"""Gateway processes in milliseconds: one warm process that has imported everything, and a fork of it for each."""

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from proof.processes.doom import Step
from proof.processes.lab import ROOT

_READY_WITHIN = 60.0


@dataclass(slots=True)
class Gateway:
    """One gateway in a process of its own. The line ends when the process does, however it ends."""

    port: int
    pid: int
    line: socket.socket

    def signal(self, number: signal.Signals) -> None:
        if self.died(0):
            return
        try:
            os.kill(self.pid, number)
        except ProcessLookupError:
            pass  # it has died since

    def kill(self) -> None:
        self.signal(signal.SIGKILL)

    def died(self, seconds: float) -> bool:
        """Whether the process is gone, waiting so long for it."""
        self.line.settimeout(seconds or 0.0001)
        try:
            return self.line.recv(1) == b""
        except TimeoutError:
            return False
        except ConnectionError:
            return True


class Nursery:
    """Starts the warm process; every gateway forked from it dies with its line at the latest."""

    def __enter__(self) -> Self:
        self._line, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._line.settimeout(_READY_WITHIN)
        with theirs:
            command = [sys.executable, "-m", "proof.processes.gateway", str(theirs.fileno())]
            self._warm = subprocess.Popen(command, cwd=ROOT, pass_fds=[theirs.fileno()])  # noqa: S603 -- the proof's own command
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._line.close()
        self._warm.wait(20)

    @contextmanager
    def gateway(
        self,
        settings: Mapping[str, str],
        *,
        output: Path,
        step: Step | None = None,
        trace: Path | None = None,
        lookup_hangs: bool = False,
        ahead: float = 0.0,
    ) -> Iterator[Gateway]:
        """A gateway that is ready to serve, its clock so many seconds ahead; what it prints goes to a file."""
        ours, theirs = socket.socketpair()
        order = {
            "settings": dict(settings),
            "output": str(output),
            "step": asdict(step) if step else None,
            "trace": str(trace) if trace else None,
            "lookup_hangs": lookup_hangs,
            "ahead": ahead,
        }
        with ours:
            with theirs:
                socket.send_fds(self._line, [json.dumps(order).encode()], [theirs.fileno()])
            ours.settimeout(_READY_WITHIN)
            try:
                said = ours.recv(4096)
            except TimeoutError:
                said = b""
            if not said:
                printed = output.read_text(encoding="utf-8") if output.exists() else "nothing"
                raise RuntimeError(f"a gateway did not start within {_READY_WITHIN:.0f} s; it printed:\n{printed}")
            gateway = Gateway(**json.loads(said), line=ours)
            try:
                yield gateway
            finally:
                gateway.kill()
                gateway.died(5.0)
