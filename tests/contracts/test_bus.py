"""The contract of the bus, which every implementation keeps."""

import asyncio
import time
from collections.abc import Sequence

import pytest

from common.messaging.bus import MAX_MESSAGE_BYTES, Bus, BusUnavailable, Message, TopicReader
from tests.contracts.harness import Ground, Receiver, in_order, read_whole, relay
from tests.harness.polling import eventually


def numbered(topic: str, count: int, keys: int = 1) -> list[Message]:
    return [Message(topic, f"k{number % keys}", str(number).encode()) for number in range(count)]


async def test_what_is_published_is_delivered_in_order_per_key(ground_of: Ground):
    topic, receiver = await ground_of.topic(partitions=4), Receiver()
    bus = await ground_of.bus(("group", [topic], receiver))
    messages = numbered(topic, 200, keys=10)
    for start in range(0, len(messages), 7):
        await relay(bus, messages[start : start + 7])
    await receiver.has(messages)
    assert in_order(receiver.taken, messages)


async def test_five_thousand_messages_at_once_all_arrive_in_order(ground_of: Ground):
    topic, receiver = await ground_of.topic(partitions=4), Receiver()
    bus = await ground_of.bus(("group", [topic], receiver))
    messages = numbered(topic, 5000, keys=50)
    await relay(bus, messages)
    await receiver.has(messages)
    assert in_order(receiver.taken, messages)


async def test_one_publication_may_carry_several_topics(ground_of: Ground):
    one, other = await ground_of.topic(), await ground_of.topic(partitions=4)
    receiver = Receiver()
    bus = await ground_of.bus(("group", [one, other], receiver))
    messages = [message for pair in zip(numbered(one, 50, 5), numbered(other, 50, 5), strict=True) for message in pair]
    await relay(bus, messages)
    await receiver.has(messages)
    assert all(len({message.topic for message in shown}) == 1 for shown in receiver.shown), "a delivery is of one topic"
    assert in_order([m for m in receiver.taken if m.topic == one], numbered(one, 50, 5))
    assert in_order([m for m in receiver.taken if m.topic == other], numbered(other, 50, 5))


async def test_a_message_that_is_too_large_is_refused_with_all_that_came_with_it(ground_of: Ground):
    topic, receiver = await ground_of.topic(), Receiver()
    bus = await ground_of.bus(("group", [topic], receiver))
    fits = Message(topic, "k", bytes(MAX_MESSAGE_BYTES - 1))
    with pytest.raises(ValueError, match="bytes"):
        await bus.publish([Message(topic, "k", b"with it"), Message(topic, "k", bytes(MAX_MESSAGE_BYTES))])
    await relay(bus, [fits, Message(topic, "k", b"next")])
    await receiver.has([fits, Message(topic, "k", b"next")])
    assert receiver.taken == [fits, Message(topic, "k", b"next")]


async def test_members_of_a_group_share_and_each_group_gets_all(ground_of: Ground):
    topic = await ground_of.topic(partitions=4)
    first, second, alone = Receiver(), Receiver(), Receiver()
    bus = await ground_of.bus(("pair", [topic], first), ("pair", [topic], second), ("alone", [topic], alone))
    messages = numbered(topic, 60, keys=30)
    for message in messages:
        await relay(bus, [message])
    await alone.has(messages)
    await eventually(lambda: len(first.taken) + len(second.taken) >= len(messages))
    assert set(first.taken) | set(second.taken) == set(messages)
    assert first.taken
    assert second.taken
    assert not set(first.taken) & set(second.taken)


async def test_a_delivery_that_raises_is_shown_the_same_again(ground_of: Ground):
    topic, receiver = await ground_of.topic(), Receiver(refuse=3)
    bus = await ground_of.bus(("group", [topic], receiver))
    messages = numbered(topic, 5)
    await relay(bus, messages)
    await receiver.has(messages)
    assert receiver.shown[:4] == [messages] * 4


async def test_a_delivery_that_keeps_raising_does_not_stop_other_topics(ground_of: Ground):
    bad, good = await ground_of.topic(), await ground_of.topic()
    taken = Receiver()
    refused = asyncio.Event()

    async def deliver(messages):
        if messages[0].topic == bad:
            refused.set()
            raise RuntimeError("poison")
        await taken(messages)

    bus = await ground_of.bus(("group", [bad, good], deliver))
    poison = asyncio.create_task(relay(bus, numbered(bad, 1)))
    await refused.wait()
    await relay(bus, numbered(good, 20))
    await taken.has(numbered(good, 20))
    poison.cancel()
    await asyncio.gather(poison, return_exceptions=True)


