"""Dead letters: events that a service could not apply. An operator replays them, or drops them with a reason."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncSession

from common.messaging.inbox import inbox
from common.problems import Conflict, NotFound


async def list_dead_letters(session: AsyncSession, limit: int = 100) -> list[dict[str, Any]]:
    """Return the oldest dead letters, without their payload."""
    columns = [column for column in inbox.c if column.name != "payload"]
    rows = await session.execute(
        select(*columns).where(inbox.c.status == "dead").order_by(inbox.c.arrival).limit(limit)
    )
    return [dict(row) for row in rows.mappings()]


async def replay_dead_letter(session: AsyncSession, message_id: UUID, *, now: datetime) -> str:
    """Give a dead letter all its attempts again, and return its type. Raises `NotFound`, `Conflict`."""
    return await _settle(session, message_id, status="waiting", attempts=0, next_attempt_at=now)


async def drop_dead_letter(session: AsyncSession, message_id: UUID, *, by: str, reason: str) -> str:
    """End a dead letter without effect, and return its type; the row keeps `by` and `reason`.

    Raises `NotFound`, `Conflict`.
    """
    return await _settle(session, message_id, status="dropped", settled_by=by, reason=reason)


async def _settle(session: AsyncSession, message_id: UUID, **values: Any) -> str:
    known = select(inbox.c.status, inbox.c.type).where(inbox.c.message_id == message_id).with_for_update()
    row = (await session.execute(known)).one_or_none()
    if row is None:
        raise NotFound
    if row.status != "dead":
        raise Conflict("该消息不是死信", "This message is not a dead letter", state=row.status)
    await session.execute(update(inbox).where(inbox.c.message_id == message_id).values(**values))
    return str(row.type)
