import pytest

from tests.promises.login.login_world import World


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
