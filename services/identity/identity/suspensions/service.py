"""Begins and lifts suspensions; the caller has locked the subject's row."""

from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from common.ids import new_id
from identity.runtime import Runtime
from identity.suspensions.models import Suspension
from identity.suspensions.queries import Subject, list_open_suspensions


async def start(
    session: AsyncSession, runtime: Runtime, subject: Subject, id_: UUID, *, reason: str, cause: str
) -> bool:
    """Hold the subject for this cause; False when it is held for it already."""
    held = await list_open_suspensions(session, subject, id_)
    if any(suspension.cause == cause for suspension in held):
        return False
    row = Suspension(id=new_id(), cause=cause, reason=reason, begun_at=runtime.clock.now())
    setattr(row, subject, id_)
    session.add(row)
    return True


async def lift(session: AsyncSession, runtime: Runtime, subject: Subject, id_: UUID, *, cause: str) -> bool:
    """End what this cause holds; True when it was the last that held the subject."""
    held = await list_open_suspensions(session, subject, id_)
    ending = [suspension for suspension in held if suspension.cause == cause]
    for suspension in ending:
        suspension.lifted_at = runtime.clock.now()
    await session.flush()
    return bool(ending) and len(ending) == len(held)
