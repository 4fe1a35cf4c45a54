"""The datashare harness, each on its own database."""

from contextlib import AsyncExitStack

import pytest

from tests.services.datashare.harness import DatashareHarness


@pytest.fixture
async def make_harness(fresh_database):
    async with AsyncExitStack() as ends:

        async def make(clock=None) -> DatashareHarness:
            return await ends.enter_async_context(DatashareHarness(await fresh_database("datashare"), clock))

        yield make


@pytest.fixture
async def harness(make_harness):
    return await make_harness()
