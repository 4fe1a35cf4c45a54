"""Reads cutoffs and receipts."""

from collections import defaultdict
from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from identity.cutoffs.models import CutoffRow, ReceiptRow

__all__ = ["list_newest_cutoffs", "list_receipts_by_cutoff"]


async def list_newest_cutoffs(session: AsyncSession, limit: int) -> Sequence[CutoffRow]:
    """Return the newest cutoffs, the last one first: ids sort by time."""
    return (await session.scalars(select(CutoffRow).order_by(CutoffRow.id.desc()).limit(limit))).all()


async def list_receipts_by_cutoff(session: AsyncSession, cutoffs: Sequence[UUID]) -> dict[UUID, list[ReceiptRow]]:
    """Return the receipts of each cutoff, the first one first."""
    query = select(ReceiptRow).where(ReceiptRow.cutoff_id.in_(cutoffs)).order_by(ReceiptRow.applied_at)
    found: dict[UUID, list[ReceiptRow]] = defaultdict(list)
    for row in await session.scalars(query):
        found[row.cutoff_id].append(row)
    return found
