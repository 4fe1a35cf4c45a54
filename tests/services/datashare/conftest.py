"""Datashare in its surroundings, on a database of its own."""

from contextlib import AsyncExitStack

import pytest

from tests.services.datashare.harness import World


@pytest.fixture
async def make_world(fresh_database):
    async with AsyncExitStack() as ends:

        async def make(clock=None) -> World:
            return await ends.enter_async_context(World(await fresh_database("datashare"), clock))

        yield make


@pytest.fixture
async def world(make_world):
    return await make_world()
