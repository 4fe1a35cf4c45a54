"""The lag of consumer groups."""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient

from common.messaging.bus import BusUnavailable
from common.messaging.kafka.client import (
    CLIENT_ERRORS,
    REQUEST_TIMEOUT,
    KafkaSecurity,
    Options,
    client_options,
    start_client,
    stop_client,
)


@dataclass(frozen=True, slots=True)
class PartitionLag:
    """One group at one partition; `committed` is None before the first commit."""

    group: str
    topic: str
    partition: int
    committed: int | None
    end: int
    lag: int


async def lag_of_groups(
    bootstrap_servers: str, groups: Mapping[str, Sequence[str]], *, security: KafkaSecurity | None = None
) -> list[PartitionLag]:
    """Return the lag of each group at each partition of its topics. Raises `BusUnavailable`."""
    options = client_options(bootstrap_servers, "operator", security)
    topics = sorted({topic for each in groups.values() for topic in each})
    try:
        partitions, committed = await _committed(options, groups, topics)
        first, last = await _bounds(options, partitions)
    except CLIENT_ERRORS as error:
        raise BusUnavailable from error
    lags = []
    for group, its_topics in groups.items():
        for place in partitions:
            if place.topic in its_topics:
                known = committed[group].get(place)
                offset = known.offset if known and known.offset >= 0 else None
                behind = last[place] - max(first[place] if offset is None else offset, first[place])
                lags.append(PartitionLag(group, place.topic, place.partition, offset, last[place], max(0, behind)))
    return lags


async def _committed(
    options: Options, groups: Iterable[str], topics: Sequence[str]
) -> tuple[list[TopicPartition], dict[str, dict[TopicPartition, Any]]]:
    """Return the partitions of `topics` and what each group has committed."""
    admin = AIOKafkaAdminClient(**options)
    try:
        async with asyncio.timeout(REQUEST_TIMEOUT):
            await admin.start()
            described = await admin.describe_topics(topics)
            numbers = {each["topic"]: sorted(part["partition"] for part in each["partitions"]) for each in described}
            partitions = [TopicPartition(topic, number) for topic in topics for number in numbers[topic]]
            return partitions, {group: await admin.list_consumer_group_offsets(group) for group in groups}
    finally:
        await admin.close()


async def _bounds(
    options: Options, partitions: Sequence[TopicPartition]
) -> tuple[dict[TopicPartition, int], dict[TopicPartition, int]]:
    """Return the first and the next offset of each partition."""
    consumer = AIOKafkaConsumer(**options)
    await start_client(consumer, REQUEST_TIMEOUT)
    try:
        async with asyncio.timeout(REQUEST_TIMEOUT):
            return await consumer.beginning_offsets(partitions), await consumer.end_offsets(partitions)
    finally:
        await stop_client(consumer)
