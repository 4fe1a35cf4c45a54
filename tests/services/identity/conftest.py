"""Identity in its surroundings, on a database of its own."""

from contextlib import AsyncExitStack

import pytest

from tests.services.identity.harness import World


@pytest.fixture
async def world(fresh_database):
    async with AsyncExitStack() as ends:
        running = await ends.enter_async_context(World(await fresh_database("identity")))
        yield await running.begin()
