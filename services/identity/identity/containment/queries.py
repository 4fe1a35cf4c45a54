"""Queries of containment orders."""

from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from common.storage.locks import for_update
from identity.containment.models import Containment


async def get_order(session: AsyncSession, order_id: UUID) -> Containment | None:
    """Return an order."""
    order: Containment | None = await session.scalar(select(Containment).where(Containment.order_id == order_id))
    return order


async def lock_order(session: AsyncSession, order_id: UUID) -> Containment | None:
    """Return an order, locked for a change."""
    query = for_update(select(Containment).where(Containment.order_id == order_id))
    order: Containment | None = await session.scalar(query)
    return order


async def lock_order_of_cutoff(session: AsyncSession, cutoff_id: UUID) -> Containment | None:
    """Return the order that a cutoff carries out, locked for a change."""
    query = for_update(select(Containment).where(Containment.cutoff_id == cutoff_id))
    order: Containment | None = await session.scalar(query)
    return order
