"""Any process may die or stand still: what was acknowledged is there, effects are exactly once, revoked is revoked."""

import asyncio
import random
from pathlib import Path

import pytest

from tests.faults.chaos_harness import City
from tests.faults.fault_injection import Faults
from tests.faults.token_race import race

FAULTS = (
    ("kill", "identity"),
    ("kill", "kafka"),
    ("stop", "datashare"),
    ("kill", "postgresql"),
    ("kill", "gateway"),
)
"""A few; `make chaos` takes any number of any of them."""
STOPPED_FOR = 4.0
"""Seconds: longer than the bound after which a point refuses, and than a point counts as alive."""


@pytest.mark.kafka
@pytest.mark.timeout(1500)
@pytest.mark.clause("6.5")
@pytest.mark.clause("12.4")
async def test_whatever_dies_or_stands_still_the_life_goes_on_and_no_revoked_token_passes(city: City, tmp_path: Path):
    faults = Faults(city.processes, random.Random(random.randrange(2**32)), STOPPED_FOR)
    unit = await city.unit()
    system, doors = unit.system, city.doors()
    over = asyncio.Event()
    races = []

    async def revoke_and_revive() -> None:
        while not over.is_set():
            races.append(await race(doors, system.access, lambda: city.suspend(unit.admin, system)))
            await city.revive(unit.admin, system)

    async def live() -> None:
        while not over.is_set() or not city.lives:
            await city.live(tmp_path)

    async with asyncio.TaskGroup() as group:
        group.create_task(live())
        group.create_task(revoke_and_revive())
        for kind, name in FAULTS:
            await faults.one(kind, name)
        over.set()
    await city.settle()

    assert [violation for each in races for violation in each.violations] == []
    assert sum(len(each.refused) for each in races) > len(races), "hardly a door was asked after the revocation"
    assert await city.ledger.findings(city.transport.acknowledged) == []
    assert await city.verified(tmp_path) == []
