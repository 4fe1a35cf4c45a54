"""Pruning: what nobody can need any more goes, and nothing else can be made to."""

import asyncio
from datetime import timedelta

import asyncpg
import pytest

from common.contracts.topics import TOPICS
from common.ids import new_id
from common.storage import pruning
from common.storage.pruning import prune
from common.web.application import asyncpg_dsn
from tests.harness.polling import eventually

SEGMENT = timedelta(days=7)
"""How long Kafka may keep a message beyond its term, until its segment ends (`segment.ms`)."""
OUTBOX = (
    "INSERT INTO outbox (topic, key, body, created_at, published_at) VALUES ($1, $2, '', now(), now() - $3::interval)"
)
INBOX = (
    "INSERT INTO inbox (message_id, topic, key, type, status, payload, settled_by, reason, received_at)"
    " VALUES ($1, 't', 'k', 'x', $2, $3, 'account:1', 'why', now() - $4::interval)"
)
ANSWER = "INSERT INTO idempotency (actor, key, fingerprint, created_at) VALUES ('a', $1, '', now() - $2::interval)"
DAY = timedelta(days=1)


async def prune_all(harness) -> int:
    total = 0
    while removed := await prune(harness.runtime):
        total += removed
    return total


async def test_published_rows_go_after_their_term_and_no_others(harness, admin):
    await admin.execute(OUTBOX, "xindun.toy.events", "old", 31 * DAY)
    await admin.execute(OUTBOX, "xindun.toy.events", "young", 29 * DAY)
    await admin.execute(OUTBOX, "xindun.toy.events", "never", None)
    await admin.execute(OUTBOX, "xindun.feed", "account:1", 400 * DAY)
    await admin.execute(OUTBOX, "xindun.feed", "session:1", 31 * DAY)
    assert await prune_all(harness) == 2
    left = {row["key"] for row in await admin.fetch("SELECT key FROM outbox")}
    assert left == {"young", "never", "account:1"}


async def test_effects_go_when_their_message_cannot_come_again_and_decisions_stay(harness, admin):
    for status, payload in (("done", None), ("waiting", b"{}"), ("dead", b"{}"), ("dropped", None)):
        for age in (46 * DAY, 44 * DAY):
            await admin.execute(INBOX, new_id(), status, payload, age)
    assert await prune_all(harness) == 1
    left = await admin.fetch("SELECT status, count(*) FROM inbox GROUP BY status")
    assert {row["status"]: row["count"] for row in left} == {"done": 1, "waiting": 2, "dead": 2, "dropped": 2}


def test_an_effect_is_remembered_for_longer_than_any_topic_keeps_its_message():
    assert max(topic.kept for topic in TOPICS.values() if topic.kept) + SEGMENT < timedelta(days=45)


async def test_answers_go_after_seven_days(harness, admin):
    await admin.execute(ANSWER, "old", 8 * DAY)
    await admin.execute(ANSWER, "young", 6 * DAY)
    assert await prune_all(harness) == 1
    assert await admin.fetchval("SELECT key FROM idempotency") == "young"


async def test_much_goes_in_batches(harness, admin, monkeypatch):
    monkeypatch.setattr(pruning, "PRUNE_BATCH_SIZE", 10)
    for n in range(25):
        await admin.execute(OUTBOX, "xindun.toy.events", str(n), 31 * DAY)
    assert [await prune(harness.runtime) for _ in range(4)] == [10, 10, 5, 0]


async def test_of_several_replicas_one_prunes(harness, admin):
    await admin.execute(OUTBOX, "xindun.toy.events", "old", 31 * DAY)
    async with admin.transaction():
        await admin.execute("SELECT pg_advisory_xact_lock(hashtext('xindun.prune'))")
        assert await prune(harness.runtime) == 0
    assert await prune(harness.runtime) == 1


async def test_a_service_prunes_by_itself(harness, admin, monkeypatch):
    monkeypatch.setattr(pruning, "PRUNE_INTERVAL", 0.01)
    running = asyncio.create_task(pruning.prune_periodically(harness.runtime))
    await admin.execute(OUTBOX, "xindun.toy.events", "old", 31 * DAY)
    try:
        await eventually(lambda: gone(admin))
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def gone(admin) -> bool:
    return await admin.fetchval("SELECT count(*) FROM outbox WHERE key = 'old'") == 0


@pytest.mark.clause("12.4")
async def test_the_serving_role_cannot_make_anything_young_go(harness, toy_database, admin):
    """Who took the service over can neither delete nor shorten a term."""
    await admin.execute(OUTBOX, "xindun.toy.events", "young", 29 * DAY)
    connection = await asyncpg.connect(asyncpg_dsn(toy_database.app))
    for term in ("0 days", "-100 years", "1 day"):
        assert await connection.fetchval("SELECT prune($1::text::interval, 1000000)", term) == 0
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await connection.execute("DELETE FROM outbox")
    await connection.close()


async def test_numbers_go_on_after_pruning(harness, admin):
    answer = await harness.client.post("/toy/things", headers=harness.as_("accounts.invite"), json={"name": "one"})
    assert answer.status_code == 201
    await eventually(lambda: len(harness.bus.events()) == 1)
    await eventually(lambda: all_marked(admin))
    await admin.execute("UPDATE outbox SET published_at = now() - interval '31 days'")
    assert await prune_all(harness) == 1
    await harness.client.post("/toy/things", headers=harness.as_("accounts.invite"), json={"name": "two"})
    await eventually(lambda: len(harness.bus.events()) == 2)
    assert [envelope.sequence for envelope in harness.bus.events()] == [1, 2]


async def all_marked(admin) -> bool:
    return await admin.fetchval("SELECT count(*) FROM outbox WHERE published_at IS NULL") == 0
