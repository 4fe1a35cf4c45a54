"""What the bus tests stand on: topics of their own, buses over the same durable ground, receivers that remember."""

import asyncio
import time
import uuid
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from common.contracts.topics import TOPICS
from common.messaging.bus import Bus, BusUnavailable, Message, MessageHandler, TopicReader
from common.messaging.in_process import InProcessBus
from common.messaging.kafka import KafkaBus
from common.messaging.topics import Topic, events_topic
from deploy.kafka_admin import KafkaAdmin
from deploy.kafka_broker import KafkaBroker
from tests.harness.polling import eventually

TERM = 30.0
"""Seconds after which something that should happen has not."""

Subscribed = tuple[str, Sequence[str], MessageHandler]


class Receiver:
    """A message handler that records deliveries; it raises at the first `refuse` ones."""

    def __init__(self, refuse: int = 0) -> None:
        self.shown: list[list[Message]] = []
        self.taken: list[Message] = []
        self._refuse = refuse
        self._news = asyncio.Condition()

    async def __call__(self, messages: Sequence[Message]) -> None:
        async with self._news:
            self.shown.append(list(messages))
            self._news.notify_all()
            if len(self.shown) <= self._refuse:
                raise RuntimeError("not now")
            self.taken += messages

    async def until(self, condition: Callable[["Receiver"], bool]) -> None:
        async with asyncio.timeout(TERM), self._news:
            await self._news.wait_for(lambda: condition(self))

    async def has(self, messages: Iterable[Message]) -> None:
        wanted = set(messages)
        await self.until(lambda receiver: wanted <= set(receiver.taken))


def in_order(taken: Iterable[Message], published: Sequence[Message]) -> bool:
    """Whether per key the first showings come in the order of publication: repeated ones are recognised by receivers."""
    firsts = list(dict.fromkeys(taken))
    return all(
        [m for m in firsts if m.key == key] == [m for m in published if m.key == key]
        for key in {m.key for m in published}
    )


async def relay(bus: Bus, messages: Sequence[Message]) -> None:
    """Publish as an outbox does: again and again until the bus holds it."""
    async with asyncio.timeout(TERM):
        while True:
            try:
                await bus.publish(messages)
            except BusUnavailable:
                await asyncio.sleep(0.01)
            else:
                return


async def read_whole(follower: TopicReader) -> list[Message]:
    """Read until the bus confirms that all of what was published before now is read."""
    asked_at, messages = time.monotonic(), []
    async with asyncio.timeout(TERM):
        while True:
            batch = await follower.poll(0.05)
            messages += batch.messages
            if batch.confirmed_at is not None and batch.confirmed_at >= asked_at:
                return messages


@dataclass
class Ground:
    """Buses of one implementation, all over the same directory or broker."""

    directory: Path | None
    broker: KafkaBroker | None
    made: list[str] = field(default_factory=list)
    buses: list[Bus] = field(default_factory=list)

    async def topic(self, *, partitions: int = 1, retained: bool = False, owner: str | None = None) -> str:
        """Declare a topic that no other test knows: the events of `owner`, which then must be new, too."""
        name = events_topic(owner) if owner else f"xindun.test.{uuid.uuid4().hex}"
        topic = Topic(name, owner=owner or "test", partitions=partitions, retained=retained)
        TOPICS[topic.name] = topic
        self.made.append(topic.name)
        if self.broker:
            assert await asyncio.to_thread(KafkaAdmin(self.broker.bootstrap).ensure_topics, [topic]) == []
        return topic.name

    async def bus(self, *subscribed: Subscribed, member: str | None = None) -> Bus:
        """Start a bus; return it when its subscriptions are alive. `member` names one that is back after a death."""
        member = member or f"member-{len(self.buses)}"
        bus: Bus = (
            KafkaBus(self.broker.bootstrap, topics=TOPICS, client_id="test", member=member)
            if self.broker
            else InProcessBus(TOPICS, self.directory)
        )
        self.buses.append(bus)
        for group, topics, deliver in subscribed:
            await bus.subscribe(group, topics, deliver)
        await bus.start()
        await eventually(bus.healthy)
        return bus

    async def close(self) -> None:
        for bus in self.buses:
            await bus.stop()
        for name in self.made:
            del TOPICS[name]


@asynccontextmanager
async def ground(directory: Path | None, broker: KafkaBroker | None) -> AsyncIterator[Ground]:
    made = Ground(directory, broker)
    try:
        yield made
    finally:
        await made.close()
