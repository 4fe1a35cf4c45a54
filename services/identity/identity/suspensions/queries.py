"""Queries of suspensions."""

from collections.abc import Sequence

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from identity.suspensions.models import Suspendable, Suspension


async def list_open_suspensions(session: AsyncSession, row: Suspendable) -> Sequence[Suspension]:
    """Return the open suspensions of a row, oldest first."""
    column = getattr(Suspension, f"{row.KIND}_id")
    query = select(Suspension).where(column == row.id, Suspension.lifted_at.is_(None)).order_by(Suspension.id)
    return (await session.scalars(query)).all()
