"""The outbox: what a transaction tells the world is a row of that transaction; the relay brings the rows to the bus.

`add` and `add_entry` only note what is to be said; `flush` inserts it as the last statement of the transaction
(`common.storage.database` calls it), so that the order of rows of one aggregate is the order in which its row was locked.
The serving role may only insert and select: numbering and marking as published are functions of the owner
(`common.storage.migrations`), so that a service cannot unsay what it said.
"""

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from datetime import datetime
from ssl import SSLContext
from typing import Any

import asyncpg
import orjson
import structlog
from prometheus_client import Counter, Gauge
from sqlalchemy import BigInteger, Column, DateTime, LargeBinary, MetaData, Table, Text, event, insert
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Session, SessionTransaction

from common.backoff import Backoff
from common.clock import Clock
from common.context import ActContext, get_context
from common.enforcement.revocation_feed import Entry
from common.ids import new_id
from common.messaging.bus import Bus, BusUnavailable, Message
from common.messaging.events import PREFIX, Envelope, Event
from common.messaging.topics import FEED_TOPIC, events_topic

__all__ = ["RELAY_LOCK", "Relay", "add", "add_entry", "add_on_connection", "flush", "outbox", "serialize"]

log = structlog.get_logger()

outbox = Table(
    "outbox",
    MetaData(),
    Column("id", BigInteger, primary_key=True),
    Column("topic", Text, nullable=False),
    Column("key", Text, nullable=False),
    Column("body", LargeBinary, nullable=False),
    Column("sequence", BigInteger),
    Column("created_at", DateTime(timezone=True), nullable=False),
    Column("published_at", DateTime(timezone=True)),
)

UNPUBLISHED_AGE = Gauge("xindun_outbox_oldest_unpublished_seconds", "Age of the oldest unpublished row", ["service"])
PUBLISHED = Counter("xindun_outbox_published_total", "Messages brought to the bus", ["service"])

RELAY_LOCK = "xindun.relay"
"""The lock of a service's database that the relay at work holds."""
BATCH = 500
SWEEP = 2.0
"""Seconds between looks for rows whose notification was lost with its process."""
GATHER = 0.003
"""Seconds after a look that found something: under load the next one finds many at once."""
PUBLISH_TERM = 60.0
"""Seconds after which a publication that neither ends nor fails is given up."""
HUNG_AFTER = 20.0
"""Seconds without a word, after which a relay loses its lock: longer than it waits for the bus or between attempts."""
LARGEST = 60_000
"""Bytes of an event: a leaf of the log takes 65,535 (C2SP tlog-tiles), and what neither bus nor log takes must not commit."""


def add(session: AsyncSession, event: Event, *, at: datetime) -> None:
    """Tell the world of `event`, if and when the transaction of `session` commits. `at` is when it happened.

    What is added within a savepoint that is rolled back is not told. Raises `ValueError` on an event over `LARGEST`.
    """
    body = serialize(event, at=at, context=get_context())
    _note(session, events_topic(event.publisher), event.key, body, at)


def serialize(event: Event, *, at: datetime, context: ActContext) -> bytes:
    """Return the body of an outbox row that says `event`."""
    body: dict[str, Any] = {
        "id": new_id(),
        "source": f"/{event.publisher}",
        "type": event.type,
        "subject": event.key,
        "time": at,
        "actor": context.actor,
        "actorunit": context.actorunit,
        "requestid": context.requestid,
        "traceparent": context.traceparent,
        "data": event.model_dump(mode="json"),
    }
    return orjson.dumps(body)


def add_entry(session: AsyncSession, entry: Entry, *, at: datetime) -> None:
    """Put `entry` on the revocation feed, if and when the transaction of `session` commits. Identity alone does."""
    _note(session, FEED_TOPIC, entry.key, entry.to_bytes(), at)


_Pending = list[tuple[SessionTransaction | None, dict[str, Any]]]
"""Rows to be, each with the savepoint in which it was added."""


def _note(session: AsyncSession, topic: str, key: str, body: bytes, at: datetime) -> None:
    _require_fit(topic, key, body)
    pending: _Pending = session.info.setdefault("outbox", [])
    row = {"topic": topic, "key": key, "body": body, "created_at": at}
    pending.append((session.sync_session.get_nested_transaction(), row))


