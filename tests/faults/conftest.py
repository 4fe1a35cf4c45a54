"""One platform as processes, three gateways and two of each service, for all fault tests of a worker."""

import asyncio
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.faults.chaos_harness import ChaosHarness
from tests.harness.process_platform import ProcessPlatform

HERE = Path(__file__).parent
COUNTS = {"gateway": 3, "identity": 2, "datashare": 2, "incident": 2, "audit": 2}
SEED = 20261124


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what needs a platform of processes, so that it is not run beside itself; pytest shows us every folder's tests."""
    for item in items:
        if item.path.is_relative_to(HERE) and {"platform", "small"} & set(getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.processes)


@pytest.fixture(scope="session")
async def platform() -> AsyncIterator[ProcessPlatform]:
    # Not below pytest's own directory: PostgreSQL's account must be able to pass through.
    with tempfile.TemporaryDirectory(prefix="xindun-faults-", ignore_cleanup_errors=True) as directory:
        running = ProcessPlatform(Path(directory) / "data", **COUNTS)
        try:
            await asyncio.to_thread(running.start)
            await running.ready()
            yield running
        finally:
            await asyncio.to_thread(running.stop)


@pytest.fixture(scope="session")
async def harness(platform: ProcessPlatform) -> AsyncIterator[ChaosHarness]:
    async with ChaosHarness.open(platform, SEED) as opened:
        yield await opened.begin()
