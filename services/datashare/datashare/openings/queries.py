"""Queries of openings."""

from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from common.storage.pagination import PageRequest, Slice, paginate
from datashare.openings.models import Opening


async def get_current_opening(session: AsyncSession, resource_id: UUID) -> Opening | None:
    """Return the newest version, which may be a withdrawal."""
    query = select(Opening).where(Opening.resource_id == resource_id).order_by(Opening.version.desc()).limit(1)
    return await session.scalar(query)


async def list_openings(session: AsyncSession, resource_id: UUID, page: PageRequest) -> Slice[Opening]:
    """Return all versions, oldest first."""
    return await paginate(session, select(Opening).where(Opening.resource_id == resource_id), Opening.id, page)
