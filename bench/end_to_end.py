"""Figures across services: revocations, breaches, events, and the audit log."""

import asyncio
import time
from datetime import UTC, datetime

from bench.harness import ROUNDS, Harness
from bench.load import percentile
from common.context import new_traceparent
from common.contracts.events.gateway import AccessRefused
from common.contracts.topics import TOPICS
from common.ids import new_id
from common.messaging.bus import Message
from common.messaging.events import Envelope
from common.messaging.kafka import KafkaBus, KafkaSecurity
from common.messaging.topics import events_topic


async def revocation(harness: Harness) -> None:
    """Measure a revocation up to its acknowledgement by every enforcement point, with 1, 3 and 10 gateways."""
    gateways = [row["name"] for row in harness.platform.table().values() if row["kind"] == "gateway"]
    for count in (1, 3, 10):
        for index, name in enumerate(gateways):
            harness.platform.control("start" if index < count else "stop", f"gateways:{name}")
        for name in gateways[:count]:
            await asyncio.to_thread(harness.platform.await_ready, url=harness.platform.process_url(name))
        await harness.refresh_tokens()
        rounds = [await _revocations(harness) for _ in range(ROUNDS)]
        points = rounds[0][1]
        durations = [values for values, _ in rounds]
        harness.record(
            f"revoke to acknowledged, {points}, p50", "ms", [percentile(each, 0.5) for each in durations], "≤ 50"
        )
        harness.record(
            f"revoke to acknowledged, {points}, p99", "ms", [percentile(each, 0.99) for each in durations], "≤ 1,000"
        )
    for name in gateways[1:]:
        harness.platform.control("stop", f"gateways:{name}")


async def _revocations(harness: Harness) -> tuple[list[float], str]:
    scenario, durations = harness.fixtures.scenario, []
    path = f"/identity/systems/{scenario.remote_system.system_id}"
    for _ in range(20):
        started = time.perf_counter()
        response = await harness.fixtures.call(scenario.center, "POST", f"{path}/suspend", json={"reason": "度量"})
        durations.append((time.perf_counter() - started) * 1000)
        effective = response.json().get("effective", response.json())
        if effective["silent"]:
            raise RuntimeError(f"silent points: {effective['silent']}")
        await harness.fixtures.call(scenario.center, "POST", f"{path}/reinstate")
    return durations, str(effective["points"]).split(" of ")[-1] + " points"


BREACH_COUNT = 30


async def breach(harness: Harness) -> None:
    """Measure the time from a breach's report to its last refused probe."""
    scenario = harness.fixtures.scenario
    durations = []
    for _ in range(BREACH_COUNT):
        await harness.refresh_tokens()
        report = {
            "kind": "leak",
            "description": "度量遏制用时，非真实事件",
            "occurred_at": None,
            "detected_at": datetime.now(UTC).isoformat(),
            "scope": {"systems": [scenario.remote_system.system_id]},
        }
        response = await harness.fixtures.call(
            scenario.unit_admin, "POST", "/incident/breaches", params={"wait_ms": 5000}, json=report
        )
        durations.append(float(response.json()["containment"]["milliseconds"]))
        await _lift(harness, response.json()["id"])
    harness.record("breach reported to last probe, p50", "ms", [percentile(durations, 0.5)], "≤ 500")
    harness.record("breach reported to last probe, p99", "ms", [percentile(durations, 0.99)])
    harness.record("breach reported to last probe", "ms", durations)


async def _lift(harness: Harness, breach_id: str) -> None:
    scenario = harness.fixtures.scenario
    path = f"/incident/breaches/{breach_id}/lift-proposals"
    proposal = await harness.fixtures.call(scenario.center, "POST", path, json={"reason": "度量结束"})
    path = f"/incident/lift-proposals/{proposal.json()['id']}/approve"
    await harness.fixtures.call(scenario.authority, "POST", path, params={"wait_ms": 5000})


PUBLISHED_QUERY = """
    SELECT convert_from(body, 'UTF8')::jsonb ->> 'id' AS id, created_at FROM outbox WHERE topic LIKE '%.events'"""
RECEIVED_QUERY = "SELECT message_id::text AS id, received_at FROM inbox WHERE attempts = 0"


async def effects(harness: Harness) -> None:
    """Measure the time from an event's outbox row to its inbox row in another service, for all events so far."""
    published: dict[str, datetime] = {}
    received: list[tuple[str, datetime]] = []
    for service in ("identity", "datashare", "incident"):
        admin = await harness.platform.connect_superuser(service)
        published |= {row["id"]: row["created_at"] for row in await admin.fetch(PUBLISHED_QUERY)}
        received += [(row["id"], row["received_at"]) for row in await admin.fetch(RECEIVED_QUERY)]
        await admin.close()
    durations = [(at - published[id_]).total_seconds() * 1000 for id_, at in received if id_ in published]
    harness.record("outbox to effect, p50", "ms", [percentile(durations, 0.5)], "≤ 20")
    harness.record("outbox to effect, p99", "ms", [percentile(durations, 0.99)])


APPEND_COUNT = 60_000
"""Events on the bus when audit starts: enough for some seconds of work."""


async def appends(harness: Harness) -> None:
    """Measure audit's throughput from Kafka to signed checkpoints, with refusals of one publisher."""
    admin = await harness.platform.connect_superuser("audit")
    rates = []
    try:
        for _ in range(3):
            harness.platform.control("stop", "services:audit")
            before = await admin.fetchval("SELECT max(size) FROM checkpoints")
            await _publish_refusals(harness)
            harness.platform.control("start", "services:audit")
            while await admin.fetchval("SELECT max(size) FROM checkpoints") < before + APPEND_COUNT:
                await asyncio.sleep(0.2)
            rows = await admin.fetch("SELECT size, signed_at FROM checkpoints WHERE size > $1 ORDER BY size", before)
            seconds = (rows[-1]["signed_at"] - rows[0]["signed_at"]).total_seconds()
            rates.append((rows[-1]["size"] - rows[0]["size"]) / seconds)
    finally:
        await admin.close()
    await asyncio.to_thread(harness.platform.await_ready)
    harness.record("appends from Kafka to signed checkpoint", "1/s", rates, "≥ 20,000")


async def _publish_refusals(harness: Harness) -> None:
    topic, source, now = events_topic("gateway"), f"/gateway/bench/{new_id()}", datetime.now(UTC)
    security = KafkaSecurity("gateway", harness.platform.secret("gateway", "kafka_password"))
    bus = KafkaBus(
        f"127.0.0.1:{harness.platform.table()['kafka']['port']}", topics=TOPICS, client_id="bench", security=security
    )
    await bus.start()
    try:
        for first in range(1, APPEND_COUNT + 1, 500):
            batch = [_refusal(source, number, now) for number in range(first, first + 500)]
            await bus.publish([Message(topic, each.subject, each.to_bytes()) for each in batch])
    finally:
        await bus.stop()


def _refusal(source: str, number: int, now: datetime) -> Envelope:
    subject = f"system:{new_id()}"
    refusal = AccessRefused(
        request_id=str(new_id()),
        subject=subject,
        method="POST",
        route="/datashare",
        problem="credential-revoked",
        reason="contained",
        clause="6.5",
        origin="127.0.0.1",
    )
    return Envelope(
        id=new_id(),
        source=source,
        type=AccessRefused.type,
        subject=subject,
        time=now,
        sequence=number,
        actor=subject,
        requestid=refusal.request_id,
        traceparent=new_traceparent(),
        data=refusal.model_dump(mode="json"),
    )
