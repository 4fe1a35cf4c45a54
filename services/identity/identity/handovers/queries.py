"""Queries of handovers."""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import Select, select
from sqlalchemy.ext.asyncio import AsyncSession

from common.storage.locks import for_update
from common.storage.pagination import PageRequest, Slice, paginate
from identity.handovers.models import Handover, HandoverItem


def _handover(handover_id: UUID, visible: UUID | None) -> Select[Handover]:
    query = select(Handover).where(Handover.id == handover_id)
    return query if visible is None else query.where(Handover.unit_id == visible)


async def get_handover(session: AsyncSession, handover_id: UUID, visible: UUID | None) -> Handover | None:
    """Return a handover of the unit `visible`; None stands for every unit."""
    handover: Handover | None = await session.scalar(_handover(handover_id, visible))
    return handover


async def lock_handover(session: AsyncSession, handover_id: UUID, visible: UUID | None) -> Handover | None:
    """Return a handover of the unit `visible`, locked for a change."""
    handover: Handover | None = await session.scalar(for_update(_handover(handover_id, visible)))
    return handover


async def get_handover_of_departure(session: AsyncSession, departure_id: UUID) -> Handover | None:
    """Return the handover of a departure file, once it is opened."""
    handover: Handover | None = await session.scalar(select(Handover).where(Handover.departure_id == departure_id))
    return handover


async def list_handovers(session: AsyncSession, visible: UUID | None, page: PageRequest) -> Slice[Handover]:
    """Return the handovers of one unit or of all."""
    query = select(Handover) if visible is None else select(Handover).where(Handover.unit_id == visible)
    return await paginate(session, query, Handover.id, page)


async def list_items(session: AsyncSession, handover_id: UUID) -> Sequence[HandoverItem]:
    """Return the items by id."""
    query = select(HandoverItem).where(HandoverItem.handover_id == handover_id).order_by(HandoverItem.id)
    return (await session.scalars(query)).all()