async def test_what_was_not_taken_before_a_restart_is_taken_after_it(ground_of: Ground):
    """An acknowledged publication is the bus's to keep, any other one the publisher's."""
    topic, messages = await ground_of.topic(), None
    messages = numbered(topic, 20)
    refusing = Receiver(refuse=1_000_000)
    bus = await ground_of.bus(("group", [topic], refusing))
    try:
        await bus.publish(messages)
        held = True
    except BusUnavailable:
        held = False
    await refusing.until(lambda receiver: bool(receiver.shown))
    await bus.stop()
    receiver = Receiver()
    bus = await ground_of.bus(("group", [topic], receiver))
    if not held:
        await relay(bus, messages)
    await receiver.has(messages)
    assert in_order(receiver.taken, messages)


async def test_stop_lets_a_delivery_in_progress_end_and_commits_it(ground_of: Ground):
    topic, receiver = await ground_of.topic(), Receiver()
    started, go_on = asyncio.Event(), asyncio.Event()

    async def deliver(messages):
        started.set()
        await go_on.wait()
        await receiver(messages)

    bus = await ground_of.bus(("group", [topic], deliver))
    publishing = asyncio.create_task(bus.publish(numbered(topic, 1)))
    await started.wait()
    stopping = asyncio.create_task(bus.stop())
    assert await asyncio.wait([stopping], timeout=0.2) == (set(), {stopping}), "stop waits for the delivery"
    go_on.set()
    await stopping
    await publishing
    assert receiver.taken == numbered(topic, 1)

    later = Receiver()
    bus = await ground_of.bus(("group", [topic], later))
    await relay(bus, [Message(topic, "k0", b"after")])
    await later.has([Message(topic, "k0", b"after")])
    assert later.taken == [Message(topic, "k0", b"after")], "what was committed is not shown again"


async def test_a_bus_that_is_not_running_takes_and_gives_nothing(ground_of: Ground):
    topic = await ground_of.topic(retained=True)
    bus = await ground_of.bus()
    follower = bus.follow(topic)
    await follower.poll(0)
    await bus.stop()
    assert not bus.healthy()
    with pytest.raises(BusUnavailable):
        await bus.publish(numbered(topic, 1))
    with pytest.raises(BusUnavailable):
        await follower.poll(0)


async def test_a_poll_in_progress_ends_when_the_bus_stops(ground_of: Ground):
    topic = await ground_of.topic(retained=True)
    bus = await ground_of.bus()
    follower = bus.follow(topic)
    await read_whole(follower)
    polling = asyncio.create_task(_poll_on(follower))
    await asyncio.wait([polling], timeout=0.05)
    await bus.stop()
    with pytest.raises(BusUnavailable):
        await asyncio.wait_for(polling, 5)


async def _poll_on(follower: TopicReader) -> None:
    while True:
        await follower.poll(5)


async def test_a_later_follower_reads_a_retained_topic_whole(ground_of: Ground):
    topic = await ground_of.topic(retained=True)
    bus = await ground_of.bus()
    steps = [
        ("a", b"1"),
        ("b", b"1"),
        ("a", b"2"),
        ("c", b"1"),
        ("b", None),
        ("a", b"3"),
        ("d", b""),
        ("c", None),
        ("c", b"2"),
    ]
    for key, value in steps:
        await bus.publish([Message(topic, key, value)])
    expected = {"a": b"3", "c": b"2", "d": b""}

    def last(messages):
        values = {message.key: message.value for message in messages}
        return {key: value for key, value in values.items() if value is not None}

    assert last(await read_whole(bus.follow(topic))) == expected
    await bus.stop()
    bus = await ground_of.bus()
    follower = bus.follow(topic)
    assert last(await read_whole(follower)) == expected, "after a restart, too"
    assert await read_whole(follower) == [], "nothing is read twice"
    await bus.publish([Message(topic, "a", None)])
    assert await read_whole(follower) == [Message(topic, "a", None)]


