"""What is no leaf is on record and told of, whoever sent it and however much of it, and holds nobody up."""

from datetime import timedelta
from hashlib import sha256

import pytest

from common.clock import ManualClock
from common.messaging.bus import Message
from common.messaging.topics import events_topic
from tests.services.audit.test_producers import told

pytestmark = pytest.mark.clause("7.4")
FLOOD = 10_000


def forged(world, count, topic="identity"):
    return [world.message("/datashare", number=n, topic=topic) for n in range(1, count + 1)]


async def deliver_as_the_bus_does(world, messages):
    for at in range(0, len(messages), 500):
        await world.deliver(*messages[at : at + 500])


async def counted(world):
    return {(row["reason"], row["count"]) for row in await world.sql("SELECT reason, count FROM rejection_counts")}


async def test_an_event_that_claims_another_source_than_its_topics_owner_is_told_with_topic_source_and_digest(world):
    (message,) = forged(world, 1)
    for _ in range(2):
        await world.deliver(message)
    (anomaly,) = await told(world, "anomaly.detected")
    digest = sha256(message.value).hexdigest()
    assert anomaly["topic"] == "xindun.identity.events"
    assert (anomaly["reason"], anomaly["source"], anomaly["digest"]) == ("foreign-publisher", "/datashare", digest)
    assert (anomaly["count"], anomaly["bytes"]) == (1, len(message.value))
    (item,) = (await world.read("rejected"))["items"]
    assert (item["sha256"], item["source"]) == (digest, "/datashare")


async def test_a_number_used_for_something_else_is_told_too(world):
    await world.deliver(world.message(number=1), world.message(number=1))
    (anomaly,) = await told(world, "anomaly.detected")
    assert (anomaly["reason"], anomaly["source"]) == ("number-used-twice", "/identity")


async def test_a_flood_of_forgeries_is_counted_and_becomes_few_warnings_and_few_rows(world):
    messages = forged(world, FLOOD)
    good = world.messages(20)
    await deliver_as_the_bus_does(world, [*messages[: FLOOD // 2], *good, *messages[FLOOD // 2 :]])
    counts = [anomaly["count"] for anomaly in await told(world, "anomaly.detected")]
    assert counts == [*range(1, 11), 100, 1_000, 10_000]
    assert await counted(world) == {("foreign-publisher", FLOOD)}
    assert len(await world.sql("SELECT FROM rejected")) == 1_000
    bodies = set(await world.bodies())
    assert bodies >= {message.value for message in good}
    assert not bodies & {message.value for message in messages}


async def test_forgeries_that_trickle_are_as_few_warnings(world):
    for message in forged(world, 30):
        await world.deliver(message)
    assert len(await told(world, "anomaly.detected")) == 10


async def test_each_topic_reason_and_day_counts_by_itself(make_world):
    world = await make_world(clock=ManualClock())
    first, second = forged(world, 12), forged(world, 12)
    await world.deliver(*first, *forged(world, 1, topic="incident"), Message(events_topic("identity"), "k", b"no"))
    assert len(await told(world, "anomaly.detected")) == 10 + 1 + 1
    world.clock.advance(timedelta(days=1))
    await world.deliver(*second)
    assert len(await told(world, "anomaly.detected")) == 22


async def test_replicas_count_together(make_world, world):
    other = await make_world(world.database, signer=world.signer)
    messages = forged(world, 24)
    for at, message in enumerate(messages):
        await (world, other)[at % 2].deliver(message)
    await other.deliver(*messages)
    assert len(await told(world, "anomaly.detected")) == 10
    assert await counted(world) == {("foreign-publisher", 24)}


async def test_a_crash_before_the_commit_leaves_neither_count_nor_warning(world, monkeypatch):
    async def crash(*_):
        raise ZeroDivisionError

    monkeypatch.setattr(world.sequencer, "_grow", crash)
    with pytest.raises(ZeroDivisionError):
        await world.deliver(*forged(world, 3), world.message())
    assert (await counted(world), await told(world, "anomaly.detected")) == (set(), [])


async def test_events_of_an_unknown_type_are_leaves_like_others(world):
    messages = [world.message(name=f"unheard.of-{n}") for n in range(FLOOD)]
    await deliver_as_the_bus_does(world, messages)
    assert set(await world.bodies()) == {message.value for message in messages}
    assert await told(world, "anomaly.detected") == []


async def test_a_message_of_ten_megabytes_and_garbage_stop_nobody(world):
    topic = events_topic("identity")
    bad = [
        Message(topic, "k", bytes(10 << 20)),
        Message(topic, "k", world.message(number=1, data={"note": "x" * (10 << 20)}).value),
        Message(topic, "k", b"[" * 60_000),
        Message(topic, "k", b'{"id":' * 10_000),
        Message(topic, "k", b"\xff" * 60_000),
        Message(topic, "k", b'{"source":"\\ud800"}'),
    ]
    good = world.messages(4)
    await world.deliver(good[0], *bad, *good[1:])
    assert set(await world.bodies()) >= {message.value for message in good}
    items = (await world.read("rejected"))["items"]
    assert sorted(item["bytes"] for item in items) == sorted(len(message.value) for message in bad)
    assert {item["source"] for item in items} == {None}
