"""Every test has a time limit and starts with the log as it was. The end of a run names each service's stand-in."""

import faulthandler
import logging
import signal
import sys
from collections.abc import Iterator

import fyers_apiv3.fyersModel  # noqa: F401 -- whole, before the gateway loads the part of it that it uses
import pytest
from hypothesis import settings

from app.cli.surroundings import settle
from tests.emulators import BACKENDS
from tests.examples import examples

# Properties are checked without a time limit on each example: the machine may be busy.
settings.register_profile("gateway", deadline=None, max_examples=examples(100))
settings.load_profile("gateway")

settle()  # before any client is made: a shell's proxies are no part of a test

# Those that the product sets up, and those that libraries set up by themselves.
_LOGGERS = [logging.getLogger(name) for name in ("", "gateway", "urllib3", "google", "werkzeug", "gunicorn.error")]

# Seconds until a test, set-up and all, has failed. Longer than any takes on a busy machine; where even the failure
# hangs, pytest ends the process (faulthandler_timeout).
LONGEST_TEST = 150
LONGEST_EXIT = 60


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    """A test that hangs fails, with the line at which it stood."""

    def too_long(*_: object) -> None:
        pytest.fail(f"it hangs: not at its end after {LONGEST_TEST} s")

    before = signal.signal(signal.SIGALRM, too_long)
    signal.alarm(LONGEST_TEST)
    try:
        return (yield)
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


@pytest.fixture(autouse=True)
def the_log_as_before() -> Iterator[None]:
    """Logging belongs to the process: what one test makes of it, or a library under it, must not reach the next one."""
    switched_off = logging.root.manager.disable
    before = [(one, one.level, one.propagate, one.handlers[:]) for one in _LOGGERS]
    yield
    logging.disable(switched_off)
    for one, level, propagate, handlers in before:
        one.setLevel(level)
        one.propagate = propagate
        one.handlers[:] = handlers


def pytest_sessionfinish(session: pytest.Session) -> None:
    if hasattr(session.config, "workeroutput"):  # one of several processes: the first one prints
        session.config.workeroutput["backends"] = BACKENDS


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: object) -> None:
    BACKENDS.update(getattr(node, "workeroutput", {}).get("backends", {}))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    for service, backend in sorted(BACKENDS.items()):
        terminalreporter.write_line(f"{service}: {backend}")


def pytest_unconfigure() -> None:
    """A thread that a test left behind must not keep the process, and with it the whole run."""
    faulthandler.dump_traceback_later(LONGEST_EXIT, file=sys.__stderr__ or sys.stderr, exit=True)
