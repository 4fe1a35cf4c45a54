"""A lost feed is republished: a point that starts on it accepts no revoked and refuses no valid credential."""

import asyncio

import pytest

from common.contracts.policies import POLICIES
from common.enforcement.enforcement_point import CredentialRevoked, EnforcementPoint
from common.messaging.in_process import _Log
from common.messaging.topics import FEED_TOPIC
from identity.feed.repair import republish_missing
from tests.harness.polling import eventually


async def newcomer(harness) -> tuple[EnforcementPoint, asyncio.Task]:
    point = EnforcementPoint("gateway-9", harness.bus, harness.clock, POLICIES)
    running = asyncio.create_task(point.run())
    await point.loaded()
    return point, running


@pytest.mark.clause("6.5")
async def test_a_feed_that_was_lost_is_published_again_with_cutoffs_rules_and_keys(harness):
    _, admin = await harness.bare_unit()
    person = await harness.clerk(admin)
    for act in ("suspend", "reinstate", "suspend"):
        answer = await harness.center.post(f"/accounts/{person.id}/{act}", {"reason": "调查期间"})
        assert answer.status_code == 200, answer.text
    assert await republish_missing(harness.runtime) == 0
    harness.bus._logs[FEED_TOPIC] = _Log(retained=True)

    lost = await republish_missing(harness.runtime)
    assert lost > 1

    async def repaired() -> bool:
        return await republish_missing(harness.runtime) == 0

    await eventually(repaired)
    point, running = await newcomer(harness)
    point.require_current({f"account:{person.id}": 2})
    with pytest.raises(CredentialRevoked):
        point.require_current({f"account:{person.id}": 1})
    assert point.keys.jwks() == harness.runtime.point.keys.jwks()
    assert point.policies._versions == harness.runtime.point.policies._versions
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def test_keys_come_last_so_that_no_point_accepts_a_token_before_it_knows_the_cutoffs(harness):
    _, admin = await harness.bare_unit()
    assert (await harness.center.post(f"/accounts/{admin.id}/suspend", {"reason": "调查期间"})).status_code == 200
    harness.bus._logs[FEED_TOPIC] = _Log(retained=True)
    assert await republish_missing(harness.runtime)
    follower = harness.bus.follow(FEED_TOPIC)
    keys: list[str] = []
    async with asyncio.timeout(10):
        while not any(key.startswith("key:") for key in keys):
            keys += [message.key for message in (await follower.poll(1)).messages]
    entries = [key for key in keys if not key.startswith("heartbeat")]
    kinds = [key.partition(":")[0] for key in entries]
    assert kinds == sorted(kinds, key=["account", "policy", "key"].index)
