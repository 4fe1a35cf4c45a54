"""Failures that only Kafka has: brokers that die, hang or compact, and groups that rebalance."""

import asyncio
import time
from collections.abc import AsyncIterator

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import CommitFailedError, KafkaError

import common.messaging.kafka as kafka_bus
from common.contracts.topics import TOPICS
from common.messaging.bus import BusUnavailable, Message
from common.messaging.kafka import KafkaBus, consumer
from common.messaging.topics import Topic
from deploy.kafka_admin import KafkaAdmin
from deploy.kafka_broker import KafkaBroker
from tests.contracts.harness import TERM, Ground, Receiver, eventually, ground, in_order, read_whole, relay

pytestmark = pytest.mark.kafka

SESSION_TERM = 10.0
"""Seconds after which a group misses a member that says nothing."""


@pytest.fixture
async def over_kafka(kafka_broker: KafkaBroker) -> AsyncIterator[Ground]:
    async with ground(None, kafka_broker) as made:
        try:
            yield made
        finally:
            kafka_broker.resume()


def numbered(topic: str, count: int, keys: int = 1) -> list[Message]:
    return [Message(topic, f"k{number % keys}", str(number).encode()) for number in range(count)]


async def test_a_broker_killed_in_the_middle_loses_nothing_and_keeps_the_order(over_kafka, kafka_broker):
    topic, retained = await over_kafka.topic(partitions=4), await over_kafka.topic(retained=True)
    receiver, given = Receiver(), []
    bus = await over_kafka.bus(("group", [topic], receiver))
    follower = bus.follow(retained)
    messages = [
        message for pair in zip(numbered(topic, 400, 8), numbered(retained, 400, 8), strict=True) for message in pair
    ]

    async def publish():
        for start in range(0, len(messages), 10):
            await relay(bus, messages[start : start + 10])

    async def follow():
        while not {m for m in messages if m.topic == retained} <= set(given):
            try:
                given.extend((await follower.poll(0.1)).messages)
            except BusUnavailable:
                continue

    working = [asyncio.create_task(publish()), asyncio.create_task(follow())]
    for least in (100, 250):
        await receiver.until(lambda r, least=least: len(set(r.taken)) >= least)
        await asyncio.to_thread(kafka_broker.kill)
        await asyncio.to_thread(kafka_broker.start)
    async with asyncio.timeout(TERM):
        await asyncio.gather(*working)
    await receiver.has(m for m in messages if m.topic == topic)
    assert in_order(receiver.taken, [m for m in messages if m.topic == topic])
    assert in_order(given, [m for m in messages if m.topic == retained])
    given += await read_whole(follower)
    assert given == await read_whole(bus.follow(retained)), "a follower reads on at its very position"
    await eventually(bus.healthy)


async def test_a_publication_given_up_at_a_frozen_broker_does_not_overtake_later_ones(
    over_kafka, kafka_broker, monkeypatch
):
    monkeypatch.setattr(kafka_bus, "REQUEST_TIMEOUT", 0.5)
    topic = await over_kafka.topic(retained=True)
    bus = await over_kafka.bus()
    await bus.publish([Message(topic, "k", b"before")])
    kafka_broker.pause()
    for _ in range(3):
        with pytest.raises(BusUnavailable):
            await bus.publish([Message(topic, "k", b"first")])
    publishing = asyncio.create_task(relay(bus, [Message(topic, "k", b"first"), Message(topic, "k", b"second")]))
    await asyncio.wait([publishing], timeout=0.2)
    kafka_broker.resume()
    await publishing
    await relay(bus, [Message(topic, "k", b"third")])
    values = [message.value for message in await read_whole(bus.follow(topic))]
    # How often an attempt came through is the broker's affair; that none comes after a later message is ours.
    assert list(dict.fromkeys(values)) == [b"before", b"first", b"second", b"third"]
    assert values[-1] == b"third"
    assert b"first" not in values[values.index(b"second") :]


async def test_a_frozen_broker_confirms_nothing_and_its_follower_recovers(over_kafka, kafka_broker):
    topic = await over_kafka.topic(retained=True)
    bus = await over_kafka.bus()
    follower = bus.follow(topic)
    await read_whole(follower)
    kafka_broker.pause()
    frozen_at, confirmed, refused = time.monotonic(), [], 0
    while time.monotonic() < frozen_at + 2.5:
        try:
            confirmed.append((await follower.poll(0.1)).confirmed_at)
        except BusUnavailable:
            refused += 1
    assert not any(confirmed)
    assert refused >= 2
    kafka_broker.resume()
    publishing = asyncio.create_task(relay(bus, numbered(topic, 3)))
    given = await _poll_on(follower)
    await publishing
    assert [*given, *await read_whole(follower)] == numbered(topic, 3)


