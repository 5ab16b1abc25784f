"""Which stand-in each cloud service had, at the end of every run."""

import fyers_apiv3.fyersModel  # noqa: F401 -- whole, before the gateway loads the part of it that it uses
import pytest

from tests.emulators import BACKENDS


def pytest_sessionfinish(session: pytest.Session) -> None:
    if hasattr(session.config, "workeroutput"):  # one of several processes: the first one prints
        session.config.workeroutput["backends"] = BACKENDS


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: object) -> None:
    BACKENDS.update(getattr(node, "workeroutput", {}).get("backends", {}))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    for service, backend in sorted(BACKENDS.items()):
        terminalreporter.write_line(f"{service}: {backend}")
