"""What is asked about data-security rules."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from datashare.data_rules.models import DataRules

__all__ = ["filings_of", "has_current_rules"]


async def has_current_rules(session: AsyncSession, unit_id: UUID, now: datetime) -> bool:
    """Whether the unit has rules that count now (10.1)."""
    current = select(DataRules.id).where(
        DataRules.unit_id == unit_id, DataRules.filed_at <= now, DataRules.valid_until > now
    )
    return await session.scalar(current.limit(1)) is not None


async def filings_of(
    session: AsyncSession, unit_id: UUID | None, after: UUID | None, limit: int
) -> Sequence[DataRules]:
    """Return the filings of a unit; `unit_id` None: of all."""
    statement = select(DataRules).order_by(DataRules.id).limit(limit)
    if unit_id:
        statement = statement.where(DataRules.unit_id == unit_id)
    if after:
        statement = statement.where(DataRules.id > after)
    return list(await session.scalars(statement))
