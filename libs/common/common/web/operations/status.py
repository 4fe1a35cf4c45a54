"""Reads the status of one instance of a service."""

import math
from datetime import UTC, datetime
from importlib.metadata import version

import psutil
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from common.enforcement.enforcement_point import EnforcementPoint
from common.messaging.relay import RELAY_LOCK
from common.problems import Unavailable
from common.web.operations.schemas import DatabaseStatus, InboxStatus, PointStatus, RelayStatus, ServiceStatus
from common.web.runtime import Runtime

MAX_COUNTED_ROWS = 100_000
"""Rows: the count of a long queue must not slow the service down."""


async def status_of(runtime: Runtime) -> ServiceStatus:
    """Return the status of this instance, with what is known when its database is unavailable."""
    now = runtime.clock.now()
    role = relay = inbox = None
    try:
        async with runtime.database.transaction() as session:
            role = await session.scalar(text("SELECT current_user"))
            relay = await _relay(session, now)
            inbox = await _inbox(session, now) if runtime.inbox else None
    except Unavailable:
        pass
    return ServiceStatus(
        service=runtime.service,
        instance=runtime.settings.instance,
        version=version("xindun-common"),
        started_at=datetime.fromtimestamp(psutil.Process().create_time(), tz=UTC),
        now=now,
        database=DatabaseStatus(answers=role is not None, role=role),
        delivering=runtime.bus.healthy(),
        checks={name: check() for name, check in runtime.readiness.items()},
        relay=relay,
        inbox=inbox,
        point=_point(runtime.point),
    )


async def _relay(session: AsyncSession, now: datetime) -> RelayStatus:
    waiting = (
        await session.execute(
            text("""
                SELECT count(*) AS n, min(created_at) AS oldest FROM (
                    SELECT created_at FROM outbox WHERE published_at IS NULL ORDER BY id LIMIT :limit
                ) waiting"""),
            {"limit": MAX_COUNTED_ROWS},
        )
    ).one()
    last = await session.scalar(
        text("""
            SELECT coalesce(
                (SELECT min(sequence) - 1 FROM outbox WHERE published_at IS NULL AND sequence IS NOT NULL),
                (SELECT last FROM outbox_counter))""")
    )
    holder = await session.scalar(
        text("""
            SELECT application_name FROM pg_locks JOIN pg_stat_activity USING (pid)
            WHERE locktype = 'advisory' AND granted
              AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
              AND (classid::bigint << 32) | objid::bigint = hashtext(:lock)::bigint"""),
        {"lock": RELAY_LOCK},
    )
    return RelayStatus(unpublished=waiting.n, oldest_age=_age(waiting.oldest, now), last_published=last, holder=holder)


async def _inbox(session: AsyncSession, now: datetime) -> InboxStatus:
    row = (
        await session.execute(
            text("""
                SELECT count(*) FILTER (WHERE status = 'waiting') AS waiting, count(*) FILTER (WHERE status = 'dead') AS dead,
                       min(received_at) FILTER (WHERE status = 'waiting') AS oldest
                FROM (
                    (SELECT status, received_at FROM inbox WHERE status = 'waiting' LIMIT :limit)
                    UNION ALL (SELECT status, received_at FROM inbox WHERE status = 'dead' LIMIT :limit)
                ) open"""),
            {"limit": MAX_COUNTED_ROWS},
        )
    ).one()
    return InboxStatus(waiting=row.waiting, dead=row.dead, oldest_age=_age(row.oldest, now))


def _age(since: datetime | None, now: datetime) -> float:
    return max(0.0, (now - since).total_seconds()) if since else 0.0


def _point(point: EnforcementPoint) -> PointStatus:
    return PointStatus(
        name=point.name,
        fresh=point.fresh(),
        age=_finite(point.age()),
        bound=point.bound(),
        cutoffs=point.known_cutoffs,
        keys=len(point.keys.jwks()["keys"]),
        revoker_age=_finite(point.revoker_age()),
    )


def _finite(seconds: float) -> float | None:
    return None if math.isinf(seconds) else round(seconds, 3)
