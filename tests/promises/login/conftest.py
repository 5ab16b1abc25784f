"""Instances of the gateway that share one store of the day's token."""

import pytest
from login_world import World


@pytest.fixture
def world(tmp_path):
    world = World(tmp_path)
    yield world
    world.store.answers.set()
    world.ledger.close()


@pytest.fixture
def one(world):
    return world.instance()


@pytest.fixture
def other(world):
    return world.instance()
