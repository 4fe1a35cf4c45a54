"""Queries of epochs and cutoffs."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import distinct_on, insert
from sqlalchemy.ext.asyncio import AsyncSession

from common.storage.locks import for_update
from identity.cutoffs.models import CutoffRow, Epoch

UNCONFIRMED_BATCH_SIZE = 100


async def raise_epoch(session: AsyncSession, subject: str) -> int:
    """Raise the subject's epoch by one and return it; the row stays locked until the transaction ends."""
    first = insert(Epoch).values(subject=subject, epoch=1)
    raised = first.on_conflict_do_update(index_elements=[Epoch.subject], set_={"epoch": Epoch.epoch + 1})
    return (await session.scalars(raised.returning(Epoch.epoch))).one()


async def get_epochs(session: AsyncSession, subjects: Sequence[str]) -> dict[str, int]:
    """Return the epoch that a new credential of each subject carries."""
    rows = await session.execute(select(Epoch.subject, Epoch.epoch).where(Epoch.subject.in_(subjects)))
    known = {row.subject: row.epoch for row in rows}
    return {subject: known.get(subject, 0) for subject in subjects}


async def get_newest_cutoff(session: AsyncSession, subject: str) -> CutoffRow | None:
    """Return the newest cutoff of a subject."""
    newest = select(CutoffRow).where(CutoffRow.subject == subject).order_by(CutoffRow.epoch.desc()).limit(1)
    cutoff: CutoffRow | None = await session.scalar(newest)
    return cutoff


async def get_cutoff_of_cause(session: AsyncSession, cause: str) -> CutoffRow | None:
    """Return the cutoff that a cause brought about."""
    cutoff: CutoffRow | None = await session.scalar(select(CutoffRow).where(CutoffRow.cause == cause))
    return cutoff


async def lock_cutoff(session: AsyncSession, cutoff_id: UUID) -> CutoffRow | None:
    """Return a cutoff, locked for a change."""
    cutoff: CutoffRow | None = await session.scalar(for_update(select(CutoffRow).where(CutoffRow.id == cutoff_id)))
    return cutoff


async def list_newest_cutoffs(session: AsyncSession, limit: int) -> Sequence[CutoffRow]:
    """Return the newest cutoffs, the last one first: ids sort by time."""
    return (await session.scalars(select(CutoffRow).order_by(CutoffRow.id.desc()).limit(limit))).all()


async def list_cutoffs_of_cause(session: AsyncSession, cause: str) -> Sequence[CutoffRow]:
    """Return the cutoffs that a cause brought about, oldest first."""
    return (await session.scalars(select(CutoffRow).where(CutoffRow.cause == cause).order_by(CutoffRow.at))).all()


async def list_unconfirmed_cutoffs(session: AsyncSession) -> Sequence[CutoffRow]:
    """Return the oldest cutoffs without `effective_at`, except those of sessions: no caller waits for them."""
    query = select(CutoffRow).where(CutoffRow.effective_at.is_(None), ~CutoffRow.subject.startswith("session:"))
    return (await session.scalars(query.order_by(CutoffRow.at).limit(UNCONFIRMED_BATCH_SIZE))).all()


async def list_newest_cutoffs_since(session: AsyncSession, since: datetime) -> Sequence[CutoffRow]:
    """Return the newest cutoff of each subject, if it is younger than `since`."""
    newest = (
        select(CutoffRow)
        .where(CutoffRow.at > since)
        .ext(distinct_on(CutoffRow.subject))
        .order_by(CutoffRow.subject, CutoffRow.epoch.desc())
    )
    return (await session.scalars(newest)).all()
