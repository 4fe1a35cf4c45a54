"""Queries of units."""

from collections.abc import Collection, Sequence
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from common.enforcement.permissions import UnitKind
from common.storage.locks import for_share, for_update
from common.storage.pagination import PageRequest, Slice, paginate
from identity.units.models import Unit


async def get_unit(session: AsyncSession, unit_id: UUID) -> Unit | None:
    """Return a unit."""
    unit: Unit | None = await session.scalar(select(Unit).where(Unit.id == unit_id))
    return unit


async def lock_unit(session: AsyncSession, unit_id: UUID) -> Unit | None:
    """Return a unit, locked for a change."""
    unit: Unit | None = await session.scalar(for_update(select(Unit).where(Unit.id == unit_id)))
    return unit


async def lock_unit_state(session: AsyncSession, unit_id: UUID) -> Unit | None:
    """Return a unit whose state stays as read until the transaction ends."""
    unit: Unit | None = await session.scalar(for_share(select(Unit).where(Unit.id == unit_id)))
    return unit


async def list_units(session: AsyncSession, visible: UUID | None, page: PageRequest) -> Slice[Unit]:
    """Return the units; with `visible` that one alone."""
    query = select(Unit) if visible is None else select(Unit).where(Unit.id == visible)
    return await paginate(session, query, Unit.id, page)


async def get_units_by_uscc(session: AsyncSession, codes: Collection[str]) -> dict[str, Unit]:
    """Return the units that have these codes."""
    rows = await session.scalars(select(Unit).where(Unit.uscc.in_(codes)))
    return {unit.uscc: unit for unit in rows}


async def list_units_by_kind(session: AsyncSession, *kinds: UnitKind) -> Sequence[Unit]:
    """Return the units of some kinds."""
    return (await session.scalars(select(Unit).where(Unit.kind.in_(kinds)))).all()


async def lock_registration(session: AsyncSession) -> None:
    """Let one transaction at a time register units, so that two files with the same unit do not collide."""
    await session.execute(select(func.pg_advisory_xact_lock(func.hashtext("identity.units"))))
