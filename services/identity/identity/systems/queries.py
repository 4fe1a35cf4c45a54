"""Reads connected systems."""

from collections.abc import Sequence
from typing import Literal
from uuid import UUID

from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncSession

from identity.systems.models import ConnectedSystem, SystemState
from identity.units.models import Unit

__all__ = ["live_systems", "set_responsible", "system_of", "systems_of_responsible", "systems_page", "unit_of"]


async def system_of(
    session: AsyncSession,
    system_id: UUID,
    unit_id: UUID | None,
    *,
    lock: Literal["share", "change"] | None = None,
) -> ConnectedSystem | None:
    """Return a system, if it is one of `unit_id` (None: of any unit).

    `share`: its state stays as read until the transaction ends; `change`: to change it.
    """
    query = select(ConnectedSystem).where(ConnectedSystem.id == system_id)
    if unit_id is not None:
        query = query.where(ConnectedSystem.unit_id == unit_id)
    if lock == "share":
        query = query.with_for_update(read=True)
    elif lock == "change":
        query = query.with_for_update(key_share=True)
    system: ConnectedSystem | None = await session.scalar(query.execution_options(populate_existing=lock is not None))
    return system


async def systems_page(
    session: AsyncSession, unit_id: UUID | None, after: UUID | None, limit: int
) -> Sequence[ConnectedSystem]:
    """Return systems by id, of one unit or of all."""
    query = select(ConnectedSystem).order_by(ConnectedSystem.id).limit(limit)
    if unit_id is not None:
        query = query.where(ConnectedSystem.unit_id == unit_id)
    if after is not None:
        query = query.where(ConnectedSystem.id > after)
    return (await session.scalars(query)).all()


async def live_systems(session: AsyncSession, unit_id: UUID) -> Sequence[UUID]:
    """Return the ids of the unit's systems that are not decommissioned."""
    query = select(ConnectedSystem.id).where(
        ConnectedSystem.unit_id == unit_id, ConnectedSystem.state != SystemState.DECOMMISSIONED
    )
    return (await session.scalars(query.order_by(ConnectedSystem.id))).all()


async def systems_of_responsible(session: AsyncSession, account_id: UUID) -> Sequence[ConnectedSystem]:
    """Return the living systems that a person is responsible for."""
    query = select(ConnectedSystem).where(
        ConnectedSystem.responsible == account_id, ConnectedSystem.state != SystemState.DECOMMISSIONED
    )
    return (await session.scalars(query.order_by(ConnectedSystem.id))).all()


async def set_responsible(session: AsyncSession, system_id: UUID, account_id: UUID) -> None:
    """Hand a system over to another person of the same unit, as the foreign key asks."""
    await session.execute(update(ConnectedSystem).where(ConnectedSystem.id == system_id).values(responsible=account_id))


async def unit_of(session: AsyncSession, system_id: UUID) -> Unit | None:
    """Return the unit of a system."""
    query = select(Unit).join(ConnectedSystem, ConnectedSystem.unit_id == Unit.id)
    unit: Unit | None = await session.scalar(query.where(ConnectedSystem.id == system_id))
    return unit
