"""Queries of attempts, results and signatures."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import exists, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from identity.training.models import Attempt, Result, Signature


async def get_attempt(session: AsyncSession, attempt_id: UUID, account_id: UUID) -> Attempt | None:
    """Return an attempt of the person."""
    query = select(Attempt).where(Attempt.id == attempt_id, Attempt.account_id == account_id)
    attempt: Attempt | None = await session.scalar(query)
    return attempt


async def get_open_attempt(session: AsyncSession, account_id: UUID, when: datetime) -> Attempt | None:
    """Return the attempt that can be answered at `when`."""
    graded = exists().where(Result.attempt_id == Attempt.id)
    query = select(Attempt).where(Attempt.account_id == account_id, Attempt.expires_at > when, ~graded)
    attempt: Attempt | None = await session.scalar(query.order_by(Attempt.id.desc()).limit(1))
    return attempt


async def count_attempts_since(session: AsyncSession, account_id: UUID, since: datetime) -> int:
    """Count the attempts that the person began after `since`."""
    query = select(func.count()).where(Attempt.account_id == account_id, Attempt.begun_at > since)
    return await session.scalar(query) or 0


async def get_result(session: AsyncSession, attempt_id: UUID) -> Result | None:
    """Return the grade of an attempt."""
    result: Result | None = await session.scalar(select(Result).where(Result.attempt_id == attempt_id))
    return result


async def get_training_end(session: AsyncSession, account_id: UUID) -> datetime | None:
    """Return until when the person's training is valid, past or future; None: never passed."""
    query = select(func.max(Result.valid_until)).where(Result.account_id == account_id)
    until: datetime | None = await session.scalar(query)
    return until


async def get_signature(session: AsyncSession, account_id: UUID, digest: str) -> Signature | None:
    """Return the person's signature under a text."""
    query = select(Signature).where(Signature.account_id == account_id, Signature.digest == digest)
    signature: Signature | None = await session.scalar(query)
    return signature
