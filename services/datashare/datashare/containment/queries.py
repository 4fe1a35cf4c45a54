"""What is asked about containment orders."""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from datashare.containment.models import Containment
from datashare.projections.models import System

__all__ = ["open_orders_on", "order_of", "unit_of_system"]


async def open_orders_on(session: AsyncSession, targets: Sequence[UUID]) -> Sequence[UUID]:
    """Return the orders on these units and systems that are not lifted."""
    statement = (
        select(Containment.order_id)
        .where(
            Containment.target_id.in_(targets),
            Containment.target_kind.in_(("unit", "system")),
            Containment.lifted_at.is_(None),
        )
        .order_by(Containment.order_id)
    )
    return list(await session.scalars(statement))


async def order_of(session: AsyncSession, order_id: UUID) -> Containment | None:
    """Return and lock an order."""
    return await session.get(Containment, order_id, with_for_update=True)


async def unit_of_system(session: AsyncSession, system_id: UUID) -> UUID | None:
    """Return whose a system is, as far as is known."""
    return await session.scalar(select(System.unit_id).where(System.id == system_id))
