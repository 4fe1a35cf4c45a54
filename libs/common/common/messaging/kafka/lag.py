"""How far the groups are behind what the brokers hold."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from aiokafka import AIOKafkaConsumer
from aiokafka.structs import TopicPartition

from common.messaging.bus import BusUnavailable
from common.messaging.kafka.admin import admin_client
from common.messaging.kafka.client import (
    FAILURES,
    REQUEST_TERM,
    KafkaSecurity,
    client_options,
    start_client,
    stop_client,
)

__all__ = ["PartitionLag", "lag_of_groups"]


@dataclass(frozen=True, slots=True)
class PartitionLag:
    """One group at one partition: `committed` None: it has taken nothing yet."""

    group: str
    topic: str
    partition: int
    committed: int | None
    end: int
    lag: int


async def lag_of_groups(
    bootstrap_servers: str, groups: Mapping[str, Sequence[str]], *, security: KafkaSecurity | None = None
) -> list[PartitionLag]:
    """Return the lag of each group at each partition of its topics. Raises `BusUnavailable`, `BusRefused`."""
    topics = sorted({topic for each in groups.values() for topic in each})
    async with admin_client(bootstrap_servers, security) as admin:
        described = await admin.describe_topics(topics)
        partitions = {each["topic"]: sorted(part["partition"] for part in each["partitions"]) for each in described}
        committed = {group: await admin.list_consumer_group_offsets(group) for group in groups}
    every = [TopicPartition(topic, number) for topic in topics for number in partitions[topic]]
    first, last = await _bounds(bootstrap_servers, every, security)
    found = []
    for group, its_topics in groups.items():
        for place in every:
            if place.topic in its_topics:
                known = committed[group].get(place)
                taken = known.offset if known and known.offset >= 0 else None
                behind = last[place] - max(first[place] if taken is None else taken, first[place])
                found.append(PartitionLag(group, place.topic, place.partition, taken, last[place], max(0, behind)))
    return found


async def _bounds(
    bootstrap_servers: str, places: Sequence[TopicPartition], security: KafkaSecurity | None
) -> tuple[dict[TopicPartition, int], dict[TopicPartition, int]]:
    """Return the first and the next offset of each partition."""
    consumer = AIOKafkaConsumer(**client_options(bootstrap_servers, "operator", security))
    try:
        await start_client(consumer, REQUEST_TERM)
        try:
            async with asyncio.timeout(REQUEST_TERM):
                return await consumer.beginning_offsets(places), await consumer.end_offsets(places)
        finally:
            await stop_client(consumer)
    except FAILURES as problem:
        raise BusUnavailable from problem
