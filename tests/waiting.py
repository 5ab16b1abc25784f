"""Waits that end: with what was waited for, or with a failure that names it."""

import threading
import time
from collections.abc import Callable
from typing import TypeVar

import pytest
import requests

_T = TypeVar("_T")


def wait_until(what: str, holds: Callable[[], _T], within: float = 20.0) -> _T:
    """The first true value of `holds`. `within` is seconds; later the test fails and says `what`."""
    ends = time.monotonic() + within
    while not (value := holds()):
        if time.monotonic() > ends:
            pytest.fail(f"not within {within:g} s: {what}")
        time.sleep(0.001)
    return value


def wait_until_ready(port: int, within: float = 40.0) -> None:
    """Until a gateway on loopback takes alerts: before, it answers them 503."""

    def ready() -> bool:
        try:
            return requests.get(f"http://127.0.0.1:{port}/readyz", timeout=3).status_code == 200
        except requests.RequestException:
            return False

    wait_until("the gateway is ready", ready, within)


def finish(*threads: threading.Thread, within: float = 30.0) -> None:
    """Waits for the threads to end. `within` is seconds for all of them; later the test fails."""
    ends = time.monotonic() + within
    for thread in threads:
        thread.join(max(0.0, ends - time.monotonic()))
    if running := [thread.name for thread in threads if thread.is_alive()]:
        pytest.fail(f"still running after {within:g} s: {', '.join(running)}")
