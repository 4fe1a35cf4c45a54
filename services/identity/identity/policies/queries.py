"""Reads policies."""

from collections.abc import Sequence

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from identity.policies.models import PolicyRow

__all__ = ["versions_of"]


async def versions_of(session: AsyncSession, name: str | None = None, *, lock: bool = False) -> Sequence[PolicyRow]:
    """Return versions, oldest first: of one policy, or of all."""
    query = select(PolicyRow).order_by(PolicyRow.name, PolicyRow.version)
    if name is not None:
        query = query.where(PolicyRow.name == name)
    if lock:
        query = query.with_for_update()
    return (await session.scalars(query)).all()
