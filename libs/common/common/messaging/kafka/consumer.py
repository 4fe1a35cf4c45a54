"""Consumes in a group: at least once, in order per partition, with recovery from any failure."""

import asyncio
import logging
import math
import time
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.abc import ConsumerRebalanceListener

from common.backoff import Backoff
from common.messaging.bus import Message, MessageHandler
from common.messaging.kafka.client import (
    MAX_BATCH_MESSAGES,
    POLL_TIMEOUT,
    Options,
    message_of,
    start_client,
    stop_client,
)

WATCHDOG_TIMEOUT = 15.0
"""Seconds without an answered fetch of an assigned partition, after which the consumer is replaced."""
MAX_QUEUED_MESSAGES = 2 * MAX_BATCH_MESSAGES
"""Messages of one partition that may wait for delivery; beyond it the partition is paused."""
FETCH_LINGER = 0.02
"""Seconds between a poll that returned messages and the next one; under load it delays effects by as much."""
REVOKE_TIMEOUT = 15.0
"""Seconds for deliveries to end when their partition is revoked; below `REBALANCE_TIMEOUT`."""
REBALANCE_TIMEOUT = 30.0
JOIN_TIMEOUT = 60.0
"""Seconds to join a group: other members may first have to end their deliveries."""
STOP_TIMEOUT = 30.0

_log = logging.getLogger(__name__)


@dataclass(slots=True)
class PartitionWorker:
    """The messages of one partition that wait for delivery, in order, and the task that delivers them."""

    task: asyncio.Task[None]
    records: deque[Any] = field(default_factory=deque)
    paused: bool = False


