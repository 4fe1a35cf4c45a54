"""Reads policies."""

from collections.abc import Sequence

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from identity.policies.models import PolicyRow

__all__ = ["list_versions", "lock_policy"]


async def lock_policy(session: AsyncSession, name: str) -> None:
    """Let one transaction at a time append a version; the serving role cannot lock the immutable rows themselves."""
    await session.execute(select(func.pg_advisory_xact_lock(func.hashtext(f"policy:{name}"))))


async def list_versions(session: AsyncSession, name: str | None = None) -> Sequence[PolicyRow]:
    """Return versions, oldest first: of one policy, or of all."""
    query = select(PolicyRow).order_by(PolicyRow.name, PolicyRow.version)
    if name is not None:
        query = query.where(PolicyRow.name == name)
    return (await session.scalars(query)).all()
