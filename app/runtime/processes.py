"""Environments and ports for the processes that demo, tests, proofs and benchmark start."""

import os
import secrets
import socket
from contextlib import suppress

_PORTS = range(16000, 32000)  # below the range that Linux uses for outgoing connections
# A child started under a shifted wall clock (tests/shifted.py) has to live under the same one.
WALL_CLOCK = ("LD_PRELOAD", "WALL_CLOCK_SHIFT")


def bare_environment() -> dict[str, str]:
    """This process's environment without any setting: only the path and the wall clock."""
    return {name: os.environ[name] for name in ("PATH", *WALL_CLOCK) if name in os.environ}


def true_time() -> dict[str, str]:
    """This process's environment without a shift of the wall clock: for services of others, such as emulators."""
    return {name: value for name, value in os.environ.items() if name not in WALL_CLOCK}


def free_port() -> int:
    """A port on loopback that no process listens at. Raises OSError after a hundred that are taken."""
    for _ in range(100):
        port = secrets.choice(_PORTS)
        with suppress(OSError), socket.socket() as probe:
            probe.bind(("127.0.0.1", port))
            return port
    raise OSError("no port is free for a server on loopback")