async def _poll_on(follower) -> list[Message]:
    """Poll until the bus answers again."""
    async with asyncio.timeout(TERM):
        while True:
            try:
                return list((await follower.poll(0.1)).messages)
            except BusUnavailable:
                continue


async def test_an_answer_that_came_late_confirms_only_the_time_of_the_question(over_kafka, kafka_broker):
    topic = await over_kafka.topic(retained=True)
    bus = await over_kafka.bus()
    follower = bus.follow(topic)
    await read_whole(follower)
    kafka_broker.pause()
    polling = asyncio.create_task(follower.poll(0.05))
    await asyncio.wait([polling], timeout=0.5)
    resumed_at = time.monotonic()
    kafka_broker.resume()
    batch = await polling
    assert batch.confirmed_at is not None
    assert batch.confirmed_at < resumed_at


async def test_a_broker_that_is_not_there_is_said_to_be_unavailable(kafka_broker):
    bus = KafkaBus("127.0.0.1:1", topics=TOPICS, client_id="test")
    with pytest.raises(BusUnavailable):
        await bus.start()
    assert not bus.healthy()
    with pytest.raises(BusUnavailable):
        await bus.publish([Message("xindun.gateway.receipts", "k", b"v")])
    with pytest.raises(BusUnavailable):
        await asyncio.to_thread(KafkaAdmin("127.0.0.1:1").ensure_topics, TOPICS.values())
    await bus.stop()


async def test_a_refused_message_does_not_spoil_the_producer(over_kafka, kafka_broker):
    topic = Topic("xindun.test.small", owner="test")
    await _create(kafka_broker, topic, {"max.message.bytes": "1000"})
    bus = await over_kafka.bus()
    with pytest.raises(BusUnavailable):
        await bus.publish([Message(topic.name, "k", bytes(2000))])
    await bus.publish(numbered(topic.name, 20))
    assert await read_whole(bus.follow(topic.name)) == numbered(topic.name, 20)


async def test_what_somebody_else_sends_is_bounded_by_the_broker_and_stops_no_consumer(over_kafka, kafka_broker):
    """Ten megabytes are not taken at all; what a careless setting of one topic lets in, is delivered like any other."""
    topic = Topic("xindun.test.large", owner="test")
    await _create(kafka_broker, topic, {"max.message.bytes": str(6 << 20)})
    receiver = Receiver()
    bus = await over_kafka.bus(("group", [topic.name], receiver))
    large = Message(topic.name, "k0", bytes(5 << 20))
    await _send(kafka_broker, large)
    with pytest.raises(KafkaError):
        await _send(kafka_broker, Message(topic.name, "k0", bytes(10 << 20)))
    await bus.publish(numbered(topic.name, 20))
    await receiver.has([large, *numbered(topic.name, 20)])
    assert receiver.taken == [large, *numbered(topic.name, 20)]
    assert await read_whole(bus.follow(topic.name)) == [large, *numbered(topic.name, 20)]


async def _send(broker: KafkaBroker, message: Message) -> None:
    """Send as a client does that knows no bound of ours."""
    producer = AIOKafkaProducer(
        bootstrap_servers=broker.bootstrap, max_request_size=20 << 20, request_timeout_ms=2000, acks="all"
    )
    await producer.start()
    try:
        await producer.send_and_wait(message.topic, message.value, message.key.encode())
    finally:
        await producer.stop()


async def _create(broker: KafkaBroker, topic: Topic, settings: dict[str, str]) -> None:
    TOPICS[topic.name] = topic
    admin = AIOKafkaAdminClient(bootstrap_servers=broker.bootstrap)
    await admin.start()
    created = await admin.create_topics([NewTopic(topic.name, topic.partitions, 1, topic_configs=settings)])
    assert [error[1] for error in created.topic_errors] == [0]
    await admin.close()


async def test_a_follower_reads_over_the_gaps_that_compaction_leaves(over_kafka, kafka_broker):
    topic = Topic("xindun.test.compacted", owner="test", retained=True)
    settings = {
        "cleanup.policy": "compact",
        "segment.bytes": str(1 << 20),
        "min.cleanable.dirty.ratio": "0.01",
        "delete.retention.ms": "0",
    }
    await _create(kafka_broker, topic, settings)
    bus = await over_kafka.bus()
    behind = bus.follow(topic.name)
    assert (await behind.poll(0)).messages == ()
    values = [Message(topic.name, f"k{number % 5}", f"{number}".encode() + bytes(20_000)) for number in range(300)]
    for start in range(0, len(values), 10):
        await bus.publish(values[start : start + 10])
    await bus.publish([Message(topic.name, "k0", None)])

    async def read():
        follower = bus.follow(topic.name)
        messages = await read_whole(follower)
        await follower.close()
        return messages

    async with asyncio.timeout(TERM):
        while len(found := await read()) > 100:
            await asyncio.sleep(0.1)
    last = {message.key: message.value for message in found}
    assert {key: value for key, value in last.items() if value} == {m.key: m.value for m in values[-4:]}
    # The one that was behind crosses the same gaps, and is confirmed after them.
    last = {message.key: message.value for message in await read_whole(behind)}
    assert {key: value for key, value in last.items() if value} == {m.key: m.value for m in values[-4:]}