def _require_fit(topic: str, key: str, body: bytes) -> None:
    if len(body) + len(key) > LARGEST:
        raise ValueError(f"a message of {topic} is over {LARGEST} bytes")


@event.listens_for(Session, "after_soft_rollback")
def _unsay(session: Session, ended: SessionTransaction) -> None:
    """Forget what was added within the savepoint that was rolled back."""
    pending: _Pending = session.info.get("outbox", [])
    pending[:] = [(savepoint, row) for savepoint, row in pending if not _within(savepoint, ended)]


def _within(savepoint: SessionTransaction | None, ended: SessionTransaction) -> bool:
    while savepoint is not None:
        if savepoint is ended:
            return True
        savepoint = savepoint.parent
    return False


async def flush(session: AsyncSession) -> bool:
    """Insert what was added, after everything else of the transaction; True when that was anything."""
    await session.flush()
    pending: _Pending = session.info.pop("outbox", [])
    if pending:
        await session.execute(insert(outbox), [row for _, row in pending])
    return bool(pending)


_TELL = "INSERT INTO outbox (topic, key, body, created_at) VALUES ($1, $2, $3, $4)"


async def add_on_connection(connection: asyncpg.Connection, *events: Event, at: datetime) -> None:
    """Tell the world of `events`, if and when the transaction of `connection` commits: what it does last.

    For `Database.direct`; elsewhere `add`. Raises `ValueError` on an event over `LARGEST`.
    """
    for said in events:
        topic, key, body = events_topic(said.publisher), said.key, serialize(said, at=at, context=get_context())
        _require_fit(topic, key, body)
        await connection.execute(_TELL, topic, key, body, at)


class Relay:
    """Brings a service's outbox to the bus: one relay at a time per service, in order, numbered without gaps.

    A row is numbered and that number committed before its first publication; so a row that is published twice, because
    a crash came between publishing and marking, carries the same number and the same bytes both times.
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
        """Seconds that the oldest row which this relay could not yet publish has waited; 0 when nothing waits."""
        return (self._clock.now() - self._oldest).total_seconds() if self._oldest else 0.0

    async def run(self) -> None:
        """Relay until cancelled; whatever fails is waited out."""
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
        """Let the relay of the service look at once, be it this one or another process's: rows were committed here.

        Not by a notification of the transaction itself: those commit one after the other, each waiting for its disk.
        """
        self._wake.set()

    async def _hold(self, connection: asyncpg.Connection) -> None:
        """Wait until this relay is the only one of its service: the lock dies with the connection.

        The server ends the connection of a process that hangs, so that the relay of another replica takes over.
        """
        await connection.execute(f"SET idle_session_timeout = '{HUNG_AFTER:g}s'")
        while not await connection.fetchval("SELECT pg_try_advisory_lock(hashtext($1))", RELAY_LOCK):
            if await self._woken(SWEEP):
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
                # Under load a look never finds nothing: what counts is that nothing was left behind.
                if sent < BATCH and loop.time() >= beat_at:
                    await self._beat(connection)
                    beat_at = loop.time() + self._heartbeat_every
                backoff.reset()
            except BusUnavailable as error:
                log.warning("relay.bus_away", service=self._publisher, cause=type(error.__cause__).__name__)
                await backoff.wait()
                continue
            if sent < BATCH:
                await asyncio.sleep(GATHER if sent else 0)
                await self._woken(min(SWEEP, max(0.0, beat_at - loop.time())))

    async def _drain(self, connection: asyncpg.Connection) -> int:
        rows = await connection.fetch("SELECT id, topic, key, body, sequence, created_at FROM relay_take($1)", BATCH)
        if rows:
            self._oldest = min(row["created_at"] for row in rows)
            await self._publish(connection, [self._message(row) for row in rows])
            await connection.execute("SELECT relay_done($1)", [row["id"] for row in rows])
            PUBLISHED.labels(self._publisher).inc(len(rows))
        if len(rows) < BATCH:
            self._oldest = None
        return len(rows)

    async def _publish(self, connection: asyncpg.Connection, messages: Sequence[Message]) -> None:
        """Publish for as long as the lock is held: another relay may be at work from the moment the connection is lost.

        Raises `BusUnavailable`, `ConnectionError`.
        """
        try:
            async with asyncio.timeout(PUBLISH_TERM) as term:

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
        """Say "alive, and the last number was n": neither a fact nor numbered, so it is not an outbox row."""
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
