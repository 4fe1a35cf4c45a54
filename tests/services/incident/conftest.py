"""Incident in its surroundings, on a database of its own."""

from contextlib import AsyncExitStack

import pytest

from tests.services.incident.harness import IncidentHarness
from tests.services.incident.harness_without_tasks import HarnessWithoutTasks


@pytest.fixture
async def make_harness(fresh_database):
    async with AsyncExitStack() as ends:

        async def make(clock=None) -> IncidentHarness:
            return await ends.enter_async_context(IncidentHarness(await fresh_database("incident"), clock))

        yield make


@pytest.fixture
async def harness(make_harness):
    return await make_harness()


@pytest.fixture
async def paused(fresh_database):
    """Background tasks run only when the test runs them."""
    async with HarnessWithoutTasks(await fresh_database("incident")) as running:
        yield running
