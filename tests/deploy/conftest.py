"""Projects in the stand-in of Google, each set up in its own way."""

import copy as copies
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.deploy.cloud import LIVE, Cloud
from tests.deploy.stand_in import Google, Project


@pytest.fixture(scope="session")
def google() -> Iterator[Google]:
    google = Google()
    yield google
    google.close()


@pytest.fixture(scope="session")
def live(google: Google, tmp_path_factory: pytest.TempPathFactory) -> Cloud:
    """An empty project that was set up for live trading, with all that can be switched on. Only to be looked at."""
    cloud = Cloud(google, tmp_path_factory.mktemp("live"), LIVE)
    cloud.set_up()
    return cloud


@pytest.fixture(scope="session")
def again(google: Google, live: Cloud, tmp_path_factory: pytest.TempPathFactory) -> Cloud:
    """The same project after a second run over everything but the service, which test_release.py is about."""
    cloud = Cloud(google, tmp_path_factory.mktemp("again"), LIVE, copied(live))
    parts = "apis logs accounts registry ledger bucket secrets topic network image schedule monitoring"
    cloud.run("setup", *parts.split())
    return cloud


@pytest.fixture
def new(google: Google, tmp_path: Path) -> Callable[[dict[str, str]], Cloud]:
    """An empty project of the test's own, with these settings."""
    return lambda settings: Cloud(google, tmp_path, settings)


@pytest.fixture
def copy(google: Google, live: Cloud, tmp_path: Path) -> Callable[[dict[str, str]], Cloud]:
    """A copy of the live project, with these settings from now on."""
    return lambda settings: Cloud(google, tmp_path, settings, copied(live))


def copied(cloud: Cloud) -> Project:
    project = copies.deepcopy(cloud.project)
    project.calls.clear()
    return project
