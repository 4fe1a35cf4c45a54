"""Publishes in order per key, across failures of brokers and producers."""

import asyncio
import logging
from collections.abc import Sequence
from typing import Any

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaTimeoutError

from common.messaging.bus import Message
from common.messaging.kafka.client import REQUEST_TIMEOUT, Options, start_client, stop_client

STOP_TIMEOUT = 3.0

_log = logging.getLogger(__name__)


class Producer:
    """An idempotent producer that keeps the order per key across retries of failed publications.

    The client goes on sending a publication that timed out, under its sequence number. Nothing new is sent before that
    ends: if a new client repeated it, a paused broker could still write the old request after the new ones.
    """

    def __init__(self, options: Options) -> None:
        self._options = options
        self._client: Any = None
        self._broken = False
        self._sending: set[asyncio.Task[None]] = set()
        self._abandoned: set[asyncio.Task[None]] = set()
        self._lock = asyncio.Lock()

    async def start(self) -> None:
        """Connect. Raises `CLIENT_ERRORS`, as `publish` does."""
        client = AIOKafkaProducer(
            **self._options, enable_idempotence=True, acks="all", linger_ms=0, max_batch_size=256 * 1024
        )
        await start_client(client, REQUEST_TIMEOUT)
        self._client, self._broken = client, False

    async def publish(self, messages: Sequence[Message]) -> None:
        """Return when all in-sync replicas hold `messages`. The caller sets the timeout."""
        client = await self._usable_client()
        task = asyncio.create_task(self._send(client, messages))
        self._sending.add(task)
        task.add_done_callback(self._finished)
        try:
            await asyncio.shield(task)
        finally:
            if not task.done():
                self._abandoned.add(task)

    async def _usable_client(self) -> Any:
        """Return a client in which no publication of an earlier failure is left."""
        async with self._lock:
            if unfinished := self._abandoned | (self._sending if self._broken else set()):
                await asyncio.wait(unfinished)
            if self._broken or self._client is None:
                # A rejected batch leaves a gap in the client's sequence numbers: it can send nothing more.
                await self._close()
                await self.start()
            return self._client

    async def _send(self, client: Any, messages: Sequence[Message]) -> None:
        queued: list[asyncio.Future[Any]] = []
        try:
            for message in messages:
                sent = await client.send(message.topic, message.value, message.key.encode())
                queued.append(sent)
            await asyncio.gather(*queued)
        except BaseException:
            self._broken = True
            raise
        finally:
            # One failure does not end the others: nothing new may be sent before all have ended.
            await asyncio.gather(*queued, return_exceptions=True)

    def _finished(self, task: asyncio.Task[None]) -> None:
        self._sending.discard(task)
        self._abandoned.discard(task)
        if not task.cancelled() and (error := task.exception()):
            _log.warning("a publication failed: %s", type(error).__name__)

    async def _close(self) -> None:
        client, self._client = self._client, None
        if client is None:
            return
        if self._sending:
            # Without this the client would wait for a broker that may never return to accept the queue.
            client._message_accumulator.fail_all(KafkaTimeoutError())  # noqa: SLF001 - there is no public way
        await stop_client(client)

    async def stop(self) -> None:
        """Disconnect, after a short wait for publications in progress."""
        if self._sending:
            await asyncio.wait(self._sending, timeout=STOP_TIMEOUT)
        await self._close()
