"""Audit in its surroundings, on a database of its own."""

from contextlib import AsyncExitStack

import pytest

from tests.services.audit.harness import AuditHarness


@pytest.fixture
async def make_harness(fresh_database):
    async with AsyncExitStack() as ends:

        async def make(database=None, **more) -> AuditHarness:
            return await ends.enter_async_context(AuditHarness(database or await fresh_database("audit"), **more))

        yield make


@pytest.fixture
async def harness(make_harness):
    return await make_harness()
