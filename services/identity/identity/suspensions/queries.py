"""Reads suspensions."""

from collections.abc import Sequence
from typing import Literal
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from identity.suspensions.models import Suspension

Subject = Literal["unit_id", "account_id", "system_id"]


async def list_open_suspensions(session: AsyncSession, subject: Subject, id_: UUID) -> Sequence[Suspension]:
    """Return what holds a subject now, oldest first."""
    query = select(Suspension).where(getattr(Suspension, subject) == id_, Suspension.lifted_at.is_(None))
    return (await session.scalars(query.order_by(Suspension.id))).all()
