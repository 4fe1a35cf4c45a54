"""The database is away for a while: a clear 503, nothing lost, and nobody has to start anything again."""

import asyncio

import httpx
import pytest

from tests.faults.chaos_harness import ChaosHarness
from tests.harness.client import bearer, slug
from tests.platform.harness import Unit

ASKED = 6


@pytest.mark.kafka
@pytest.mark.timeout(900)
async def test_without_the_database_requests_are_refused_with_503_and_all_goes_on_when_it_is_back(
    harness: ChaosHarness,
):
    platform, unit = harness.processes, await harness.unit()
    pids = {name: platform.pid(name) for name in platform.serving()}
    writing = asyncio.create_task(_write_on(harness))
    while not harness.transport.acknowledged:
        await asyncio.sleep(0.01)
    await asyncio.to_thread(platform.control, "stop", "stores:postgresql")
    try:
        refusals = await _refused(harness, unit)
        said = {
            name: await _readiness(platform.process_url(name))
            for name in ("identity", "datashare-2", "incident", "audit")
        }
    finally:
        await asyncio.to_thread(platform.control, "start", "stores:postgresql")
    assert refusals == {(503, "database-unavailable", True)}
    assert said == dict.fromkeys(said, (503, False))
    await writing  # a careful client comes through
    await platform.ready()
    answer = await harness.query(unit, unit.system.access_token)
    assert answer.status_code == 200, answer.text
    await harness.settle()
    assert {name: platform.pid(name) for name in platform.serving()} == pids, "something had to be started again"
    assert await harness.checks.findings(harness.transport.acknowledged) == []


async def _write_on(harness: ChaosHarness) -> None:
    for _ in range(4):
        await harness.bare_unit()


async def _refused(harness: ChaosHarness, unit: Unit) -> set[tuple[int, str | None, bool]]:
    """Query past the gateway and return the different answers, with whether they say when to come again."""
    async with httpx.AsyncClient(base_url=harness.processes.process_url("datashare"), timeout=60) as client:
        asked = [
            client.post("/datashare/queries", json=harness.asked(unit), headers=bearer(unit.system.access_token))
            for _ in range(ASKED)
        ]
        answers = await asyncio.gather(*asked)
    return {(a.status_code, slug(a), int(a.headers.get("retry-after", 0)) > 0) for a in answers}


async def _readiness(url: str) -> tuple[int, bool]:
    async with httpx.AsyncClient(timeout=30) as client:
        answer = await client.get(f"{url}/ready")
    return answer.status_code, answer.json()["checks"]["database"]
