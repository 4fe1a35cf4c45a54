"""Reads whole topics without a group, and confirms when it stands at their end."""

import asyncio
import time
from collections.abc import Sequence
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from common.messaging.bus import Batch, BusUnavailable, Message
from common.messaging.kafka.client import (
    CLIENT_ERRORS,
    MAX_BATCH_MESSAGES,
    POLL_TIMEOUT,
    Options,
    message_of,
    start_client,
    stop_client,
)
from common.messaging.topics import Topic

CONNECT_TIMEOUT = 3.0
RETRY_DELAY = 0.1
OFFSETS_TIMEOUT = 1.0
"""Seconds for a request of offsets."""
STALL_TIMEOUT = 5.0
"""Seconds without progress after which a reader reconnects."""


class KafkaReader:
    """Reads all partitions of its topics by plain assignment, without a group.

    It uses two consumers: on the connection of a waiting fetch, Kafka answers a request for end offsets only afterwards.
    """

    def __init__(self, options: Options, topics: Sequence[Topic], *, from_end: bool) -> None:
        self._options = {**options, "request_timeout_ms": int(CONNECT_TIMEOUT * 1000)}
        self._topics, self._from_end = tuple(topics), from_end
        self._partitions = [
            TopicPartition(topic.name, number) for topic in topics for number in range(topic.partitions)
        ]
        self._positions: dict[TopicPartition, int] = {}
        self._buffer: list[Message] = []
        self._reset = False
        self._consumer: Any = None
        self._offsets_consumer: Any = None
        self._pending_end: tuple[float, dict[TopicPartition, int]] | None = None
        self._progress_at = time.monotonic()
        self._closed = False
        self.positioning = asyncio.create_task(self._find_end()) if from_end else None
        """Finds the end that `from_end` means; the bus publishes nothing before that."""

    async def _find_end(self) -> None:
        try:
            await self._connect()
        except CLIENT_ERRORS:
            self._consumer = self._offsets_consumer = None  # the first poll retries, and raises

    async def _connect(self) -> None:
        consumer = AIOKafkaConsumer(**self._options, auto_offset_reset="earliest", enable_auto_commit=False)
        consumer.assign(self._partitions)
        await start_client(consumer, CONNECT_TIMEOUT)
        offsets_consumer = None
        try:
            self._check_partitions(consumer)
            offsets_consumer = await self._open_offsets_consumer()
            async with asyncio.timeout(OFFSETS_TIMEOUT):
                if not self._positions:
                    offsets_of = offsets_consumer.end_offsets if self._from_end else offsets_consumer.beginning_offsets
                    self._positions = await offsets_of(self._partitions)
                    self._reset = True
            if self._closed:
                raise KafkaError("the reader was closed")
            for partition, position in self._positions.items():
                consumer.seek(partition, position)
        except BaseException:
            await asyncio.gather(*(stop_client(client) for client in (consumer, offsets_consumer) if client))
            raise
        self._consumer, self._offsets_consumer, self._pending_end = consumer, offsets_consumer, None
        self._progress_at = time.monotonic()

    async def _open_offsets_consumer(self) -> Any:
        offsets_consumer = AIOKafkaConsumer(**self._options)
        await start_client(offsets_consumer, CONNECT_TIMEOUT)
        return offsets_consumer

    async def poll(self, timeout: float) -> Batch:
        """Return new messages at once, or an empty batch after `timeout` or a quarter of a second, the shorter of them.

        The end offsets are requested after the wait, so that `confirmed_at` of an idle topic is only milliseconds old.
        A cancelled poll loses nothing: the next one returns what it had read.
        """
        if self._closed:
            raise BusUnavailable
        confirmed_at = None
        try:
            if self.positioning is not None:
                await asyncio.wait([self.positioning])
                self.positioning = None
            if self._consumer is None:
                await self._connect()
            consumer, offsets_consumer = self._consumer, self._offsets_consumer
            await self._read(consumer, min(timeout, POLL_TIMEOUT))
            confirmed_at = await self._confirm(consumer, offsets_consumer)
        except CLIENT_ERRORS as error:
            await self._reset_if_topics_are_gone()
            await self._reconnect_if_stalled()
            if not self._buffer:
                await asyncio.sleep(RETRY_DELAY)  # a refused connection takes no time, and callers poll again at once
                raise BusUnavailable from error
        messages, self._buffer = tuple(self._buffer), []
        reset, self._reset = self._reset, False
        return Batch(messages, confirmed_at, reset)

    async def _read(self, consumer: Any, wait: float) -> None:
        async with asyncio.timeout(wait + OFFSETS_TIMEOUT):
            found = await consumer.getmany(timeout_ms=int(wait * 1000), max_records=MAX_BATCH_MESSAGES)
        if self._closed:
            raise KafkaError("the reader was closed")
        for partition, records in found.items():
            self._buffer += map(message_of, records)
            self._positions[partition] = records[-1].offset + 1
            self._progress_at = time.monotonic()

    async def _confirm(self, consumer: Any, offsets_consumer: Any) -> float | None:
        """Return the time before the end offsets were requested, once everything before them is read."""
        async with asyncio.timeout(OFFSETS_TIMEOUT):
            # Unlike the offset of the last message, the consumer's position also passes offsets that compaction emptied.
            positions = {partition: await consumer.position(partition) for partition in self._partitions}
            if self._pending_end is None:
                at = time.monotonic()
                ends = await offsets_consumer.end_offsets(self._partitions)
                self._check_partitions(offsets_consumer)
                # An end before our position: the topic was lost and recreated. The consumer resets its position, too;
                # until then nothing is confirmed.
                if all(positions[partition] <= end for partition, end in ends.items()):
                    self._pending_end = at, ends
                else:
                    self._reset = True
        if self._pending_end is not None:
            at, ends = self._pending_end
            if all(positions[partition] >= end for partition, end in ends.items()):
                self._pending_end, self._progress_at = None, time.monotonic()
                return at
        await self._reconnect_if_stalled()
        return None

    def _check_partitions(self, consumer: Any) -> None:
        """Raise if a topic has other partitions than declared: a reader of fewer must not confirm that it has read all."""
        for topic in self._topics:
            found = len(consumer.partitions_for_topic(topic.name) or ())
            if found != topic.partitions:
                raise KafkaError(f"{topic.name} has {found} partitions, not {topic.partitions}")

    async def _reset_if_topics_are_gone(self) -> None:
        """Forget the positions if the brokers no longer know a topic: they mean nothing in the recreated one."""
        if self._offsets_consumer is not None and not all(
            self._offsets_consumer.partitions_for_topic(topic.name) for topic in self._topics
        ):
            self._positions = {}
            await self._disconnect()

    async def _reconnect_if_stalled(self) -> None:
        """Reconnect without progress for `STALL_TIMEOUT`: aiokafka's consumers can hang for good after a change of brokers."""
        if time.monotonic() - self._progress_at > STALL_TIMEOUT:
            self._progress_at = time.monotonic()
            await self._disconnect()

    async def _disconnect(self) -> None:
        consumer, offsets_consumer = self._consumer, self._offsets_consumer
        self._consumer = self._offsets_consumer = self._pending_end = None
        if consumer is not None:
            await asyncio.gather(stop_client(consumer), stop_client(offsets_consumer))

    async def close(self) -> None:
        """Disconnect."""
        self._closed = True
        if self.positioning is not None:
            self.positioning.cancel()
            await asyncio.gather(self.positioning, return_exceptions=True)
        await self._disconnect()
