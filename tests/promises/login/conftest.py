"""Instances of the gateway that share one store of the day's token."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.promises.login.login_world import Instance, World


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    world = World(tmp_path)
    yield world
    world.store.answers.set()
    world.ledger.close()


@pytest.fixture
def one(world: World) -> Instance:
    return world.instance()


@pytest.fixture
def other(world: World) -> Instance:
    return world.instance()
