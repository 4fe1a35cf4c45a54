"""Queries of policy versions."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from common.enforcement.revocation_feed import PolicyVersion
from identity.policies.models import PolicyRow


async def lock_policy(session: AsyncSession, name: str) -> None:
    """Let one transaction at a time append a version; the serving role cannot lock the immutable rows themselves."""
    await session.execute(select(func.pg_advisory_xact_lock(func.hashtext(f"policy:{name}"))))


async def list_versions(session: AsyncSession, name: str | None = None) -> Sequence[PolicyRow]:
    """Return versions, oldest first: of one policy, or of all."""
    query = select(PolicyRow).order_by(PolicyRow.name, PolicyRow.version)
    if name is not None:
        query = query.where(PolicyRow.name == name)
    return (await session.scalars(query)).all()


async def insert_first_version(session: AsyncSession, version: PolicyVersion, *, set_by: str, at: datetime) -> bool:
    """Insert the first version of a policy; False when the policy has one already."""
    row = insert(PolicyRow).values(
        name=version.name,
        version=version.version,
        value=version.value,
        effective_from=version.effective_from,
        basis=version.basis,
        set_by=set_by,
        set_at=at,
    )
    return await session.scalar(row.on_conflict_do_nothing().returning(PolicyRow.name)) is not None
