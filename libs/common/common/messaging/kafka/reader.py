"""Reading whole topics alone, and knowing when one has read them."""

import asyncio
import time
from collections.abc import Sequence
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from common.messaging.bus import Batch, BusUnavailable, Message
from common.messaging.kafka.client import (
    CHUNK,
    FAILURES,
    POLL,
    Arguments,
    message_of,
    start_client,
    stop_client,
)
from common.messaging.topics import Topic

__all__ = ["KafkaFollower"]

OPEN_TERM = 3.0
RETRY_DELAY = 0.1
ASK_TERM = 1.0
"""Seconds for the answer where the end of each topic is."""
STUCK = 5.0
"""Seconds without progress after which a follower connects anew."""


class KafkaFollower:
    """Reads all partitions of its topics by plain assignment, without a group.

    Two connections: on the reader's, Kafka would answer the question for the end only after the fetch that waits there.
    """

    def __init__(self, arguments: Arguments, topics: Sequence[Topic], *, from_end: bool) -> None:
        self._arguments = {**arguments, "request_timeout_ms": int(OPEN_TERM * 1000)}
        self._topics, self._from_end = tuple(topics), from_end
        self._partitions = [
            TopicPartition(topic.name, number) for topic in topics for number in range(topic.partitions)
        ]
        self._positions: dict[TopicPartition, int] = {}
        self._held: list[Message] = []
        self._anew = False
        self._reader: Any = None
        self._asker: Any = None
        self._asked: tuple[float, dict[TopicPartition, int]] | None = None
        self._progress_at = time.monotonic()
        self._closed = False
        self.placing = asyncio.create_task(self._place()) if from_end else None
        """Finds the end that `from_end` means; this process publishes nothing before that."""

    async def _place(self) -> None:
        try:
            await self._open()
        except FAILURES:
            self._reader = self._asker = None  # the first poll tries again, and says what is wrong

    async def _open(self) -> None:
        reader = AIOKafkaConsumer(**self._arguments, auto_offset_reset="earliest", enable_auto_commit=False)
        reader.assign(self._partitions)
        await start_client(reader, OPEN_TERM)
        asker = None
        try:
            self._check_partitions(reader)
            asker = await self._open_asker()
            async with asyncio.timeout(ASK_TERM):
                if not self._positions:
                    find = asker.end_offsets if self._from_end else asker.beginning_offsets
                    self._positions = await find(self._partitions)
                    self._anew = True
            if self._closed:
                raise KafkaError("closed meanwhile")
            for partition, position in self._positions.items():
                reader.seek(partition, position)
        except BaseException:
            await asyncio.gather(*(stop_client(client) for client in (reader, asker) if client))
            raise
        self._reader, self._asker, self._asked = reader, asker, None
        self._progress_at = time.monotonic()

    async def _open_asker(self) -> Any:
        asker = AIOKafkaConsumer(**self._arguments)
        await start_client(asker, OPEN_TERM)
        return asker

    async def poll(self, timeout: float) -> Batch:
        """Return what is new, or after at most a quarter of a second, however long `timeout` is, that nothing is.

        Messages come at once. The end is asked for after the wait, so that the `confirmed_at` of an idle topic is a few
        milliseconds old. A poll that is cancelled loses nothing: the next one returns what it had read.
        """
        if self._closed:
            raise BusUnavailable
        confirmed_at = None
        try:
            if self.placing is not None:
                await asyncio.wait([self.placing])
                self.placing = None
            if self._reader is None:
                await self._open()
            reader, asker = self._reader, self._asker
            await self._read(reader, min(timeout, POLL))
            confirmed_at = await self._confirm(reader, asker)
        except FAILURES as problem:
            await self._begin_anew_when_gone()
            await self._reconnect_when_stuck()
            if not self._held:
                await asyncio.sleep(RETRY_DELAY)  # a refused connection costs no time, and callers ask again at once
                raise BusUnavailable from problem
        messages, self._held = tuple(self._held), []
        anew, self._anew = self._anew, False
        return Batch(messages, confirmed_at, anew)

    async def _read(self, reader: Any, wait: float) -> None:
        async with asyncio.timeout(wait + ASK_TERM):
            found = await reader.getmany(timeout_ms=int(wait * 1000), max_records=CHUNK)
        if self._closed:
            raise KafkaError("closed meanwhile")
        for partition, records in found.items():
            self._held += map(message_of, records)
            self._positions[partition] = records[-1].offset + 1
            self._progress_at = time.monotonic()

    async def _confirm(self, reader: Any, asker: Any) -> float | None:
        """Return the moment before the end was asked for, once all that lay before that end is read."""
        async with asyncio.timeout(ASK_TERM):
            # The reader's position, unlike the last message's, also passes what compaction has left empty.
            positions = {partition: await reader.position(partition) for partition in self._partitions}
            if self._asked is None:
                at = time.monotonic()
                ends = await asker.end_offsets(self._partitions)
                self._check_partitions(asker)
                # An end before our position: the log was lost and begun anew. The reader notices it, too, and begins
                # anew; until then nothing is confirmed.
                if all(positions[partition] <= end for partition, end in ends.items()):
                    self._asked = at, ends
                else:
                    self._anew = True
        if self._asked is not None:
            at, ends = self._asked
            if all(positions[partition] >= end for partition, end in ends.items()):
                self._asked, self._progress_at = None, time.monotonic()
                return at
        await self._reconnect_when_stuck()
        return None

    def _check_partitions(self, consumer: Any) -> None:
        """Whoever reads fewer partitions than there are must not say that he has read everything."""
        for topic in self._topics:
            found = len(consumer.partitions_for_topic(topic.name) or ())
            if found != topic.partitions:
                raise KafkaError(f"{topic.name} has {found} partitions, not {topic.partitions}")

    async def _begin_anew_when_gone(self) -> None:
        """Forget the positions in a topic that the brokers do not know any more: they mean nothing in its successor."""
        if self._asker is not None and not all(self._asker.partitions_for_topic(topic.name) for topic in self._topics):
            self._positions = {}
            await self._disconnect()

    async def _reconnect_when_stuck(self) -> None:
        """Connect anew after a term without progress: aiokafka's consumers can hang for good after brokers changed."""
        if time.monotonic() - self._progress_at > STUCK:
            self._progress_at = time.monotonic()
            await self._disconnect()

    async def _disconnect(self) -> None:
        reader, asker = self._reader, self._asker
        self._reader = self._asker = self._asked = None
        if reader is not None:
            await asyncio.gather(stop_client(reader), stop_client(asker))

    async def close(self) -> None:
        """Disconnect."""
        self._closed = True
        if self.placing is not None:
            self.placing.cancel()
            await asyncio.gather(self.placing, return_exceptions=True)
        await self._disconnect()
