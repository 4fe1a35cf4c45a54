"""Queries of connected systems."""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import Select, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from common.storage.locks import for_update
from common.storage.pagination import PageRequest, Slice, paginate
from identity.systems.models import ConnectedSystem, SystemState
from identity.units.models import Unit


def _system(system_id: UUID, visible: UUID | None) -> Select[ConnectedSystem]:
    query = select(ConnectedSystem).where(ConnectedSystem.id == system_id)
    return query if visible is None else query.where(ConnectedSystem.unit_id == visible)


async def get_system(session: AsyncSession, system_id: UUID, visible: UUID | None) -> ConnectedSystem | None:
    """Return a system of the unit `visible`; None stands for every unit."""
    system: ConnectedSystem | None = await session.scalar(_system(system_id, visible))
    return system


async def lock_system(session: AsyncSession, system_id: UUID, visible: UUID | None) -> ConnectedSystem | None:
    """Return a system of the unit `visible`, locked for a change."""
    system: ConnectedSystem | None = await session.scalar(for_update(_system(system_id, visible)))
    return system


async def list_systems(session: AsyncSession, visible: UUID | None, page: PageRequest) -> Slice[ConnectedSystem]:
    """Return the systems of one unit or of all."""
    query = select(ConnectedSystem)
    if visible is not None:
        query = query.where(ConnectedSystem.unit_id == visible)
    return await paginate(session, query, ConnectedSystem.id, page)


async def list_live_system_ids(session: AsyncSession, unit_id: UUID) -> Sequence[UUID]:
    """Return the ids of the unit's systems that are not decommissioned."""
    query = select(ConnectedSystem.id).where(
        ConnectedSystem.unit_id == unit_id, ConnectedSystem.state != SystemState.DECOMMISSIONED
    )
    return (await session.scalars(query.order_by(ConnectedSystem.id))).all()


async def list_systems_of_responsible(session: AsyncSession, account_id: UUID) -> Sequence[ConnectedSystem]:
    """Return the systems in use that a person is responsible for."""
    query = select(ConnectedSystem).where(
        ConnectedSystem.responsible == account_id, ConnectedSystem.state != SystemState.DECOMMISSIONED
    )
    return (await session.scalars(query.order_by(ConnectedSystem.id))).all()


async def set_responsible(session: AsyncSession, system_id: UUID, account_id: UUID) -> None:
    """Hand a system over to another person of the same unit, as the foreign key asks."""
    await session.execute(update(ConnectedSystem).where(ConnectedSystem.id == system_id).values(responsible=account_id))


async def get_unit_of_system(session: AsyncSession, system_id: UUID) -> Unit | None:
    """Return the unit of a system."""
    query = select(Unit).join(ConnectedSystem, ConnectedSystem.unit_id == Unit.id)
    unit: Unit | None = await session.scalar(query.where(ConnectedSystem.id == system_id))
    return unit