async def test_a_topic_that_was_deleted_confirms_nothing_and_a_recreated_one_is_read_from_its_beginning(
    over_kafka, kafka_broker
):
    topic, other = await over_kafka.topic(retained=True), await over_kafka.topic()
    receiver = Receiver()
    bus = await over_kafka.bus(("group", [topic, other], receiver))
    follower = bus.follow(topic)
    await relay(bus, numbered(topic, 5))
    assert await read_whole(follower) == numbered(topic, 5)
    await receiver.has(numbered(topic, 5))
    await _delete(kafka_broker, topic)
    deleted_at = time.monotonic()
    while time.monotonic() < deleted_at + 2.5:
        try:
            confirmed_at = (await follower.poll(0.1)).confirmed_at
            assert confirmed_at is None or confirmed_at < deleted_at + 1, "a leader may answer for a moment more"
        except BusUnavailable:
            continue
    assert not follower._positions, "they mean nothing in the topic's successor"
    await relay(bus, numbered(other, 5))
    await receiver.has(numbered(other, 5))
    assert await asyncio.to_thread(KafkaAdmin(kafka_broker.bootstrap).ensure_topics, [TOPICS[topic]]) == []
    recreated = [
        Message(topic, "k", f"recreated {number}".encode()) for number in range(20)
    ]  # past where the follower stood
    await relay(bus, recreated)
    given = await _poll_on(follower)
    assert [*given, *await read_whole(follower)] == recreated
    await receiver.has(recreated)


async def _delete(broker: KafkaBroker, topic: str) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=broker.bootstrap)
    await admin.start()
    try:
        await admin.delete_topics([topic])
        async with asyncio.timeout(TERM):
            while topic in await admin.list_topics():
                await asyncio.sleep(0.05)
    finally:
        await admin.close()


async def test_topics_are_created_once_and_differences_are_reported(over_kafka, kafka_broker):
    name = await over_kafka.topic(partitions=2)
    assert await asyncio.to_thread(KafkaAdmin(kafka_broker.bootstrap).ensure_topics, [TOPICS[name]]) == []
    other = Topic(name, owner="test", partitions=3, retained=True)
    differences = await asyncio.to_thread(KafkaAdmin(kafka_broker.bootstrap).ensure_topics, [other])
    assert f"{name}: 2 partitions, not 3" in differences
    assert f"{name}: cleanup.policy is delete, not compact" in differences
    TOPICS[name] = other
    bus = await over_kafka.bus()
    with pytest.raises(BusUnavailable):
        await bus.follow(name).poll(0.1)


async def test_a_delivery_ends_before_its_partition_moves_to_another_member(over_kafka):
    topic = await over_kafka.topic()
    started, go_on = asyncio.Event(), asyncio.Event()
    taken, later = Receiver(), Receiver()

    async def deliver(messages):
        started.set()
        await go_on.wait()
        await taken(messages)

    bus = await over_kafka.bus(("group", [topic], deliver))
    await bus.publish(numbered(topic, 3))
    await started.wait()
    joining = asyncio.create_task(over_kafka.bus(("group", [topic], later)))
    assert await asyncio.wait([joining], timeout=1.0) == (set(), {joining}), "the new member waits"
    go_on.set()
    await joining
    await bus.publish([Message(topic, "k0", b"last")])
    await eventually(lambda: len(taken.taken) + len(later.taken) == 4)
    assert sorted(m.value for m in [*taken.taken, *later.taken]) == [b"0", b"1", b"2", b"last"], (
        "nothing was shown twice"
    )


async def test_a_delivery_that_does_not_end_in_time_is_cut_off_and_shown_again(over_kafka, monkeypatch):
    monkeypatch.setattr(consumer, "REVOKE_TIMEOUT", 0.2)
    topic, cut_off = await over_kafka.topic(), asyncio.Event()
    started, taken = asyncio.Event(), Receiver()

    async def deliver(messages):
        if not started.is_set():
            started.set()
            try:
                await asyncio.Event().wait()
            finally:
                cut_off.set()
        await taken(messages)

    bus = await over_kafka.bus(("group", [topic], deliver))
    await bus.publish(numbered(topic, 3))
    await started.wait()
    await over_kafka.bus(("group", [topic], deliver))
    await cut_off.wait()
    await taken.has(numbered(topic, 3))
    assert taken.taken == numbered(topic, 3)


