"""The relay: publishes the outbox of a service on the bus, in order and numbered without gaps."""

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from datetime import datetime
from ssl import SSLContext

import asyncpg
import orjson
import structlog
from prometheus_client import Counter, Gauge

from common.backoff import Backoff
from common.clock import Clock
from common.ids import new_id
from common.messaging.bus import Bus, BusUnavailable, Message
from common.messaging.events import PREFIX, Envelope
from common.messaging.topics import FEED_TOPIC, events_topic

log = structlog.get_logger()

UNPUBLISHED_AGE = Gauge("xindun_outbox_oldest_unpublished_seconds", "Age of the oldest unpublished row", ["service"])
PUBLISHED = Counter("xindun_outbox_published_total", "Messages published", ["service"])

RELAY_LOCK = "xindun.relay"
"""Name of the advisory lock that the active relay of a service holds."""
RELAY_BATCH_SIZE = 500
POLL_INTERVAL = 2.0
"""Seconds between polls: a notification can be lost with its process."""
LINGER = 0.003
"""Seconds between two non-empty polls: under load the second finds many rows at once."""
PUBLISH_TIMEOUT = 60.0
"""Seconds after which a publication counts as failed."""
LOCK_SESSION_TIMEOUT = 20.0
"""Seconds without a statement after which the server ends the relay's session: longer than any of its waits."""


class Relay:
    """Publishes the outbox of a service: one relay at a time per service, in order, numbered without gaps.

    A row gets its number, and the number is committed, before its first publication. A crash between publishing and
    marking publishes the row again with the same number and the same bytes.
    """

    def __init__(
        self,
        *,
        publisher: str,
        instance: str = "1",
        dsn: str,
        tls: SSLContext | None = None,
        bus: Bus,
        clock: Clock,
        heartbeat_every: float = 10.0,
        beats: Sequence[Callable[[], Message]] = (),
    ) -> None:
        self._publisher, self._dsn, self._tls, self._bus, self._clock = publisher, dsn, tls, bus, clock
        self._instance = instance
        self._heartbeat_every, self._beats = heartbeat_every, tuple(beats)
        self._wake = asyncio.Event()
        self._oldest: datetime | None = None
        UNPUBLISHED_AGE.labels(publisher).set_function(lambda: self.oldest_age)

    @property
    def oldest_age(self) -> float:
        """Seconds since the oldest unpublished row was written; 0 when there is none."""
        return (self._clock.now() - self._oldest).total_seconds() if self._oldest else 0.0

    async def run(self) -> None:
        """Publish until cancelled; failures are logged and retried."""
        backoff = Backoff()
        while True:
            try:
                connection = await asyncpg.connect(
                    self._dsn,
                    ssl=self._tls or False,
                    timeout=5,
                    command_timeout=20,
                    server_settings={"application_name": self._instance},
                )
                try:
                    await self._hold(connection)
                    backoff.reset()
                    await self._follow(connection)
                finally:
                    with contextlib.suppress(Exception):
                        await connection.close(timeout=1)
            except (
                OSError,
                asyncpg.PostgresError,
                asyncpg.InterfaceError,
                asyncpg.InternalClientError,
                TimeoutError,
            ) as error:
                log.warning("relay.database_away", service=self._publisher, error=type(error).__name__)
            await backoff.wait()

    def wake(self) -> None:
        """Make the active relay of the service poll now, in this process or another: rows were committed here.

        The committing transaction does not NOTIFY: notifying transactions commit one after the other.
        """
        self._wake.set()

    async def _hold(self, connection: asyncpg.Connection) -> None:
        """Wait for the lock of the service's relay. The lock ends with the connection.

        The server closes the connection of a process that hangs, so that another replica's relay takes over.
        """
        await connection.execute(f"SET idle_session_timeout = '{LOCK_SESSION_TIMEOUT:g}s'")
        while not await connection.fetchval("SELECT pg_try_advisory_lock(hashtext($1))", RELAY_LOCK):
            if await self._woken(POLL_INTERVAL):
                self._wake.clear()
                await connection.execute("NOTIFY outbox")

    async def _woken(self, within: float) -> bool:
        # Not wait_for: before Python 3.12 it swallows a cancellation that meets the wake-up.
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(within):
                return await self._wake.wait()
        return False

    async def _follow(self, connection: asyncpg.Connection) -> None:
        await connection.add_listener("outbox", lambda *_: self._wake.set())
        backoff, beat_at = Backoff(), 0.0
        loop = asyncio.get_running_loop()
        while True:
            self._wake.clear()
            try:
                sent = await self._drain(connection)
                # Under load the outbox is never empty; a batch that is not full means that the relay has caught up.
                if sent < RELAY_BATCH_SIZE and loop.time() >= beat_at:
                    await self._beat(connection)
                    beat_at = loop.time() + self._heartbeat_every
                backoff.reset()
            except BusUnavailable as error:
                log.warning("relay.bus_away", service=self._publisher, cause=type(error.__cause__).__name__)
                await backoff.wait()
                continue
            if sent < RELAY_BATCH_SIZE:
                await asyncio.sleep(LINGER if sent else 0)
                await self._woken(min(POLL_INTERVAL, max(0.0, beat_at - loop.time())))

    async def _drain(self, connection: asyncpg.Connection) -> int:
        rows = await connection.fetch(
            "SELECT id, topic, key, body, sequence, created_at FROM relay_take($1)", RELAY_BATCH_SIZE
        )
        if rows:
            self._oldest = min(row["created_at"] for row in rows)
            await self._publish(connection, [self._message(row) for row in rows])
            await connection.execute("SELECT relay_done($1)", [row["id"] for row in rows])
            PUBLISHED.labels(self._publisher).inc(len(rows))
        if len(rows) < RELAY_BATCH_SIZE:
            self._oldest = None
        return len(rows)

    async def _publish(self, connection: asyncpg.Connection, messages: Sequence[Message]) -> None:
        """Publish while the lock is held: once the connection is lost, another relay may be active.

        Raises `BusUnavailable`, `ConnectionError`.
        """
        try:
            async with asyncio.timeout(PUBLISH_TIMEOUT) as term:

                def give_up(_: object) -> None:
                    term.reschedule(0)

                connection.add_termination_listener(give_up)
                try:
                    await self._bus.publish(messages)
                finally:
                    connection.remove_termination_listener(give_up)
        except TimeoutError as error:
            if connection.is_closed():
                raise ConnectionError("lost while publishing") from error
            raise BusUnavailable from error

    @staticmethod
    def _message(row: asyncpg.Record) -> Message:
        if row["topic"] == FEED_TOPIC:
            return Message(row["topic"], row["key"], row["body"])
        envelope = Envelope(**orjson.loads(row["body"]), sequence=row["sequence"])
        return Message(row["topic"], row["key"], envelope.to_bytes())

    async def _beat(self, connection: asyncpg.Connection) -> None:
        """Publish a heartbeat with the last number: it has no number of its own, so it is not an outbox row."""
        last = await connection.fetchval("SELECT last FROM outbox_counter")
        envelope = Envelope(
            id=new_id(),
            source=f"/{self._publisher}",
            type=f"{PREFIX}.{self._publisher}.heartbeat.v1",
            subject=self._publisher,
            time=self._clock.now(),
            sequence=last,
            data={},
        )
        beats = [beat() for beat in self._beats]
        heartbeat = Message(events_topic(self._publisher), "heartbeat", envelope.to_bytes())
        await self._publish(connection, [heartbeat, *beats])
