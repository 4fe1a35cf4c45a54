"""Enforcement points that stand still, leave and come back: who is waited for, and what they do with what they missed."""

import asyncio

import pytest

from tests.faults.chaos_harness import City
from tests.faults.token_race import REFUSED, took

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(900), pytest.mark.clause("6.5")]

USES = 40


async def test_a_point_that_stands_still_is_named_silent_and_refuses_when_it_goes_on(city: City):
    unit = await city.unit()
    token = unit.system.access
    doors = {door.name: door for door in city.doors()}
    assert await doors["datashare-2"].use(token) == 200
    with city.processes.stopped("datashare-2"):
        waiting = asyncio.create_task(doors["datashare-2"].use(token))
        acknowledgement = await city.suspend(unit.admin, unit.system)
        # It was asked before the acknowledgement, so it may answer either way; whoever asks from now on may not succeed.
        late = [asyncio.create_task(door.use(token)) for door in (*_more(city, "datashare-2"), *city.doors())]
        await asyncio.sleep(0)
    assert acknowledgement["silent"] == ["datashare-2"], acknowledgement
    await waiting
    statuses = [await each for each in late]
    statuses += [await doors["datashare-2"].use(token) for _ in range(USES)]
    assert not any(map(took, statuses)), statuses
    assert REFUSED in statuses
    await city.processes.ready()
    await city.revive(unit.admin, unit.system)
    assert await doors["datashare-2"].use(unit.system.access) == 200


def _more(city: City, name: str) -> list:
    """Other connections to the same door."""
    return [next(door for door in city.doors() if door.name == name) for _ in range(5)]


async def test_a_point_that_left_is_not_waited_for_and_counts_again_when_it_is_back(city: City):
    unit = await city.unit()
    everybody = {f"{row['kind']}-{row['number']}" for row in city.processes.table().values()} - {
        "postgresql-1",
        "kafka-1",
    }
    assert set((await city.suspend(unit.admin, unit.system))["receipts"]) == everybody
    await city.revive(unit.admin, unit.system)
    await asyncio.to_thread(city.processes.control, "stop", "gateways:gateway-2")
    try:
        without = await city.suspend(unit.admin, unit.system)
    finally:
        await asyncio.to_thread(city.processes.control, "start", "gateways:gateway-2")
    assert set(without["receipts"]) == everybody - {"gateway-2"}
    assert without["silent"] == []
    await city.revive(unit.admin, unit.system)
    await city.processes.ready()
    assert set((await city.suspend(unit.admin, unit.system))["receipts"]) == everybody
    await city.revive(unit.admin, unit.system)