async def test_what_comes_during_a_delivery_waits_in_order_and_is_bounded(over_kafka, monkeypatch):
    monkeypatch.setattr(consumer, "MAX_QUEUED_MESSAGES", 2)
    topic, started, go_on, taken = await over_kafka.topic(), asyncio.Event(), asyncio.Event(), Receiver()

    async def deliver(messages):
        started.set()
        await go_on.wait()
        await taken(messages)

    bus = await over_kafka.bus(("group", [topic], deliver))
    messages = numbered(topic, 100)
    await bus.publish(messages[:1])
    await started.wait()
    for start in range(1, 100, 9):
        await bus.publish(messages[start : start + 9])
    go_on.set()
    await taken.until(lambda receiver: len(receiver.taken) >= len(messages))
    assert taken.taken == messages


async def test_a_commit_that_fails_loses_nothing_of_what_waited_behind_it(over_kafka, monkeypatch):
    failing, failed = asyncio.Event(), asyncio.Event()

    class Failing(AIOKafkaConsumer):
        async def commit(self, offsets=None):
            if not failed.is_set():
                await failing.wait()
                failed.set()
                raise CommitFailedError
            await super().commit(offsets)

    monkeypatch.setattr(consumer, "AIOKafkaConsumer", Failing)
    topic, taken = await over_kafka.topic(), Receiver()
    bus = await over_kafka.bus(("group", [topic], taken))
    messages = numbered(topic, 30)
    await bus.publish(messages[:10])
    await taken.until(lambda receiver: len(receiver.taken) >= 1)
    await bus.publish(messages[10:])
    failing.set()
    await taken.has(messages)
    assert in_order(taken.taken, messages)
    assert taken.shown[0][0] in taken.shown[1], "what was not committed is shown again"


async def test_a_member_that_died_has_its_partitions_again_at_once_and_the_others_keep_theirs(over_kafka):
    topic, first, second, again = await over_kafka.topic(partitions=4), Receiver(), Receiver(), Receiver()
    died = await over_kafka.bus(("group", [topic], first), member="first")
    bus = await over_kafka.bus(("group", [topic], second), member="second")
    messages = numbered(topic, 80, keys=40)
    await bus.publish(messages[:40])
    await eventually(lambda: len(first.taken) + len(second.taken) == 40)
    await _die(died)
    async with asyncio.timeout(SESSION_TERM / 2):
        back = await over_kafka.bus(("group", [topic], again), member="first")
    await back.publish(messages[40:])
    await eventually(lambda: len(again.taken) + len(second.taken[-40:]) >= 40)
    assert {m.key for m in again.taken} == {m.key for m in first.taken}, "the same partitions"


async def test_a_member_that_leaves_in_order_is_not_waited_for(over_kafka):
    topic, first, second = await over_kafka.topic(partitions=4), Receiver(), Receiver()
    leaving = await over_kafka.bus(("group", [topic], first))
    stays = await over_kafka.bus(("group", [topic], second))
    await leaving.stop()
    messages = numbered(topic, 40, keys=40)
    async with asyncio.timeout(SESSION_TERM / 2):
        await stays.publish(messages)
        await second.has(messages)
    assert first.taken == []


async def _die(bus: KafkaBus) -> None:
    """End what the bus does without a word to the brokers."""
    for each in bus._consumers:
        each._task.cancel()
        await asyncio.gather(each._task, return_exceptions=True)


async def test_a_consumer_that_hangs_is_replaced(over_kafka, monkeypatch):
    consumers = []

    class Recorded(AIOKafkaConsumer):
        def __init__(self, *arguments, **options):
            super().__init__(*arguments, **options)
            consumers.append(self)

    monkeypatch.setattr(consumer, "AIOKafkaConsumer", Recorded)
    monkeypatch.setattr(consumer, "WATCHDOG_TIMEOUT", 2.0)
    topic, receiver = await over_kafka.topic(), Receiver()
    bus = await over_kafka.bus(("group", [topic], receiver))
    await eventually(lambda: consumers[0].last_poll_timestamp(next(iter(consumers[0].assignment()))) is not None)
    consumers[0]._fetcher._fetch_task.cancel()  # so it was seen to hang: alive, assigned, and fetching no more
    await bus.publish(numbered(topic, 3))
    await eventually(lambda: not bus.healthy())
    await receiver.has(numbered(topic, 3))
    await eventually(bus.healthy)
    assert len(consumers) == 2
