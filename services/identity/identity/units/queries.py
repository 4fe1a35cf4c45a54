"""Reads units."""

from collections.abc import Collection, Sequence
from typing import Literal
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from common.enforcement.permissions import UnitKind
from identity.units.models import Unit

__all__ = ["lock_registration", "unit_of", "units_by_kind", "units_by_uscc", "units_page"]


async def unit_of(
    session: AsyncSession, unit_id: UUID, *, lock: Literal["share", "change"] | None = None
) -> Unit | None:
    """Return a unit. `share`: its state stays as read until the transaction ends; `change`: to change it."""
    query = select(Unit).where(Unit.id == unit_id)
    if lock == "share":
        query = query.with_for_update(read=True)
    elif lock == "change":
        query = query.with_for_update(key_share=True)
    unit: Unit | None = await session.scalar(query.execution_options(populate_existing=lock is not None))
    return unit


async def units_page(session: AsyncSession, own: UUID | None, after: UUID | None, limit: int) -> Sequence[Unit]:
    """Return units by id; with `own` that one alone."""
    query = select(Unit).order_by(Unit.id).limit(limit)
    if own is not None:
        query = query.where(Unit.id == own)
    if after is not None:
        query = query.where(Unit.id > after)
    return (await session.scalars(query)).all()


async def units_by_uscc(session: AsyncSession, codes: Collection[str]) -> dict[str, Unit]:
    """Return the units that have these codes."""
    rows = await session.scalars(select(Unit).where(Unit.uscc.in_(codes)))
    return {unit.uscc: unit for unit in rows}


async def units_by_kind(session: AsyncSession, *kinds: UnitKind) -> Sequence[Unit]:
    """Return the units of some kinds."""
    return (await session.scalars(select(Unit).where(Unit.kind.in_(kinds)))).all()


async def lock_registration(session: AsyncSession) -> None:
    """Let one transaction at a time register units, so that two files with the same unit do not collide."""
    await session.execute(select(func.pg_advisory_xact_lock(func.hashtext("identity.units"))))
