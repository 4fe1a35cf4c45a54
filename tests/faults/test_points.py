"""Enforcement points that stand still, leave and come back: who is waited for, and what they do with what they missed."""

import asyncio

import pytest

from tests.faults.chaos_harness import ChaosHarness
from tests.faults.token_race import REFUSED, accepted

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(900), pytest.mark.clause("6.5")]

USES = 40


async def test_a_point_that_stands_still_is_named_silent_and_refuses_when_it_goes_on(harness: ChaosHarness):
    unit = await harness.unit()
    token = unit.system.access_token
    endpoints = {endpoint.name: endpoint for endpoint in harness.endpoints()}
    assert await endpoints["datashare-2"].use(token) == 200
    with harness.processes.stopped("datashare-2"):
        waiting = asyncio.create_task(endpoints["datashare-2"].use(token))
        acknowledgement = await harness.suspend(unit.admin, unit.system)
        # It was asked before the acknowledgement, so it may answer either way; whoever asks from now on may not succeed.
        late = [
            asyncio.create_task(endpoint.use(token))
            for endpoint in (*_more(harness, "datashare-2"), *harness.endpoints())
        ]
        await asyncio.sleep(0)
    assert acknowledgement["silent"] == ["datashare-2"], acknowledgement
    await waiting
    statuses = [await each for each in late]
    statuses += [await endpoints["datashare-2"].use(token) for _ in range(USES)]
    assert not any(map(accepted, statuses)), statuses
    assert REFUSED in statuses
    await harness.processes.ready()
    await harness.revive(unit.admin, unit.system)
    assert await endpoints["datashare-2"].use(unit.system.access_token) == 200


def _more(harness: ChaosHarness, name: str) -> list:
    """Other connections to the same endpoint."""
    return [next(endpoint for endpoint in harness.endpoints() if endpoint.name == name) for _ in range(5)]


async def test_a_point_that_left_is_not_waited_for_and_counts_again_when_it_is_back(harness: ChaosHarness):
    unit = await harness.unit()
    everybody = {f"{row['kind']}-{row['number']}" for row in harness.processes.table().values()} - {
        "postgresql-1",
        "kafka-1",
    }
    assert set((await harness.suspend(unit.admin, unit.system))["receipts"]) == everybody
    await harness.revive(unit.admin, unit.system)
    await asyncio.to_thread(harness.processes.control, "stop", "gateways:gateway-2")
    try:
        without = await harness.suspend(unit.admin, unit.system)
    finally:
        await asyncio.to_thread(harness.processes.control, "start", "gateways:gateway-2")
    assert set(without["receipts"]) == everybody - {"gateway-2"}
    assert without["silent"] == []
    await harness.revive(unit.admin, unit.system)
    await harness.processes.ready()
    assert set((await harness.suspend(unit.admin, unit.system))["receipts"]) == everybody
    await harness.revive(unit.admin, unit.system)
