"""Receiving in a group: at least once, in order per partition, and never stopped for good."""

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
    CHUNK,
    POLL,
    Arguments,
    message_of,
    start_client,
    stop_client,
)

__all__ = ["LINGER", "Subscription"]

WATCHDOG = 15.0
"""Seconds without an answered fetch of an assigned partition, after which a new consumer takes the place of the old."""
HELD = 2 * CHUNK
"""Messages of one partition that may wait for their delivery; beyond it the partition is paused."""
LINGER = 0.02
"""Seconds after a look that found something; as much as that an effect may come later, while there is much to do."""
REVOKE_TERM = 15.0
"""Seconds that deliveries get to end when their partition moves to another member; below `REBALANCE_TERM`."""
REBALANCE_TERM = 30.0
JOIN_TERM = 60.0
"""Seconds for joining a group: the other members may first have to end what they deliver."""
STOP_TERM = 30.0

_log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Lane:
    """What was read of one partition and waits for its delivery, in order, and the task that delivers it."""

    task: asyncio.Task[None]
    records: deque[Any] = field(default_factory=deque)
    paused: bool = False


class Subscription(ConsumerRebalanceListener):  # type: ignore[misc]  # aiokafka is untyped
    """One member of a group: a consumer, replaced when it fails, and a lane per partition that has work.

    While its lane delivers, the consumer goes on polling, so that a slow or failing delivery neither holds up other
    partitions nor costs the membership. Its partition is read on meanwhile, and paused only when too much waits: a
    partition that was paused is not in the fetch that is under way, so its next message would wait for the end of that.
    """

    def __init__(
        self,
        arguments: Arguments,
        group: str,
        topics: Sequence[str],
        deliver: MessageHandler,
        member: str | None = None,
        linger: float = LINGER,
    ) -> None:
        # The answer to a request to join waits for all members, so it must not be given up earlier than they are.
        patience = int((REBALANCE_TERM + 10) * 1000)
        self._arguments = {**arguments, "group_id": group, "group_instance_id": member, "request_timeout_ms": patience}
        self._topics, self._deliver, self._linger = list(topics), deliver, linger
        self._lanes: dict[TopicPartition, _Lane] = {}
        self._marks: dict[TopicPartition, tuple[int | None, float]] = {}
        self._alive_at = -math.inf
        self._problem: Exception | None = None
        self._stopping = False
        self._closing = False
        """The consumer is being closed, which takes bounded time and must not be cut short."""
        self._halt = asyncio.Event()
        self._task = asyncio.create_task(self._run())

    def healthy(self) -> bool:
        """Whether it has joined, and every partition it was given was answered for within the watchdog's term."""
        return time.monotonic() - self._alive_at < WATCHDOG

    async def stop(self) -> None:
        """Let deliveries in progress end and commit them, then leave the group."""
        self._stopping = True
        await self._end_lanes(STOP_TERM)
        if not self._closing:
            self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        backoff = Backoff()
        while not self._stopping:
            try:
                await self._consume()
            except Exception as problem:  # noqa: BLE001 - whatever ended the consumer, the next one begins afresh
                _log.warning("the consumer of group %s ends: %r", self._arguments["group_id"], problem)
            # What worked until now is tried again at once; what never worked waits longer each time.
            if self.healthy():
                backoff.reset()
            self._alive_at = -math.inf
            await backoff.wait()

    async def _consume(self) -> None:
        consumer = AIOKafkaConsumer(
            **self._arguments,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            session_timeout_ms=10_000,
            heartbeat_interval_ms=2_000,
            rebalance_timeout_ms=int(REBALANCE_TERM * 1000),
        )
        self._problem, self._marks = None, {}
        consumer.subscribe(self._topics, listener=self)
        await start_client(consumer, JOIN_TERM)
        try:
            while not self._stopping:
                # This long only while the group is joined anew; otherwise the watchdog is stricter.
                async with asyncio.timeout(JOIN_TERM):
                    found = await consumer.getmany(timeout_ms=int(POLL * 1000))
                for partition, records in found.items():
                    self._enqueue(consumer, partition, records)
                self._watch(consumer)
                if 0 < sum(map(len, found.values())) < CHUNK:
                    # Each look costs about as much as ten messages: under load a few wait for each other. The first one of
                    # all has been taken already.
                    await asyncio.sleep(self._linger)
        finally:
            self._closing = True
            await self._end_lanes(REVOKE_TERM)
            if self._stopping:
                # A named member is expected back, and aiokafka lets it go without a word. This one does not come back.
                consumer._coordinator._group_instance_id = None  # noqa: SLF001 - there is no public way
            await stop_client(consumer)
            self._closing = False

    def _enqueue(self, consumer: Any, partition: TopicPartition, records: Sequence[Any]) -> None:
        lane = self._lanes.get(partition)
        if lane is None:
            lane = self._lanes[partition] = _Lane(asyncio.create_task(self._work(consumer, partition)))
        lane.records.extend(records)
        if len(lane.records) > HELD:
            consumer.pause(partition)
            lane.paused = True

    def _watch(self, consumer: Any) -> None:
        """Raise when a lane failed, or when an assigned partition was not answered for within the watchdog's term."""
        if self._problem is not None:
            raise self._problem
        now = time.monotonic()
        marks = {}
        for partition in consumer.assignment() - self._lanes.keys():
            stamp = consumer.last_poll_timestamp(partition)
            mark = self._marks.get(partition)
            marks[partition] = mark if mark and mark[0] == stamp else (stamp, now)
        self._marks = marks
        self._alive_at = min((at for _, at in marks.values()), default=now)
        if now - self._alive_at > WATCHDOG:
            raise TimeoutError("no fetch was answered")

    async def _work(self, consumer: Any, partition: TopicPartition) -> None:
        """Deliver and commit what was read of one partition, chunk by chunk, until nothing waits."""
        lane = self._lanes[partition]
        try:
            while lane.records:
                if self._halt.is_set():
                    return
                chunk = [lane.records.popleft() for _ in range(min(CHUNK, len(lane.records)))]
                if lane.paused and len(lane.records) <= HELD:
                    consumer.resume(partition)
                    lane.paused = False
                if not await self._taken([message_of(record) for record in chunk]):
                    return
                async with asyncio.timeout(JOIN_TERM):
                    await consumer.commit({partition: chunk[-1].offset + 1})
            # Only now: after a failure a new lane would take, and commit, what comes after the messages that this one had.
            del self._lanes[partition]
        except Exception as problem:  # noqa: BLE001 - it ends the consumer, and the next one shows the messages again
            self._problem = problem

    async def _taken(self, messages: Sequence[Message]) -> bool:
        """Deliver until the receiver has taken them; False when there is no more time for it."""
        backoff = Backoff()
        while True:
            try:
                await self._deliver(messages)
            except Exception as problem:  # noqa: BLE001 - the contract: whatever it raises, it is shown them again
                _log.warning("a delivery of %s failed: %s", messages[0].topic, type(problem).__name__)
            else:
                return True
            try:
                async with asyncio.timeout(backoff.next_delay()):
                    await self._halt.wait()
            except TimeoutError:
                continue
            return False

    async def _end_lanes(self, term: float) -> None:
        """Let deliveries in progress end and be committed; what takes longer is cancelled and not committed."""
        self._halt.set()
        if tasks := [lane.task for lane in self._lanes.values()]:
            _, late = await asyncio.wait(tasks, timeout=term)
            for task in late:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        self._lanes.clear()
        if not self._stopping:
            self._halt.clear()

    async def on_partitions_revoked(self, revoked: Iterable[TopicPartition]) -> None:  # noqa: ARG002 - it is all of them
        """End the work on partitions that may become another member's: called before the group is joined again."""
        await self._end_lanes(REVOKE_TERM)

    async def on_partitions_assigned(self, assigned: Iterable[TopicPartition]) -> None:
        """Nothing is kept per partition that a new assignment would have to load."""
