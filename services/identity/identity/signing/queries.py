"""Queries of verification keys."""

from collections.abc import Mapping, Sequence
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from common.storage.locks import for_update
from identity.signing.models import PublishedKey


async def list_keys(session: AsyncSession) -> Sequence[PublishedKey]:
    """Return all, the oldest first."""
    return (await session.scalars(select(PublishedKey).order_by(PublishedKey.published_at, PublishedKey.kid))).all()


async def lock_key(session: AsyncSession, kid: str) -> PublishedKey | None:
    """Return a key, locked for a change."""
    key: PublishedKey | None = await session.scalar(for_update(select(PublishedKey).where(PublishedKey.kid == kid)))
    return key


async def insert_key(
    session: AsyncSession,
    *,
    kid: str,
    jwk: Mapping[str, object],
    published_at: datetime,
    signs_from: datetime | None,
    needed_until: datetime | None,
) -> bool:
    """Insert a key; False when it is published already."""
    row = insert(PublishedKey).values(
        kid=kid, jwk=jwk, published_at=published_at, signs_from=signs_from, needed_until=needed_until
    )
    return await session.scalar(row.on_conflict_do_nothing().returning(PublishedKey.kid)) is not None
