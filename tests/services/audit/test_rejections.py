"""Messages that cannot be leaves are recorded as anomalies, whatever their number, and hold up no other message."""

from datetime import timedelta
from hashlib import sha256

import pytest

from common.clock import ManualClock
from common.messaging.bus import Message
from common.messaging.topics import events_topic

pytestmark = pytest.mark.clause("7.4")
FLOOD = 10_000


def forged(harness, count, topic="identity"):
    return [harness.message("/datashare", number=n, topic=topic) for n in range(1, count + 1)]


async def deliver_as_the_bus_does(harness, messages):
    for at in range(0, len(messages), 500):
        await harness.deliver(*messages[at : at + 500])


async def counted(harness):
    return {(row["reason"], row["count"]) for row in await harness.sql("SELECT reason, count FROM rejection_counts")}


async def test_an_event_that_claims_another_source_than_its_topics_owner_is_recorded_with_topic_source_and_digest(
    harness,
):
    (message,) = forged(harness, 1)
    for _ in range(2):
        await harness.deliver(message)
    (anomaly,) = await harness.events("anomaly.detected")
    digest = sha256(message.value).hexdigest()
    assert anomaly["topic"] == "xindun.identity.events"
    assert (anomaly["reason"], anomaly["source"], anomaly["digest"]) == ("foreign-publisher", "/datashare", digest)
    assert (anomaly["count"], anomaly["bytes"]) == (1, len(message.value))
    (item,) = (await harness.read("rejected"))["items"]
    assert (item["sha256"], item["source"]) == (digest, "/datashare")


async def test_a_number_used_for_something_else_is_recorded_too(harness):
    await harness.deliver(harness.message(number=1), harness.message(number=1))
    (anomaly,) = await harness.events("anomaly.detected")
    assert (anomaly["reason"], anomaly["source"]) == ("number-used-twice", "/identity")


async def test_a_flood_of_forgeries_is_counted_and_becomes_few_warnings_and_few_rows(harness):
    messages = forged(harness, FLOOD)
    good = harness.messages(20)
    await deliver_as_the_bus_does(harness, [*messages[: FLOOD // 2], *good, *messages[FLOOD // 2 :]])
    counts = [anomaly["count"] for anomaly in await harness.events("anomaly.detected")]
    assert counts == [*range(1, 11), 100, 1_000, 10_000]
    assert await counted(harness) == {("foreign-publisher", FLOOD)}
    assert len(await harness.sql("SELECT FROM rejected")) == 1_000
    bodies = set(await harness.bodies())
    assert bodies >= {message.value for message in good}
    assert not bodies & {message.value for message in messages}


async def test_forgeries_that_trickle_are_as_few_warnings(harness):
    for message in forged(harness, 30):
        await harness.deliver(message)
    assert len(await harness.events("anomaly.detected")) == 10


async def test_each_topic_reason_and_day_counts_by_itself(make_harness):
    harness = await make_harness(clock=ManualClock())
    first, second = forged(harness, 12), forged(harness, 12)
    await harness.deliver(*first, *forged(harness, 1, topic="incident"), Message(events_topic("identity"), "k", b"no"))
    assert len(await harness.events("anomaly.detected")) == 10 + 1 + 1
    harness.clock.advance(timedelta(days=1))
    await harness.deliver(*second)
    assert len(await harness.events("anomaly.detected")) == 22


async def test_replicas_count_together(make_harness, harness):
    other = await make_harness(harness.database, signer=harness.signer)
    messages = forged(harness, 24)
    for at, message in enumerate(messages):
        await (harness, other)[at % 2].deliver(message)
    await other.deliver(*messages)
    assert len(await harness.events("anomaly.detected")) == 10
    assert await counted(harness) == {("foreign-publisher", 24)}


async def test_a_crash_before_the_commit_leaves_neither_count_nor_warning(harness, monkeypatch):
    async def crash(*_):
        raise ZeroDivisionError

    monkeypatch.setattr(harness.sequencer, "_grow", crash)
    with pytest.raises(ZeroDivisionError):
        await harness.deliver(*forged(harness, 3), harness.message())
    assert (await counted(harness), await harness.events("anomaly.detected")) == (set(), [])


async def test_events_of_an_unknown_type_are_leaves_like_others(harness):
    messages = [harness.message(name=f"unheard.of-{n}") for n in range(FLOOD)]
    await deliver_as_the_bus_does(harness, messages)
    assert set(await harness.bodies()) == {message.value for message in messages}
    assert await harness.events("anomaly.detected") == []


async def test_a_message_of_ten_megabytes_and_garbage_stop_no_other_message(harness):
    topic = events_topic("identity")
    bad = [
        Message(topic, "k", bytes(10 << 20)),
        Message(topic, "k", harness.message(number=1, data={"note": "x" * (10 << 20)}).value),
        Message(topic, "k", b"[" * 60_000),
        Message(topic, "k", b'{"id":' * 10_000),
        Message(topic, "k", b"\xff" * 60_000),
        Message(topic, "k", b'{"source":"\\ud800"}'),
    ]
    good = harness.messages(4)
    await harness.deliver(good[0], *bad, *good[1:])
    assert set(await harness.bodies()) >= {message.value for message in good}
    items = (await harness.read("rejected"))["items"]
    assert sorted(item["bytes"] for item in items) == sorted(len(message.value) for message in bad)
    assert {item["source"] for item in items} == {None}
