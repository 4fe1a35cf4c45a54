"""Queries of epochs, cutoffs and receipts."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import distinct_on, insert
from sqlalchemy.ext.asyncio import AsyncSession

from common.storage.locks import for_update
from identity.cutoffs.models import CutoffRow, Epoch, ReceiptRow

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


async def list_unconfirmed_cutoffs(session: AsyncSession) -> Sequence[CutoffRow]:
    """Return the oldest cutoffs without `effective_at`, sessions apart: those are not waited for."""
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


async def list_receipts_by_cutoff(session: AsyncSession, cutoffs: Sequence[UUID]) -> dict[UUID, list[ReceiptRow]]:
    """Return the receipts of each cutoff, the first one first."""
    query = select(ReceiptRow).where(ReceiptRow.cutoff_id.in_(cutoffs)).order_by(ReceiptRow.applied_at)
    found: dict[UUID, list[ReceiptRow]] = defaultdict(list)
    for row in await session.scalars(query):
        found[row.cutoff_id].append(row)
    return found


async def store_receipts(session: AsyncSession, receipts: Iterable[dict[str, Any]]) -> None:
    """Insert receipts of known cutoffs; known receipts and those of unknown cutoffs are left out."""
    received = list(receipts)
    ids = [row["cutoff_id"] for row in received]
    known = set(await session.scalars(select(CutoffRow.id).where(CutoffRow.id.in_(ids))))
    if rows := [row for row in received if row["cutoff_id"] in known]:
        await session.execute(insert(ReceiptRow).values(rows).on_conflict_do_nothing())
