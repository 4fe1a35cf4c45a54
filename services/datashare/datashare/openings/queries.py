"""What is asked about openings."""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from datashare.openings.models import Opening

__all__ = ["current_opening", "openings_of"]


async def current_opening(session: AsyncSession, resource_id: UUID) -> Opening | None:
    """Return the newest version, which may be a withdrawal."""
    statement = select(Opening).where(Opening.resource_id == resource_id).order_by(Opening.version.desc()).limit(1)
    return await session.scalar(statement)


async def openings_of(session: AsyncSession, resource_id: UUID, after: UUID | None, limit: int) -> Sequence[Opening]:
    """Return all versions, oldest first."""
    statement = select(Opening).where(Opening.resource_id == resource_id).order_by(Opening.id).limit(limit)
    if after:
        statement = statement.where(Opening.id > after)
    return list(await session.scalars(statement))
