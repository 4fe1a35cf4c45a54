"""Any process may die or stand still: what was acknowledged is there, effects are exactly once, revoked is revoked."""

import asyncio
import random
from pathlib import Path

import pytest

from tests.faults.chaos_harness import ChaosHarness
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
async def test_whatever_dies_or_stands_still_the_life_goes_on_and_no_revoked_token_passes(
    harness: ChaosHarness, tmp_path: Path
):
    faults = Faults(harness.processes, random.Random(random.randrange(2**32)), STOPPED_FOR)
    unit = await harness.unit()
    system, endpoints = unit.system, harness.endpoints()
    over = asyncio.Event()
    races = []

    async def revoke_and_revive() -> None:
        while not over.is_set():
            races.append(await race(endpoints, system.access_token, lambda: harness.suspend(unit.admin, system)))
            await harness.revive(unit.admin, system)

    async def play() -> None:
        while not over.is_set() or not harness.scenarios:
            await harness.play(tmp_path)

    async with asyncio.TaskGroup() as group:
        group.create_task(play())
        group.create_task(revoke_and_revive())
        for kind, name in FAULTS:
            await faults.one(kind, name)
        over.set()
    await harness.settle()

    assert [violation for each in races for violation in each.violations] == []
    assert sum(len(each.refused) for each in races) > len(races), "hardly an endpoint was asked after the revocation"
    assert await harness.checks.findings(harness.transport.acknowledged) == []
    assert await harness.verified(tmp_path) == []
