"""What a client with a good password can put on the bus, and what happens when a topic is gone."""

import asyncio
import os
import subprocess
import sys
from datetime import UTC, datetime

import orjson
import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from common.ids import new_id
from common.messaging.topics import FEED_TOPIC, events_topic
from tests.faults.chaos_harness import ChaosHarness
from tests.faults.token_race import REFUSED, accepted
from tests.platform.harness import PURPOSE, QUOTA, RESOURCE, Unit

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(900)]

LARGE = 10 * 1024 * 1024
MANY = 10_000
TOPIC = events_topic("datashare")


def _client(harness: ChaosHarness, principal: str) -> dict:
    """Return what an aiokafka client needs to come as a member, or as the super user (`jobs`)."""
    return {
        "bootstrap_servers": f"127.0.0.1:{harness.processes.table()['kafka']['port']}",
        "security_protocol": "SASL_PLAINTEXT",
        "sasl_mechanism": "SCRAM-SHA-512",
        "sasl_plain_username": "admin" if principal == "jobs" else principal,
        "sasl_plain_password": harness.processes.secret(principal, "kafka_password"),
        "request_timeout_ms": 20_000,
    }


async def _goes_on(harness: ChaosHarness) -> None:
    """Something is written, told, logged, and has its effect with the others."""
    unit = await harness.unit()
    answer = await harness.query(unit, unit.system.access_token)
    assert answer.status_code == 200, answer.text
    await harness.settle()
    assert await harness.checks.findings(harness.transport.acknowledged) == []


async def test_ten_megabytes_are_refused_by_the_broker_and_disturb_nobody(harness: ChaosHarness):
    rogue = AIOKafkaProducer(**_client(harness, "datashare"), max_request_size=2 * LARGE)
    await rogue.start()
    try:
        for size in (LARGE, LARGE // 4):
            with pytest.raises((KafkaError, TimeoutError)):
                async with asyncio.timeout(40):
                    await rogue.send_and_wait(TOPIC, os.urandom(size), b"large")
    finally:
        await rogue.stop()
    await _goes_on(harness)


async def test_ten_thousand_messages_of_an_unknown_type_hold_up_nobody(harness: ChaosHarness):
    """They come from the owner of the topic, as a newer version of it might send them to an older reader."""
    now = datetime.now(UTC).isoformat()
    many = AIOKafkaProducer(**_client(harness, "datashare"), linger_ms=5)
    await many.start()
    try:
        sent = [
            await many.send(
                TOPIC,
                orjson.dumps(
                    {
                        "specversion": "1.0",
                        "id": str(new_id()),
                        "source": "/datashare",
                        "type": "cn.xindun.datashare.thing.nobody-knows.v9",
                        "subject": f"thing-{number % 50}",
                        "time": now,
                        "datacontenttype": "application/json",
                        "data": {"number": number},
                    }
                ),
                b"thing-%d" % (number % 50),
            )
            for number in range(MANY)
        ]
        await asyncio.gather(*sent)
    finally:
        await many.stop()
    await _goes_on(harness)
    assert all(row["pid"] for row in harness.processes.table().values())


async def test_a_topic_that_was_deleted_shows_and_comes_back_by_the_job(harness: ChaosHarness):
    """What its owner says meanwhile stays in the outbox; what had been read before is lost to nobody."""
    unit = await harness.unit()
    await harness.settle()
    await _delete(harness, TOPIC)
    assert await _topics(harness, "--check") == (1, True)
    application = await _applied(harness, unit)
    async with harness.processes.database("datashare") as datashare:
        assert await datashare.fetchval("SELECT count(*) FROM outbox WHERE published_at IS NULL")
    assert (await _topics(harness))[0] == 0
    assert (await _topics(harness, "--check"))[0] == 0
    await harness.processes.ready()
    await harness.settle()
    await harness.advise(application)
    await harness.settle()
    assert await harness.checks.findings(harness.transport.acknowledged) == []


@pytest.mark.clause("6.5")
async def test_a_feed_that_was_deleted_is_published_again_and_who_starts_on_it_knows_who_was_revoked(
    harness: ChaosHarness,
):
    unit = await harness.unit()
    other = await harness.system(unit.admin)
    dead = unit.system.access_token
    await harness.suspend(unit.admin, unit.system)
    await _delete(harness, FEED_TOPIC)
    endpoints = harness.endpoints()
    for endpoint in endpoints:
        while accepted(await endpoint.use(other.access_token)):  # until it knows that it knows nothing
            await asyncio.sleep(0.1)
    assert (await _topics(harness))[0] == 0
    for name in ("gateway", "datashare-2"):
        await harness.processes.replaced(name, harness.processes.kill(name))
    await harness.processes.ready()
    for endpoint in endpoints:
        async with asyncio.timeout(60):
            while not accepted(await endpoint.use(other.access_token)):
                await asyncio.sleep(0.1)  # until the keys are there again
        assert await endpoint.use(dead) == REFUSED, endpoint.name
    await harness.revive(unit.admin, unit.system)
    await harness.settle()
    assert await harness.checks.findings(harness.transport.acknowledged) == []


async def _delete(harness: ChaosHarness, topic: str) -> None:
    admin = AIOKafkaAdminClient(**_client(harness, "jobs"))
    await admin.start()
    await admin.delete_topics([topic])
    await admin.close()


async def _applied(harness: ChaosHarness, unit: Unit) -> str:
    """Apply once more: datashare's own fact."""
    wanted = {
        "resource": RESOURCE,
        "purposes": [PURPOSE],
        "fields": ["uscc", "party"],
        "systems": [unit.system.id],
        "term_days": 30,
        "quota": QUOTA,
        "reason": "行政许可资格核查",
    }
    return str((await unit.clerk.done("/datashare/applications", wanted))["id"])


async def _topics(harness: ChaosHarness, *words: str) -> tuple[int, bool]:
    """Run the job; return its exit status, and whether it names the topic as missing."""
    done = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-m", "deploy.setup_commands", "topics", *words],
        env=os.environ | harness.processes.topology().setup_environment(),
        capture_output=True,
        text=True,
        check=False,
        timeout=180,
    )
    return done.returncode, f"{TOPIC}: missing" in done.stdout
