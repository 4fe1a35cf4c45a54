"""Operators see the enforcement points: which are live, and how fast each applied a cutoff."""

import asyncio

import pytest

from common.contracts.policies import POLICIES
from common.enforcement.enforcement_point import EnforcementPoint
from common.messaging.bus import BusUnavailable
from tests.harness.polling import eventually

POINTS = "/operations/points"


async def points(harness, **query) -> dict:
    answer = await harness.center.get(POINTS, params=query)
    assert answer.status_code == 200, answer.text
    return answer.json()


@pytest.mark.clause("6.5")
async def test_every_point_is_seen_with_its_last_heartbeat_and_with_its_receipts(harness):
    point = EnforcementPoint("datashare-9", harness.bus, harness.clock, POLICIES)
    running = asyncio.create_task(point.run())

    async def live(expected=True):
        seen = {each["point"]: each["live"] for each in (await points(harness))["points"]}
        return seen.get("datashare-9") is expected

    await eventually(live)
    _, admin = await harness.bare_unit()
    person = await harness.clerk(admin)
    answer = await harness.center.post(f"/accounts/{person.id}/suspend", {"reason": "调查期间"})
    assert answer.status_code == 200, answer.text

    async def written_down():
        return (await points(harness))["cutoffs"][0]["effective_at"] is not None

    await eventually(written_down)
    newest = (await points(harness))["cutoffs"][0]
    assert newest["subject"] == f"account:{person.id}"
    assert {receipt["point"] for receipt in newest["receipts"]} == {"identity-1", "datashare-9"}
    assert all(0 <= receipt["delay"] < 2 for receipt in newest["receipts"])
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)

    async def gone():
        return "datashare-9" not in {each["point"] for each in (await points(harness))["points"]}

    await eventually(gone)  # it sent `left`


async def test_a_point_that_died_without_leaving_is_shown_as_not_live(harness, monkeypatch):
    point = EnforcementPoint("gateway-9", harness.bus, harness.clock, POLICIES)
    running = asyncio.create_task(point.run())

    async def seen(*, live):
        page = await points(harness)
        return any(each["point"] == "gateway-9" and each["live"] is live for each in page["points"])

    await eventually(lambda: seen(live=True))
    lost = []

    def lose(kind, cutoff=None):
        lost.append(kind)
        raise BusUnavailable

    monkeypatch.setattr(point, "_receipt", lose)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert lost[-1] == "left"
    await eventually(lambda: seen(live=False))


async def test_how_many_cutoffs_are_shown_is_bounded_and_only_operators_see_them(harness):
    assert (await points(harness, cutoffs=0))["cutoffs"] == []
    assert (await harness.center.get(POINTS, params={"cutoffs": 101})).status_code == 422
    assert (await harness.authority.get(POINTS)).status_code == 403
