"""The bus over Apache Kafka: the only room that imports aiokafka."""

import asyncio
from collections.abc import Mapping, Sequence

from common.messaging.bus import BusUnavailable, Message, MessageHandler, check_size
from common.messaging.kafka.client import FAILURES, REQUEST_TERM, KafkaSecurity, client_options
from common.messaging.kafka.consumer import LINGER, Subscription
from common.messaging.kafka.lag import PartitionLag, lag_of_groups
from common.messaging.kafka.producer import Publisher
from common.messaging.kafka.reader import KafkaFollower
from common.messaging.topics import Topic
from common.settings import CommonSettings

__all__ = [
    "KafkaBus",
    "KafkaFollower",
    "KafkaSecurity",
    "PartitionLag",
    "kafka_bus",
    "lag_of_groups",
    "security_of",
]


class KafkaBus:
    """The bus over the brokers at `bootstrap_servers` (`host:port`, by commas).

    Once started it recovers by itself, however long the brokers are away: publications raise meanwhile, deliveries and
    followers go on where they were. With `member`, a name that no other process has, its groups know it again after a
    restart: nobody waits until the one that died is missed.
    """

    def __init__(
        self,
        bootstrap_servers: str,
        *,
        topics: Mapping[str, Topic],
        client_id: str,
        security: KafkaSecurity | None = None,
        member: str | None = None,
    ) -> None:
        self._member, self._topics = member, topics
        self._arguments = client_options(bootstrap_servers, client_id, security)
        self._publisher = Publisher(self._arguments)
        self._subscriptions: list[Subscription] = []
        self._followers: list[KafkaFollower] = []
        self._running = False

    async def start(self) -> None:
        """Connect the producer. Raises `BusUnavailable`."""
        try:
            await self._publisher.start()
        except FAILURES as problem:
            raise BusUnavailable from problem
        self._running = True

    async def stop(self) -> None:
        """Let deliveries in progress end, for half a minute at most, leave the groups and disconnect."""
        self._running = False
        await asyncio.gather(*(subscription.stop() for subscription in self._subscriptions))
        await asyncio.gather(*(follower.close() for follower in self._followers))
        await self._publisher.stop()

    async def publish(self, messages: Sequence[Message]) -> None:
        """Return when all replicas in sync hold `messages`; raises `ValueError` on one that no broker would take."""
        check_size(messages)
        if not self._running:
            raise BusUnavailable
        try:
            async with asyncio.timeout(REQUEST_TERM):
                if placing := [follower.placing for follower in self._followers if follower.placing]:
                    await asyncio.wait(placing)
                await self._publisher.publish(messages)
        except FAILURES as problem:
            raise BusUnavailable from problem

    async def subscribe(
        self, group: str, topics: Sequence[str], deliver: MessageHandler, *, linger: float | None = None
    ) -> None:
        """Join `group`; while it cannot be joined it is tried until `stop`, and `healthy` says so."""
        member = f"{self._member}-{len(self._subscriptions)}" if self._member else None
        self._subscriptions.append(Subscription(self._arguments, group, topics, deliver, member, linger or LINGER))

    def follow(self, *topics: str, from_end: bool = False) -> KafkaFollower:
        """Return a follower of `topics`, which connects when it is first polled."""
        follower = KafkaFollower(self._arguments, [self._topics[name] for name in topics], from_end=from_end)
        self._followers.append(follower)
        return follower

    def healthy(self) -> bool:
        """Whether every subscription has joined its group and had each of its partitions answered for lately."""
        return self._running and all(subscription.healthy() for subscription in self._subscriptions)


def security_of(settings: CommonSettings) -> KafkaSecurity | None:
    """Return how a process proves itself to the brokers; None where its settings have no principal. Raises `SystemExit`."""
    if settings.kafka_username and settings.kafka_password:
        password = settings.kafka_password.get_secret_value()
        return KafkaSecurity(settings.kafka_username, password, ca_file=settings.kafka_ca_file)
    if settings.kafka_ca_file:  # it would be without effect
        raise SystemExit("kafka_ca_file: kafka_username, kafka_password 未设置 / are not set")
    return None


def kafka_bus(settings: CommonSettings, name: str, topics: Mapping[str, Topic]) -> KafkaBus:
    """Return the bus of the process `name`, not started yet, as its settings say. Raises `SystemExit` without brokers."""
    if not settings.kafka_bootstrap:
        raise SystemExit("未设置 / is not set: kafka_bootstrap")
    client_id = f"{name}-{settings.instance}"
    security = security_of(settings)
    return KafkaBus(settings.kafka_bootstrap, topics=topics, client_id=client_id, security=security, member=client_id)
