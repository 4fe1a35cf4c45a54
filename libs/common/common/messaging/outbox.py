"""The outbox: a transaction writes its events as rows of its own; the relay (`common.messaging.relay`) publishes them.

`add` and `add_entry` queue an event on the session. `flush` inserts the rows as the last statement of the transaction
(`common.storage.database` calls it), so the rows of one aggregate follow the order in which its row was locked. The
serving role may only insert and select: numbering and marking belong to the owner (`common.storage.migrations`), so a
service cannot take an event back.
"""

from datetime import datetime
from typing import Any

import asyncpg
import orjson
from sqlalchemy import BigInteger, Column, DateTime, LargeBinary, MetaData, Table, Text, event, insert, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Session, SessionTransaction

from common.context import ActContext, get_context
from common.enforcement.revocation_feed import Entry
from common.ids import new_id
from common.messaging.events import Event
from common.messaging.topics import FEED_TOPIC, events_topic

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

MAX_EVENT_BYTES = 60_000
"""Maximum size of an event: a leaf of the log takes 65,535 bytes (C2SP tlog-tiles), and a larger event must not commit."""


def add(session: AsyncSession, event: Event, *, at: datetime) -> None:
    """Publish `event` if and when the transaction of `session` commits. `at` is when it happened.

    A savepoint that is rolled back takes its events with it. Raises `ValueError` for an event over `MAX_EVENT_BYTES`.
    """
    body = serialize(event, at=at, context=get_context())
    _enqueue(session, events_topic(event.publisher), event.key, body, at)


def serialize(event: Event, *, at: datetime, context: ActContext) -> bytes:
    """Return the body of the outbox row of `event`."""
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
    """Publish `entry` on the revocation feed if and when the transaction of `session` commits. Only identity does so."""
    _enqueue(session, FEED_TOPIC, entry.key, entry.to_bytes(), at)


_Pending = list[tuple[SessionTransaction | None, dict[str, Any]]]
"""Queued rows, each with the savepoint in which it was added."""


def _enqueue(session: AsyncSession, topic: str, key: str, body: bytes, at: datetime) -> None:
    _check_size(topic, key, body)
    pending: _Pending = session.info.setdefault("outbox", [])
    row = {"topic": topic, "key": key, "body": body, "created_at": at}
    pending.append((session.sync_session.get_nested_transaction(), row))


def _check_size(topic: str, key: str, body: bytes) -> None:
    if len(body) + len(key) > MAX_EVENT_BYTES:
        raise ValueError(f"a message of {topic} is over {MAX_EVENT_BYTES} bytes")


@event.listens_for(Session, "after_soft_rollback")
def _discard_rolled_back(session: Session, ended: SessionTransaction) -> None:
    """Drop the rows that were queued within the savepoint that was rolled back."""
    pending: _Pending = session.info.get("outbox", [])
    pending[:] = [(savepoint, row) for savepoint, row in pending if not _within(savepoint, ended)]


def _within(savepoint: SessionTransaction | None, ended: SessionTransaction) -> bool:
    while savepoint is not None:
        if savepoint is ended:
            return True
        savepoint = savepoint.parent
    return False


async def flush(session: AsyncSession) -> bool:
    """Insert the queued rows after all other statements of the transaction; True if there were any."""
    await session.flush()
    pending: _Pending = session.info.pop("outbox", [])
    if pending:
        await session.execute(insert(outbox), [row for _, row in pending])
    return bool(pending)


async def list_unpublished_keys(session: AsyncSession, topic: str) -> set[str]:
    """Return the keys of the rows of `topic` that wait for publication."""
    query = select(outbox.c.key).where(outbox.c.topic == topic, outbox.c.published_at.is_(None))
    return set(await session.scalars(query))


_INSERT = "INSERT INTO outbox (topic, key, body, created_at) VALUES ($1, $2, $3, $4)"


async def add_on_connection(connection: asyncpg.Connection, *events: Event, at: datetime) -> None:
    """Insert `events` as the last statements of a `Database.raw_transaction`; elsewhere use `add`.

    Raises `ValueError` for an event over `MAX_EVENT_BYTES`.
    """
    for each in events:
        topic, key, body = events_topic(each.publisher), each.key, serialize(each, at=at, context=get_context())
        _check_size(topic, key, body)
        await connection.execute(_INSERT, topic, key, body, at)
