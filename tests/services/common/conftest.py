"""The toy and its harness."""

import asyncpg
import pytest

from tests.harness.databases import Databases
from tests.services.common.harness import ToyHarness
from tests.services.common.toy import events


@pytest.fixture(scope="session")
async def with_toy(databases: Databases) -> Databases:
    """The cluster, with a database of the toy."""
    await databases.add("toy", "tests.services.common.toy")
    return databases


@pytest.fixture(scope="module")
def declared():
    events.declare()
    yield
    events.take_back()


@pytest.fixture
async def toy_database(with_toy, fresh_database, declared):
    return await fresh_database("toy")


@pytest.fixture
async def admin(toy_database):
    """The superuser's connection into the toy's database."""
    connection = await asyncpg.connect(toy_database.admin_dsn)
    yield connection
    await connection.close()


@pytest.fixture
async def harness(toy_database):
    """The running toy."""
    async with ToyHarness(toy_database) as running:
        yield running


@pytest.fixture(scope="module")
async def calm_harness(with_toy, declared):
    """A running toy for the tests of one module that leave nothing behind in it."""
    database = await with_toy.copy("toy")
    async with ToyHarness(database) as running:
        yield running
    await with_toy.drop([database])