async def test_a_follower_receives_a_message_at_once(ground_of: Ground):
    topic = await ground_of.topic(retained=True)
    bus = await ground_of.bus()
    follower = bus.follow(topic)
    await read_whole(follower)
    took = []
    for message in numbered(topic, 20):
        polling = asyncio.create_task(follower.poll(5))
        await asyncio.wait([polling], timeout=0.01)
        started = time.monotonic()
        await bus.publish([message])
        batch = await polling
        took.append(time.monotonic() - started)
        assert batch.messages == (message,)
    assert sorted(took)[10] < 0.1, f"median of {took}"


async def test_an_idle_follower_is_confirmed_several_times_a_second(ground_of: Ground):
    topic = await ground_of.topic(retained=True)
    bus = await ground_of.bus()
    follower = bus.follow(topic)
    await read_whole(follower)
    for timeout in (0.0, 0.05, 0.2):
        started = time.monotonic()
        batch = await follower.poll(timeout)
        assert batch.messages == ()
        assert batch.confirmed_at is not None
        assert batch.confirmed_at >= started
        assert time.monotonic() - batch.confirmed_at < 0.5


async def test_a_follower_from_the_end_gets_only_what_comes_after_it(ground_of: Ground):
    topic = await ground_of.topic(partitions=4)
    bus = await ground_of.bus()
    await bus.publish(numbered(topic, 10, keys=10))
    follower = bus.follow(topic, from_end=True)
    after = [Message(topic, f"k{number}", b"after") for number in range(10)]
    await bus.publish(after)
    assert sorted(await read_whole(follower), key=lambda message: message.key) == after


async def test_one_follower_reads_several_topics_and_confirms_all_of_them_together(ground_of: Ground):
    topics = [await ground_of.topic(), await ground_of.topic(partitions=4), await ground_of.topic(retained=True)]
    bus = await ground_of.bus()
    follower = bus.follow(*topics, from_end=True)
    messages = [message for topic in topics for message in numbered(topic, 30, keys=5)]
    publishing = asyncio.create_task(_publish_each(bus, messages))
    given: list[Message] = []
    while len(given) < len(messages):
        asked_at, batch = time.monotonic(), await follower.poll(5)
        given += batch.messages
        assert batch.messages or time.monotonic() - asked_at < 5, "news of any of them end the wait"
    await publishing
    for topic in topics:
        assert in_order([m for m in given if m.topic == topic], [m for m in messages if m.topic == topic])
    assert await read_whole(follower) == []


async def _publish_each(bus: Bus, messages: Sequence[Message]) -> None:
    for message in messages:
        await bus.publish([message])


async def test_nothing_is_confirmed_that_was_not_given(ground_of: Ground):
    """Whatever was acknowledged before `confirmed_at` is in this or an earlier batch: the revocation feed rests on it."""
    topic = await ground_of.topic(retained=True)
    bus = await ground_of.bus()
    follower = bus.follow(topic)
    acknowledged: dict[Message, float] = {}

    async def publish():
        for message in numbered(topic, 300, keys=7):
            await bus.publish([message])
            acknowledged[message] = time.monotonic()

    publishing, given, confirmations = asyncio.create_task(publish()), set(), 0
    while len(given) < 300:
        batch = await follower.poll(0.05)
        given |= set(batch.messages)
        if batch.confirmed_at is not None:
            confirmations += 1
            assert batch.confirmed_at <= time.monotonic()
            missing = {message for message, at in acknowledged.items() if at < batch.confirmed_at} - given
            assert not missing
    await publishing
    assert confirmations > 5, "a steady flow does not keep a follower from being confirmed"


async def test_a_poll_that_is_cancelled_loses_nothing(ground_of: Ground):
    topic = await ground_of.topic(retained=True)
    bus = await ground_of.bus()
    follower = bus.follow(topic)
    await read_whole(follower)
    given: list[Message] = []
    messages = numbered(topic, 60)
    publishing = asyncio.create_task(relay(bus, messages[:30]))
    for turn in range(30):
        polling = asyncio.create_task(follower.poll(0.05))
        await asyncio.wait([polling], timeout=0.001 * (turn % 8))
        if not polling.done():
            polling.cancel()
        for result in await asyncio.gather(polling, return_exceptions=True):
            if not isinstance(result, BaseException):
                given += result.messages
        await bus.publish([messages[30 + turn]])
    await publishing
    given += await read_whole(follower)
    assert sorted(given, key=lambda message: int(message.value or b"")) == messages
