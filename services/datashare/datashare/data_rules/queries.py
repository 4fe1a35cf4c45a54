"""Queries of data-security rules."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from common.storage.pagination import PageRequest, Slice, paginate
from datashare.data_rules.models import DataRules


async def current_data_rules_exist(session: AsyncSession, unit_id: UUID, now: datetime) -> bool:
    """Whether the unit has rules that are valid now (10.1)."""
    current = select(DataRules.id).where(
        DataRules.unit_id == unit_id, DataRules.filed_at <= now, DataRules.valid_until > now
    )
    return await session.scalar(current.limit(1)) is not None


async def list_data_rules(session: AsyncSession, unit_id: UUID | None, page: PageRequest) -> Slice[DataRules]:
    """Return the filings of a unit; `unit_id` None: of all."""
    query = select(DataRules)
    if unit_id:
        query = query.where(DataRules.unit_id == unit_id)
    return await paginate(session, query, DataRules.id, page)
