"""One platform for each module, with its first administrators and an open resource."""

from collections.abc import AsyncIterator

import pytest

from tests.harness.databases import Databases
from tests.harness.in_process_platform import InProcessPlatform, running_platform
from tests.platform.harness import FlowingClock, PlatformHarness


@pytest.fixture(scope="module")
async def harness(databases: Databases) -> AsyncIterator[PlatformHarness]:
    clock = FlowingClock()
    async with running_platform(databases, clock) as platform:
        yield await PlatformHarness(platform, clock).begin()


@pytest.fixture
def platform_of(harness: PlatformHarness) -> InProcessPlatform:
    return harness.platform
