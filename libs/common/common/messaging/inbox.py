"""The inbox: a foreign event's effect and its inbox row in one transaction, so that it happens once.

What fails waits in its row and is tried again with back-off, while later events of the same key wait behind it and all
others go on; after the last attempt the row is dead, and an operator replays it or drops it with a reason.
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
from common.problems import Conflict, NotFound, Unavailable
from common.storage.database import Database

__all__ = ["Handlers", "Inbox", "inbox"]

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

LONGEST = 0xFFFF
"""Bytes of a message that can be an event: what is longer the log cannot take either, and nobody here reads it."""
ATTEMPTS = 8
"""Attempts before a row is dead: with the back-off below, about a quarter of a minute."""
RETRY = Backoff(0.1, 10.0)
UNAVAILABLE_WAIT = timedelta(seconds=1)
LOOK_EVERY = 1.0
"""Seconds between looks for waiting rows that another process left."""

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
    """Takes deliveries of the bus for one service."""

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
            return  # not for us: unknown types and heartbeats pass by
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
        """Return the envelope, or None for what no handler may ever read: it is logged and counted.

        Audit, which gets every message too, has it on record as rejected and warns of it.
        """
        if len(message.value or b"") > LONGEST:
            return self._refuse(message, "too-long")
        try:
            envelope = Envelope.model_validate_json(message.value or b"")
            if "\0" in message.key:
                raise ValueError("a key that the database cannot store")
        except ValueError:
            return self._refuse(message, "unreadable")
        owner = topic_owner(message.topic)
        # Who may write a topic may say its own facts there, and nobody else's, whatever the source claims to be.
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
        """Let the event wait in its row. Where the database is away this raises `Unavailable`, too."""
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
        """Return the attempts after `error`, and the wait: what was unavailable says nothing against the event."""
        if isinstance(error, Unavailable):
            return attempts, UNAVAILABLE_WAIT
        return attempts + 1, timedelta(seconds=RETRY.delay(attempts))

    def _log_failure(self, type_: str, message_id: UUID, attempts: int, error: Exception) -> None:
        """Log the error's class only: its text may quote personal data."""
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
        """Try waiting rows again until cancelled."""
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
                async with asyncio.timeout(LOOK_EVERY):
                    await self._wake.wait()
            except TimeoutError:
                continue
            await asyncio.sleep(RETRY.initial)

    async def retry_one(self) -> bool:
        """Try the first row whose time has come; False when there is none."""
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
        dead = attempts >= ATTEMPTS
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

    async def dead(self, session: AsyncSession, limit: int = 100) -> list[dict[str, Any]]:
        """Return the oldest dead letters, without their payload."""
        columns = [column for column in inbox.c if column.name != "payload"]
        rows = await session.execute(
            select(*columns).where(inbox.c.status == "dead").order_by(inbox.c.arrival).limit(limit)
        )
        return [dict(row) for row in rows.mappings()]

    async def replay(self, session: AsyncSession, message_id: UUID) -> str:
        """Give a dead letter all its attempts again, and return its type. Raises `NotFound`, `Conflict`."""
        now = self._clock.now()
        type_ = await self._settle(session, message_id, status="waiting", attempts=0, next_attempt_at=now)
        self._wake.set()
        return type_

    async def drop(self, session: AsyncSession, message_id: UUID, *, by: str, reason: str) -> str:
        """End a dead letter without effect, and return its type; who and why stay in the row.

        Raises `NotFound`, `Conflict`.
        """
        return await self._settle(session, message_id, status="dropped", settled_by=by, reason=reason)

    @staticmethod
    async def _settle(session: AsyncSession, message_id: UUID, **values: Any) -> str:
        known = select(inbox.c.status, inbox.c.type).where(inbox.c.message_id == message_id).with_for_update()
        row = (await session.execute(known)).one_or_none()
        if row is None:
            raise NotFound
        if row.status != "dead":
            raise Conflict("该消息不是死信", "This message is not a dead letter", state=row.status)
        await session.execute(update(inbox).where(inbox.c.message_id == message_id).values(**values))
        return str(row.type)


def _where(error: BaseException) -> str:
    """Return file and line of the innermost frame: enough to find the defect, nothing of the data."""
    frame = error.__traceback__
    while frame and frame.tb_next:
        frame = frame.tb_next
    return f"{frame.tb_frame.f_code.co_filename.rsplit('/', 1)[-1]}:{frame.tb_lineno}" if frame else "?"
