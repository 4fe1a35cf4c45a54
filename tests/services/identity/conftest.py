"""Identity on its own database."""

import pytest

from tests.services.identity.harness import IdentityHarness


@pytest.fixture
async def harness(fresh_database):
    async with IdentityHarness(await fresh_database("identity")) as running:
        yield running
