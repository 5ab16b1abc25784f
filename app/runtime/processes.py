"""What demo, tests, proofs and benchmark give to the processes that they start."""

import os
import secrets
import socket
from contextlib import suppress

_PORTS = range(16000, 32000)  # below those that Linux gives to outgoing connections, which take one at any moment
# A child started under a shifted wall clock (tests/shifted.py) has to live under the same one.
WALL_CLOCK = ("LD_PRELOAD", "WALL_CLOCK_SHIFT")


def bare_environment() -> dict[str, str]:
    """This process's environment without anything that could be a setting: the path and the wall clock alone."""
    return {name: os.environ[name] for name in ("PATH", *WALL_CLOCK) if name in os.environ}


def true_time() -> dict[str, str]:
    """This process's environment without a shift of the wall clock: for foreign services, as the cloud's are."""
    return {name: value for name, value in os.environ.items() if name not in WALL_CLOCK}


def free_port() -> int:
    """A port on loopback that nothing listens at. Raises OSError where a hundred of them are taken."""
    for _ in range(100):
        port = secrets.choice(_PORTS)
        with suppress(OSError), socket.socket() as probe:
            probe.bind(("127.0.0.1", port))
            return port
    raise OSError("no port is free for a server on loopback")
