"""The inbox: one transaction applies a foreign event and inserts its inbox row, so the effect happens once.

A failed event waits in its row and is retried with back-off. Later events of the same key wait behind it; others go on.
After the last attempt the row is a dead letter (`common.messaging.dead_letters`).
"""

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from typing import Any, Generic, TypeVar
from uuid import UUID

import structlog
from prometheus_client import Counter, Gauge
from sqlalchemy import (
    BigInteger,
    Column,
    DateTime,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    Uuid,
    exists,
    func,
    select,
    update,
)
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from common.backoff import Backoff
from common.clock import Clock
from common.context import ActContext, set_context
from common.messaging.bus import Message
from common.messaging.events import PREFIX, Envelope, Event
from common.messaging.topics import topic_owner
from common.problems import Unavailable
from common.storage.database import Database

log = structlog.get_logger()

inbox = Table(
    "inbox",
    MetaData(),
    Column("message_id", Uuid, primary_key=True),
    Column("topic", Text, nullable=False),
    Column("key", Text, nullable=False),
    Column("type", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("next_attempt_at", DateTime(timezone=True)),
    Column("error", Text),
    Column("payload", LargeBinary),
    Column("received_at", DateTime(timezone=True), nullable=False),
    Column("settled_by", Text),
    Column("reason", Text),
    Column("arrival", BigInteger, nullable=False),
)

HANDLED = Counter("xindun_inbox_handled_total", "Foreign events by outcome", ["service", "outcome"])
DEAD = Gauge("xindun_inbox_dead", "Dead letters that wait for an operator", ["service"])
WAITING = Gauge("xindun_inbox_waiting", "Foreign events that wait for another attempt", ["service"])

MAX_MESSAGE_BYTES = 0xFFFF
"""Maximum message size in bytes. Equals the audit log's leaf limit; longer messages are ignored."""
MAX_ATTEMPTS = 8
"""Attempts before a row is dead: with the back-off below, about a quarter of a minute."""
RETRY = Backoff(0.1, 10.0)
UNAVAILABLE_RETRY_DELAY = timedelta(seconds=1)
POLL_INTERVAL = 1.0
"""Seconds between polls for waiting rows that another process left."""

R = TypeVar("R")
"""The runtime that the service's handlers take."""
Handler = Callable[[AsyncSession, Any, Envelope, R], Awaitable[None]]


class Handlers(Generic[R]):
    """A service's reactions to foreign events: "when this, then that", on one page."""

    def __init__(self) -> None:
        self._by_type: dict[str, list[Handler[R]]] = defaultdict(list)
        self.publishers: set[str] = set()

    def on(self, event: type[Event]) -> Callable[[Handler[R]], Handler[R]]:
        """Declare the decorated function `(session, event, envelope, runtime)` as a reaction to `event`."""

        def register(handler: Handler[R]) -> Handler[R]:
            self._by_type[event.type].append(handler)
            self.publishers.add(event.publisher)
            return handler

        return register

    def of(self, type_: str) -> Sequence[Handler[R]]:
        """Return the reactions to a type, in the order of their declaration."""
        return self._by_type.get(type_, ())


class Inbox(Generic[R]):
    """Applies the bus's deliveries to one service."""

    def __init__(self, service: str, database: Database, handlers: Handlers[R], runtime: R, clock: Clock) -> None:
        self._service, self._database, self._handlers = service, database, handlers
        self._runtime, self._clock = runtime, clock
        self._wake = asyncio.Event()

    async def deliver(self, messages: Sequence[Message]) -> None:
        """Commit each message: done, waiting, or skipped.

        Raises `Unavailable` when the database is away: nothing is counted as an attempt then.
        """
        for message in messages:
            await self._take(message)

    async def _take(self, message: Message) -> None:
        envelope = self._read(message)
        if envelope is None or not self._handlers.of(envelope.type):
            return  # unknown types and heartbeats
        try:
            async with self._database.transaction() as session:
                outcome = await self._claim(session, message, envelope)
                if outcome == "done":
                    await self._apply(session, envelope)
        except Exception as error:  # noqa: BLE001 - whatever a handler raises must not stop the others
            await self._park(message, envelope, error)
            return
        HANDLED.labels(self._service, outcome).inc()

    def _read(self, message: Message) -> Envelope | None:
        """Return the envelope; None for a message that no handler may read, which is logged and counted.

        Audit receives every message too: it records the rejection and raises a warning.
        """
        if len(message.value or b"") > MAX_MESSAGE_BYTES:
            return self._refuse(message, "too-long")
        try:
            envelope = Envelope.model_validate_json(message.value or b"")
            if "\0" in message.key:
                raise ValueError("a key that the database cannot store")
        except ValueError:
            return self._refuse(message, "unreadable")
        owner = topic_owner(message.topic)
        # A topic's owner publishes its own facts there and no others, whatever `source` claims.
        if envelope.source != f"/{owner}" or not envelope.type.startswith(f"{PREFIX}.{owner}."):
            return self._refuse(message, "foreign-source")
        return envelope

    def _refuse(self, message: Message, reason: str) -> Envelope | None:
        log.warning("inbox.refused", service=self._service, topic=message.topic, reason=reason)
        HANDLED.labels(self._service, reason).inc()
        return None

    async def _claim(self, session: AsyncSession, message: Message, envelope: Envelope) -> str:
        """Insert the row: "done", or "waiting" behind a waiting row of the same key; "repeated" when it was there."""
        behind = await session.scalar(
            select(
                exists().where(inbox.c.status == "waiting", inbox.c.topic == message.topic, inbox.c.key == message.key)
            )
        )
        row = self._row(message, envelope) | ({"status": "waiting", "payload": message.value} if behind else {})
        claimed = await session.scalar(insert(inbox).values(row).on_conflict_do_nothing().returning(inbox.c.message_id))
        return "repeated" if claimed is None else "waiting" if behind else "done"

    def _row(self, message: Message, envelope: Envelope) -> dict[str, Any]:
        return {
            "message_id": envelope.id,
            "topic": message.topic,
            "key": message.key,
            "type": envelope.type,
            "status": "done",
            "attempts": 0,
            "received_at": self._clock.now(),
        }

    async def _apply(self, session: AsyncSession, envelope: Envelope) -> None:
        set_context(ActContext(f"service:{self._service}", None, envelope.requestid, envelope.traceparent))
        event = envelope.event()
        for handler in self._handlers.of(envelope.type):
            await handler(session, event, envelope, self._runtime)

    async def _park(self, message: Message, envelope: Envelope, error: Exception) -> None:
        """Store the event as a waiting row. Raises `Unavailable` while the database is away."""
        attempts, wait = self._counted(0, error)
        self._log_failure(envelope.type, envelope.id, attempts, error)
        async with self._database.transaction() as session:
            await session.execute(
                insert(inbox)
                .values(
                    self._row(message, envelope)
                    | {
                        "status": "waiting",
                        "attempts": attempts,
                        "payload": message.value,
                        "error": type(error).__name__,
                        "next_attempt_at": self._clock.now() + wait,
                    }
                )
                .on_conflict_do_nothing()
            )
        self._wake.set()

    @staticmethod
    def _counted(attempts: int, error: Exception) -> tuple[int, timedelta]:
        """Return attempts and delay after `error`. `Unavailable` does not count as an attempt."""
        if isinstance(error, Unavailable):
            return attempts, UNAVAILABLE_RETRY_DELAY
        return attempts + 1, timedelta(seconds=RETRY.delay(attempts))

    def _log_failure(self, type_: str, message_id: UUID, attempts: int, error: Exception) -> None:
        """Log the class of the error only: its text may quote personal data."""
        HANDLED.labels(self._service, "failed").inc()
        log.warning(
            "inbox.handler_failed",
            service=self._service,
            type=type_,
            message_id=str(message_id),
            attempts=attempts,
            error=type(error).__name__,
            where=_where(error),
        )

    async def run(self) -> None:
        """Retry waiting rows until cancelled."""
        while True:
            self._wake.clear()
            try:
                while await self.retry_one():
                    pass
                await self._count()
            except Unavailable:
                log.warning("inbox.database_away", service=self._service)
            try:
                # Not wait_for: before Python 3.12 it swallows a cancellation that meets the wake-up.
                async with asyncio.timeout(POLL_INTERVAL):
                    await self._wake.wait()
            except TimeoutError:
                continue
            await asyncio.sleep(RETRY.initial)

    async def retry_one(self) -> bool:
        """Retry the first row that is due; False when there is none."""
        ahead = inbox.alias()
        now = self._clock.now()
        due = (
            select(inbox)
            .where(
                inbox.c.status == "waiting",
                func.coalesce(inbox.c.next_attempt_at, now) <= now,
                ~exists().where(
                    ahead.c.status == "waiting",
                    ahead.c.topic == inbox.c.topic,
                    ahead.c.key == inbox.c.key,
                    ahead.c.arrival < inbox.c.arrival,
                ),
            )
            .order_by(inbox.c.arrival)
            .limit(1)
            .with_for_update(skip_locked=True)
        )
        row = None
        try:
            async with self._database.transaction() as session:
                row = (await session.execute(due)).mappings().first()
                if row is None:
                    return False
                await session.execute(
                    update(inbox)
                    .where(inbox.c.message_id == row["message_id"])
                    .values(status="done", payload=None, attempts=row["attempts"] + 1, next_attempt_at=None)
                )
                await self._apply(session, Envelope.model_validate_json(row["payload"]))
        except Exception as error:
            if row is None:
                raise
            await self._failed(dict(row), error)
        else:
            HANDLED.labels(self._service, "done").inc()
        return True

    async def _failed(self, row: dict[str, Any], error: Exception) -> None:
        attempts, wait = self._counted(row["attempts"], error)
        self._log_failure(row["type"], row["message_id"], attempts, error)
        dead = attempts >= MAX_ATTEMPTS
        async with self._database.transaction() as session:
            await session.execute(
                update(inbox)
                .where(inbox.c.message_id == row["message_id"], inbox.c.status == "waiting")
                .values(
                    attempts=attempts,
                    error=type(error).__name__,
                    status="dead" if dead else "waiting",
                    next_attempt_at=None if dead else self._clock.now() + wait,
                )
            )

    async def _count(self) -> None:
        counted = select(inbox.c.status, func.count()).where(inbox.c.status.in_(("waiting", "dead")))
        async with self._database.transaction() as session:
            rows = await session.execute(counted.group_by(inbox.c.status))
            numbers = {row[0]: row[1] for row in rows}
        WAITING.labels(self._service).set(numbers.get("waiting", 0))
        DEAD.labels(self._service).set(numbers.get("dead", 0))

    def wake(self) -> None:
        """Retry waiting rows now."""
        self._wake.set()


def _where(error: BaseException) -> str:
    """Return file and line of the innermost frame: enough to find the defect, nothing of the data."""
    frame = error.__traceback__
    while frame and frame.tb_next:
        frame = frame.tb_next
    return f"{frame.tb_frame.f_code.co_filename.rsplit('/', 1)[-1]}:{frame.tb_lineno}" if frame else "?"
