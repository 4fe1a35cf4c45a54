"""Audit in its surroundings, on a database of its own."""

from contextlib import AsyncExitStack

import pytest

from tests.services.audit.harness import World


@pytest.fixture
async def make_world(fresh_database):
    async with AsyncExitStack() as ends:

        async def make(database=None, **more) -> World:
            return await ends.enter_async_context(World(database or await fresh_database("audit"), **more))

        yield make


@pytest.fixture
async def world(make_world):
    return await make_world()
