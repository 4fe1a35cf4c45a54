"""Reads handovers."""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from identity.handovers.models import Handover, HandoverItem

__all__ = ["handover_of", "handover_of_departure", "handovers_of", "items_of"]


async def handover_of(
    session: AsyncSession, handover_id: UUID, unit_id: UUID | None, *, lock: bool = False
) -> Handover | None:
    """Return a handover, if it is one of `unit_id` (None: of any unit)."""
    query = select(Handover).where(Handover.id == handover_id)
    if unit_id is not None:
        query = query.where(Handover.unit_id == unit_id)
    if lock:
        query = query.with_for_update()
    handover: Handover | None = await session.scalar(query)
    return handover


async def handover_of_departure(session: AsyncSession, departure_id: UUID) -> Handover | None:
    """Return the handover of a departure file, once it is opened."""
    handover: Handover | None = await session.scalar(select(Handover).where(Handover.departure_id == departure_id))
    return handover


async def handovers_of(
    session: AsyncSession, unit_id: UUID | None, after: UUID | None, limit: int
) -> Sequence[Handover]:
    """Return handovers by id, of one unit or of all."""
    query = select(Handover).order_by(Handover.id).limit(limit)
    if unit_id is not None:
        query = query.where(Handover.unit_id == unit_id)
    if after is not None:
        query = query.where(Handover.id > after)
    return (await session.scalars(query)).all()


async def items_of(session: AsyncSession, handover_id: UUID) -> Sequence[HandoverItem]:
    """Return the items by id."""
    query = select(HandoverItem).where(HandoverItem.handover_id == handover_id).order_by(HandoverItem.id)
    return (await session.scalars(query)).all()
