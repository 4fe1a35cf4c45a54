"""Publishing, in order per key, across the failures of brokers and producers."""

import asyncio
import logging
from collections.abc import Sequence
from typing import Any

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaTimeoutError

from common.messaging.bus import Message
from common.messaging.kafka.client import REQUEST_TERM, Arguments, start_client, stop_client

__all__ = ["Publisher"]

STOP_TERM = 3.0

_log = logging.getLogger(__name__)


class Publisher:
    """An idempotent producer that keeps the order per key also when a failed publication is tried again.

    A publication that ran out of time is still in the producer, which goes on sending it under its sequence number. So
    nothing new is sent before it has ended: were it given up and sent again by a new producer, the old request could
    still lie before a paused broker, and be written after the new ones.
    """

    def __init__(self, arguments: Arguments) -> None:
        self._arguments = arguments
        self._producer: Any = None
        self._broken = False
        self._sending: set[asyncio.Task[None]] = set()
        self._abandoned: set[asyncio.Task[None]] = set()
        self._turn = asyncio.Lock()

    async def start(self) -> None:
        """Connect. Raises what is in `FAILURES`, as `publish` does."""
        producer = AIOKafkaProducer(
            **self._arguments, enable_idempotence=True, acks="all", linger_ms=0, max_batch_size=256 * 1024
        )
        await start_client(producer, REQUEST_TERM)
        self._producer, self._broken = producer, False

    async def publish(self, messages: Sequence[Message]) -> None:
        """Return when all replicas in sync hold `messages`. The time for it is the caller's to bound."""
        producer = await self._settled()
        task = asyncio.create_task(self._send(producer, messages))
        self._sending.add(task)
        task.add_done_callback(self._ended)
        try:
            await asyncio.shield(task)
        finally:
            if not task.done():
                self._abandoned.add(task)

    async def _settled(self) -> Any:
        """Return a producer in which nothing of an earlier failure is left."""
        async with self._turn:
            if unfinished := self._abandoned | (self._sending if self._broken else set()):
                await asyncio.wait(unfinished)
            if self._broken or self._producer is None:
                # A refused batch leaves a hole in the producer's sequence numbers: it can send nothing more.
                await self._close()
                await self.start()
            return self._producer

    async def _send(self, producer: Any, messages: Sequence[Message]) -> None:
        queued: list[asyncio.Future[Any]] = []
        try:
            for message in messages:
                sent = await producer.send(message.topic, message.value, message.key.encode())
                queued.append(sent)
            await asyncio.gather(*queued)
        except BaseException:
            self._broken = True
            raise
        finally:
            # One failure does not end the others: only when all are decided may something new be sent.
            await asyncio.gather(*queued, return_exceptions=True)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._sending.discard(task)
        self._abandoned.discard(task)
        if not task.cancelled() and (problem := task.exception()):
            _log.warning("a publication failed: %s", type(problem).__name__)

    async def _close(self) -> None:
        producer, self._producer = self._producer, None
        if producer is None:
            return
        if self._sending:
            # Without this the producer would wait for a broker that may never come back to take what is queued.
            producer._message_accumulator.fail_all(KafkaTimeoutError())  # noqa: SLF001 - there is no public way
        await stop_client(producer)

    async def stop(self) -> None:
        """Disconnect, after a short wait for what is being sent."""
        if self._sending:
            await asyncio.wait(self._sending, timeout=STOP_TERM)
        await self._close()
