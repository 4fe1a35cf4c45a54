"""What others ask the projections."""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from datashare.projections.models import System, Unit

__all__ = ["hold_unit", "systems_of_unit", "unit_name"]


async def systems_of_unit(session: AsyncSession, unit_id: UUID, ids: Sequence[UUID]) -> list[System]:
    """Return those of `ids` that are the unit's."""
    found = await session.scalars(select(System).where(System.unit_id == unit_id, System.id.in_(ids)))
    return list(found)


async def unit_name(session: AsyncSession, unit_id: UUID) -> str | None:
    """Return the unit's name, if its registration was heard of."""
    return await session.scalar(select(Unit.name).where(Unit.id == unit_id))


async def hold_unit(session: AsyncSession, unit_id: UUID) -> None:
    """Wait for, then keep out, whoever else widens or contains this unit's grants, until the transaction ends."""
    await session.execute(select(func.pg_advisory_xact_lock(func.hashtextextended(str(unit_id), 0))))
