"""The broker is away for a while: what services still write follows in order afterwards; points refuse and say why.

What can be written meanwhile is little, by design (P10): once the bound has passed no point can know who was revoked, so
whatever needs a token is refused with 503. The endpoints that take no token go on, with their facts in the outbox: here
sign-ins that fail, each of which is a fact. A write with a token that came within the bound is in the outbox as well.
"""

import asyncio
import time

import httpx
import pytest

from tests.faults.chaos_harness import PATHS, PATIENCE, ChaosHarness
from tests.faults.token_race import accepted
from tests.harness.client import bearer, slug
from tests.harness.process_platform import ProcessPlatform

AWAY_FOR = 60.0
SIGN_INS = 12
RECORDED = "SELECT requestid, sequence FROM leaves WHERE requestid = ANY($1::text[]) ORDER BY index"


@pytest.mark.kafka
@pytest.mark.timeout(900)
@pytest.mark.long
@pytest.mark.clause("6.5")
async def test_without_the_broker_points_refuse_with_a_reason_and_writes_are_published_in_order_afterwards(
    harness: ChaosHarness,
):
    platform, unit = harness.processes, await harness.unit()
    await harness.settle()
    pids = {name: platform.pid(name) for name in platform.serving()}
    async with platform.database("identity") as identity:
        await asyncio.to_thread(platform.control, "stop", "stores:kafka")
        started_at = time.monotonic()
        try:
            refusals = await _refused_everywhere(platform, unit.system.access_token)
            failed = await _failed_sign_ins(platform)
            waiting = await identity.fetchval("SELECT count(*) FROM outbox WHERE published_at IS NULL")
            await asyncio.sleep(max(0.0, AWAY_FOR - (time.monotonic() - started_at)))
        finally:
            await asyncio.to_thread(platform.control, "start", "stores:kafka")
    assert set(refusals.values()) == {"revocation-feed-stale"}
    assert set(failed.values()) == {(401, "sign-in-refused")}
    assert waiting >= SIGN_INS
    await platform.ready()
    for endpoint in harness.endpoints():
        async with asyncio.timeout(PATIENCE):
            while not accepted(await endpoint.use(unit.system.access_token)):
                await asyncio.sleep(0.1)
    await harness.settle()
    assert {name: platform.pid(name) for name in platform.serving()} == pids, "something had to be started again"
    async with platform.database("audit") as audit:
        recorded = await audit.fetch(RECORDED, list(failed))
    assert [row["requestid"] for row in recorded] == list(failed)
    assert [row["sequence"] for row in recorded] == sorted(row["sequence"] for row in recorded)
    assert await harness.checks.findings(harness.transport.acknowledged) == []


async def _refused_everywhere(platform: ProcessPlatform, token: str) -> dict[str, str | None]:
    """Wait until each endpoint refuses with 503, and return which problem it names; every one says when to come again."""
    refusals = {}
    async with httpx.AsyncClient(timeout=30) as client:
        for name, row in platform.table().items():
            while row["kind"] in PATHS and name not in refusals:
                answer = await client.get(f"{platform.process_url(name)}{PATHS[row['kind']]}", headers=bearer(token))
                if answer.status_code == 503:
                    assert int(answer.headers["retry-after"]) > 0
                    refusals[name] = slug(answer)
    return refusals


async def _failed_sign_ins(platform: ProcessPlatform) -> dict[str, tuple[int, str | None]]:
    """Try to sign in again and again; return by request id what was answered."""
    body = {"login": "nobody.there", "password": "granite-lantern-4711-x", "totp": "123456"}
    failed = {}
    async with httpx.AsyncClient(base_url=platform.url, timeout=30) as client:
        for _ in range(SIGN_INS):
            answer = await client.post("/identity/sessions", json=body)
            failed[answer.headers["x-request-id"]] = (answer.status_code, slug(answer))
    return failed
