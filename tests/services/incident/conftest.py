"""Incident in its surroundings, on a database of its own."""

from contextlib import AsyncExitStack

import pytest

from tests.services.incident.harness import World
from tests.services.incident.harness_without_tasks import Pieces


@pytest.fixture
async def make_world(fresh_database):
    async with AsyncExitStack() as ends:

        async def make(clock=None) -> World:
            return await ends.enter_async_context(World(await fresh_database("incident"), clock))

        yield make


@pytest.fixture
async def world(make_world):
    return await make_world()


@pytest.fixture
async def pieces(fresh_database):
    async with Pieces(await fresh_database("incident")) as pieces:
        yield pieces
