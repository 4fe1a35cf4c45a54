"""Two replicas of every service at once: one relay, no effect twice, exact quotas, migrations that race, a death in between."""

import asyncio
import itertools
import os
import sys
from collections import Counter

import httpx
import psutil
import pytest

from common.contracts.services import SERVICES
from tests.faults.chaos_harness import PATIENCE, ChaosHarness
from tests.harness.client import bearer, slug
from tests.platform.harness import SUBJECTS

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(1200)]

HOLDER = """
    SELECT a.client_port FROM pg_locks l JOIN pg_stat_activity a USING (pid)
    WHERE l.locktype = 'advisory' AND l.granted AND a.datname = current_database()
      AND l.objid = (hashtext('xindun.relay')::bigint & 4294967295) AND l.database = a.datid
"""


async def _relay_of(harness: ChaosHarness, service: str) -> str | None:
    """Return the name of the process that holds the relay's lock of `service`."""
    async with harness.processes.database(service) as connection:
        ports = {row["client_port"] for row in await connection.fetch(HOLDER)}
    for name, row in harness.processes.table().items():
        if row["kind"] == service and row["pid"]:
            held = {each.laddr.port for each in psutil.Process(row["pid"]).net_connections("tcp") if each.laddr}
            if held & ports:
                return name
    return None


async def test_when_the_relay_is_killed_the_other_replica_takes_over_and_nothing_is_published_twice(
    harness: ChaosHarness,
):
    first = await _relay_of(harness, "identity")
    assert first is not None
    pid = harness.processes.kill(first)
    unit, admin = await harness.bare_unit()
    async with asyncio.timeout(PATIENCE):
        while (second := await _relay_of(harness, "identity")) in (None, first):
            assert harness.processes.table()[first]["pid"] in (None, pid) or second != first, "it was back before"
            await asyncio.sleep(0.05)
    await harness.settle()
    assert admin.unit == unit
    await harness.processes.replaced(first, pid)
    await harness.processes.ready()
    assert await harness.checks.findings(harness.transport.acknowledged) == []


@pytest.mark.clause("10.4")
@pytest.mark.parametrize(("quota", "most"), [({"calls": 5}, 5), ({"subjects": 3}, 3), ({"rows": 4}, 4)])
async def test_a_quota_is_exact_while_both_replicas_serve_it(harness: ChaosHarness, quota: dict[str, int], most: int):
    unit = await harness.unit(quota={"calls": 100, "rows": 100, "subjects": 10} | quota)
    replicas = [harness.processes.process_url(name) for name in ("datashare", "datashare-2")]
    async with httpx.AsyncClient(timeout=60) as client:
        places = itertools.cycle([*replicas, *harness.processes.gateways()])
        asked = [
            client.post(
                f"{place}/datashare/queries",
                json=harness.asked(unit, subject={"uscc": SUBJECTS[n % 8]}, limit=1),
                headers=bearer(unit.system.access_token),
            )
            for n, place in zip(range(24), places, strict=False)
        ]
        answers = await asyncio.gather(*asked)
    served = [answer for answer in answers if answer.status_code == 200]
    assert {(a.status_code, slug(a)) for a in answers if a.status_code != 200} == {(429, "quota-exhausted")}
    if "subjects" in quota:
        assert len({answer.request.content.split(b'"uscc":"')[1][:18] for answer in served}) == most
    else:
        assert len(served) == most
    assert {answer.request.url.port for answer in served} & {httpx.URL(each).port for each in replicas}


async def test_what_a_replica_answered_before_it_was_killed_is_on_record(harness: ChaosHarness):
    """The client repeats nothing; it keeps the id of each query that was answered."""
    unit = await harness.unit()
    answered: list[str] = []
    statuses: Counter[int] = Counter()
    killed = asyncio.Event()

    async def query(client: httpx.AsyncClient) -> None:
        for rest in itertools.count():
            if killed.is_set() and rest > 5:
                return
            try:
                answer = await client.post(
                    "/datashare/queries", json=harness.asked(unit), headers=bearer(unit.system.access_token)
                )
            except httpx.TransportError:
                continue
            statuses[answer.status_code] += 1
            if answer.status_code == 200:
                answered.append(answer.headers["x-request-id"])

    async with asyncio.TaskGroup() as group:
        clients = [httpx.AsyncClient(base_url=url, timeout=60) for url in harness.processes.gateways() * 3]
        for client in clients:
            group.create_task(query(client))
        while len(answered) < 20:
            await asyncio.sleep(0.01)
        pid = harness.processes.kill("datashare")
        await harness.processes.replaced("datashare", pid)
        killed.set()
    for client in clients:
        await client.aclose()
    await harness.processes.ready()
    await harness.settle()
    async with harness.processes.database("audit") as audit:
        rows = await audit.fetch("SELECT requestid FROM leaves WHERE type = 'cn.xindun.datashare.data.queried.v1'")
    recorded = Counter(row["requestid"] for row in rows)
    assert [request_id for request_id in answered if recorded[request_id] != 1] == []
    assert set(statuses) <= {200, 502, 503}, statuses


async def test_migrations_that_run_twice_at_once_all_end_well(harness: ChaosHarness):
    environment = os.environ | harness.processes.topology().setup_environment()
    jobs = [
        await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "deploy.setup_commands",
            "migrate",
            service,
            env=environment,
            stderr=asyncio.subprocess.PIPE,
        )
        for service in SERVICES
        for _ in range(2)
    ]
    ended = await asyncio.gather(*(job.communicate() for job in jobs))
    assert [job.returncode for job in jobs] == [0] * len(jobs), ended
