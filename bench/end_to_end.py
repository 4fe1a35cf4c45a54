"""Figures of what goes from service to service: revocations, breaches, events, and the log."""

import asyncio
import time
from datetime import UTC, datetime

from bench.harness import ROUNDS, Bench
from bench.load import percentile
from common.context import new_traceparent
from common.contracts.events.gateway import AccessRefused
from common.contracts.topics import TOPICS
from common.ids import new_id
from common.messaging.bus import Message
from common.messaging.events import Envelope
from common.messaging.kafka import KafkaBus, KafkaSecurity
from common.messaging.topics import events_topic

__all__ = ["appends", "breach", "effects", "revocation"]


async def revocation(bench: Bench) -> None:
    """From the call that revokes to its answer, which waits for every point: with 1, 3 and 10 gateways beside the services."""
    gateways = [row["name"] for row in bench.platform.table().values() if row["kind"] == "gateway"]
    for count in (1, 3, 10):
        for place, name in enumerate(gateways):
            bench.platform.control("start" if place < count else "stop", f"gateways:{name}")
        for name in gateways[:count]:
            await asyncio.to_thread(bench.platform.await_ready, url=bench.platform.direct(name))
        await bench.fresh()
        rounds = [await _revocations(bench) for _ in range(ROUNDS)]
        points = rounds[0][1]
        took = [values for values, _ in rounds]
        bench.note(f"revoke to acknowledged, {points}, p50", "ms", [percentile(each, 0.5) for each in took], "≤ 50")
        bench.note(f"revoke to acknowledged, {points}, p99", "ms", [percentile(each, 0.99) for each in took], "≤ 1,000")
    for name in gateways[1:]:
        bench.platform.control("stop", f"gateways:{name}")


async def _revocations(bench: Bench) -> tuple[list[float], str]:
    scenario, took = bench.world.scenario, []
    path = f"/identity/systems/{scenario.remote_system.system_id}"
    for _ in range(20):
        begun = time.perf_counter()
        answer = await bench.world.call(scenario.center, "POST", f"{path}/suspend", json={"reason": "度量"})
        took.append((time.perf_counter() - begun) * 1000)
        effective = answer.json().get("effective", answer.json())
        if effective["silent"]:
            raise RuntimeError(f"silent points: {effective['silent']}")
        await bench.world.call(scenario.center, "POST", f"{path}/reinstate")
    return took, str(effective["points"]).split(" of ")[-1] + " points"


BREACHES = 30


async def breach(bench: Bench) -> None:
    """From a breach's report to the last probe that was refused."""
    scenario = bench.world.scenario
    took = []
    for _ in range(BREACHES):
        await bench.fresh()
        report = {
            "kind": "leak",
            "description": "度量遏制用时，非真实事件",
            "occurred_at": None,
            "detected_at": datetime.now(UTC).isoformat(),
            "scope": {"systems": [scenario.remote_system.system_id]},
        }
        answer = await bench.world.call(
            scenario.unit_admin, "POST", "/incident/breaches", params={"wait_ms": 5000}, json=report
        )
        took.append(float(answer.json()["containment"]["milliseconds"]))
        await _lift(bench, answer.json()["id"])
    bench.note("breach reported to last probe, p50", "ms", [percentile(took, 0.5)], "≤ 500")
    bench.note("breach reported to last probe, p99", "ms", [percentile(took, 0.99)])
    bench.note("breach reported to last probe", "ms", took)


async def _lift(bench: Bench, breach_id: str) -> None:
    scenario = bench.world.scenario
    path = f"/incident/breaches/{breach_id}/lift-proposals"
    proposal = await bench.world.call(scenario.center, "POST", path, json={"reason": "度量结束"})
    path = f"/incident/lift-proposals/{proposal.json()['id']}/approve"
    await bench.world.call(scenario.authority, "POST", path, params={"wait_ms": 5000})


PUBLISHED = """
    SELECT convert_from(body, 'UTF8')::jsonb ->> 'id' AS id, created_at FROM outbox WHERE topic LIKE '%.events'"""
TAKEN = "SELECT message_id::text AS id, received_at FROM inbox WHERE attempts = 0"


async def effects(bench: Bench) -> None:
    """From the act that put an event into its outbox to the foreign service that took it in, over all events so far."""
    published: dict[str, datetime] = {}
    taken: list[tuple[str, datetime]] = []
    for service in ("identity", "datashare", "incident"):
        admin = await bench.platform.admin(service)
        published |= {row["id"]: row["created_at"] for row in await admin.fetch(PUBLISHED)}
        taken += [(row["id"], row["received_at"]) for row in await admin.fetch(TAKEN)]
        await admin.close()
    took = [(at - published[id_]).total_seconds() * 1000 for id_, at in taken if id_ in published]
    bench.note("outbox to effect, p50", "ms", [percentile(took, 0.5)], "≤ 20")
    bench.note("outbox to effect, p99", "ms", [percentile(took, 0.99)])


APPENDS = 60_000
"""Events that wait on the bus when audit begins: enough for seconds of work."""


async def appends(bench: Bench) -> None:
    """Audit's way from Kafka to a signed checkpoint, when much is waiting: the gateway's refusals, as one publisher."""
    admin = await bench.platform.admin("audit")
    rates = []
    try:
        for _ in range(3):
            bench.platform.control("stop", "services:audit")
            before = await admin.fetchval("SELECT max(size) FROM checkpoints")
            await _publish_refusals(bench)
            bench.platform.control("start", "services:audit")
            while await admin.fetchval("SELECT max(size) FROM checkpoints") < before + APPENDS:
                await asyncio.sleep(0.2)
            rows = await admin.fetch("SELECT size, signed_at FROM checkpoints WHERE size > $1 ORDER BY size", before)
            seconds = (rows[-1]["signed_at"] - rows[0]["signed_at"]).total_seconds()
            rates.append((rows[-1]["size"] - rows[0]["size"]) / seconds)
    finally:
        await admin.close()
    await asyncio.to_thread(bench.platform.await_ready)
    bench.note("appends from Kafka to signed checkpoint", "1/s", rates, "≥ 20,000")


async def _publish_refusals(bench: Bench) -> None:
    topic, source, now = events_topic("gateway"), f"/gateway/bench/{new_id()}", datetime.now(UTC)
    security = KafkaSecurity("gateway", bench.platform.secret("gateway", "kafka_password"))
    bus = KafkaBus(
        f"127.0.0.1:{bench.platform.table()['kafka']['port']}", topics=TOPICS, client_id="bench", security=security
    )
    await bus.start()
    try:
        for first in range(1, APPENDS + 1, 500):
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
