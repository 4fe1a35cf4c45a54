"""The bus over Apache Kafka; only this package imports aiokafka."""

import asyncio
from collections.abc import Mapping, Sequence

from common.messaging.bus import BusUnavailable, Message, MessageHandler, check_size
from common.messaging.kafka.client import CLIENT_ERRORS, REQUEST_TIMEOUT, KafkaSecurity, client_options
from common.messaging.kafka.consumer import FETCH_LINGER, GroupConsumer
from common.messaging.kafka.lag import PartitionLag, lag_of_groups
from common.messaging.kafka.producer import Producer
from common.messaging.kafka.reader import KafkaReader
from common.messaging.topics import Topic
from common.settings import CommonSettings

__all__ = [
    "KafkaBus",
    "KafkaReader",
    "KafkaSecurity",
    "PartitionLag",
    "kafka_bus",
    "lag_of_groups",
    "security_of",
]


class KafkaBus:
    """The bus over the brokers at `bootstrap_servers` (`host:port`, separated by commas).

    Once started, it reconnects by itself after any outage: publications raise meanwhile, consumers and readers resume
    at their positions. `member`, unique per process, is its static membership (`group.instance.id`): after a restart
    its groups need not wait for the session timeout.
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
        self._options = client_options(bootstrap_servers, client_id, security)
        self._producer = Producer(self._options)
        self._consumers: list[GroupConsumer] = []
        self._readers: list[KafkaReader] = []
        self._running = False

    async def start(self) -> None:
        """Connect the producer. Raises `BusUnavailable`."""
        try:
            await self._producer.start()
        except CLIENT_ERRORS as error:
            raise BusUnavailable from error
        self._running = True

    async def stop(self) -> None:
        """Let deliveries in progress end, within half a minute, leave the groups and disconnect."""
        self._running = False
        await asyncio.gather(*(consumer.stop() for consumer in self._consumers))
        await asyncio.gather(*(reader.close() for reader in self._readers))
        await self._producer.stop()

    async def publish(self, messages: Sequence[Message]) -> None:
        """Return when all in-sync replicas hold `messages`. Raises `BusUnavailable`, or `ValueError` on an oversized one."""
        check_size(messages)
        if not self._running:
            raise BusUnavailable
        try:
            async with asyncio.timeout(REQUEST_TIMEOUT):
                if positioning := [reader.positioning for reader in self._readers if reader.positioning]:
                    await asyncio.wait(positioning)
                await self._producer.publish(messages)
        except CLIENT_ERRORS as error:
            raise BusUnavailable from error

    async def subscribe(
        self, group: str, topics: Sequence[str], handler: MessageHandler, *, linger: float | None = None
    ) -> None:
        """Join `group`, with retries until `stop`; `healthy` is false meanwhile."""
        member = f"{self._member}-{len(self._consumers)}" if self._member else None
        self._consumers.append(GroupConsumer(self._options, group, topics, handler, member, linger or FETCH_LINGER))

    def follow(self, *topics: str, from_end: bool = False) -> KafkaReader:
        """Return a reader of `topics`, which connects at its first poll."""
        reader = KafkaReader(self._options, [self._topics[name] for name in topics], from_end=from_end)
        self._readers.append(reader)
        return reader

    def healthy(self) -> bool:
        """Whether every consumer has joined its group, and its fetches of every partition were answered lately."""
        return self._running and all(consumer.healthy() for consumer in self._consumers)


def security_of(settings: CommonSettings) -> KafkaSecurity | None:
    """Return the SASL and TLS options of the settings; None if they name no principal. Raises `SystemExit`."""
    if settings.kafka_username and settings.kafka_password:
        password = settings.kafka_password.get_secret_value()
        return KafkaSecurity(settings.kafka_username, password, ca_file=settings.kafka_ca_file)
    if settings.kafka_ca_file:  # it would have no effect
        raise SystemExit("kafka_ca_file: kafka_username, kafka_password 未设置 / are not set")
    return None


def kafka_bus(settings: CommonSettings, name: str, topics: Mapping[str, Topic]) -> KafkaBus:
    """Return the bus of process `name` from its settings, not started. Raises `SystemExit` if they name no brokers."""
    if not settings.kafka_bootstrap:
        raise SystemExit("未设置 / is not set: kafka_bootstrap")
    client_id = f"{name}-{settings.instance}"
    security = security_of(settings)
    return KafkaBus(settings.kafka_bootstrap, topics=topics, client_id=client_id, security=security, member=client_id)
