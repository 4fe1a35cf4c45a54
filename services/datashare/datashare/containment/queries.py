"""Queries of containment orders."""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from common.storage.locks import for_update
from datashare.containment.models import Containment


async def list_open_orders(session: AsyncSession, targets: Sequence[UUID]) -> Sequence[UUID]:
    """Return the orders on these units and systems that are not lifted."""
    query = (
        select(Containment.order_id)
        .where(
            Containment.target_id.in_(targets),
            Containment.target_kind.in_(("unit", "system")),
            Containment.lifted_at.is_(None),
        )
        .order_by(Containment.order_id)
    )
    return (await session.scalars(query)).all()


async def lock_containment(session: AsyncSession, order_id: UUID) -> Containment | None:
    """Return and lock what an order did."""
    return await session.scalar(for_update(select(Containment).where(Containment.order_id == order_id)))
