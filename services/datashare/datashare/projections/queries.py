"""Queries of the projections, and the lock of a unit."""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from datashare.projections.models import System, Unit

__all__ = ["get_unit_name", "get_unit_of_system", "list_systems", "lock_unit"]


async def list_systems(session: AsyncSession, unit_id: UUID, ids: Sequence[UUID]) -> Sequence[System]:
    """Return those of `ids` that are the unit's."""
    return (await session.scalars(select(System).where(System.unit_id == unit_id, System.id.in_(ids)))).all()


async def get_unit_of_system(session: AsyncSession, system_id: UUID) -> UUID | None:
    """Return the unit of a system; None before its registration arrives."""
    return await session.scalar(select(System.unit_id).where(System.id == system_id))


async def get_unit_name(session: AsyncSession, unit_id: UUID) -> str | None:
    """Return the unit's name; None before its registration arrives."""
    return await session.scalar(select(Unit.name).where(Unit.id == unit_id))


async def lock_unit(session: AsyncSession, unit_id: UUID) -> None:
    """Exclude other transactions that widen or contain this unit's grants, by an advisory lock."""
    await session.execute(select(func.pg_advisory_xact_lock(func.hashtextextended(str(unit_id), 0))))
