"""Runs a command, and all processes it starts, at another moment: the wall clock is shifted, monotonic time is not.

    python -m tests.shifted "2026-12-01T15:35+05:30" -- python -m demo

The clock of the kernel stays true, and with it what depends on that: times of files, and services from outside
the project (the emulators). A process that is given an environment of its own needs
`app.runtime.processes.bare_environment` in it.
"""

import argparse
import hashlib
import os
import subprocess
import sys
import time
from datetime import datetime
from pathlib import Path

SOURCE = Path(__file__).with_name("wall_clock.c")
CACHE = Path(__file__).parents[1] / ".pytest_cache"


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.shifted", description="Runs a command at another moment.")
    parser.add_argument("moment", type=_moment, help="when it begins, with its zone: 2026-12-01T15:35+05:30")
    parser.add_argument("command", nargs=argparse.REMAINDER, help="-- and the command with its arguments")
    asked = parser.parse_args()
    command = asked.command[1:] if asked.command[:1] == ["--"] else asked.command
    if not command:
        parser.error("no command is given; write it behind --")
    os.environ.update(beginning_at(asked.moment))
    try:
        os.execvp(command[0], command)  # noqa: S606 -- the caller's own command
    except OSError as problem:
        parser.error(f"{command[0]} cannot be run: {problem.strerror}")


def beginning_at(moment: datetime) -> dict[str, str]:
    """What makes it that moment, from now on, for a process that is started with this in its environment."""
    so_far = float(os.environ.get("WALL_CLOCK_SHIFT", "0"))
    shift = so_far + moment.timestamp() - time.time()
    return {"LD_PRELOAD": str(_library()), "WALL_CLOCK_SHIFT": f"{shift:.6f}"}


def _moment(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise argparse.ArgumentTypeError("a zone is missing, such as +05:30")
    return moment


def _library() -> Path:
    """The library, compiled where that has not been done yet."""
    source = SOURCE.read_bytes()
    library = CACHE / f"wall_clock-{hashlib.sha256(source).hexdigest()[:16]}.so"
    if not library.exists():
        CACHE.mkdir(exist_ok=True)
        fresh = library.with_suffix(f".{os.getpid()}")
        flags = ["-O2", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC"]
        try:
            subprocess.run(["cc", *flags, "-o", str(fresh), str(SOURCE), "-ldl"], check=True)
        except FileNotFoundError:
            sys.exit("A C compiler is needed to shift the clock (Debian: apt-get install gcc libc6-dev).")
        fresh.replace(library)
    return library


if __name__ == "__main__":
    sys.exit(main())