class GroupConsumer(ConsumerRebalanceListener):  # type: ignore[misc]  # aiokafka is untyped
    """One member of a group: a consumer, replaced when it fails, and a worker per partition with messages.

    The consumer polls on while workers deliver, so that a slow or failing delivery neither delays other partitions nor
    costs the membership. A partition is paused only if too many of its messages wait: a paused partition is missing
    from the fetch in progress, and its next message would wait until that fetch ends.
    """

    def __init__(
        self,
        options: Options,
        group: str,
        topics: Sequence[str],
        handler: MessageHandler,
        member: str | None = None,
        linger: float = FETCH_LINGER,
    ) -> None:
        # The response to a join request waits for all members, so that its timeout must exceed theirs.
        timeout = int((REBALANCE_TIMEOUT + 10) * 1000)
        self._options = {**options, "group_id": group, "group_instance_id": member, "request_timeout_ms": timeout}
        self._topics, self._handler, self._linger = list(topics), handler, linger
        self._workers: dict[TopicPartition, PartitionWorker] = {}
        self._last_fetches: dict[TopicPartition, tuple[int | None, float]] = {}
        self._alive_at = -math.inf
        self._error: Exception | None = None
        self._stopping = False
        self._closing = False
        """The consumer is closing, which takes bounded time and must not be cancelled."""
        self._stop_work = asyncio.Event()
        self._task = asyncio.create_task(self._run())

    def healthy(self) -> bool:
        """Whether it has joined, and fetches of every assigned partition were answered within the watchdog's timeout."""
        return time.monotonic() - self._alive_at < WATCHDOG_TIMEOUT

    async def stop(self) -> None:
        """Let deliveries in progress end, commit their offsets, then leave the group."""
        self._stopping = True
        await self._stop_workers(STOP_TIMEOUT)
        if not self._closing:
            self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        backoff = Backoff()
        while not self._stopping:
            try:
                await self._consume()
            except Exception as error:  # noqa: BLE001 - whatever ended the consumer, a new one replaces it
                _log.warning("the consumer of group %s failed: %r", self._options["group_id"], error)
            # A consumer that worked is replaced soon; one that never worked waits longer each time.
            if self.healthy():
                backoff.reset()
            self._alive_at = -math.inf
            await backoff.wait()

    async def _consume(self) -> None:
        consumer = AIOKafkaConsumer(
            **self._options,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            session_timeout_ms=10_000,
            heartbeat_interval_ms=2_000,
            rebalance_timeout_ms=int(REBALANCE_TIMEOUT * 1000),
        )
        self._error, self._last_fetches = None, {}
        consumer.subscribe(self._topics, listener=self)
        await start_client(consumer, JOIN_TIMEOUT)
        try:
            while not self._stopping:
                # This long only during a rebalance; otherwise the watchdog is stricter.
                async with asyncio.timeout(JOIN_TIMEOUT):
                    fetched = await consumer.getmany(timeout_ms=int(POLL_TIMEOUT * 1000))
                for partition, records in fetched.items():
                    self._enqueue(consumer, partition, records)
                self._watch(consumer)
                if 0 < sum(map(len, fetched.values())) < MAX_BATCH_MESSAGES:
                    # A poll costs about as much as ten messages: under load, collect a few. The first is delivered already.
                    await asyncio.sleep(self._linger)
        finally:
            self._closing = True
            await self._stop_workers(REVOKE_TIMEOUT)
            if self._stopping:
                # aiokafka does not send LeaveGroup for a static member, because it expects it back. This one has stopped.
                consumer._coordinator._group_instance_id = None  # noqa: SLF001 - there is no public way
            await stop_client(consumer)
            self._closing = False

    def _enqueue(self, consumer: Any, partition: TopicPartition, records: Sequence[Any]) -> None:
        worker = self._workers.get(partition)
        if worker is None:
            worker = self._workers[partition] = PartitionWorker(
                asyncio.create_task(self._deliver_partition(consumer, partition))
            )
        worker.records.extend(records)
        if len(worker.records) > MAX_QUEUED_MESSAGES:
            consumer.pause(partition)
            worker.paused = True

    def _watch(self, consumer: Any) -> None:
        """Raise if a worker failed, or if no fetch of an assigned partition was answered within the watchdog's timeout."""
        if self._error is not None:
            raise self._error
        now = time.monotonic()
        last_fetches = {}
        for partition in consumer.assignment() - self._workers.keys():
            stamp = consumer.last_poll_timestamp(partition)
            last = self._last_fetches.get(partition)
            last_fetches[partition] = last if last and last[0] == stamp else (stamp, now)
        self._last_fetches = last_fetches
        self._alive_at = min((at for _, at in last_fetches.values()), default=now)
        if now - self._alive_at > WATCHDOG_TIMEOUT:
            raise TimeoutError("no fetch was answered")

    async def _deliver_partition(self, consumer: Any, partition: TopicPartition) -> None:
        """Deliver and commit the messages of one partition, batch by batch, until none waits."""
        worker = self._workers[partition]
        try:
            while worker.records:
                if self._stop_work.is_set():
                    return
                batch = [worker.records.popleft() for _ in range(min(MAX_BATCH_MESSAGES, len(worker.records)))]
                if worker.paused and len(worker.records) <= MAX_QUEUED_MESSAGES:
                    consumer.resume(partition)
                    worker.paused = False
                if not await self._delivered([message_of(record) for record in batch]):
                    return
                async with asyncio.timeout(JOIN_TIMEOUT):
                    await consumer.commit({partition: batch[-1].offset + 1})
            # Not after a failure: a new worker would deliver and commit the messages after those that this one still had.
            del self._workers[partition]
        except Exception as error:  # noqa: BLE001 - it ends the consumer, and the next one delivers the messages again
            self._error = error

    async def _delivered(self, messages: Sequence[Message]) -> bool:
        """Deliver with retries until the handler returns; False if the worker has to stop first."""
        backoff = Backoff()
        while True:
            try:
                await self._handler(messages)
            except Exception as error:  # noqa: BLE001 - by contract: whatever it raises, deliver again
                _log.warning("a delivery of %s failed: %s", messages[0].topic, type(error).__name__)
            else:
                return True
            try:
                async with asyncio.timeout(backoff.next_delay()):
                    await self._stop_work.wait()
            except TimeoutError:
                continue
            return False

    async def _stop_workers(self, timeout: float) -> None:
        """Let deliveries in progress end and be committed; cancel those that exceed `timeout`, without a commit."""
        self._stop_work.set()
        if tasks := [worker.task for worker in self._workers.values()]:
            _, unfinished = await asyncio.wait(tasks, timeout=timeout)
            for task in unfinished:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        self._workers.clear()
        if not self._stopping:
            self._stop_work.clear()

    async def on_partitions_revoked(self, revoked: Iterable[TopicPartition]) -> None:  # noqa: ARG002 - these are all partitions
        """Stop the workers before the rebalance: their partitions may move to another member."""
        await self._stop_workers(REVOKE_TIMEOUT)

    async def on_partitions_assigned(self, assigned: Iterable[TopicPartition]) -> None:
        """Do nothing: no state per partition has to be loaded."""
