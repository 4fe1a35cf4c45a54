"""Reads verification keys."""

from collections.abc import Sequence

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from identity.signing.models import PublishedKey

__all__ = ["list_keys", "lock_key"]


async def list_keys(session: AsyncSession) -> Sequence[PublishedKey]:
    """Return all, the oldest first."""
    return (await session.scalars(select(PublishedKey).order_by(PublishedKey.published_at, PublishedKey.kid))).all()


async def lock_key(session: AsyncSession, kid: str) -> PublishedKey | None:
    """Return one key, locked, as it is now."""
    query = select(PublishedKey).where(PublishedKey.kid == kid).with_for_update()
    return (await session.scalars(query, execution_options={"populate_existing": True})).one_or_none()
